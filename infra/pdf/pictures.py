"""
JPEG and PNG, cleaned: the same pixels, nothing else.

A JPEG's compressed data is never touched, so no quality is lost; only the segments around it go. What has
to be changed in its pixels (CMYK, a crop) is stored as PNG, without loss.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from dataclasses import dataclass

from PIL import Image, ImageCms, UnidentifiedImageError

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

_ORIENTATION, _RESOLUTION_X, _RESOLUTION_Y, _RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
#: Everything else in a PNG is text, time, animation or private data.
_PNG_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"sRGB", b"gAMA", b"cHRM"}
_LARGEST_PROFILE = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A decoded and checked picture, and the compressed bytes that it came from, where they may be kept."""

    pixels: Image.Image
    #: The JPEG or PNG file as it came; `None` when only the pixels are good.
    original: bytes | None
    #: EXIF orientation, 1 to 8.
    orientation: int
    #: The ICC profile that says what the numbers mean; `None` is sRGB.
    profile: bytes | None

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height as seen, in pixels."""
        width, height = self.pixels.size
        return (height, width) if self.orientation >= 5 else (width, height)

    def encode(self, crop: tuple[int, int, int, int] | None, where: str) -> tuple[bytes, MediaType]:
        """
        Return the clean file and its type; `crop` is (left, top, right, bottom) in pixels as seen.

        Raises `Unfit` if a JPEG is so damaged that two readers may see two pictures.
        """
        if crop is None and self.original is not None:
            if self.original.startswith(b"\xff\xd8"):
                clean = _clean_jpeg(self.original, self.profile, self.orientation)
                if not _same(Image.open(io.BytesIO(clean)), self.pixels):
                    raise Unfit(f"The picture of {where} is damaged.", code="truncated")
                return clean, "image/jpeg"
            if self.orientation == 1:
                return _clean_png(self.original, keep_profile=self.profile is not None), "image/png"
        seen = self.pixels
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
        kind = pixels.format
        profile = rgb_profile(pixels.info.get("icc_profile"))
        orientation = int(pixels.getexif().get(_ORIENTATION, 1))
        pixels.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unfit(f"The picture of {where} has too many pixels.", code="too-large") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        raise Unfit(f"The picture of {where} is damaged or incomplete.", code="truncated") from error
    rgb = to_rgb(pixels, where)
    return Picture(
        pixels=rgb,
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


def _clean_jpeg(data: bytes, profile: bytes | None, orientation: int) -> bytes:
    """Return the JPEG with its own coding only, plus the profile and the orientation that it needs."""
    head, position = [b"\xff\xd8"], 2
    if orientation != 1:
        head.append(_segment(0xE1, b"Exif\0\0" + _orientation_exif(orientation)))
    if profile:
        head.extend(_profile_segments(profile))
    while position < len(data):
        start = data.index(b"\xff", position)
        marker = data[start + 1]
        if marker == 0xFF:  # Fill bytes may stand before a marker (ITU-T T.81 §B.1.1.2).
            position = start + 1
            continue
        if marker == 0xD9:
            return b"".join(head) + b"\xff\xd9"
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if marker == 0xDA:
            end = _end_of_scan(data, end)
        # APP14 says how colour was coded; every other APPn segment and COM is metadata.
        if marker == 0xEE or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            head.append(data[start:end])
        position = end
    # A decoder that accepted the picture did without the end marker; the clean file has one.
    return b"".join(head) + b"\xff\xd9"


_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def _end_of_scan(data: bytes, start: int) -> int:
    """Return where the entropy-coded data of one scan ends: at the next marker that is not a restart."""
    found = _NEXT_MARKER.search(data, start)
    return found.start() if found else len(data)


def _segment(marker: int, payload: bytes) -> bytes:
    """Return one JPEG segment."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _orientation_exif(orientation: int) -> bytes:
    """Return the smallest EXIF block that holds an orientation: a big-endian TIFF with one entry."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)


def _profile_segments(profile: bytes) -> list[bytes]:
    """Return the APP2 segments that carry an ICC profile (ICC.1:2010 §B.4), 65,519 bytes in each at most."""
    room = 65_519
    parts = [profile[i : i + room] for i in range(0, len(profile), room)]
    return [
        _segment(0xE2, b"ICC_PROFILE\0" + bytes((number, len(parts))) + part)
        for number, part in enumerate(parts, start=1)
    ]


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
