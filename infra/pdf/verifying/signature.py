"""
One signature, described: who, in which capacity, when and how that is known, how well it is proven.

The moment that counts for a certificate is the earliest at which the signature provably existed; without
any proof, that is now, for the file lies before us (ETSI EN 319 102-1 §5.5, §5.6).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from asn1crypto import x509  # type: ignore[import-untyped]
from pyhanko.pdf_utils import generic
from pyhanko.sign.fields import FieldMDPSpec, MDPPerm

from infra.clock import HANOI
from infra.pdf.trust import common_name
from infra.pdf.verifying.certificates import Evidence, Trust, issuer_of, judge, subject_of
from infra.pdf.verifying.cms_rules import Cms, read_cms
from infra.pdf.verifying.findings import Finding, Signature, Verdict, found
from infra.pdf.verifying.layout import SignedPart
from infra.pdf.verifying.strangers import impostor

#: A clock may be off by so much before anybody wonders.
_TOLERANCE = timedelta(minutes=5)

#: How hoso states a capacity, and the marks (NĐ 30/2020 art. 13) by which others do.
_STATED = re.compile(r"Thẩm quyền ký:\s*([^;\n]+)")
_MARKED = re.compile(r"(?:^|[:;–—,\s])((?:KT|TM|TL|TUQ|Q)\.\s*[^;\n]+)")

Kind = Literal["person", "agency", "time-stamp", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One signature as the file states it."""

    field: str
    field_dictionary: generic.DictionaryObject
    dictionary: generic.DictionaryObject
    reference: tuple[int, int]
    part: SignedPart
    is_timestamp: bool
    is_pades: bool


@dataclass(slots=True, kw_only=True)
class _Proof:
    """What proves when a signature existed."""

    time: datetime | None = None
    by: str | None = None


def permission_of(entry: Entry) -> MDPPerm | None:
    """Return what a certifying signature, or the lock of its field, lets others do afterwards."""
    parameters = _transform(entry, "/DocMDP")
    if parameters is not None:
        return MDPPerm(int(parameters.get("/P", 2)))
    lock = entry.field_dictionary.get("/Lock")
    if isinstance(lock, generic.DictionaryObject) and "/P" in lock:
        return MDPPerm(int(lock["/P"]))
    return None


def locks_of(entry: Entry) -> FieldMDPSpec | None:
    """Return the fields that a signature locks."""
    parameters = _transform(entry, "/FieldMDP")
    return FieldMDPSpec.from_pdf_object(parameters) if parameters is not None else None


def _transform(entry: Entry, method: str) -> generic.DictionaryObject | None:
    """Return the parameters of one of a signature's references (ISO 32000-2 §12.8.2)."""
    for one in entry.dictionary.get("/Reference", ()):
        reference = one.get_object()
        if reference.get("/TransformMethod") == method:
            parameters = reference["/TransformParams"]
            assert isinstance(parameters, generic.DictionaryObject)
            return parameters
    return None


def describe(
    entry: Entry,
    value: Cms,
    *,
    number: int,
    pdf: bytes,
    evidence: Evidence,
    at: datetime,
    proof: tuple[datetime, str] | None,
    certifies: bool,
    level: str,
    chains: set[tuple[str, ...]],
) -> tuple[Signature, tuple[datetime, str] | None]:
    """
    Return what may be said of a signature, and the moment that it proves if it is a good time-stamp.

    `proof` is the earliest moment that later time-stamps of the file prove, `level` what the file proves if the
    signature holds. The certificate paths that lead to
    an anchor are added to `chains`.
    """
    findings = list(value.findings)
    proven = _Proof(time=proof[0], by=proof[1]) if proof else _Proof()
    claimed = _claimed(entry, value, findings, at)
    if not entry.is_timestamp and value.token is not None:
        _take_token(value, evidence, at, proven, findings, chains)
    trust = Trust()
    if value.certificate is not None:
        starts = value.certificate.not_valid_before
        if claimed and claimed + _TOLERANCE < starts and not entry.is_timestamp:
            # Nobody had this certificate at the moment that the signature states.
            who = subject_of(value.certificate)
            findings.append(found("not-yet-valid", who=who, day=f"{starts:%d/%m/%Y}"))
        trust = judge(
            value.certificate,
            value.others,
            evidence,
            at=proven.time or at,
            claimed=claimed,
            proven=proven.time is not None,
            for_timestamps=entry.is_timestamp,
        )
        findings += [*trust.findings, *trust.findings_noted]
        if trust.is_strange:
            known = (*value.others, *evidence.certificates)
            lie = impostor(value.certificate, known, evidence.anchors)
            findings += [lie] if lie else []
        chains.add(_chain(trust))
    if claimed and proven.time and claimed > proven.time + _TOLERANCE and not entry.is_timestamp:
        findings.append(found("claims-later"))
    described = _described(entry, value, trust, proven, claimed, findings, number, pdf, certifies)
    if described.verdict == Verdict.NOT_VALID or entry.is_timestamp:
        level = "none"
    described = replace(described, level=level)
    if not entry.is_timestamp or claimed is None or described.verdict != Verdict.VALID:
        return described, None
    return described, (claimed, described.signer)


def _chain(trust: Trust) -> tuple[str, ...]:
    """Return a certificate path as plain data."""
    return tuple(one.dump().hex() for one in trust.path)


def _claimed(entry: Entry, value: Cms, findings: list[Finding], at: datetime) -> datetime | None:
    """Return the moment that a signature states itself, or that a time-stamp certifies."""
    moment: datetime | None = None
    if entry.is_timestamp:
        moment = value.tst["gen_time"].native if value.tst is not None else None
    elif "/M" in entry.dictionary:
        moment = generic.parse_pdf_date(str(entry.dictionary["/M"]), strict=False)
    elif value.signing_time is not None:
        moment = value.signing_time
    if moment is None:
        findings.append(found("no-claimed-time"))
        return None
    if moment.utcoffset() is None:
        moment = moment.replace(tzinfo=HANOI)
    if moment > at + _TOLERANCE:
        findings.append(found("future"))
    return moment


