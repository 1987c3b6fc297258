"""
JPEG and PNG, cleaned: the same pixels, nothing else.

A JPEG's compressed data is never touched, so no quality is lost; only the segments around it go. What has
to be changed in its pixels (CMYK, a crop) is stored as PNG, without loss.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

from PIL import Image, ImageCms, UnidentifiedImageError

from infra.pdf import jpeg
from infra.pdf.pages import MediaType, Unfit
from infra.pdf.profiles import rebuilt

#: EXIF orientation → how Pillow turns the stored picture into the seen one (EXIF 2.32 §4.6.4, tag 0x0112).
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_RESOLUTION_X, _RESOLUTION_Y, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
#: Everything else in a PNG is text, time, animation or private data.
_PNG_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"sRGB", b"gAMA", b"cHRM"}
_LARGEST_PROFILE = 4_000_000
#: A plain JPEG is read to pixels of this size, the largest that a decoder makes of one number each.
_DRAFT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A decoded and checked picture, and the compressed bytes that it came from, where they may be kept."""

    #: Width and height as stored, in pixels.
    stored: tuple[int, int]
    #: `None` of a plain JPEG: every bit of it was read, and its pixels are the clean file's by its form.
    pixels: Image.Image | None
    #: The JPEG or PNG file as it came; `None` when only the pixels are good.
    original: bytes | None
    #: EXIF orientation, 1 to 8.
    orientation: int
    #: The ICC profile that says what the numbers mean; `None` is sRGB.
    profile: bytes | None

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height as seen, in pixels."""
        width, height = self.stored
        return (height, width) if self.orientation >= 5 else (width, height)

    def encode(self, crop: tuple[int, int, int, int] | None, where: str) -> tuple[bytes, MediaType]:
        """
        Return the clean file and its type; `crop` is (left, top, right, bottom) in pixels as seen.

        Raises `Unfit` if a JPEG is so damaged that two readers may see two pictures.
        """
        if crop is None and self.original is not None:
            if self.original.startswith(b"\xff\xd8"):
                clean = jpeg.cleaned(self.original, self.profile, self.orientation)
                if self.pixels is not None and not _same(Image.open(io.BytesIO(clean)), self.pixels):
                    raise Unfit(f"The picture of {where} is damaged.", code="truncated")
                return clean, "image/jpeg"
            if self.orientation == 1:
                return _clean_png(self.original, keep_profile=self.profile is not None), "image/png"
        seen = self.pixels or Image.open(io.BytesIO(self.original or b""))
        if self.orientation in TURNS:
            seen = seen.transpose(TURNS[self.orientation])
        out = io.BytesIO()
        (seen.crop(crop) if crop else seen).save(out, "PNG", icc_profile=self.profile, compress_level=6)
        return out.getvalue(), "image/png"


#: Rows that are compared at once.
_STRIP = 64


def _same(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures in RGB have the same pixels; they are compared by strips, because room costs more time."""
    if (one.mode, one.size) != (other.mode, other.size):
        return False
    width, height = one.size
    strips = ((0, top, width, min(top + _STRIP, height)) for top in range(0, height, _STRIP))
    return all(one.crop(strip).tobytes() == other.crop(strip).tobytes() for strip in strips)


def open_picture(content: bytes, where: str) -> Picture:
    """
    Decode a JPEG, PNG or JPEG 2000 file to the last pixel and return it.

    Raises `Unfit`: damaged, grey, transparent, or larger than the limit. `where` is the file and page.
    """
    try:
        pixels = Image.open(io.BytesIO(content), formats=["JPEG", "PNG", "JPEG2000"])
        kind, size = pixels.format, pixels.size
        profile = rgb_profile(pixels.info.get("icc_profile"))
        orientation = int(pixels.getexif().get(jpeg.ORIENTATION, 1))
        plain = kind == "JPEG" and jpeg.is_plain(content)
        if plain:
            # Every coded bit is read all the same; only pixels that nobody looks at are not made.
            pixels.draft("RGB", (max(1, size[0] // _DRAFT), max(1, size[1] // _DRAFT)))
        pixels.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unfit(f"The picture of {where} has too many pixels.", code="too-large") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        raise Unfit(f"The picture of {where} is damaged or incomplete.", code="truncated") from error
    rgb = to_rgb(pixels, where)
    return Picture(
        stored=size,
        pixels=None if plain else rgb,
        original=content if rgb is pixels and kind in ("JPEG", "MPO", "PNG") else None,
        orientation=orientation if orientation in TURNS else 1,
        profile=profile,
    )


def to_rgb(pixels: Image.Image, where: str) -> Image.Image:
    """
    Return the picture in RGB, or itself where it is; raises `Unfit` for grey and for transparency.

    The colour space decides, not the pixels: a colour scan of a black and white page is a colour scan.
    """
    if pixels.mode in ("RGBA", "PA") or "transparency" in pixels.info:
        raise Unfit(f"The picture of {where} is partly transparent, as no scan is.", code="not-a-scan")
    if pixels.mode == "RGB":
        return pixels
    if pixels.mode == "P" and pixels.palette is not None and pixels.palette.mode == "RGB":
        return pixels.convert("RGB")
    if pixels.mode == "CMYK":
        return _cmyk_to_rgb(pixels)
    raise Unfit(f"The picture of {where} is grey or black and white, not colour.", code="grey")


def _cmyk_to_rgb(pixels: Image.Image) -> Image.Image:
    """Convert by the picture's own profile, or by the plain formula when it has none that can be used."""
    profile = pixels.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                pixels, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            return converted or pixels.convert("RGB")
        except (ImageCms.PyCMSError, OSError):
            pass
    return pixels.convert("RGB")


def rgb_profile(profile: bytes | None) -> bytes | None:
    """
    Return what an ICC profile says about colour, if it is a sound one for RGB, else `None`.

    Readers take a picture without profile as sRGB.
    """
    if not profile or len(profile) > _LARGEST_PROFILE:
        return None
    try:
        parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
    except (ImageCms.PyCMSError, OSError):
        return None
    return rebuilt(profile) if parsed.xcolor_space.strip() == "RGB" else None


def declared_dpi(pixels: Image.Image) -> tuple[float, float] | None:
    """
    Return the resolution that a picture file declares for its stored axes, or `None` if it declares none.

    JFIF density in inches or centimetres first, then EXIF, then PNG `pHYs`. Not Pillow's `info["dpi"]`:
    that one invents 72 for a JPEG with EXIF and without resolution.
    """
    info = pixels.info
    if pixels.format == "PNG":
        found = info.get("dpi")
        return (float(found[0]), float(found[1])) if found and min(found) > 0 else None
    factor = {1: 1.0, 2: 2.54}.get(info.get("jfif_unit", 0))
    density = info.get("jfif_density", (0, 0))
    if factor and min(density) > 0:
        return (density[0] * factor, density[1] * factor)
    exif = pixels.getexif()
    factor = {2: 1.0, 3: 2.54}.get(exif.get(_RESOLUTION_UNIT, 2))
    try:
        across, down = float(exif[_RESOLUTION_X]), float(exif[_RESOLUTION_Y])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across * factor, down * factor) if factor and min(across, down) > 0 else None


def _clean_png(data: bytes, *, keep_profile: bool) -> bytes:
    """Return the PNG with the chunks that make its pixels and colours only."""
    wanted = _PNG_CHUNKS | {b"iCCP"} if keep_profile else _PNG_CHUNKS
    kept, position = [data[:8]], 8
    while position + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        if kind in wanted:
            kept.append(data[position : position + 12 + length])
        position += 12 + length
        if kind == b"IEND":
            break
    return b"".join(kept)
