"""
Reads the bytes of a PDF object one by one (ISO 32000-2 §7.2, §7.3), and says where each began and ended.

Libraries forgive: they take the last of two equal keys, skip what they do not know, and look for the end
of a thing where it should have been. Forgery lives in what is forgiven, so this reader forgives nothing
and keeps the place of every string. It reads only the few objects that a verdict hangs on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

_WHITE = b"\x00\t\n\x0c\r "
_DELIMITERS = b"()<>[]{}/%"
_END_OF_WORD = re.compile(rb"[\x00\t\n\x0c\r ()<>\[\]{}/%]")
_HEADER = re.compile(
    rb"(\d{1,10})[\x00\t\n\x0c\r ]+(\d{1,5})[\x00\t\n\x0c\r ]+obj(?=[\x00\t\n\x0c\r <\[(/%])"
)
_REFERENCE = re.compile(
    rb"(\d{1,10})[\x00\t\n\x0c\r ]+(\d{1,5})[\x00\t\n\x0c\r ]+R(?![^\x00\t\n\x0c\r ()<>\[\]{}/%])"
)
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)$")
_DEEPEST = 60


class NotPdf(ValueError):
    """The bytes do not follow the grammar."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name, without its slash and with `#xx` decoded."""

    text: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to an indirect object."""

    number: int
    generation: int


@dataclass(frozen=True, slots=True)
class String:
    """A string and its place, brackets included; `hexadecimal` tells the two kinds apart."""

    start: int
    end: int
    hexadecimal: bool


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A dictionary with every entry in its order, equal keys included."""

    entries: tuple[tuple[str, Value], ...]

    def get(self, key: str) -> Value | None:
        """Return the value of a key; raises `NotPdf` when the key is there twice."""
        found = [value for name, value in self.entries if name == key]
        if len(found) > 1:
            raise NotPdf(f"a dictionary says /{key} twice")
        return found[0] if found else None

    def repeated(self) -> str | None:
        """Return a key that is there twice, if there is one."""
        names = [name for name, _ in self.entries]
        return next((name for name in names if names.count(name) > 1), None)


@dataclass(frozen=True, slots=True)
class Keyword:
    """`true`, `false` or `null`."""

    text: str


Value: TypeAlias = "Name | Reference | String | Dictionary | Keyword | int | float | tuple[Value, ...]"


@dataclass(frozen=True, slots=True)
class IndirectObject:
    """`12 0 obj … endobj`: its number, its place, and its value; a stream's value is its dictionary."""

    number: int
    generation: int
    start: int
    end: int
    value: Value
    is_stream: bool


def skip_white(data: bytes, at: int, end: int) -> int:
    """Return where the next thing that is neither white space nor comment begins."""
    while at < end:
        if data[at] in _WHITE:
            at += 1
        elif data[at] == 0x25:
            while at < end and data[at] not in b"\r\n":
                at += 1
        else:
            return at
    return end


def read_object(
    data: bytes, at: int, end: int, *, length_of: Callable[[Reference], int | None]
) -> IndirectObject:
    """
    Return the indirect object that begins exactly at `at` and ends before `end`.

    A stream's length is taken from its dictionary; `length_of` gives it where that refers to another object.
    Raises `NotPdf`.
    """
    header = _HEADER.match(data, at, end)
    if header is None:
        raise NotPdf(f"no object begins at byte {at}")
    value, after = read_value(data, skip_white(data, header.end(), end), end)
    after = skip_white(data, after, end)
    stream = data.startswith(b"stream", after, end)
    if stream:
        if not isinstance(value, Dictionary):
            raise NotPdf(f"the stream at byte {at} has no dictionary")
        after = _after_stream(data, after + 6, end, value, length_of)
    if not data.startswith(b"endobj", after, end):
        raise NotPdf(f"the object at byte {at} does not end")
    return IndirectObject(int(header[1]), int(header[2]), at, after + 6, value, stream)


