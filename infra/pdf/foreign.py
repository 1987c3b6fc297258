"""
What is to be said of another agency's signed PDF, and whether our signature may be added to it.

The file is not ours, so it is opened in a child process with limits (`infra.pdf.confined`), and what comes back
are plain values: a verdict on every signature, and, where the file allows one more, the same file with an
increment that holds an empty field. It is judged by the rules by which anybody checks a file
(`infra.pdf.verifying`), against anchors of its own. The child asks nobody about revocation: answers are handed in.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal

from infra.errors import Broken
from infra.pdf.confined import Cost, TooCostly, asking
from infra.pdf.verifying.findings import Finding, Report, Signature, report_from
from infra.pdf.verifying.printed import sentence

_CHILD = "infra.pdf.foreign_child"
#: The longest header that a child may answer with.
_LONGEST = 2_000_000  # bytes

#: Why no field can be added to a file.
WhyNot = Literal["certified", "locked", "turned", "no-room", "field-taken", "not-allowed"]
_REASONS = frozenset({"certified", "locked", "turned", "no-room", "field-taken", "not-allowed"})

#: Findings about who signed, as against whether the signature holds.
_ABOUT_WHO = frozenset(
    {
        "wrong-usage", "self-signed", "no-anchor", "impostor", "stranger-after", "path", "stray-certificate",
        "not-yet-valid", "expired-when-signed", "expired-since", "revoked", "revoked-since", "revocation-unknown",
        "revocation-unreadable", "timestamp-undecided",
    }
)  # fmt: skip
#: What is missing as long as nobody was asked about revocation.
_UNASKED = frozenset({"revocation-unknown", "timestamp-undecided"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSignature:
    """What is known of one signature that somebody else made."""

    field: str
    signer: str  # common name in the certificate
    organisation: str  # as the certificate names it; may be empty
    issuer: str  # common name of the authority that issued the certificate
    certificate_sha256: str
    kind: Literal["certification", "approval"]
    digest: str  # `sha256`
    #: It, or its certificate, rests on an algorithm that is not strong enough any more (SHA-1).
    weak: bool
    #: What the signature says of its time (RFC 3339); empty: nothing.
    time: str
    #: The moment before which it provably existed (RFC 3339); empty: nothing proves any.
    proven: str
    intact: bool
    #: A path leads to an anchor, and everybody on it was in force and not revoked when it counted.
    trusted: bool
    #: What speaks against it, or is missing, in sentences; empty for one that is valid, or only weak.
    problems: tuple[str, ...]

    @property
    def at(self) -> datetime | None:
        """Return the time that it states, if it states one."""
        return datetime.fromisoformat(self.time) if self.time else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found: a refusal to read the file, or its signatures and what may be added."""

    #: Why the file cannot be judged at all; empty: it was read.
    unreadable: str
    signatures: tuple[ForeignSignature, ...]
    #: What speaks against the file as a whole, in sentences: what was changed or appended after it was signed.
    faults: tuple[str, ...]
    #: The file with one increment that holds the empty field; `None` where none may be added.
    prepared: bytes | None
    why_not: WhyNot | None
    #: Certificates (DER) from an anchor down to each signer and time-stamping authority that is trusted so far.
    chains: tuple[tuple[bytes, ...], ...] = ()
    #: Whether answers about revocation would be of use.
    wants_answers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The field that is to be added to the first page: its name and size (mm), and the corners to try."""

    field: str
    width: float
    height: float
    margin: float
    corners: Sequence[str]
    #: A file that nobody has signed is judged too, and may have the field.
    unsigned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What issuers said about revocation (DER), and whether those who name nobody to ask may pass."""

    ocsps: Sequence[bytes] = ()
    crls: Sequence[bytes] = ()
    unasked_may_pass: bool = False


def examine(
    pdf: bytes | Path,
    *,
    anchors: Sequence[bytes],
    chain: Sequence[bytes],
    wanted: Wanted | None,
    at: datetime,
    answered: Answered | None = None,
    cost: Cost | None = None,
) -> Examined:
    """
    Return what may be said of a signed file from somewhere else as of `at`, and the file with room for a signature.

    The file may be one on the disk, which is then not held in memory here. `anchors` and `chain` (DER) are those
    that other agencies' certificates must lead to. Without `answered` nothing is known of revocation but what the
    file itself proves; without `wanted` no room is looked for. Hostile and damaged files are `unreadable`, with the
    reason. Pure: the same gives the same. Raises `Unavailable` when no child can be started, `Broken` when it fails
    for a reason that is not the file's.
    """
    answered = answered or Answered()
    size = pdf.stat().st_size if isinstance(pdf, Path) else len(pdf)
    header = {
        "bytes": size,
        "anchors": _text(anchors),
        "chain": _text(chain),
        "ocsps": _text(answered.ocsps),
        "crls": _text(answered.crls),
        "wanted": asdict(wanted) if wanted is not None else None,
        "at": at.isoformat(),
    }
    try:
        with asking(_CHILD, header, [pdf], cost=cost or _cost(size)) as answer:
            return _read(pdf, answer, answered)
    except TooCostly as error:
        return _unreadable(f"reading it {error}")


