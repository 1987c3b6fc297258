"""
What was changed after a signature: revision by revision, by rules that allow little (ISO 32000-2 §12.8.2).

After a signature, a file may gain another signature, a time-stamp, or evidence for those there are. When
it is signed again, its title and dates may be rewritten too, as some programs do; a reader is told. Nothing
else is allowed here, not even where a certification would permit notes or form values: a citizen asks
whether this is what was signed, and then it is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import HistoricalResolver, PdfFileReader
from pyhanko.sign.diff_analysis import (
    CatalogModificationRule,
    DocInfoRule,
    DSSCompareRule,
    FormUpdatingRule,
    MetadataUpdateRule,
    ModificationLevel,
    ObjectStreamRule,
    SigFieldCreationRule,
    SigFieldModificationRule,
    StandardDiffPolicy,
    SuspiciousModification,
    XrefStreamRule,
)
from pyhanko.sign.fields import FieldMDPSpec, MDPPerm, enumerate_sig_fields

from infra.pdf.verifying.findings import Finding, Revision, found
from infra.pdf.verifying.layout import Stretch
from infra.pdf.verifying.objects import pages_of, resolved

#: The texts and attributes of an XML document, and those that any program may write anew.
_TEXTS = re.compile(rb">([^<>]+)<|=\"([^\"]*)\"|='([^']*)'")
_PASSING = re.compile(
    rb"\s*|\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)?|uuid:[0-9a-fA-F-]+|https?://\S+|x-default"
)

_LTA = ModificationLevel.LTA_UPDATES
_PLUMBING = [XrefStreamRule().as_qualified(_LTA), ObjectStreamRule().as_qualified(_LTA)]


_FORM = FormUpdatingRule(
    field_rules=[SigFieldCreationRule(), SigFieldModificationRule()]  # type: ignore[no-untyped-call]
)


def _policy(
    keys: frozenset[str], *, fields: bool, metadata: bool, orphans: bool = False
) -> StandardDiffPolicy:
    """Return rules that allow evidence, and fields or metadata where that is said."""
    rules = [
        CatalogModificationRule(ignored_keys=keys),  # type: ignore[no-untyped-call]
        DSSCompareRule().as_qualified(_LTA),
        *_PLUMBING,
    ]
    if metadata:
        rules += [DocInfoRule().as_qualified(_LTA), MetadataUpdateRule().as_qualified(_LTA)]  # type: ignore[no-untyped-call]
    form = _FORM if fields else None
    return StandardDiffPolicy(global_rules=rules, form_rule=form, ignore_orphaned_objects=orphans)


_EVIDENCE = _policy(frozenset({"/DSS", "/Extensions"}), fields=False, metadata=False)
_EVIDENCE_AND_DATES = _policy(frozenset({"/DSS", "/Extensions", "/Metadata"}), fields=False, metadata=True)
_SIGNATURE = _policy(frozenset({"/DSS", "/Extensions", "/AcroForm"}), fields=True, metadata=False)
_SIGNATURE_AND_TITLE = _policy(
    frozenset({"/DSS", "/Extensions", "/AcroForm", "/Metadata", "/Version"}),
    fields=True,
    metadata=True,
    orphans=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A signature or time-stamp as the comparison needs it: what made it, where it ends, what it forbids."""

    field: str
    until: int
    is_timestamp: bool
    permission: MDPPerm | None
    locks: FieldMDPSpec | None


def review(
    reader: PdfFileReader, later: Sequence[Stretch], made: Sequence[Made]
) -> tuple[list[Revision], list[Finding]]:
    """Return what each appended revision did, and what of it is not allowed."""
    revisions: list[Revision] = []
    findings: list[Finding] = []
    for number, stretch in enumerate(later, start=2):
        before = [one for one in made if one.until <= stretch.start]
        inside = [one for one in made if stretch.start < one.until <= stretch.end]
        covered = any(one.until >= stretch.end and not one.is_timestamp for one in made)
        kinds, refused = _compare(reader, stretch.revision, before, inside, covered=covered)
        old, new = (reader.get_historical_resolver(stretch.revision + n) for n in (-1, 0))
        fields = tuple(sorted({one.field for one in inside} | _new_fields(old, new)))
        pages = tuple(_pages_touched(new)) if "other" in kinds or "signature" in kinds else ()
        if refused:
            where = ", ".join(map(str, pages)) or "–"
            findings.append(found(refused, revision=number, pages=where))
        elif "metadata" in kinds:
            findings.append(found("metadata-changed", revision=number))
        revisions.append(
            Revision(
                number=number,
                start=stretch.start,
                end=stretch.end,
                kinds=kinds,
                fields=fields,
                pages=pages,
                allowed=not refused,
            )
        )
    return revisions, findings


