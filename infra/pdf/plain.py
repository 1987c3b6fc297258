"""
The quick proof that an increment is one signature and nothing else; no answer where it would take a long one.

pyHanko proves it for any increment, and reads every object of the document to see where a rewritten one was used.
What is signed here rewrites three objects at most, so it is enough to look at those, at the objects that came with
them, and at whether anything before them speaks of these. Whatever is less plain than that is left to pyHanko.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import HistoricalResolver, PdfFileReader
from pyhanko.sign.diff_analysis import (
    DEFAULT_DIFF_POLICY,
    DiffPolicy,
    DiffResult,
    ModificationLevel,
    SuspiciousModification,
)
from pyhanko.sign.fields import FieldMDPSpec, MDPPerm, enumerate_sig_fields

#: What follows the number in a reference to an object (ISO 32000-2 §7.3.10), comments as white space.
_SPACE = rb"(?:[\x00\t\n\x0c\r ]|%[^\r\n]*[\r\n])+"
_REST_OF_REFERENCE = re.compile(_SPACE + rb"[+0-9]+" + _SPACE + rb"R")

#: Keys of the catalog, the form and the field that a signature may change; all others stay to the byte.
_OF_CATALOG = frozenset({"/AcroForm", "/Perms", "/Extensions"})
_OF_FORM = frozenset({"/SigFlags"})
_OF_FIELD = frozenset({"/V", "/AP"})
#: What each trailer says of itself.
_OF_TRAILER = frozenset({"/Size", "/Prev", "/ID"})


def plainly_signed(reader: PdfFileReader, revision: int, *, after: int) -> str | None:
    """
    Return the field that was signed in a revision, if its increment plainly did that and nothing else.

    `revision` counts from 0; the one before it, which has `after` bytes, is what the increment is judged against.
    `None` says nothing about the increment but that the long way must be gone.
    """
    known = _judged.setdefault(reader, {})
    if (revision, after) not in known:
        try:
            name = _judge(reader, revision, after)
            # A name as pyHanko reads it knows its document, which would be remembered for ever.
            known[revision, after] = None if name is None else str(name)
        except (PdfError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
            # What cannot be read is not plain, and the long way says why.
            known[revision, after] = None
    return known[revision, after]


#: What was found of a document that is being read; both the check of its last signature and of those before it ask.
_judged: WeakKeyDictionary[PdfFileReader, dict[tuple[int, int], str | None]] = WeakKeyDictionary()


def _judge(reader: PdfFileReader, revision: int, end: int) -> str | None:
    """Return what `plainly_signed` does, found anew."""
    written = _written(reader, revision)
    if not written or not _apart(reader, revision, written, end):
        return None
    before, after = reader.get_historical_resolver(revision - 1), reader.get_historical_resolver(revision)
    fields = _signed(after)
    name = _one_more(_signed(before), fields)
    if name is None or not _same_trailer(before, after):
        return None
    fresh = {ref for ref in written if reader.xrefs.get_historical_ref(ref, revision - 1) is None}
    if not written.keys() - fresh <= _may_be_rewritten(after, fields[name]):
        return None
    if not _only_signed(before, after, fields[name], fresh):
        return None
    text = _bytes_before(reader, end)
    return None if any(_speaks_of(text, ref.idnum) for ref in fresh) else name


class PlainFirst(DiffPolicy):
    """pyHanko's judgement of what came after a signature, by the quick proof where it gives one."""

    def apply(
        self,
        old: HistoricalResolver,
        new: HistoricalResolver,
        field_mdp_spec: FieldMDPSpec | None = None,
        doc_mdp: MDPPerm | None = None,
    ) -> DiffResult:
        """Return pyHanko's judgement of two revisions; raises `SuspiciousModification`."""
        return DEFAULT_DIFF_POLICY.apply(old, new, field_mdp_spec, doc_mdp)

    def review_file(
        self,
        reader: PdfFileReader,
        base_revision: int | HistoricalResolver,
        field_mdp_spec: FieldMDPSpec | None = None,
        doc_mdp: MDPPerm | None = None,
    ) -> DiffResult | SuspiciousModification:
        """Return what the revisions after a signature did: signed again, each of them, or what pyHanko says."""
        signed_in = base_revision if isinstance(base_revision, int) else base_revision.revision
        if field_mdp_spec is None and doc_mdp in (None, MDPPerm.FILL_FORMS):
            ends = {
                one.signed_revision: int(one.byte_range[-2]) + int(one.byte_range[-1])
                for one in reader.embedded_signatures
            }
            fields = [
                plainly_signed(reader, one, after=ends[one - 1]) if one - 1 in ends else None
                for one in range(signed_in + 1, reader.total_revisions)
            ]
            if fields and None not in fields:
                return DiffResult(ModificationLevel.FORM_FILLING, {str(field) for field in fields})
        return DEFAULT_DIFF_POLICY.review_file(reader, base_revision, field_mdp_spec, doc_mdp)


