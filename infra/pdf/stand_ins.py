"""
Large pictures in set pages: the compiler sets a small one in their place, and they take that place afterwards.

The compiler would read a JPEG to its last pixel to learn its size, which takes longer than setting the page, and
write it out as it came. The file that comes of it is the same: each picture is a stream of its own, and a table at
the end says where each object begins (ISO 32000-1 §7.5.4, §8.9.5).
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from functools import cache

from PIL import Image

from infra.errors import Broken
from infra.pdf import jpeg

_SIDE = 8
_TABLE = re.compile(rb"xref\n0 (\d+)\n")
_START = re.compile(rb"startxref\n(\d+)\n%%EOF\n?\Z")
#: One line of the table: ten digits, a space, five digits, a letter and the end of the line.
_ENTRY = 20


def stand_ins(pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """
    Return small files to set in the place of some pictures, for those of them that can have one.

    Each is unique and names its picture by hash, so that the identifier of the file, which the compiler makes of
    all that is in it, is another one for another picture.
    """
    able = {name: content for name, content in pictures.items() if jpeg.bare_size(content) is not None}
    return {
        name: jpeg.with_comment(_small(), f"{name} {hashlib.sha256(content).hexdigest()}".encode())
        for name, content in able.items()
    }


def take_their_places(pdf: bytes, stood: Mapping[str, bytes], pictures: Mapping[str, bytes]) -> bytes:
    """
    Return the PDF with the pictures instead of what stood in their places, and its table of offsets set right.

    Raises `Broken` unless each stand-in is there once, as the compiler writes pictures.
    """
    parts: list[bytes] = []
    moved: list[tuple[int, int]] = []  # from which offset on, by how many bytes
    done = 0
    for _, name in sorted((_place(pdf, small), name) for name, small in stood.items()):
        begins, ends, head = _written(pdf, stood[name])
        instead = _with_size(head, stood[name], pictures[name]) + pictures[name]
        parts += [pdf[done:begins], instead]
        moved.append((begins, len(instead) - (ends - begins)))
        done = ends
    return b"".join([*parts, _with_offsets(pdf, done, moved)])


@cache
def _small() -> bytes:
    """Return the smallest picture that serves."""
    out = io.BytesIO()
    Image.new("RGB", (_SIDE, _SIDE)).save(out, "JPEG")
    return jpeg.cleaned(out.getvalue(), None, 1)


def _place(pdf: bytes, small: bytes) -> int:
    """Return where a stand-in is; raises `Broken` unless it is there once."""
    found = pdf.find(small)
    if found < 0 or pdf.find(small, found + 1) >= 0:
        raise Broken("a picture was not set once, as it was meant to be")
    return found


def _written(pdf: bytes, small: bytes) -> tuple[int, int, bytes]:
    """Return where the dictionary and stream of a stand-in begin and end, and the dictionary up to the stream."""
    found = _place(pdf, small)
    begins = pdf.rfind(b"<<", 0, found)
    return begins, found + len(small), pdf[begins:found]


def _with_size(head: bytes, small: bytes, picture: bytes) -> bytes:
    """Return the dictionary of a picture that is as large as it is."""
    width, height = jpeg.bare_size(picture) or (0, 0)
    for name, was, size in (
        (b"Length", len(small), len(picture)),
        (b"Width", _SIDE, width),
        (b"Height", _SIDE, height),
    ):
        old = b"/%b %d/" % (name, was)
        if head.count(old) != 1:
            raise Broken("the compiler writes pictures in another way")
        head = head.replace(old, b"/%b %d/" % (name, size))
    return head


def _with_offsets(pdf: bytes, done: int, moved: list[tuple[int, int]]) -> bytes:
    """Return the rest of the PDF, where objects begin further on by what was put in before them."""
    start = _START.search(pdf)
    table = _TABLE.match(pdf, int(start[1])) if start else None
    if start is None or table is None or table.start() < done:
        raise Broken("the compiler writes the table of offsets in another way")
    entries = bytearray(pdf[table.end() : table.end() + _ENTRY * int(table[1])])
    for line in range(0, len(entries), _ENTRY):
        if entries[line + 17 : line + 18] == b"n":
            at = int(entries[line : line + 10])
            entries[line : line + 10] = b"%010d" % _moved(at, moved)
    trailer = pdf[table.end() + len(entries) : start.start()]
    end = b"startxref\n%d\n%%%%EOF\n" % _moved(table.start(), moved)
    return b"".join([pdf[done : table.end()], bytes(entries), trailer, end])


def _moved(at: int, moved: list[tuple[int, int]]) -> int:
    """Return where something is now that was at an offset."""
    return at + sum(by for begins, by in moved if begins < at)
