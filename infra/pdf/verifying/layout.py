"""
The bytes of a signed file: what each signature covers, and that every byte after it is accounted for.

A signature says with /ByteRange which bytes it covers (ISO 32000-2 §12.8.1). Here it must cover one
whole stretch from the first byte of the file, its own value excepted, and end where a document ends.
What was appended later must consist of the objects that its table of contents lists, and of nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from asn1crypto import parser  # type: ignore[import-untyped]
from pyhanko.pdf_utils.generic import Reference as PdfReference
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.xref import XRefSectionType

from infra.pdf.verifying.findings import Finding, found
from infra.pdf.verifying.syntax import (
    Dictionary,
    IndirectObject,
    NotPdf,
    Reference,
    String,
    Value,
    read_object,
    read_value,
    skip_white,
)

_TAIL = re.compile(rb"[\x00\t\n\x0c\r ]*startxref[\r\n \t]+(\d{1,12})[\r\n \t]+%%EOF(\r\n|\n|\r)?")
_ENDS = re.compile(rb"startxref[\r\n \t]+\d{1,12}[\r\n \t]+%%EOF(\r\n|\n|\r)?\Z")
#: What the trailer of an increment may say (ISO 32000-2 table 15); one in a stream may say more.
_TRAILER = frozenset({"Size", "Prev", "Root", "Info", "ID", "DocChecksum"})
_UPPER, _LOWER = re.compile(rb"[0-9A-F]+\Z"), re.compile(rb"[0-9a-f]+\Z")


class Trick(Exception):
    """The file is not laid out as a signed file is; carries the finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.code)
        self.finding = finding


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPart:
    """What a signature covers: everything before `until`, but for the bytes of its own value."""

    gap_start: int
    gap_end: int
    until: int
    cms: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The bytes of one revision that was appended: a document of its own up to `end`."""

    revision: int
    start: int
    end: int


def signed_part(pdf: bytes, reader: PdfFileReader, reference: PdfReference) -> SignedPart:
    """
    Return what the signature dictionary `reference` covers; raises `Trick`.

    The dictionary is read from the file's own bytes, at the place that the table of contents gives, so
    that the gap is known to be the /Contents of this very signature.
    """
    value = _signature_dictionary(pdf, reader, reference)
    try:
        numbers, contents = value.get("ByteRange"), value.get("Contents")
    except NotPdf as error:
        raise Trick(found("said-twice", what="/ByteRange, /Contents")) from error
    if not isinstance(numbers, tuple) or len(numbers) != 4 or not all(type(n) is int for n in numbers):
        raise Trick(found("byte-range"))
    first, before, behind, rest = (int(n) for n in numbers)  # type: ignore[arg-type]
    until = behind + rest
    if first != 0 or not 0 < before < behind <= until <= len(pdf) or rest <= 0:
        raise Trick(found("byte-range"))
    if not isinstance(contents, String) or not contents.hexadecimal:
        raise Trick(found("contents"))
    if (contents.start, contents.end) != (before, behind):
        raise Trick(found("gap"))
    if not _ENDS.search(pdf, max(0, until - 64), until):
        raise Trick(found("no-end", at=until))
    return SignedPart(gap_start=before, gap_end=behind, until=until, cms=_cms(pdf[before + 1 : behind - 1]))


def _signature_dictionary(pdf: bytes, reader: PdfFileReader, reference: PdfReference) -> Dictionary:
    """Return a signature's dictionary as it stands in the file."""
    offset = reader.xrefs[reference]
    if not isinstance(offset, int):
        raise Trick(found("contents"))
    try:
        read = read_object(pdf, skip_white(pdf, offset, len(pdf)), len(pdf), length_of=lambda _: None)
    except NotPdf as error:
        raise Trick(found("signature-unreadable", why=error)) from error
    if not isinstance(read.value, Dictionary) or read.is_stream or read.number != reference.idnum:
        raise Trick(found("contents"))
    repeated = read.value.repeated()
    if repeated:
        raise Trick(found("said-twice", what=f"/{repeated}"))
    return read.value


def _cms(digits: bytes) -> bytes:
    """Return the one object that /Contents holds, written evenly and followed by zeros at most."""
    if len(digits) % 2 or not (_UPPER.match(digits) or _LOWER.match(digits)):
        raise Trick(found("contents"))
    content = bytes.fromhex(digits.decode())
    try:
        _, _, _, header, body, trailer = parser.parse(content, strict=False)
    except ValueError as error:
        raise Trick(found("contents")) from error
    length = len(header) + len(body) + len(trailer)
    if content[:1] != b"\x30" or any(content[length:]):
        raise Trick(found("slack"))
    return content[:length]