def _take_token(
    value: Cms,
    evidence: Evidence,
    at: datetime,
    proven: _Proof,
    findings: list[Finding],
    chains: set[tuple[str, ...]],
) -> None:
    """Examine the time-stamp over a signature's value, and keep its moment if it is the earliest good one."""
    assert value.token is not None

    def digest(algorithm: str) -> bytes:
        return hashlib.new(algorithm, value.value).digest()

    known = [*evidence.anchors, *evidence.certificates, *value.others]
    token = read_cms(value.token, digest=digest, timestamp=True, pades=True, anchors=known)
    findings += token.findings
    if token.certificate is None or token.tst is None or token.findings:
        findings.append(found("timestamp-bad"))
        return
    moment = token.tst["gen_time"].native
    trust = judge(
        token.certificate,
        token.others,
        evidence,
        at=proven.time or at,
        claimed=moment,
        proven=proven.time is not None,
        for_timestamps=True,
    )
    chains.add(_chain(trust))
    who = subject_of(token.certificate)
    if any(one.weight == "broken" for one in trust.findings):
        findings += [*trust.findings, found("timestamp-bad")]
    elif trust.findings:
        findings += [*trust.findings, found("timestamp-undecided", who=who)]
    elif moment > at + _TOLERANCE:
        findings.append(found("future"))
    elif proven.time is None or moment < proven.time:
        proven.time, proven.by = moment, common_name(token.certificate)


def _described(
    entry: Entry,
    value: Cms,
    trust: Trust,
    proven: _Proof,
    claimed: datetime | None,
    findings: list[Finding],
    number: int,
    pdf: bytes,
    certifies: bool,
) -> Signature:
    """Put the description together."""
    certificate = value.certificate
    kind, kind_from = _kind(entry, certificate)
    reason = _text(entry.dictionary, "/Reason")
    capacity, capacity_from = _capacity(reason, certificate)
    permission = permission_of(entry) if certifies else None
    return Signature(
        number=number,
        field=entry.field,
        kind=kind,
        kind_known_from=kind_from,
        certifies=certifies,
        permission=permission.value if permission else None,
        signer=common_name(certificate) if certificate else "?",
        organisation=_part(certificate, "organization_name"),
        subject=subject_of(certificate) if certificate else "?",
        issuer=issuer_of(certificate) if certificate else "?",
        certificate_sha256=hashlib.sha256(certificate.dump()).hexdigest() if certificate else "",
        certificate_from=certificate.not_valid_before.isoformat() if certificate else "",
        certificate_until=certificate.not_valid_after.isoformat() if certificate else "",
        capacity=capacity,
        capacity_known_from=capacity_from,
        reason=reason,
        location=_text(entry.dictionary, "/Location"),
        claimed_time=claimed.isoformat() if claimed else None,
        proven_time=proven.time.isoformat() if proven.time else None,
        proven_by=proven.by,
        level="none",
        algorithm=value.algorithm,
        covers_until=entry.part.until,
        covers_whole_file=entry.part.until == len(pdf),
        anchor=trust.anchor,
        revocation=trust.revocation,
        revocation_known_from=trust.revocation_from,
        findings=tuple(findings),
    )


def _kind(entry: Entry, certificate: x509.Certificate | None) -> tuple[Kind, str]:
    """
    Return whose signature it is, and how that is known.

    A certificate says it best: an agency's names an organisation and no person. Field names are what
    hoso writes into its own documents.
    """
    if entry.is_timestamp:
        return "time-stamp", "type"
    subject: Mapping[str, Any] = certificate.subject.native if certificate else {}
    if {"given_name", "surname", "title"} & set(subject):
        return "person", "certificate"
    name, organisation = subject.get("common_name"), subject.get("organization_name")
    same = (
        isinstance(name, str) and isinstance(organisation, str) and name.casefold() == organisation.casefold()
    )
    if same or "organization_identifier" in subject or (organisation and not name):
        return "agency", "certificate"
    if entry.field == "seal":
        return "agency", "field"
    if entry.field.startswith("official"):
        return "person", "field"
    return "unknown", "nothing"


def _capacity(reason: str | None, certificate: x509.Certificate | None) -> tuple[str | None, str | None]:
    """
    Return the capacity that somebody signed in, and what states it: the reason, else the certificate's title.

    >>> _capacity("Chứng thực bản sao: KT. CHỦ TỊCH, PHÓ CHỦ TỊCH", None)
    ('KT. CHỦ TỊCH, PHÓ CHỦ TỊCH', 'reason')
    >>> _capacity("Thẩm quyền ký: CHỦ TỊCH", None)
    ('CHỦ TỊCH', 'reason')
    """
    stated = (_STATED.search(reason) or _MARKED.search(reason)) if reason else None
    if stated:
        return stated[1].strip(), "reason"
    title = _part(certificate, "title")
    return (title, "certificate") if title else (None, None)


def _part(certificate: x509.Certificate | None, name: str) -> str | None:
    """Return one part of a certificate's subject."""
    value = certificate.subject.native.get(name) if certificate else None
    if isinstance(value, list):
        value = value[0]
    return str(value) if value else None


def _text(dictionary: generic.DictionaryObject, key: str) -> str | None:
    """Return a text of a signature's dictionary."""
    value = dictionary.get(key)
    return str(value) if isinstance(value, generic.TextStringObject) else None