def _after_stream(
    data: bytes,
    at: int,
    end: int,
    dictionary: Dictionary,
    length_of: Callable[[Reference], int | None],
) -> int:
    """Return where `endobj` should stand after a stream's data."""
    if data.startswith(b"\r\n", at, end):
        at += 2
    elif data.startswith(b"\n", at, end):
        at += 1
    else:
        raise NotPdf(f"the stream before byte {at} does not begin on a line of its own")
    length = dictionary.get("Length")
    if isinstance(length, Reference):
        length = length_of(length)
    if not isinstance(length, int) or not 0 <= length <= end - at:
        raise NotPdf(f"the stream at byte {at} has no sensible length")
    after = skip_white(data, at + length, end)
    if after - (at + length) > 2 or not data.startswith(b"endstream", after, end):
        raise NotPdf(f"the stream at byte {at} does not end where it says")
    return skip_white(data, after + 9, end)


def read_value(data: bytes, at: int, end: int, depth: int = 0) -> tuple[Value, int]:
    """Return the value that begins at `at`, and where it ended."""
    if depth > _DEEPEST:
        raise NotPdf("values are nested too deeply")
    if at >= end:
        raise NotPdf("the bytes end in the middle of a value")
    if data.startswith(b"<<", at, end):
        return _dictionary(data, at, end, depth)
    first = data[at]
    if first == 0x3C:  # <
        return _hexadecimal(data, at, end)
    if first == 0x28:  # (
        return _literal(data, at, end)
    if first == 0x5B:  # [
        return _array(data, at, end, depth)
    if first == 0x2F:  # /
        word, after = _word(data, at + 1, end)
        return Name(_decoded(word)), after
    reference = _REFERENCE.match(data, at, end)
    if reference:
        return Reference(int(reference[1]), int(reference[2])), reference.end()
    word, after = _word(data, at, end)
    if _NUMBER.match(word):
        return (float(word) if b"." in word else int(word)), after
    if word in (b"true", b"false", b"null"):
        return Keyword(word.decode()), after
    raise NotPdf(f"byte {at} begins nothing that PDF knows")


def _word(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Return the bytes up to the next delimiter."""
    stop = _END_OF_WORD.search(data, at, end)
    after = stop.start() if stop else end
    return data[at:after], after


def _decoded(word: bytes) -> str:
    """Return a name as it is meant: `#41` is A."""
    plain = re.sub(rb"#([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), word)
    return plain.decode("latin-1")


def _hexadecimal(data: bytes, at: int, end: int) -> tuple[String, int]:
    """Return a string between angle brackets."""
    close = data.find(b">", at, end)
    if close < 0:
        raise NotPdf(f"the string at byte {at} does not end")
    return String(at, close + 1, hexadecimal=True), close + 1


def _literal(data: bytes, at: int, end: int) -> tuple[String, int]:
    """Return a string between round brackets, which may hold balanced brackets of its own."""
    depth, here = 0, at
    while here < end:
        byte = data[here]
        if byte == 0x5C:  # a backslash hides what follows it
            here += 1
        elif byte == 0x28:
            depth += 1
        elif byte == 0x29:
            depth -= 1
            if depth == 0:
                return String(at, here + 1, hexadecimal=False), here + 1
        here += 1
    raise NotPdf(f"the string at byte {at} does not end")


def _array(data: bytes, at: int, end: int, depth: int) -> tuple[tuple[Value, ...], int]:
    """Return the values between square brackets."""
    values: list[Value] = []
    here = skip_white(data, at + 1, end)
    while not data.startswith(b"]", here, end):
        value, here = read_value(data, here, end, depth + 1)
        values.append(value)
        here = skip_white(data, here, end)
    return tuple(values), here + 1


def _dictionary(data: bytes, at: int, end: int, depth: int) -> tuple[Dictionary, int]:
    """Return the entries between double angle brackets."""
    entries: list[tuple[str, Value]] = []
    here = skip_white(data, at + 2, end)
    while not data.startswith(b">>", here, end):
        if data[here : here + 1] != b"/":
            raise NotPdf(f"a dictionary has something else than a name at byte {here}")
        key, here = _word(data, here + 1, end)
        value, here = read_value(data, skip_white(data, here, end), end, depth + 1)
        entries.append((_decoded(key), value))
        here = skip_white(data, here, end)
    return Dictionary(tuple(entries)), here + 2
