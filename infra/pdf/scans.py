"""
From a file to its page images: tells PDF, JPEG and PNG apart and takes the pixels out.

Runs inside the child process only (`intake_child`), because it opens hostile files.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from math import ceil, floor

import pikepdf
from PIL import Image

from infra.pdf.content import Box, Placement, box_under, is_upright, placed_images
from infra.pdf.pages import FORGIVEN_DPI, REQUIRED_DPI, Limits, PageImage, Unfit
from infra.pdf.pictures import Picture, declared_dpi, open_picture, rgb_profile, to_rgb
from infra.pdf.screening import DAMAGE, opened, screen

_MM_PER_INCH = 25.4
_MM_PER_POINT = 25.4 / 72
_A4 = (210.0, 297.0)
#: The least part of a page that its picture must cover.
_COVERAGE = 0.95
#: A picture may stick out of its page by so many pixels, which is rounding; beyond it is cropped.
_ROUNDING = 2

_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
#: Quarter turns and mirrors: where a stored picture's right and up end → EXIF orientation.
_ORIENTATIONS = {
    ((1, 0), (0, 1)): 1,
    ((-1, 0), (0, 1)): 2,
    ((-1, 0), (0, -1)): 3,
    ((1, 0), (0, -1)): 4,
    ((0, -1), (-1, 0)): 5,
    ((0, -1), (1, 0)): 6,
    ((0, 1), (1, 0)): 7,
    ((0, 1), (-1, 0)): 8,
}


def prepare_libraries(limits: Limits) -> None:
    """Set what Pillow and qpdf allow in this process; they refuse bombs before the memory limit kills us."""
    Image.MAX_IMAGE_PIXELS = limits.pixels
    pikepdf.PdfImage.MAX_IMAGE_PIXELS = limits.pixels
    # Pillow warns at the limit and fails at twice the limit only.
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    most = min(limits.pixels * 4 + 1_000_000, 2**32 - 1)
    pikepdf.settings.set_qpdf_limits(
        flate_max_memory=most,
        png_max_memory=most,
        run_length_max_memory=most,
        tiff_max_memory=most,
        dct_max_memory=most,
        parser_max_nesting=100,
        max_stream_filters=4,
    )


def pages_of(name: str, content: bytes, limits: Limits) -> Iterator[PageImage]:
    """Yield the pages of one file, whatever its name says it is; raises `Unfit`."""
    if b"%PDF-" in content[:1024]:
        yield from _pdf_pages(name, content, limits)
    elif content.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        yield _picture_page(name, content, limits)
    else:
        raise Unfit(f"{name} is neither a PDF nor a JPEG or PNG picture.", code="not-a-scan")


def _picture_page(name: str, content: bytes, limits: Limits) -> PageImage:
    """Return the page that a JPEG or PNG file is, sized by its declared resolution, else fitted into A4."""
    picture = open_picture(content, name)
    width, height = picture.size
    declared = declared_dpi(Image.open(io.BytesIO(content)))
    if declared is None:
        short, long = _A4
        paper = (short, long) if height >= width else (long, short)
        pixels_per_mm = max(width / paper[0], height / paper[1])
        size = (width / pixels_per_mm, height / pixels_per_mm)
    else:
        across, down = declared if picture.orientation < 5 else (declared[1], declared[0])
        size = (width / across * _MM_PER_INCH, height / down * _MM_PER_INCH)
    dpi = min(width / size[0], height / size[1]) * _MM_PER_INCH
    return _page(picture, None, size, dpi, name, limits)


def _pdf_pages(name: str, content: bytes, limits: Limits) -> Iterator[PageImage]:
    """Yield the pages of a PDF that has passed the screening."""
    with opened(name, content) as pdf:
        screen(pdf, content, name, limits)
        for number, page in enumerate(pdf.pages, start=1):
            where = f"{name}, page {number}"
            try:
                yield _pdf_page(page, where, limits)
            except _BOMBS as error:
                raise Unfit(f"The picture of {where} has too many pixels.", code="too-large") from error
            except (NotImplementedError, pikepdf.UnsupportedImageTypeError) as error:
                raise Unfit(
                    f"The picture of {where} is stored in an unusual way.", code="not-a-scan"
                ) from error
            except DAMAGE as error:
                if "memory limit" in str(error):
                    raise Unfit(f"The picture of {where} unpacks to too much.", code="bomb") from error
                raise Unfit(f"The content of {where} is damaged or incomplete.", code="truncated") from error


def _pdf_page(page: pikepdf.Page, where: str, limits: Limits) -> PageImage:
    """Return the one picture that fills a page."""
    visible = _visible_box(page, where)
    placements = placed_images(page, visible, where)
    if len(placements) != 1:
        what = "no picture" if not placements else f"{len(placements)} pictures"
        raise Unfit(f"{where} holds {what} instead of one that fills the page.", code="not-a-scan")
    placement = placements[0]
    if not is_upright(placement.matrix):
        raise Unfit(f"The picture of {where} is placed askew.", code="not-a-scan")
    placed = box_under(placement.matrix, Box(0, 0, 1, 1))
    seen = placed.meet(placement.clip).meet(visible)
    if seen.width * seen.height < _COVERAGE * visible.width * visible.height:
        raise Unfit(f"The picture of {where} does not fill the page.", code="not-a-scan")
    turn = int(page.obj.get("/Rotate", 0)) % 360
    picture = _take(placement, turn, where)
    unit = float(page.obj.get("/UserUnit", 1)) * _MM_PER_POINT
    full = _turned(placed, turn)
    crop, shown = _crop(full, _turned(seen, turn), picture.size)
    # Measured on the whole picture: a crop is a whole number of pixels, paper is not.
    dpi = min(picture.size[0] / full.width, picture.size[1] / full.height) / unit * _MM_PER_INCH
    return _page(picture, crop, (shown.width * unit, shown.height * unit), dpi, where, limits)


def _visible_box(page: pikepdf.Page, where: str) -> Box:
    """Return the part of the page that a reader sees, in its unturned user space."""
    boxes = []
    for corners in (page.mediabox, page.cropbox):
        x1, y1, x2, y2 = (float(number) for number in corners)
        boxes.append(Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))
    visible = boxes[0].meet(boxes[1])
    if visible.width * visible.height <= 0 or int(page.obj.get("/Rotate", 0)) % 90:
        raise Unfit(f"{where} has no sensible size.", code="not-a-scan")
    return visible


def _take(placement: Placement, turn: int, where: str) -> Picture:
    """Take a picture out of its page: the compressed bytes where they can be kept, else the pixels."""
    image = placement.image
    if not isinstance(image, pikepdf.Stream):
        raise Unfit(f"The picture of {where} is damaged or incomplete.", code="truncated")
    if "/SMask" in image or "/Mask" in image or int(image.get("/SMaskInData", 0)):
        raise Unfit(f"The picture of {where} is partly transparent, as no scan is.", code="not-a-scan")
    stored = pikepdf.PdfImage(image)
    if stored.image_mask or _is_grey(stored):
        raise Unfit(f"The picture of {where} is grey or black and white, not colour.", code="grey")
    if stored.width * stored.height > (Image.MAX_IMAGE_PIXELS or 0):
        raise Unfit(f"The picture of {where} has too many pixels.", code="too-large")
    picture = _open(stored, where)
    if picture.stored != (stored.width, stored.height):
        raise Unfit(f"The picture of {where} contradicts its own size.", code="truncated")
    return replace(
        picture,
        orientation=_orientation(placement.matrix, turn),
        # A PDF's colour space overrules what its JPEG says of itself (ISO 32000-1 §8.9.5.2, §7.4.8).
        profile=_profile(stored),
    )


def _is_grey(stored: pikepdf.PdfImage) -> bool:
    """Tell whether a picture's colour space has one channel, palettes of such colours included."""
    if stored.colorspace in ("/DeviceGray", "/CalGray") or stored.is_separation:
        return True
    if stored.colorspace == "/ICCBased":
        space = stored.obj.ColorSpace
        based = space[1] if stored.indexed else space
        return int(based[1].get("/N", 3)) == 1
    return False


