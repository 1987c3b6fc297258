"""
The whole examination of one file: its bytes, what was changed, each signature, and what follows.

Runs in the child process only (`verifying.child`), because it opens hostile files. Nothing that pyHanko
concludes is taken over as a verdict: it parses, compares revisions and validates certificate paths.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from asn1crypto import x509  # type: ignore[import-untyped]
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import enumerate_sig_fields

from infra.pdf.levels import Level, evidence_of
from infra.pdf.verifying.certificates import Answers, Evidence
from infra.pdf.verifying.changes import Made, review
from infra.pdf.verifying.cms_rules import Cms, read_cms
from infra.pdf.verifying.findings import Finding, Report, Revision, Signature, found
from infra.pdf.verifying.layout import SignedPart, Trick, signed_part, stretches
from infra.pdf.verifying.objects import pages_of, resolved
from infra.pdf.verifying.second_reader import damage, second_opinion
from infra.pdf.verifying.signature import Entry, describe, locks_of, permission_of
from infra.pdf.verifying.store import Store, genuine, read_store
from infra.pdf.verifying.strangers import weighed, whole_file

#: What parsers raise on hostile files; none of it is taken for a bug of ours.
_DAMAGE = (
    PdfError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError,
    AssertionError, NotImplementedError, RecursionError, StopIteration,
)  # fmt: skip

_PADES, _ADOBE, _TIMESTAMP = "/ETSI.CAdES.detached", "/adbe.pkcs7.detached", "/ETSI.RFC3161"


@dataclass(slots=True, kw_only=True)
class _File:
    """One file on its way through the examination."""

    name: str
    pdf: bytes
    evidence: Evidence
    at: datetime
    findings: list[Finding]
    chains: set[tuple[str, ...]]
    to_be_signed: str | None = None


def examine(
    name: str, pdf: bytes, *, evidence: Evidence, at: datetime, to_be_signed: str | None = None
) -> Report:
    """
    Return what is known of a file as of the moment `at` (aware); hostile and damaged files included.

    `to_be_signed` names an empty field that somebody is about to sign: what was appended last is then judged
    as what comes before that signature, not as what comes after those that are there.
    """
    file = _File(
        name=name, pdf=pdf, evidence=evidence, at=at, findings=[], chains=set(), to_be_signed=to_be_signed
    )
    if b"%PDF-" not in pdf[:1024]:
        return _report(file, found("not-a-pdf"))
    fault = damage(pdf)
    if fault is not None:
        return _report(file, fault)
    try:
        reader = PdfFileReader(io.BytesIO(pdf))
        if reader.encrypted:
            return _report(file, found("encrypted"))
        pages = sum(1 for _ in pages_of(reader))
        entries, numbers = _entries(file, reader)
        file.findings += second_opinion(pdf, reader, numbers)
    except _DAMAGE as error:
        return _report(file, found("damaged", why=type(error).__name__))
    if not entries:
        empty = () if any(f.weight == "broken" for f in file.findings) else (found("unsigned"),)
        return _report(file, *empty, reader=reader, pages=pages)
    try:
        revisions = _revisions(file, reader, entries)
        signatures = _signatures(file, reader, entries)
    except _DAMAGE as error:
        return _report(file, found("damaged", why=type(error).__name__), reader=reader, pages=pages)
    if all(entry.is_timestamp for entry in entries):
        file.findings.append(found("only-timestamps"))
    return _report(file, reader=reader, pages=pages, signatures=signatures, revisions=revisions)


def _report(
    file: _File,
    *more: Finding,
    reader: PdfFileReader | None = None,
    pages: int | None = None,
    signatures: Sequence[Signature] = (),
    revisions: Sequence[Revision] = (),
) -> Report:
    """Put the report together."""
    return Report(
        name=file.name,
        sha256=hashlib.sha256(file.pdf).hexdigest(),
        size=len(file.pdf),
        title=_title(reader) if reader else None,
        pages=pages,
        signatures=tuple(signatures),
        revisions=tuple(revisions),
        findings=(*more, *file.findings),
        names_hashes=_hashes(reader) if reader and signatures else (),
        chains=tuple(sorted(chain for chain in file.chains if chain)),
    )


def _title(reader: PdfFileReader) -> str | None:
    """Return the title that the file gives itself."""
    try:
        return str(reader.trailer["/Info"]["/Title"])
    except _DAMAGE:
        return None


def _hashes(reader: PdfFileReader) -> tuple[str, ...]:
    """Return the SHA-256 values among the keywords of a file, where a delivery note names its result."""
    try:
        words = str(reader.trailer["/Info"]["/Keywords"])
    except _DAMAGE:
        return ()
    return tuple(sorted(set(re.findall(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", words))))


def _entries(file: _File, reader: PdfFileReader) -> tuple[list[Entry], set[int]]:
    """Return the signatures of the file's fields, and the numbers of all their objects."""
    entries: list[Entry] = []
    numbers: set[int] = set()
    for name, _, field_ref in enumerate_sig_fields(reader, filled_status=True):
        field = resolved(field_ref)
        try:
            if not isinstance(field, generic.DictionaryObject):
                raise Trick(found("contents"))
            value = field.raw_get("/V")
            if not isinstance(value, generic.IndirectObject):
                raise Trick(found("contents"))
            numbers.add(value.idnum)
            part = signed_part(file.pdf, reader, value.reference)
            entries.append(_entry(str(name), field, value, part))
        except Trick as trick:
            file.findings.append(trick.finding)
        except _DAMAGE as error:
            file.findings.append(found("signature-unreadable", why=type(error).__name__))
    entries.sort(key=lambda one: one.part.until)
    for earlier, later in pairwise(entries):
        if earlier.part.until > later.part.gap_start:
            file.findings.append(found("overlap"))
    return entries, numbers


