"""Nothing that is hidden in what people bring reaches the document that is signed."""

from __future__ import annotations

import importlib.util
import io
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pikepdf
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from infra.pdf.fields import FieldPlace, place_fields
from infra.pdf.intake import read_scans
from infra.pdf.profiles import rebuilt
from infra.pdf.screening import programs
from tasks.forms import OFFICIAL_BOX, ECopy, Letterhead, Signatory, e_copy, seal_box

ROOT = Path(__file__).resolve().parents[3]
#: What must not be found again, in whatever form.
MARK = "bi-mat-7f3a"


@pytest.fixture(scope="module")
def making() -> ModuleType:
    spec = importlib.util.spec_from_file_location("making", ROOT / "tests/vectors/make_bad_scans.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def frozen(files: list[tuple[str, bytes]]) -> bytes:
    """Go the whole way from what was brought to the bytes that wait for a signature."""
    copy = ECopy(
        head=Letterhead(above="", agency="UBND xã Thử", place="Thử"),
        pages=tuple(read_scans(files)),
        kind="Giấy khai sinh",
        number="Số chứng thực: 1 quyển số 01/2026-SCT/BS",
        date=datetime(2026, 11, 20, tzinfo=UTC),
        signatories=(Signatory(title_lines=("CHỦ TỊCH",), full_name="Trần Thị Bình"),),
        code="H49.21-261120-0001",
        verify_url="https://ca.gov.vn",
    )
    places = [FieldPlace(name="official_1", page=-1, rect=OFFICIAL_BOX)]
    return place_fields(e_copy(copy), [*places, FieldPlace(name="seal", page=-1, rect=seal_box())])


def everything_in(pdf: bytes) -> bytes:
    """Return the file and all that its streams unpack to."""
    pieces = [pdf]
    with pikepdf.open(io.BytesIO(pdf)) as document:
        for item in document.objects:
            if isinstance(item, pikepdf.Stream):
                pieces.append(item.read_raw_bytes())
                try:
                    pieces.append(item.read_bytes())
                except pikepdf.PdfError:
                    continue
    return b"\n".join(pieces)


def marked_profile() -> bytes:
    """A colour profile with a text in a tag of its own."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace(b"sRGB built-in", MARK.encode().ljust(13)[:13]).replace(
        "sRGB built-in".encode("utf-16-be"), MARK.ljust(13)[:13].encode("utf-16-be")
    )


def hiding(making: ModuleType) -> bytes:
    """A scan in which a text is hidden in every place that its page does not show."""
    profile = marked_profile()
    assert MARK.encode() in profile or MARK.encode("utf-16-be") in profile
    picture = making.picture()
    exif = Image.Exif()
    exif[0x010E] = MARK
    out = io.BytesIO()
    picture.save(out, "JPEG", dpi=(200, 200), exif=exif, comment=MARK.encode(), icc_profile=profile)

    def image(pdf: pikepdf.Pdf) -> pikepdf.Object:
        made = making.image_object(pdf, picture)
        made.write(out.getvalue() + MARK.encode(), filter=pikepdf.Name.DCTDecode)
        made["/ColorSpace"] = pikepdf.Array(
            [pikepdf.Name.ICCBased, pikepdf.Stream(pdf, profile, N=3, Alternate=pikepdf.Name.DeviceRGB)]
        )
        return made

    text = f" BT /F0 12 Tf 3 Tr 10 20 Td ({MARK}) Tj ET %{MARK}".encode()
    pdf = making.scan(image=image, content=making.FILL + text)
    pdf.docinfo["/Title"] = MARK
    pdf.Root.Metadata = pikepdf.Stream(pdf, f"<x>{MARK}</x>".encode(), Type=pikepdf.Name.Metadata)
    pdf.pages[0].obj["/PieceInfo"] = pikepdf.Dictionary(X=pikepdf.Stream(pdf, MARK.encode()))
    pdf.pages[0].obj["/Thumb"] = pikepdf.Stream(pdf, MARK.encode(), Width=1, Height=1)
    pdf.Root.Lang = pikepdf.String(MARK)
    pdf.make_indirect(pikepdf.Dictionary(Unused=pikepdf.String(MARK)))
    saved = making.saved(pdf)
    return bytes(saved) + f"\n%{MARK}\n".encode()


def test_nothing_hidden_in_a_scan_reaches_the_document(making: ModuleType) -> None:
    pdf = hiding(making)
    assert everything_in(pdf).count(MARK.encode()) >= 6
    out = everything_in(frozen([("a.pdf", pdf)]))
    for form in (
        MARK.encode(),
        MARK.encode("utf-16-be"),
        MARK.encode().hex().encode(),
        MARK.upper().encode(),
    ):
        assert form not in out


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_nothing_hidden_in_a_picture_reaches_the_document(making: ModuleType, kind: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = MARK
    notes = PngInfo()
    notes.add_text("Comment", MARK)
    notes.add_itxt("Chú thích", MARK)
    more = {"comment": MARK.encode()} if kind == "JPEG" else {"pnginfo": notes}
    out = io.BytesIO()
    making.picture().save(out, kind, dpi=(200, 200), exif=exif, icc_profile=marked_profile(), **more)
    dirty = out.getvalue() + MARK.encode()
    assert MARK.encode() in dirty
    clean = everything_in(frozen([("a", dirty)]))
    assert MARK.encode() not in clean
    assert MARK.encode("utf-16-be") not in clean


def test_an_earlier_revision_of_a_scan_does_not_reach_the_document(making: ModuleType) -> None:
    first = making.saved(making.scan(content=making.FILL + f" %{MARK}".encode()))
    with pikepdf.open(io.BytesIO(first)) as pdf:
        number = pdf.pages[0].Contents.objgen[0]
    content = making.FILL
    start = int(first[: first.rindex(b"%%EOF")].split()[-1])
    body = b"%d 0 obj\n<< /Length %d >>\nstream\n%s\nendstream\nendobj\n" % (number, len(content), content)
    root, size = 1, 50
    with pikepdf.open(io.BytesIO(first)) as pdf:
        root, size = pdf.Root.objgen[0], int(pdf.trailer.Size)
    tail = b"xref\n%d 1\n%010d 00000 n \ntrailer\n<< /Root %d 0 R /Size %d /Prev %d >>\nstartxref\n%d\n%%%%EOF\n" % (
        number, len(first), root, size, start, len(first) + len(body)
    )  # fmt: skip
    assert MARK.encode() not in everything_in(frozen([("a.pdf", first + body + tail)]))


def test_a_document_that_waits_for_its_first_signature_holds_pages_and_our_fields_only(
    making: ModuleType,
) -> None:
    pdf = frozen([("a.pdf", making.saved(making.scan()))])
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert list(programs(document)) == []
        assert [str(field.T) for field in document.Root.AcroForm.Fields] == ["official_1", "seal"]
        assert all(field.FT == "/Sig" and "/V" not in field for field in document.Root.AcroForm.Fields)
        notes = [note for page in document.pages for note in page.obj.get("/Annots", [])]
        assert {str(note.Subtype) for note in notes} == {"/Widget"}
        assert len(notes) == 2
    # One document as it was set, and one increment for the fields.
    assert pdf.count(b"%%EOF") == 2


def test_a_rebuilt_profile_means_the_same_colours() -> None:
    profile = marked_profile()
    clean = rebuilt(profile)
    assert clean is not None
    assert len(clean) < len(profile) + 100
    picture = Image.effect_noise((40, 40), 90).convert("RGB")
    lab = ImageCms.createProfile("LAB")
    shown = [
        ImageCms.applyTransform(
            picture, ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(one)), lab, "RGB", "LAB")
        ).tobytes()
        for one in (profile, clean)
    ]
    assert shown[0] == shown[1]
    assert rebuilt(clean) == clean


def test_a_profile_that_cannot_be_read_is_dropped() -> None:
    assert rebuilt(b"") is None
    assert rebuilt(marked_profile()[:200]) is None