def _profile(stored: pikepdf.PdfImage) -> bytes | None:
    """Return the profile of an ICCBased RGB picture."""
    if stored.indexed or stored.colorspace != "/ICCBased":
        return None
    return rgb_profile(stored.obj.ColorSpace[1].read_bytes())


def _open(stored: pikepdf.PdfImage, where: str) -> Picture:
    """Decode a picture; keep its JPEG bytes where they mean the same outside of the PDF."""
    out = io.BytesIO()
    plain_range = list(stored.obj.get("/Decode", [0, 1, 0, 1, 0, 1])) == [0, 1, 0, 1, 0, 1]
    if stored.filters[-1:] == ["/DCTDecode"] and stored.mode == "RGB" and plain_range:
        if stored.extract_to(stream=out) == ".jpg":
            return open_picture(out.getvalue(), where)
        out.seek(0)
        return _of_pixels(to_rgb(Image.open(out), where))
    pixels = stored.as_pil_image()
    pixels.load()
    return _of_pixels(to_rgb(pixels, where))


def _of_pixels(pixels: Image.Image) -> Picture:
    """Return a picture of which only the pixels are good."""
    return Picture(stored=pixels.size, pixels=pixels, original=None, orientation=1, profile=None)


def _orientation(matrix: pikepdf.Matrix, turn: int) -> int:
    """Return how the stored picture is seen, as an EXIF orientation; `turn` is the page's, clockwise."""
    a, b, c, d = matrix.a, matrix.b, matrix.c, matrix.d
    axes = [(_sign(a, b), _sign(b, a)), (_sign(c, d), _sign(d, c))]
    for _ in range(turn // 90):
        axes = [(y, -x) for x, y in axes]
    return _ORIENTATIONS[axes[0], axes[1]]


def _sign(value: float, beside: float) -> int:
    """Return the direction of the larger component; the smaller one is slack."""
    return 0 if abs(value) < abs(beside) else (1 if value > 0 else -1)


def _turned(box: Box, turn: int) -> Box:
    """Return a box as it lies when the page is turned clockwise."""
    for _ in range(turn // 90):
        box = Box(box.bottom, -box.right, box.top, -box.left)
    return box


def _crop(placed: Box, seen: Box, size: tuple[int, int]) -> tuple[tuple[int, int, int, int] | None, Box]:
    """Return the pixels to keep (`None`: all of them) and the paper under them."""
    across, down = size[0] / placed.width, size[1] / placed.height
    left, right = (seen.left - placed.left) * across, (seen.right - placed.left) * across
    top, bottom = (placed.top - seen.top) * down, (placed.top - seen.bottom) * down
    if max(left, top, size[0] - right, size[1] - bottom) <= _ROUNDING:
        return None, placed
    return (floor(left), floor(top), min(size[0], ceil(right)), min(size[1], ceil(bottom))), seen


def _page(
    picture: Picture,
    crop: tuple[int, int, int, int] | None,
    size_mm: tuple[float, float],
    dpi: float,
    where: str,
    limits: Limits,
) -> PageImage:
    """Check resolution and size of paper, and return the page."""
    width, height = (crop[2] - crop[0], crop[3] - crop[1]) if crop else picture.size
    if max(size_mm) > limits.page_mm:
        raise Unfit(f"{where} is {max(size_mm):.0f} mm long: no paper is.", code="too-large")
    if dpi < REQUIRED_DPI - FORGIVEN_DPI:
        raise Unfit(f"{where} has {dpi:.0f} dpi, less than {REQUIRED_DPI:.0f}.", code="resolution")
    content, media_type = picture.encode(crop, where)
    return PageImage(
        content=content,
        media_type=media_type,
        width_px=width,
        height_px=height,
        width_mm=round(size_mm[0], 3),
        height_mm=round(size_mm[1], 3),
        dpi=round(dpi, 1),
        source=where,
    )