def _written(reader: PdfFileReader, revision: int) -> dict[generic.Reference, int]:
    """Return where an increment wrote its objects; nothing where objects or tables of them are compressed or freed."""
    xrefs = reader.xrefs
    if reader.encrypted or xrefs.hybrid_xrefs_present or xrefs.refs_freed_in_revision(revision):
        return {}
    for one in range(revision + 1):
        streams = xrefs.object_streams_used_in(one)  # type: ignore[no-untyped-call]
        if streams or xrefs.get_xref_container_info(one).stream_ref is not None:
            return {}
    places = {
        ref: xrefs.get_historical_ref(ref, revision) for ref in xrefs.explicit_refs_in_revision(revision)
    }
    found = {ref: place for ref, place in places.items() if isinstance(place, int) and ref.generation == 0}
    return found if len(found) == len(places) else {}


def _apart(reader: PdfFileReader, revision: int, written: dict[generic.Reference, int], end: int) -> bool:
    """
    Say whether the objects and the table of an increment lie behind the bytes before it, and all older ones in them.

    A table may point anywhere: to an object that slept in the older bytes, or from an older table into the newer ones.
    """
    xrefs = reader.xrefs
    if min(xrefs.get_startxref_for_revision(revision), *written.values()) < end:
        return False
    older = (xrefs.get_xref_data(one).standard_xrefs.values() for one in range(revision))
    tables = (xrefs.get_startxref_for_revision(one) for one in range(revision))
    return all(place < end for section in older for _, place in section) and all(at < end for at in tables)


def _signed(document: HistoricalResolver) -> dict[str, generic.IndirectObject]:
    """Return the signed fields of a document by name; of one that is no object of its own the name is missing."""
    return {
        name: ref
        for name, _, ref in enumerate_sig_fields(document, filled_status=True)
        if isinstance(ref, generic.IndirectObject)
    }


def _one_more(
    before: dict[str, generic.IndirectObject], after: dict[str, generic.IndirectObject]
) -> str | None:
    """Return the one field that was signed in between, if no other has gone or moved."""
    more = after.keys() - before.keys()
    if len(more) != 1 or any(after.get(name) != ref for name, ref in before.items()):
        return None
    return more.pop()


def _same_trailer(before: HistoricalResolver, after: HistoricalResolver) -> bool:
    """Say whether both trailers lead to the same catalog and say the same of the document."""
    old, new = before.trailer_view, after.trailer_view
    permanent = ["/ID" in one and _spelt(one["/ID"][0]) for one in (old, new)]
    return permanent[0] == permanent[1] and _same(old, new, _OF_TRAILER)


def _may_be_rewritten(after: HistoricalResolver, field: generic.IndirectObject) -> set[generic.Reference]:
    """Return the objects that a signature may rewrite: the catalog, the form, and the field."""
    form = after.root.raw_get("/AcroForm")
    own = {after.root_ref, field.reference}
    return own | {form.reference} if isinstance(form, generic.IndirectObject) else own