def _compare(
    reader: PdfFileReader, revision: int, before: Sequence[Made], inside: Sequence[Made], *, covered: bool
) -> tuple[tuple[str, ...], str | None]:
    """Return what a revision is, and the code of what speaks against it."""
    old, new = reader.get_historical_resolver(revision - 1), reader.get_historical_resolver(revision)
    if not inside and _allowed(_EVIDENCE, old, new, before) is not None:
        return ("evidence",), None
    if not inside and _allowed(_EVIDENCE_AND_DATES, old, new, before) is not None and _same_words(old, new):
        return ("evidence",), None
    signed = tuple("time-stamp" if one.is_timestamp else "signature" for one in inside)
    if not signed and not covered:
        return ("other",), "changed-after"
    kinds = signed or ("before signing",)
    if _newly_signed(old, new) != {one.field for one in inside}:
        return ("other",), "changed-after"
    for policy, more in ((_SIGNATURE, ()), (_SIGNATURE_AND_TITLE, ("metadata",))):
        level = _allowed(policy, old, new, before)
        if level is not None:
            if level > _LTA and any(one.permission == MDPPerm.NO_CHANGES for one in before):
                return (*kinds, *more), "forbidden-signature"
            return (*kinds, *(() if _same_words(old, new) else more)), None
    return (*signed, "other"), "changed-with-signature" if signed else "changed-after"


def _allowed(
    policy: StandardDiffPolicy, old: HistoricalResolver, new: HistoricalResolver, before: Sequence[Made]
) -> ModificationLevel | None:
    """Return how far a change goes if the rules and every earlier signature allow it."""
    permissions = [one.permission for one in before if one.permission is not None]
    strictest = min(permissions, key=lambda one: one.value, default=None)
    highest = ModificationLevel.NONE
    every: list[FieldMDPSpec | None] = [one.locks for one in before if one.locks is not None]
    for locks in every or [None]:
        try:
            highest = max(
                highest,
                policy.apply(old, new, field_mdp_spec=locks, doc_mdp=strictest).modification_level,
            )
        except (SuspiciousModification, NotImplementedError):
            return None
    return highest


def _same_words(old: HistoricalResolver, new: HistoricalResolver) -> bool:
    """Say whether a document still calls itself the same; the program that wrote it, and when, may differ."""
    before, after = _info(old), _info(new)
    producer = after.pop("/Producer", "")
    before.pop("/Producer", None)
    if before != after:
        return False
    strange = [one for one in _texts(new) - _texts(old) if not _PASSING.fullmatch(one)]
    return all(one.decode(errors="replace") == producer for one in strange)


def _texts(resolver: HistoricalResolver) -> set[bytes]:
    """Return what a document's metadata stream says in a revision, word for word."""
    stream = resolver.root.get("/Metadata")
    content = stream.data if isinstance(stream, generic.StreamObject) else b""
    return {piece.strip() for found in _TEXTS.findall(content) for piece in found}


def _info(resolver: HistoricalResolver) -> dict[str, str]:
    """Return what a document's information dictionary says in a revision, its date of change left out."""
    trailer = resolver.trailer_view
    if "/Info" not in trailer:
        return {}
    reference = trailer.raw_get("/Info")
    held = resolver(reference.reference) if isinstance(reference, generic.IndirectObject) else reference
    if not isinstance(held, generic.DictionaryObject):
        return {}
    return {str(key): str(held[key]) for key in held if key != "/ModDate"}


def _newly_signed(old: HistoricalResolver, new: HistoricalResolver) -> set[str]:
    """Return the fields that gained a value in a revision."""
    return set(_values(new)) - set(_values(old))


def _values(resolver: HistoricalResolver) -> list[str]:
    """Return the names of the signature fields that have a value."""
    return [str(name) for name, value, _ in enumerate_sig_fields(resolver) if value is not None]


def _new_fields(old: HistoricalResolver, new: HistoricalResolver) -> set[str]:
    """Return the signature fields that appeared in a revision."""
    return {str(name) for name, _, _ in enumerate_sig_fields(new)} - {
        str(name) for name, _, _ in enumerate_sig_fields(old)
    }


def _pages_touched(new: HistoricalResolver) -> Iterator[int]:
    """Yield the numbers of the pages on which something in a revision is seen."""
    listed = new.explicit_refs_in_revision()  # type: ignore[no-untyped-call]
    changed = {(one.idnum, one.generation) for one in listed}
    for number, page in enumerate(pages_of(new), start=1):
        if changed & _reached_from(page):
            yield number


def _reached_from(page: generic.DictionaryObject) -> set[tuple[int, int]]:
    """Return the objects that a page is made of, without the tree above it."""
    seen: set[tuple[int, int]] = set()
    if page.container_ref is not None and isinstance(page.container_ref, generic.Reference):
        seen.add((page.container_ref.idnum, page.container_ref.generation))
    waiting: list[generic.PdfObject | None] = [page.raw_get(k) for k in page if k != "/Parent"]
    while waiting:
        item = waiting.pop()
        if isinstance(item, generic.IndirectObject):
            key = (item.idnum, item.generation)
            if key in seen:
                continue
            seen.add(key)
            item = resolved(item)
        if isinstance(item, generic.DictionaryObject):
            waiting += [item.raw_get(k) for k in item if k not in ("/Parent", "/P", "/V", "/StructParent")]
        elif isinstance(item, generic.ArrayObject):
            waiting += [item.raw_get(n) for n in range(len(item))]
    return seen