def _entry(
    name: str, field: generic.DictionaryObject, value: generic.IndirectObject, part: SignedPart
) -> Entry:
    """Return one signature as the file states it; refuses kinds that are not accepted."""
    dictionary = resolved(value)
    if not isinstance(dictionary, generic.DictionaryObject):
        raise Trick(found("contents"))
    kind, subfilter = dictionary.get("/Type", "/Sig"), dictionary.get("/SubFilter")
    allowed = {"/Sig": (_PADES, _ADOBE), "/DocTimeStamp": (_TIMESTAMP,)}
    if kind not in allowed or subfilter not in allowed[kind]:
        raise Trick(found("subfilter", what=subfilter))
    return Entry(
        field=name,
        field_dictionary=field,
        dictionary=dictionary,
        reference=(value.idnum, value.generation),
        part=part,
        is_timestamp=kind == "/DocTimeStamp",
        is_pades=subfilter == _PADES,
    )


def _revisions(file: _File, reader: PdfFileReader, entries: Sequence[Entry]) -> list[Revision]:
    """Return what the file consists of, and note what is not allowed in it."""
    first = entries[0].part.until
    whole = Revision(
        number=1, start=0, end=first, kinds=("document",), fields=(entries[0].field,), pages=(), allowed=True
    )
    try:
        later = stretches(file.pdf, reader, first)
    except Trick as trick:
        file.findings.append(trick.finding)
        return [whole]
    ends = {first, *(one.end for one in later)}
    for entry in entries:
        if entry.part.until not in ends:
            file.findings.append(found("no-end", at=entry.part.until))
    made = [
        Made(
            field=one.field,
            until=one.part.until,
            is_timestamp=one.is_timestamp,
            permission=permission_of(one),
            locks=locks_of(one),
        )
        for one in entries
    ]
    if file.to_be_signed is not None:
        # It will end behind everything that is there now.
        end = len(file.pdf) + 1
        coming = Made(field=file.to_be_signed, until=end, is_timestamp=False, permission=None, locks=None)
        made.append(coming)
    revisions, findings = review(reader, later, made)
    file.findings += findings
    return [whole, *revisions]