def _cost(size: int) -> Cost:
    """Return what a file of so many bytes may cost: it is held several times, and a result is rarely large."""
    return Cost(memory_bytes=600_000_000 + 12 * size, output_bytes=2 * size + 10_000_000)


def _text(ders: Sequence[bytes]) -> list[str]:
    """Return DER as it travels in a line of JSON."""
    return [base64.b64encode(one).decode() for one in ders]


def _unreadable(why: str) -> Examined:
    """Return what is known of a file that cannot be judged."""
    return Examined(unreadable=why, signatures=(), faults=(), prepared=None, why_not=None)


def _read(pdf: bytes | Path, answer: IO[bytes], answered: Answered) -> Examined:
    """Turn the child's answer into values; the child is not trusted to be sane."""
    try:
        said: Mapping[str, Any] = json.loads(answer.readline(_LONGEST))
        if said["unreadable"]:
            return _unreadable(str(said["unreadable"])[:300])
        report = report_from(said["report"])
        prepared = answer.read() if said["why_not"] is None else None
        if prepared is not None and not _continues(prepared, pdf):
            raise ValueError("the prepared file does not begin with the one that came")
        if said["why_not"] is not None and said["why_not"] not in _REASONS:
            raise ValueError("an unknown reason")
        return _examined(report, answered, prepared, said["why_not"])
    except (ValueError, KeyError, TypeError) as error:
        raise Broken("The reader of signed files gave an answer that makes no sense") from error


def _continues(prepared: bytes, pdf: bytes | Path) -> bool:
    """Whether a prepared file is the one that came, with something behind it."""
    came = pdf.read_bytes() if isinstance(pdf, Path) else pdf
    return prepared.startswith(came) and len(prepared) > len(came)


def _examined(report: Report, answered: Answered, prepared: bytes | None, why_not: Any) -> Examined:
    """Return what a report means for a result."""
    codes = {one.code for one in report.everything()}
    return Examined(
        unreadable="",
        signatures=tuple(_signature(one, answered) for one in report.signatures if one.kind != "time-stamp"),
        # That nobody is vouched for is said of each signature; an unsigned file was refused if it had to be signed.
        faults=tuple(
            _sentences(one for one in report.findings if one.code not in ("nobody-trusted", "unsigned"))
        ),
        prepared=prepared,
        why_not=why_not,
        chains=tuple(tuple(map(bytes.fromhex, chain)) for chain in report.chains),
        wants_answers=bool(codes & _UNASKED),
    )


def _signature(one: Signature, answered: Answered) -> ForeignSignature:
    """Return what a report says of one signature."""
    passed = {"revocation-unknown"} if answered.unasked_may_pass else set()
    against = [f for f in one.findings if f.weight != "noted" and f.code not in passed]
    return ForeignSignature(
        field=one.field,
        signer=one.signer,
        organisation=one.organisation or "",
        issuer=_common_name(one.issuer),
        certificate_sha256=one.certificate_sha256,
        kind="certification" if one.certifies else "approval",
        digest=one.algorithm.rpartition(", ")[2].lower(),
        weak=any(f.code == "weak" for f in against),
        time=one.claimed_time or "",
        proven=one.proven_time or "",
        intact=not any(f.weight == "broken" and f.code not in _ABOUT_WHO for f in against),
        trusted=one.anchor is not None and not any(f.code in _ABOUT_WHO for f in against),
        problems=tuple(_sentences(f for f in against if f.code != "weak")),
    )


def _sentences(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield what findings that matter say, without their full stops."""
    for one in findings:
        if one.weight != "noted":
            yield sentence(one, "en").rstrip(".")


def _common_name(written: str) -> str:
    """
    Return the common name of a distinguished name that is written out, or all of it where it has none.

    >>> _common_name("CN=CA thử nghiệm, O=Thử nghiệm, C=VN")
    'CA thử nghiệm'
    """
    found = re.search(r"(?:^|, )CN=(.*?)(?=, \w+=|$)", written)
    return found[1] if found else written
