"""
Draws the sample office's signature images and seal: `python tests/vectors/make_artwork.py`.

The same script gives the same pictures (fixed random seeds). They belong to fictional people, and the seal
says MẪU (sample) under its star, so that nobody can use it for anything else.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "stack" / "sample_office"
FONTS = ROOT / "infra" / "pdf" / "fonts"

DPI = 300
#: Drawn this much larger, then made smaller: smooth edges.
OVER = 4
BLUE = (23, 52, 150)
RED = (211, 24, 32)

Point = tuple[float, float]
Stroke = Sequence[Point]

#: Strokes in millimetres on a field of 60 × 28, y downwards, as the pen goes.
SIGNATURES: dict[str, Sequence[Stroke]] = {
    "hoang-thi-thu-ha": [
        # The H: entry loop, left stem, over to the right stem, and its crossing loop into the a.
        [(8, 12), (11, 6.5), (15, 4.2), (17.2, 5.6), (16, 10), (13.2, 16), (10.6, 21.5), (8.4, 23.2),
         (7.6, 21.2)],
        [(25.2, 3.2), (22.6, 8), (20, 14), (18, 19.6), (17.6, 22.4), (19.2, 22.2), (21.4, 18.4),
         (22.6, 14.6),
         (19.6, 13.2), (14.6, 14.2), (12.4, 15.6), (15, 16), (21, 14.2), (26.6, 12.8)],
        # The a, with the tail that becomes the flourish under the name.
        [(32.4, 13.6), (29.8, 12.8), (27, 15.6), (26.2, 19), (27.8, 20.4), (30.6, 17.8), (32.8, 13.6),
         (31.6, 17.6),
         (32, 20.2), (34.2, 19.4), (37.4, 15.6), (40.2, 13.4), (41, 15), (39.6, 18.6), (40.6, 19.8),
         (43.4, 17),
         (46.4, 14.2), (47.8, 15.6), (47.4, 18.6), (50.4, 18.2), (54.6, 14.6), (57, 12.2)],
        # The grave accent.
        [(29, 7.2), (31, 8.6), (33, 10.4)],
        [(53.6, 20), (42, 22.6), (28, 24.6), (16, 25.8), (12.4, 25.2), (17, 23.9), (30, 22.9), (46, 23.4),
         (51.4, 24.6)],
    ],
    "vi-van-lam": [
        # A V that swings into the loop of the L.
        [(6, 8.4), (8.2, 6.6), (9.8, 8.6), (11, 15), (12.4, 21.4), (15, 16.4), (18.6, 9), (22.4, 4.6),
         (25.6, 3.2),
         (26.6, 5.4), (24.2, 10.2), (20.4, 16), (17.2, 20.8), (15.2, 22.4), (14.8, 20.6), (18, 19.8),
         (22, 21.6),
         (26.6, 22.8), (30.4, 20.6)],
        # The a and the m.
        [(34.8, 15), (32.2, 14.2), (29.8, 16.8), (29.6, 19.8), (31.6, 20.2), (34.2, 17), (35.2, 15),
         (34.6, 18.6),
         (35.8, 20), (38.2, 17.2), (39.8, 15), (40, 17.4), (39.2, 20.4), (41.4, 16.8), (43.6, 14.8),
         (44, 17),
         (43.2, 20.2), (45.6, 16.6), (47.6, 15), (47.8, 18), (48.6, 20), (52, 18.4), (57, 13)],
        # The circumflex.
        [(30.6, 11.4), (32.6, 8.8), (34.8, 11)],
        [(10, 25.8), (24, 24), (40, 23.4), (52.6, 24.2), (49, 25.6), (42, 26)],
    ],
}  # fmt: skip


#: The rector on the sample degree: a K, a loop and a long way out.
RECTOR: Sequence[Stroke] = [
    [(12.2, 5), (11, 11), (9.6, 17), (8.2, 22.6)],
    [(23, 4.6), (18.6, 9.6), (13.2, 13.6), (11.4, 14.4), (14, 13.8), (17.4, 16.2), (20.6, 20.6),
     (23.4, 21.4),
     (25.4, 17), (27.6, 8), (29.4, 4.4), (30, 7), (27.6, 14.4), (26.4, 21), (28.4, 16.8), (31, 14.6),
     (31.6, 18),
     (32.6, 20.4), (35.4, 16.6), (38, 14.8), (37, 18.6), (38.8, 20), (42, 16), (47, 13.4), (56, 11)],
    [(7, 25), (22, 23.2), (40, 22), (50, 21.2)],
]  # fmt: skip


def main() -> None:
    """Write the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, strokes in SIGNATURES.items():
        save(signature(strokes, seed=name), FOLDER / f"{name}.png")
    save(seal("U.B.N.D XÃ BÌNH LIÊU", "TỈNH QUẢNG NINH", diameter_mm=36), FOLDER / "seal.png")
    save(signature(RECTOR, seed="rector"), FOLDER / "papers" / "rector.png")
    school = seal("TRƯỜNG ĐẠI HỌC ĐÔNG BẮC", "VIỆT NAM", diameter_mm=36)
    save(school, FOLDER / "papers" / "school-seal.png")


