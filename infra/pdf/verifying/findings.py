"""
What an examination of a signed file finds: plain values, which the child process sends as JSON.

`weight` decides the verdict: what is *broken* makes a file not valid, what is *missing* leaves it
undecided, what is *noted* changes nothing. The sentences for each code are in `words`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

from infra.pdf.verifying.words import FINDINGS

Weight = Literal["broken", "missing", "noted"]


class Verdict(StrEnum):
    """What may be said of a file, the best first."""

    VALID = "valid"
    UNDECIDED = "undecided"
    NOT_VALID = "not valid"
    UNREADABLE = "unreadable"


#: How `hoso verify` ends.
EXIT_CODES = {Verdict.VALID: 0, Verdict.NOT_VALID: 1, Verdict.UNDECIDED: 3, Verdict.UNREADABLE: 4}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """
    Return the verdict over several files.

    >>> worst([Verdict.VALID, Verdict.NOT_VALID, Verdict.UNDECIDED]).value
    'not valid'
    """
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.UNREADABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found: a code of `words.FINDINGS`, and what fills its sentences."""

    code: str
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def weight(self) -> Weight:
        """Return what this finding means for the verdict."""
        return FINDINGS[self.code].weight


def found(code: str, **values: object) -> Finding:
    """Return a finding."""
    return Finding(code=code, values={name: str(value) for name, value in values.items()})


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """
    Return what findings amount to.

    >>> verdict_of([found("revocation-unknown", who="CN=A"), found("digest")]).value
    'not valid'
    """
    weights = {finding.weight for finding in findings}
    if "broken" in weights:
        return Verdict.NOT_VALID
    return Verdict.UNDECIDED if "missing" in weights else Verdict.VALID


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature or document time-stamp, in the order of signing; times are ISO 8601 with a zone."""

    number: int
    field: str
    kind: Literal["person", "agency", "time-stamp", "unknown"]
    kind_known_from: str
    certifies: bool
    #: What a certifying signature lets others do afterwards (ISO 32000-2 table 257): 1, 2 or 3.
    permission: int | None
    signer: str
    organisation: str | None
    subject: str
    issuer: str
    certificate_sha256: str
    certificate_from: str
    certificate_until: str
    capacity: str | None
    capacity_known_from: str | None
    reason: str | None
    location: str | None
    claimed_time: str | None
    #: The earliest moment at which this signature provably existed, and what proves it.
    proven_time: str | None
    proven_by: str | None
    level: str
    algorithm: str
    covers_until: int
    covers_whole_file: bool
    anchor: str | None
    revocation: Literal["good", "revoked", "unknown", "not asked"]
    revocation_known_from: str | None
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Return what may be said of this signature alone."""
        return verdict_of(self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One stretch of the file: the first document, or what was appended to it later."""

    number: int
    start: int
    end: int
    #: `document`, `signature`, `time-stamp`, `evidence`, `before signing`, `metadata`, `other`.
    kinds: tuple[str, ...]
    fields: tuple[str, ...]
    pages: tuple[int, ...]
    allowed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is known of one file."""

    name: str
    sha256: str
    size: int
    title: str | None
    pages: int | None
    signatures: tuple[Signature, ...]
    revisions: tuple[Revision, ...]
    findings: tuple[Finding, ...]
    #: SHA-256 values that the file's signed part names, as a delivery note does.
    names_hashes: tuple[str, ...] = ()
    #: Certificates (DER in hexadecimal) from an anchor down to each signer and time-stamping authority.
    chains: tuple[tuple[str, ...], ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Return the worst of the file's own findings and those of its signatures."""
        if any(finding.code in UNREADABLE for finding in self.findings):
            return Verdict.UNREADABLE
        return worst([verdict_of(self.findings), *(one.verdict for one in self.signatures)])

    def everything(self) -> tuple[Finding, ...]:
        """Return the findings of the file and of its signatures."""
        return (*self.findings, *(one for signature in self.signatures for one in signature.findings))

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


#: Findings after which nothing can be said of a file at all.
UNREADABLE = frozenset({"not-a-file", "not-a-pdf", "damaged", "encrypted", "too-much"})


def report_from(data: Mapping[str, Any]) -> Report:
    """Return the report that was sent as plain data; raises `KeyError`, `TypeError` or `ValueError` for others."""
    fields = dict(data)
    fields["findings"] = _findings(fields["findings"])
    fields["signatures"] = tuple(
        Signature(**{**one, "findings": _findings(one["findings"])}) for one in fields["signatures"]
    )
    fields["revisions"] = tuple(
        Revision(**{**one, **{name: tuple(one[name]) for name in ("kinds", "fields", "pages")}})
        for one in fields["revisions"]
    )
    fields["names_hashes"] = tuple(fields["names_hashes"])
    fields["chains"] = tuple(tuple(chain) for chain in fields["chains"])
    return Report(**fields)


def _findings(data: Iterable[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """Return findings that were sent as plain data; an unknown code is refused."""
    made = tuple(Finding(code=one["code"], values=dict(one["values"])) for one in data)
    for one in made:
        FINDINGS[one.code]
    return made
