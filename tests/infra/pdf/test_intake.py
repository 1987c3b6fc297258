"""What citizens bring becomes clean pages, or is refused with a reason and a way out."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from types import ModuleType

import pikepdf
import pytest
from PIL import Image, ImageDraw, ImageOps

from infra.pdf.intake import Limits, Unfit, read_scans

REFUSED = {
    "text.pdf": "not-a-scan",
    "word.pdf": "not-a-scan",
    "empty.pdf": "empty",
    "truncated.pdf": "truncated",
    "truncated.jpg": "truncated",
    "truncated.png": "truncated",
    "not-really.jpg": "truncated",
    "zero-pages.pdf": "empty",
    "encrypted.pdf": "encrypted",
    "owner-password.pdf": "encrypted",
    "javascript.pdf": "javascript",
    "open-action.pdf": "javascript",
    "launch.pdf": "action",
    "page-action.pdf": "javascript",
    "xfa.pdf": "xfa",
    "rich-media.pdf": "media",
    "hybrid.pdf": "hybrid",
    "attachment.pdf": "attachment",
    "attached-note.pdf": "attachment",
    "portfolio.pdf": "portfolio",
    "form.pdf": "form",
    "note.pdf": "form",
    "layers.pdf": "layers",
    "signed.pdf": "signed",
    "born-digital.pdf": "born-digital",
    "stamped.pdf": "born-digital",
    "loud-font.pdf": "born-digital",
    "drawn.pdf": "born-digital",
    "blank.pdf": "not-a-scan",
    "half-page.pdf": "not-a-scan",
    "two-pictures.pdf": "not-a-scan",
    "askew.pdf": "not-a-scan",
    "shaped.pdf": "not-a-scan",
    "masked.pdf": "not-a-scan",
    "faded.pdf": "not-a-scan",
    "grey.pdf": "grey",
    "grey-72-dpi.jpg": "grey",
    "bitonal.png": "grey",
    "transparent.png": "not-a-scan",
    "colour-150-dpi.jpg": "resolution",
    "enlarged.pdf": "resolution",
    "contradicts-itself.pdf": "truncated",
    "huge.png": "too-large",
    "bomb.pdf": "bomb",
    "nested.pdf": "nesting",
    "recursive.pdf": "nesting",
}


@pytest.mark.parametrize(("name", "code"), REFUSED.items())
def test_a_bad_file_is_refused_by_code_and_by_name(bad_scans: Path, name: str, code: str) -> None:
    with pytest.raises(Unfit) as refusal:
        read_scans([(name, (bad_scans / name).read_bytes())])
    assert refusal.value.code == code
    assert name in refusal.value.message
    assert refusal.value.rule
    assert refusal.value.way_out.endswith(".")


def test_every_bad_file_is_tried(bad_scans: Path) -> None:
    assert {path.name for path in bad_scans.iterdir()} == set(REFUSED)


def test_the_refusal_names_the_page(making: ModuleType) -> None:
    pdf = making.scan()
    other = making.scan(content=making.FILL + b" 5 5 20 20 re f")
    pdf.pages.append(other.pages[0])
    with pytest.raises(Unfit, match=r"kq\.pdf, page 2"):
        read_scans([("kq.pdf", making.saved(pdf))])


def test_an_original_without_files_is_refused() -> None:
    with pytest.raises(Unfit, match="no file"):
        read_scans([])


def test_a_refusal_travels_between_processes_whole() -> None:
    refusal = pickle.loads(pickle.dumps(Unfit("a.pdf is encrypted.", code="encrypted")))
    assert (refusal.code, refusal.message, refusal.rule) == ("encrypted", "a.pdf is encrypted.", "INTAKE-01")


def test_files_of_three_kinds_give_their_pages_in_order(making: ModuleType) -> None:
    pdf, other = making.scan(), making.scan()
    pdf.pages.append(other.pages[0])
    jpeg, png = making.file_of(making.picture()), making.file_of(making.picture(), "PNG")
    # Names lie on purpose: content decides.
    pages = read_scans([("a.jpg", making.saved(pdf)), ("b.pdf", jpeg), ("c", png)])
    assert [page.source for page in pages] == ["a.jpg, page 1", "a.jpg, page 2", "b.pdf", "c"]
    assert [page.media_type for page in pages] == ["image/jpeg"] * 3 + ["image/png"]
    for page in pages:
        assert (page.width_px, page.height_px) == (236, 157)
        assert page.width_mm == pytest.approx(30, abs=0.05)
        assert page.dpi == pytest.approx(200, abs=0.5)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_pixels_stay_and_everything_else_goes(making: ModuleType, kind: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "bí mật ở đây"
    out = io.BytesIO()
    more = {"comment": b"secret-comment"} if kind == "JPEG" else {}
    making.picture().save(out, kind, dpi=(200, 200), exif=exif, **more)
    dirty = out.getvalue() + b"secret-tail"
    assert b"secret" in dirty
    page = read_scans([("a", dirty)])[0]
    assert b"secret" not in page.content
    assert "bí mật".encode() not in page.content
    assert Image.open(io.BytesIO(page.content)).tobytes() == Image.open(io.BytesIO(dirty)).tobytes()


def test_a_jpeg_inside_a_pdf_is_not_compressed_again(making: ModuleType) -> None:
    page = read_scans([("a.pdf", making.saved(making.scan()))])[0]
    jpeg = making.file_of(making.picture())
    # From the quantisation tables on, the file is the one that the scanner wrote.
    assert page.content.endswith(jpeg[jpeg.index(b"\xff\xdb") :])


def test_invisible_recognised_text_is_dropped(making: ModuleType) -> None:
    text = b" BT /F0 12 Tf 3 Tr 10 20 Td (nhan dang) Tj ET"
    assert len(read_scans([("a.pdf", making.saved(making.scan(content=making.FILL + text)))])) == 1


def test_a_colour_scan_of_a_page_without_colour_is_a_colour_scan(making: ModuleType) -> None:
    colourless = making.picture("L").convert("RGB")
    assert len(read_scans([("a.jpg", making.file_of(colourless))])) == 1


def test_a_cmyk_scan_becomes_rgb(making: ModuleType) -> None:
    page = read_scans([("a.jpg", making.file_of(making.picture("CMYK")))])[0]
    assert page.media_type == "image/png"
    assert Image.open(io.BytesIO(page.content)).mode == "RGB"


def test_a_picture_that_declares_no_size_is_taken_as_a4(making: ModuleType) -> None:
    tall = making.file_of(making.picture(size=(1654, 2339)), dpi=None)
    wide = making.file_of(making.picture(size=(2339, 1654)), dpi=None)
    sizes = [(page.width_mm, page.height_mm) for page in read_scans([("a", tall), ("b", wide)])]
    assert sizes[0] == pytest.approx((210, 297), abs=0.1)
    assert sizes[1] == pytest.approx((297, 210), abs=0.1)


def test_a_photo_turned_by_exif_is_measured_as_it_is_seen(making: ModuleType) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    making.picture(size=(2339, 1654)).save(out, "JPEG", exif=exif)
    page = read_scans([("a.jpg", out.getvalue())])[0]
    assert (page.width_px, page.height_px) == (1654, 2339)
    assert page.width_mm < page.height_mm
    # The turn travels with the picture, whose data stay as they were.
    assert Image.open(io.BytesIO(page.content)).getexif()[0x0112] == 6


CORNERS = {"red": (0, 1), "lime": (1, 1), "blue": (1, 0), "yellow": (0, 0)}
PLACINGS = [
    b"85 0 0 56.5 0 0", b"-85 0 0 56.5 85 0", b"-85 0 0 -56.5 85 56.5", b"85 0 0 -56.5 0 56.5",
]  # fmt: skip
PLACINGS_ON_EDGE = [
    b"0 85 56.5 0 0 0", b"0 85 -56.5 0 56.5 0", b"0 -85 -56.5 0 56.5 85", b"0 -85 56.5 0 0 85",
]  # fmt: skip


def _cornered() -> Image.Image:
    """A picture whose four corners have four colours."""
    image = Image.new("RGB", (236, 157), "white")
    pen = ImageDraw.Draw(image)
    for colour, (x, y) in CORNERS.items():
        left, top = (0 if x == 0 else 136), (0 if y == 1 else 97)
        pen.rectangle((left, top, left + 99, top + 59), fill=colour)
    return image


def _seen_corners(placing: bytes, turn: int) -> dict[tuple[bool, bool], str]:
    """Work out with plain arithmetic which colour is seen in which corner (right?, upper?)."""
    a, b, c, d, e, f = (float(number) for number in placing.split())
    places = {colour: (a * x + c * y + e, b * x + d * y + f) for colour, (x, y) in CORNERS.items()}
    for _ in range(turn // 90):
        places = {colour: (y, -x) for colour, (x, y) in places.items()}
    middle_x = sum(x for x, _ in places.values()) / 4
    middle_y = sum(y for _, y in places.values()) / 4
    return {(x > middle_x, y > middle_y): colour for colour, (x, y) in places.items()}


def _placed(making: ModuleType, placing: bytes, box: list[float], turn: int) -> pikepdf.Pdf:
    """A one-page scan of the cornered picture, placed by a matrix on a turned page."""

    def change(_pdf: pikepdf.Pdf, page: pikepdf.Dictionary) -> None:
        page.MediaBox = box

    return making.scan(
        image=lambda pdf: making.image_object(pdf, _cornered()),
        content=b"q " + placing + b" cm /Im0 Do Q",
        change=change,
        Rotate=turn,
    )


def test_every_turn_and_mirror_is_seen_as_a_pdf_reader_shows_it(making: ModuleType) -> None:
    cases = [(p, t) for p in PLACINGS + PLACINGS_ON_EDGE for t in (0, 90, 180, 270)]
    whole = None
    for placing, turn in cases:
        box = [0, 0, 56.5, 85] if placing in PLACINGS_ON_EDGE else list(making.PAGE)
        one = _placed(making, placing, box, turn)
        if whole is None:
            whole = one
        else:
            whole.pages.append(one.pages[0])
    pages = read_scans([("a.pdf", making.saved(whole))])
    for (placing, turn), page in zip(cases, pages, strict=True):
        seen = ImageOps.exif_transpose(Image.open(io.BytesIO(page.content)))
        assert seen.size == (page.width_px, page.height_px)
        for (right, upper), colour in _seen_corners(placing, turn).items():
            x = seen.width - 20 if right else 20
            y = 20 if upper else seen.height - 20
            expected = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
            found = seen.getpixel((x, y))
            assert all(abs(p - q) < 40 for p, q in zip(found, expected, strict=True)), (placing, turn)


def test_what_the_crop_box_hides_is_not_kept(making: ModuleType) -> None:
    def crop(_pdf: pikepdf.Pdf, page: pikepdf.Dictionary) -> None:
        page.CropBox = [0, 28.25, 42.5, 56.5]

    pdf = making.scan(image=lambda pdf: making.image_object(pdf, _cornered()), change=crop)
    page = read_scans([("a.pdf", making.saved(pdf))])[0]
    assert page.media_type == "image/png"
    assert (page.width_mm, page.height_mm) == pytest.approx((15, 10), abs=0.05)
    seen = Image.open(io.BytesIO(page.content)).convert("RGB")
    assert seen.size == pytest.approx((118, 78), abs=1)
    reds, _, blues = (channel.getextrema() for channel in seen.split())
    # The red corner is there; blue and yellow lay outside.
    assert reds[1] > 240
    assert seen.getpixel((5, 5))[2] < 40
    assert blues[1] > 240
    assert seen.getpixel((seen.width - 3, seen.height - 3)) > (230, 230, 230)


def test_a_clip_around_the_picture_is_obeyed(making: ModuleType) -> None:
    content = b"q 0 0 85 55 re W n 85 0 0 56.5 0 0 cm /Im0 Do Q"
    page = read_scans([("a.pdf", making.saved(making.scan(content=content)))])[0]
    assert page.height_px == pytest.approx(153, abs=1)


def test_limits_on_bytes_pages_and_time_refuse(making: ModuleType) -> None:
    jpeg = making.file_of(making.picture())
    for limits, files in (
        (Limits(file_bytes=1000), [("a.jpg", jpeg)]),
        (Limits(total_bytes=len(jpeg) + 1), [("a.jpg", jpeg), ("b.jpg", jpeg)]),
        (Limits(pages=1), [("a.jpg", jpeg), ("b.jpg", jpeg)]),
        (Limits(pixels=10_000), [("a.jpg", jpeg)]),
        (Limits(output_bytes=100), [("a.jpg", jpeg)]),
    ):
        with pytest.raises(Unfit) as refusal:
            read_scans(files, limits=limits)
        assert refusal.value.code == "too-large"
    with pytest.raises(Unfit) as refusal:
        read_scans([("a.jpg", jpeg)], limits=Limits(wall_seconds=0.001))
    assert refusal.value.code == "too-complex"


def test_a_file_that_wants_too_much_memory_is_refused(making: ModuleType) -> None:
    # 7,000 × 7,000 pixels are 147 MB when decoded, and a few hundred kilobytes in the file.
    large = making.file_of(Image.new("RGB", (7000, 7000)), "PNG")
    with pytest.raises(Unfit) as refusal:
        read_scans([("a.png", large)], limits=Limits(memory_bytes=180_000_000))
    assert refusal.value.code == "too-complex"
