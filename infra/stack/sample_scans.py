"""
Papers of fictional people, scanned: what a citizen of the demonstration brings to the counter.

Each paper is set, printed into pixels, and then made to look as a scanner sees it: tinted paper, uneven
light, grain, a sheet laid in slightly askew. The same call makes the same files.
"""

from __future__ import annotations

import io
import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pikepdf
import typst
from PIL import Image, ImageChops, ImageFilter

from infra.pdf.typeset import FONTS

_OFFICE = Path(__file__).with_name("sample_office")
_MM_PER_INCH = 25.4


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOriginal:
    """One original: its kind, its number of pages and the files that hold them, in order."""

    kind: str
    pages: int
    files: tuple[Path, ...]


def make_scans(folder: Path) -> tuple[SampleOriginal, ...]:
    """
    Write the sample scans into a folder and return them: a degree (one PDF), a birth certificate (two JPEGs).

    Both are in colour; the degree has 250 dpi, the birth certificate 200. Existing files are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    diploma = folder / "bang-tot-nghiep.pdf"
    diploma.write_bytes(pdf_of_jpegs(print_and_scan("diploma", dpi=250), dpi=250))
    birth = []
    for number, content in enumerate(print_and_scan("birth", dpi=200), start=1):
        birth.append(folder / f"giay-khai-sinh-{number}.jpg")
        birth[-1].write_bytes(content)
    return (
        SampleOriginal(kind="Bằng tốt nghiệp đại học", pages=1, files=(diploma,)),
        SampleOriginal(kind="Giấy khai sinh", pages=2, files=tuple(birth)),
    )


def print_and_scan(paper: str, *, dpi: int) -> list[bytes]:
    """Return the pages of a sample paper as JPEG files that declare their resolution."""
    with tempfile.TemporaryDirectory(prefix="sample-") as name:
        folder = Path(name)
        for source in (*_OFFICE.glob("*.png"), *(_OFFICE / "papers").iterdir()):
            shutil.copyfile(source, folder / source.name)
        fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(FONTS)])
        compiler = typst.Compiler(root=str(folder), font_paths=fonts)
        made = compiler.compile(input=str(folder / f"{paper}.typ"), format="png", ppi=float(dpi))
    pages = made if isinstance(made, list) else [made or b""]
    return [_scan(page, dpi, random.Random(f"{paper} {n}")) for n, page in enumerate(pages)]  # noqa: S311


def _scan(printed: bytes, dpi: int, rng: random.Random) -> bytes:
    """Return a printed page as the scanner sees it."""
    sheet = Image.open(io.BytesIO(printed)).convert("RGB")
    askew = rng.uniform(0.15, 0.4) * rng.choice((-1, 1))
    corner = sheet.getpixel((3, 3))
    sheet = sheet.rotate(askew, Image.Resampling.BILINEAR, fillcolor=corner)
    sheet = sheet.filter(ImageFilter.BoxBlur(dpi / 500))
    sheet = ImageChops.multiply(sheet, _light(sheet.size, rng))
    sheet = ImageChops.add(sheet, _grain(sheet.size, rng), scale=1.0, offset=-128)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=80, dpi=(dpi, dpi), optimize=True)
    return out.getvalue()


def _light(size: tuple[int, int], rng: random.Random) -> Image.Image:
    """Return the lamp's uneven, slightly warm light."""
    lamp = Image.new("RGB", (5, 5))
    shades = [rng.randint(243, 252) for _ in range(25)]
    lamp.putdata([(shade, shade, shade - 4) for shade in shades])
    return lamp.resize(size, Image.Resampling.BICUBIC)


def _grain(size: tuple[int, int], rng: random.Random) -> Image.Image:
    """Return weak grey noise around the middle; one tile is repeated, as a sensor's pattern is."""
    side = 127
    tile = Image.frombytes("L", (side, side), bytes(int(rng.gauss(128, 3.2)) for _ in range(side * side)))
    grain = Image.new("L", size)
    for x in range(0, size[0], side):
        for y in range(0, size[1], side):
            grain.paste(tile, (x, y))
    return Image.merge("RGB", (grain, grain, grain))


def pdf_of_jpegs(pages: list[bytes], *, dpi: float) -> bytes:
    """Return the PDF that a scanner writes: one JPEG fills each page; the same bytes each time."""
    pdf = pikepdf.new()
    for content in pages:
        width, height = Image.open(io.BytesIO(content)).size
        across, down = (round(pixels / dpi * 72, 3) for pixels in (width, height))
        picture = pikepdf.Stream(
            pdf,
            content,
            Type=pikepdf.Name.XObject,
            Subtype=pikepdf.Name.Image,
            Width=width,
            Height=height,
            ColorSpace=pikepdf.Name.DeviceRGB,
            BitsPerComponent=8,
            Filter=pikepdf.Name.DCTDecode,
        )
        page = pikepdf.Dictionary(
            Type=pikepdf.Name.Page,
            MediaBox=[0, 0, across, down],
            Resources=pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im0=picture)),
            Contents=pikepdf.Stream(pdf, f"q {across} 0 0 {down} 0 0 cm /Im0 Do Q".encode()),
        )
        pdf.pages.append(pikepdf.Page(pdf.make_indirect(page)))
    out = io.BytesIO()
    pdf.save(out, deterministic_id=True)
    return out.getvalue()
