"""
Colour profiles (ICC.1:2022), rebuilt from what they say about colour.

A profile has room for texts and private data that nobody sees. What passes here is the arithmetic only: the
white point, primaries, curves and tables; names and copyright are written anew, everything else is dropped.
"""

from __future__ import annotations

import struct

#: The tags that say how numbers become colours (ICC.1:2022 §9.2).
_COLOUR = (
    b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"wtpt", b"bkpt", b"chad",
    b"A2B0", b"A2B1", b"A2B2", b"B2A0", b"B2A1", b"B2A2",
)  # fmt: skip
_HEADER = 128
_NAME = "RGB"


def rebuilt(profile: bytes) -> bytes | None:
    """
    Return a profile that means the same colours and says nothing else, or `None` if it cannot be read.

    Whether it is a profile for RGB at all is asked elsewhere. The same profile gives the same bytes.
    """
    try:
        tags = _tags(profile)
    except (struct.error, IndexError):
        return None
    kept = {name: tags[name] for name in _COLOUR if name in tags}
    if b"wtpt" not in kept:
        return None
    text = _localised if profile[8] >= 4 else _described
    return _written(_header(profile), {b"desc": text(_NAME), b"cprt": _copyright(profile[8]), **kept})


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """Return the tags of a profile by their names (§7.3)."""
    (count,) = struct.unpack_from(">I", profile, _HEADER)
    found: dict[bytes, bytes] = {}
    for number in range(min(count, 100)):
        name, start, size = struct.unpack_from(">4sII", profile, _HEADER + 4 + 12 * number)
        if start + size > len(profile) or size < 8:
            raise IndexError
        found[name] = profile[start : start + size]
    return found


def _header(profile: bytes) -> bytearray:
    """Return the header (§7.2) without what it says of makers, models, dates and itself."""
    header = bytearray(profile[:_HEADER])
    for start, end in ((4, 8), (24, 36), (40, 64), (80, 128)):
        header[start:end] = bytes(end - start)
    header[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return header


def _written(header: bytearray, tags: dict[bytes, bytes]) -> bytes:
    """Return header, table and tags as one profile; each tag begins on a multiple of four."""
    table, body = struct.pack(">I", len(tags)), b""
    start = _HEADER + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    whole = bytes(header) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def _described(text: str) -> bytes:
    """Return a text as profiles of version 2 describe themselves (ICC.1:2001 §6.5.17)."""
    ascii_text = text.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(ascii_text)) + ascii_text + bytes(8 + 3 + 67)


def _localised(text: str) -> bytes:
    """Return a text as profiles of version 4 hold it (§10.15)."""
    encoded = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded


def _copyright(version: int) -> bytes:
    """Return the copyright that every profile must have."""
    return _localised(_NAME) if version >= 4 else b"text" + bytes(4) + _NAME.encode() + b"\0"