def _signatures(file: _File, reader: PdfFileReader, entries: Sequence[Entry]) -> list[Signature]:
    """Return each signature with what may be said of it; the latest first, because it proves the others."""
    values = [_cms_of(file, entry) for entry in entries]
    known = list(file.evidence.anchors) + list(file.evidence.certificates)
    for value in values:
        known += [*value.others, *([value.certificate] if value.certificate else [])]
    store = read_store(reader, known)
    file.findings += store.findings
    certifying = _certifying(file, reader, entries)
    evidence = _together(file.evidence, store, known)
    sound = not any(one.weight == "broken" for one in file.findings)
    levels = _levels(reader, evidence) if sound else {}
    proof: tuple[datetime, str] | None = None
    described: list[Signature] = []
    for number, (entry, value) in reversed(list(enumerate(zip(entries, values, strict=True), start=1))):
        one, moment = describe(
            entry,
            value,
            number=number,
            pdf=file.pdf,
            evidence=evidence,
            at=file.at,
            proof=proof,
            certifies=entry.reference == certifying,
            level=levels.get(entry.field, "none"),
            chains=file.chains,
        )
        described.append(one)
        if entry.is_timestamp and moment is not None and (proof is None or moment[0] < proof[0]):
            proof = moment
    file.findings += whole_file(described)
    return weighed(described[::-1])


def _levels(reader: PdfFileReader, evidence: Evidence) -> dict[str, Level]:
    """Return the level that the file itself proves for each signature, by the rules that hoso signs by."""
    anchors = [one.dump() for one in evidence.anchors]
    chain = [one.dump() for one in evidence.certificates]
    proved = evidence_of(reader, anchors=anchors, chain=chain)
    return {one.field: one.level for one in proved.signatures}


def _cms_of(file: _File, entry: Entry) -> Cms:
    """Return the CMS object of a signature, checked against the bytes that it covers."""
    part = entry.part

    def digest(algorithm: str) -> bytes:
        running = hashlib.new(algorithm, file.pdf[: part.gap_start])
        running.update(file.pdf[part.gap_end : part.until])
        return running.digest()

    anchors: list[x509.Certificate] = [*file.evidence.anchors, *file.evidence.certificates]
    return read_cms(
        part.cms, digest=digest, timestamp=entry.is_timestamp, pades=entry.is_pades, anchors=anchors
    )


def _certifying(file: _File, reader: PdfFileReader, entries: Sequence[Entry]) -> tuple[int, int] | None:
    """Return the signature that certifies the document; it must be one of those found, and the first."""
    permissions = reader.root.get("/Perms")
    if permissions is None:
        return None
    if not isinstance(permissions, generic.DictionaryObject) or "/DocMDP" not in permissions:
        file.findings.append(found("certification-odd"))
        return None
    named = permissions.raw_get("/DocMDP")
    regular = [one for one in entries if not one.is_timestamp]
    if (
        not isinstance(named, generic.IndirectObject)
        or not regular
        or (named.idnum, named.generation) != regular[0].reference
        or permission_of(regular[0]) is None
    ):
        file.findings.append(found("certification-odd"))
        return None
    return named.idnum, named.generation


def _together(given: Evidence, store: Store, known: Sequence[x509.Certificate]) -> Evidence:
    """Return everything that is known: what was given, if it is genuine, and what the file carries."""
    everybody = (*known, *store.certificates)
    answers = {name: genuine(one, everybody) for name, one in given.answers.items()}
    embedded = Answers(crls=tuple(store.crls), ocsps=tuple(store.ocsps))
    return Evidence(anchors=given.anchors, certificates=everybody, answers={"embedded": embedded, **answers})
