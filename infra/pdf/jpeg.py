"""
A JPEG's segments (ITU-T T.81 annex B): what is its picture, and what only stands beside it.

The compressed data is never touched, so no quality is lost; only the segments around it go.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

#: The EXIF tag that says how a picture is turned (EXIF 2.32 §4.6.4).
ORIENTATION = 0x0112

_SOI, _EOI, _SOS, _COM, _ADOBE, _FILL = 0xD8, 0xD9, 0xDA, 0xFE, 0xEE, 0xFF
#: Tables, and where restarts stand: they belong to the coding, wherever they are.
_TABLES = frozenset({0xC4, 0xDB, 0xDD})
#: Frames that are coded by Huffman, sequentially or progressively.
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
#: Precision, and after four bytes of size the channels with their names, two more bytes each: Y, Cb, Cr.
_YCBCR = re.compile(rb"\x08.{4}\x03\x01..\x02..\x03..", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Segment:
    """One marker with what belongs to it, scan data included."""

    marker: int
    start: int
    end: int
    #: Whether it begins just where the one before it ended.
    adjoins: bool


def cleaned(data: bytes, profile: bytes | None, orientation: int) -> bytes:
    """Return the JPEG with its own coding only, plus the profile and the orientation that it needs."""
    parts = [b"\xff\xd8"]
    if orientation != 1:
        parts.append(_segment(0xE1, b"Exif\0\0" + _orientation_exif(orientation)))
    if profile:
        parts.extend(_profile_segments(profile))
    # APP14 says how colour was coded; every other APPn segment and COM is metadata.
    kept = (s for s in _segments(data) if s.marker == _ADOBE or not _is_beside(s.marker))
    parts += [data[segment.start : segment.end] for segment in kept if segment.marker != _EOI]
    # A decoder that accepted the picture did without the end marker; the clean file has one.
    return b"".join([*parts, b"\xff\xd9"])


def is_plain(data: bytes) -> bool:
    """
    Whether the form of a JPEG alone says that its cleaned file shows the same picture in every reader.

    So it is when nothing stands between its segments, it has one frame, of three channels that are called what
    JFIF calls Y, Cb and Cr whether a JFIF segment says so or not, no segment speaks of another coding of colour, and
    it has an end. What the cleaned file lacks is then what decoders pass over (ITU-T T.81 §B.2.4.5 and 6).
    """
    frames, ended = 0, False
    for segment in _segments(data):
        marker = segment.marker
        if marker == _EOI:
            ended = segment.adjoins
            break
        if marker in _FRAMES:
            frames += 1
            if not _YCBCR.fullmatch(data, segment.start + 4, segment.end):
                return False
        elif marker not in _TABLES and marker != _SOS and (marker == _ADOBE or not _is_beside(marker)):
            return False
        if not segment.adjoins or (marker == _SOS and frames != 1):
            return False
    return ended and frames == 1


def bare_size(data: bytes) -> tuple[int, int] | None:
    """
    Return width and height in pixels of a plain JPEG with nothing beside its picture; `None` for anything else.

    Only then does it show the same alone and as the stream of a PDF's picture.
    """
    if not data.startswith(b"\xff\xd8") or not is_plain(data):
        return None
    segments = list(_segments(data))
    if any(_is_beside(segment.marker) for segment in segments) or segments[-1].end != len(data):
        return None
    frame = next(segment for segment in segments if segment.marker in _FRAMES)
    height, width = struct.unpack(">HH", data[frame.start + 5 : frame.start + 9])
    return width, height


def with_comment(data: bytes, comment: bytes) -> bytes:
    """Return a JPEG with a comment, of at most 65,533 bytes, before all else."""
    return data[:2] + _segment(_COM, comment) + data[2:]


def _is_beside(marker: int) -> bool:
    """Whether a segment stands beside the picture: data of applications, and comments."""
    return 0xE0 <= marker <= 0xEF or marker == _COM


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments of a JPEG after its beginning, the end marker as the last one if it has one."""
    position = before = 2
    while position + 1 < len(data):
        start = data.find(b"\xff", position)
        if start < 0 or start + 1 >= len(data):
            return
        marker = data[start + 1]
        if marker == _FILL:  # Fill bytes may stand before a marker (ITU-T T.81 §B.1.1.2).
            position = start + 1
            continue
        end = start + 2
        if marker != _EOI:
            end += int.from_bytes(data[end : end + 2], "big")
        if marker == _SOS:
            end = _end_of_scan(data, end)
        yield _Segment(marker, start, min(end, len(data)), adjoins=start == before and end <= len(data))
        if marker == _EOI:
            return
        position = before = end


def _end_of_scan(data: bytes, start: int) -> int:
    """Return where the entropy-coded data of one scan ends: at the next marker that is not a restart."""
    found = _NEXT_MARKER.search(data, start)
    return found.start() if found else len(data)


def _segment(marker: int, payload: bytes) -> bytes:
    """Return one JPEG segment."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _orientation_exif(orientation: int) -> bytes:
    """Return the smallest EXIF block that holds an orientation: a big-endian TIFF with one entry."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, ORIENTATION, 3, 1, orientation, 0, 0)


def _profile_segments(profile: bytes) -> list[bytes]:
    """Return the APP2 segments that carry an ICC profile (ICC.1:2010 §B.4), 65,519 bytes in each at most."""
    room = 65_519
    parts = [profile[i : i + room] for i in range(0, len(profile), room)]
    return [
        _segment(0xE2, b"ICC_PROFILE\0" + bytes((number, len(parts))) + part)
        for number, part in enumerate(parts, start=1)
    ]