def stretches(pdf: bytes, reader: PdfFileReader, since: int) -> tuple[Stretch, ...]:
    """
    Return the revisions that were appended after byte `since`, each checked byte by byte; raises `Trick`.

    Together they are the rest of the file, without a gap.
    """
    made: list[Stretch] = []
    start = since
    for revision in range(reader.xrefs.total_revisions):
        meta = reader.xrefs.get_xref_container_info(revision)
        table = skip_white(pdf, meta.declared_startxref, len(pdf))
        if table < since:
            continue
        end = _end_of(pdf, meta.end_location, meta.declared_startxref, start)
        _account_for(pdf, reader, revision, start, table)
        made.append(Stretch(revision=revision, start=start, end=end))
        start = end
    if start != len(pdf):
        raise Trick(found("appended", at=start))
    return tuple(made)


def _end_of(pdf: bytes, table_end: int, declared: int, start: int) -> int:
    """Return where a revision ends; its own last line must point at its own table."""
    here = skip_white(pdf, table_end, len(pdf))
    try:
        if pdf.startswith(b"trailer", here):
            here += len(b"trailer")
        if pdf.startswith(b"<<", skip_white(pdf, here, len(pdf))):
            trailer, here = read_value(pdf, skip_white(pdf, here, len(pdf)), len(pdf))
            _check_trailer(trailer, start)
    except NotPdf as error:
        raise Trick(found("appended", at=start)) from error
    tail = _TAIL.match(pdf, skip_white(pdf, here, len(pdf)))
    if tail is None or int(tail[1]) != declared or declared < start:
        raise Trick(found("appended", at=start))
    return tail.end()


def _check_trailer(trailer: Value, start: int) -> None:
    """Raise `Trick` for a trailer that says something twice, or something that no trailer says."""
    if not isinstance(trailer, Dictionary) or trailer.repeated():
        raise Trick(found("said-twice", what="trailer"))
    if not {name for name, _ in trailer.entries} <= _TRAILER:
        raise Trick(found("appended", at=start))


def _account_for(pdf: bytes, reader: PdfFileReader, revision: int, start: int, table: int) -> None:
    """Raise `Trick` unless the bytes of a revision are its listed objects, its table, and nothing else."""
    meta, data = reader.xrefs.get_xref_container_info(revision), reader.xrefs.get_xref_data(revision)
    if meta.xref_section_type in (XRefSectionType.HYBRID_MAIN, XRefSectionType.HYBRID_STREAM):
        raise Trick(found("hybrid"))
    objects = _objects(pdf, start, table, _lengths(reader, revision))
    listed = {number: (offset, generation) for number, (generation, offset) in data.standard_xrefs.items()}
    if meta.stream_ref is not None:
        listed.pop(meta.stream_ref.idnum, None)
    there = {one.number: (one.start, one.generation) for one in objects}
    if not objects or len(there) != len(objects) or there != listed:
        raise Trick(found("unlisted-objects", revision=revision + 1, at=start))
    if not data.obj_streams_used <= set(there) or any(number for number in data.freed):
        raise Trick(found("unlisted-objects", revision=revision + 1, at=start))
    for one in objects:
        for dictionary in every_dictionary(one.value):
            if repeated := dictionary.repeated():
                raise Trick(found("said-twice", what=f"/{repeated}"))
    if meta.stream_ref is None and not pdf.startswith(b"xref", table):
        raise Trick(found("appended", at=start))


def _objects(
    pdf: bytes, start: int, table: int, length_of: Callable[[Reference], int | None]
) -> list[IndirectObject]:
    """Return the objects between two places, which hold nothing else than them."""
    objects: list[IndirectObject] = []
    here = skip_white(pdf, start, table)
    try:
        while here < table:
            one = read_object(pdf, here, table, length_of=length_of)
            objects.append(one)
            here = skip_white(pdf, one.end, table)
    except NotPdf as error:
        raise Trick(found("appended", at=here)) from error
    return objects


def _lengths(reader: PdfFileReader, revision: int) -> Callable[[Reference], int | None]:
    """Return how to look up the length of a stream that is kept in another object."""

    def length_of(reference: Reference) -> int | None:
        wanted = PdfReference(reference.number, reference.generation, reader)
        value = reader.get_historical_resolver(revision).get_object(wanted)
        return int(value) if isinstance(value, int) else None

    return length_of


def every_dictionary(value: Value) -> list[Dictionary]:
    """Return a value's dictionaries, nested ones included."""
    if isinstance(value, tuple):
        return [one for item in value for one in every_dictionary(item)]
    if isinstance(value, Dictionary):
        return [value, *(one for _, item in value.entries for one in every_dictionary(item))]
    return []