def _only_signed(
    before: HistoricalResolver,
    after: HistoricalResolver,
    field: generic.IndirectObject,
    fresh: set[generic.Reference],
) -> bool:
    """Say whether catalog, form and field are as before but for the signature, and all new objects belong to it."""
    was, now = before(field.reference), after(field.reference)
    value = now.raw_get("/V")
    if "/V" in was or not isinstance(value, generic.IndirectObject) or value.reference not in fresh:
        return False
    old, new = before.root, after.root
    form_was, form_now = (root.raw_get("/AcroForm") for root in (old, new))
    if isinstance(form_was, generic.IndirectObject) and form_was != form_now:
        return False
    return (
        _same(old, new, _OF_CATALOG)
        and _same(old["/AcroForm"], new["/AcroForm"], _OF_FORM)
        and _same(was, now, _OF_FIELD)
        and _permitted(before, after, value)
        and _belonging(after, fresh, [value, now.get("/AP", None), new.get("/Extensions", None)]) == fresh
    )


def _permitted(before: HistoricalResolver, after: HistoricalResolver, value: generic.IndirectObject) -> bool:
    """Say whether /Perms is as before, or names the first signature of all as the one that certifies."""
    was, now = before.root.get("/Perms", None), after.root.get("/Perms", None)
    if now is None or was is not None:
        return _spelt(was) == _spelt(now)
    return set(now) == {"/DocMDP"} and now.raw_get("/DocMDP") == value and not _signed(before)


def _belonging(
    after: HistoricalResolver, fresh: set[generic.Reference], roots: list[generic.PdfObject | None]
) -> set[generic.Reference]:
    """Return the new objects to which a signature leads, going through new ones alone."""
    found: set[generic.Reference] = set()
    waiting = [ref for root in roots if root is not None for ref in _references(root)]
    while waiting:
        ref = waiting.pop()
        if ref in fresh and ref not in found:
            found.add(ref)
            waiting.extend(_references(after(ref)))
    return found


def _references(thing: generic.PdfObject) -> Iterator[generic.Reference]:
    """Yield the references in an object, without following them."""
    if isinstance(thing, generic.IndirectObject):
        yield thing.reference
    elif isinstance(thing, generic.DictionaryObject):
        for key in thing:
            yield from _references(thing.raw_get(key))
    elif isinstance(thing, generic.ArrayObject):
        for index in range(len(thing)):
            yield from _references(thing.raw_get(index))


def _same(was: generic.DictionaryObject, now: generic.DictionaryObject, but: frozenset[str]) -> bool:
    """Say whether two dictionaries are spelt alike, some keys excepted."""
    keys = was.keys() - but
    return keys == now.keys() - but and all(_spelt(was.raw_get(k)) == _spelt(now.raw_get(k)) for k in keys)


def _spelt(thing: generic.PdfObject | None) -> bytes:
    """Return how an object is written, so that a name and a string of the same letters are two things."""
    if thing is None:
        return b""
    out = io.BytesIO()
    thing.write_to_stream(out, None)
    return out.getvalue()


def _bytes_before(reader: PdfFileReader, end: int) -> bytes:
    """Return the bytes of a document up to a place."""
    reader.stream.seek(0)
    return bytes(reader.stream.read(end))


def _speaks_of(text: bytes, number: int) -> bool:
    r"""
    Say whether bytes hold what could be a reference to an object, so that defining it would change what they mean.

    >>> [_speaks_of(text, 51) for text in (b"/Next 51 0 R", b"/Next 051 %!%\n0 R", b"/Next 151 0 R", b"[51 0]")]
    [True, True, False, False]
    """
    digits = b"%d" % number
    at = text.find(digits)
    while at >= 0:
        another = text[max(at - 1, 0) : at] in (b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9")
        if not another and _REST_OF_REFERENCE.match(text, at + len(digits)):
            return True
        at = text.find(digits, at + 1)
    return False
