"""
Hexadecimal strings of a PDF, read at once.

pyHanko asks for the digits of a string one at a time, which is half of the work of checking a signature: its
CMS object has thousands. What consists of pairs of digits up to its `>` is read here in one piece; whatever is
written otherwise, with spaces, an odd digit, no end, is left to pyHanko's own function, from the same place.
So every string and every refusal is pyHanko's.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from pyhanko.pdf_utils import generic

_String = generic.ByteStringObject | generic.TextStringObject

_DIGITS = re.compile(rb"[0-9A-Fa-f]*")

#: So many bytes are looked at in one go.
_PIECE = 16_384

_digit_by_digit = generic.read_hex_string_from_stream


def read_hexadecimal(stream: IO[bytes]) -> _String:
    """Return the string whose `<` comes next, and leave the stream behind its `>`."""
    start = stream.tell()
    stream.read(1)
    pieces = []
    while True:
        piece = stream.read(_PIECE)
        found = _DIGITS.match(piece)
        digits = found.group() if found is not None else b""
        pieces.append(digits)
        if len(digits) < _PIECE:
            break
    whole = b"".join(pieces)
    if len(whole) % 2 or piece[len(digits) : len(digits) + 1] != b">":
        stream.seek(start)
        return _digit_by_digit(stream)
    stream.seek(start + len(whole) + 2)
    return generic.pdf_string(binascii.unhexlify(whole))


def read_at_once() -> None:
    """Let pyHanko read its hexadecimal strings so, in this process."""
    generic.read_hex_string_from_stream = read_hexadecimal


@contextmanager
def digit_by_digit() -> Iterator[None]:
    """Let pyHanko read as it is shipped, for a comparison."""
    generic.read_hex_string_from_stream = _digit_by_digit
    try:
        yield
    finally:
        read_at_once()