def save(picture: Image.Image, path: Path) -> None:
    """Write a transparent PNG that says its resolution."""
    picture.save(path, dpi=(DPI, DPI), optimize=True)
    print(f"{path.relative_to(ROOT)}: {picture.width} × {picture.height} px, {path.stat().st_size:,} bytes")


def signature(strokes: Sequence[Stroke], *, seed: str, size_mm: Point = (60, 28)) -> Image.Image:
    """Return handwriting: a pen that is thin where it is quick and thick where it turns."""
    scale = DPI / 25.4 * OVER
    alpha = Image.new("L", (round(size_mm[0] * scale), round(size_mm[1] * scale)))
    pen = ImageDraw.Draw(alpha)
    rng = random.Random(seed)
    for stroke in strokes:
        points = list(_smooth(stroke))
        width = 0.4
        for number, (x, y, reach) in enumerate(points):
            end = min(number, len(points) - 1 - number) / 60
            wanted = (0.72 - 0.035 * reach + rng.uniform(-0.02, 0.02)) * (0.4 + 0.6 * min(1.0, end))
            width += (max(0.24, wanted) - width) * 0.03
            radius = width / 2 * scale
            pen.ellipse(
                (x * scale - radius, y * scale - radius, x * scale + radius, y * scale + radius), fill=255
            )
    small = (round(size_mm[0] * DPI / 25.4), round(size_mm[1] * DPI / 25.4))
    alpha = alpha.resize(small, Image.Resampling.LANCZOS)
    # A ball pen leaves uneven ink; the eye notices where it is missing.
    alpha = ImageChops.multiply(alpha, _clouds(small, rng, low=205, cell=5))
    return _inked(alpha, BLUE)


def _smooth(points: Stroke) -> Iterator[tuple[float, float, float]]:
    """Yield a curve (Catmull-Rom) through the points, every 0.03 mm, and how far the pen swings there."""
    padded = [points[0], *points, points[-1]]
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        reach = math.dist(b, c)
        steps = max(2, round(reach / 0.03))
        for step in range(steps):
            t = step / steps
            yield _spline(a[0], b[0], c[0], d[0], t), _spline(a[1], b[1], c[1], d[1], t), reach


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    """Return one coordinate of the curve between b and c."""
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def seal(top: str, bottom: str, *, diameter_mm: float) -> Image.Image:
    """Return a round rubber seal: two outer rings, a thin inner one, text between, a star inside."""
    side = round(diameter_mm / 25.4 * DPI)
    scale = DPI / 25.4 * OVER
    alpha = Image.new("L", (side * OVER, side * OVER))
    middle = side * OVER / 2
    pen = ImageDraw.Draw(alpha)
    radius = diameter_mm / 2
    for at, width in ((radius, 0.75), (radius - 1.15, 0.25), (radius - 6.1, 0.3)):
        edge = at * scale
        box = (middle - edge, middle - edge, middle + edge, middle + edge)
        pen.ellipse(box, outline=255, width=round(width * scale))
    font = ImageFont.truetype(FONTS / "LiberationSans-Bold.ttf", round(3.15 * scale))
    _arc(alpha, top, font, radius=(radius - 4.75) * scale, centre=-90, inwards=False, gap=0.32 * scale)
    _arc(alpha, bottom, font, radius=(radius - 2.45) * scale, centre=90, inwards=True, gap=0.2 * scale)
    # Small stars part the two texts, where the upper one leaves room for them.
    for angle in (172, 8) if len(top) <= 22 else ():
        x = middle + (radius - 3.65) * scale * math.cos(math.radians(angle))
        y = middle + (radius - 3.65) * scale * math.sin(math.radians(angle))
        _star(pen, x, y, 1.25 * scale)
    _star(pen, middle, middle - 1.2 * scale, 6.9 * scale)
    small = ImageFont.truetype(FONTS / "LiberationSans-Bold.ttf", round(2.3 * scale))
    pen.text((middle, middle + 8.0 * scale), "MẪU", font=small, fill=255, anchor="mm")
    alpha = alpha.resize((side, side), Image.Resampling.LANCZOS)
    return _inked(_worn(alpha, random.Random("seal")), RED)


def _arc(
    alpha: Image.Image,
    text: str,
    font: ImageFont.FreeTypeFont,
    *,
    radius: float,
    centre: float,
    inwards: bool,
    gap: float,
) -> None:
    """Set text along a circle, its middle at `centre` degrees; `inwards` reads upright at the bottom."""
    widths = [font.getlength(letter) + gap for letter in text]
    middle = alpha.width / 2
    offset = -sum(widths) / 2
    ascent, descent = font.getmetrics()
    for letter, width in zip(text, widths, strict=True):
        turn = math.degrees((offset + width / 2) / radius)
        angle = centre - turn if inwards else centre + turn
        tile = Image.new("L", (int(width * 2), 2 * (ascent + descent)))
        ImageDraw.Draw(tile).text((tile.width / 2, tile.height / 2), letter, font=font, fill=255, anchor="ms")
        tile = tile.rotate(90 - angle if inwards else -angle - 90, Image.Resampling.BICUBIC, expand=True)
        x = middle + radius * math.cos(math.radians(angle))
        y = middle + radius * math.sin(math.radians(angle))
        at = (round(x - tile.width / 2), round(y - tile.height / 2))
        alpha.paste(255, (at[0], at[1], at[0] + tile.width, at[1] + tile.height), tile)
        offset += width


def _star(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    """Draw a five-pointed star, one point up."""
    corners = []
    for number in range(10):
        reach = radius if number % 2 == 0 else radius * 0.382
        angle = math.radians(36 * number - 90)
        corners.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    pen.polygon(corners, fill=255)


def _worn(alpha: Image.Image, rng: random.Random) -> Image.Image:
    """Return a print of the stamp as ink and paper make it: rough edges, paler on one side, small gaps."""
    rough = _clouds(alpha.size, rng, low=0, cell=3)
    edge = ImageChops.add(alpha.filter(ImageFilter.GaussianBlur(0.8)), rough, scale=1.0, offset=-150)
    alpha = ImageChops.multiply(
        edge.point(lambda v: min(255, v * 2)), alpha.filter(ImageFilter.GaussianBlur(0.4))
    )
    alpha = ImageChops.multiply(alpha, _clouds(alpha.size, rng, low=150, cell=60))
    return ImageChops.multiply(alpha, _clouds(alpha.size, rng, low=185, cell=7))


def _clouds(size: tuple[int, int], rng: random.Random, *, low: int, cell: int) -> Image.Image:
    """Return soft random brightness between `low` and 255, its spots about `cell` pixels wide."""
    grid = (size[0] // cell + 2, size[1] // cell + 2)
    tile = Image.new("L", grid)
    tile.putdata([rng.randint(low, 255) for _ in range(grid[0] * grid[1])])
    return tile.resize(size, Image.Resampling.BICUBIC)


def _inked(alpha: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Return one colour, as dense as `alpha` says."""
    picture = Image.new("RGBA", alpha.size, (*colour, 0))
    picture.putalpha(alpha)
    return picture


if __name__ == "__main__":
    main()
