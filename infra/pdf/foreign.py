"""
What is to be said of another agency's signed PDF, and whether our signature may be added to it.

The file is not ours, so it is opened in a child process with limits (`infra.pdf.confined`), and what comes back
are plain values: a verdict on every signature, and, where the file allows one more, the same file with an
increment that holds an empty field. Signatures are checked against anchors of their own; revocation is not
asked about here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import IO, Any, Literal

from infra.errors import Broken
from infra.pdf.confined import Cost, TooCostly, asking

_CHILD = "infra.pdf.foreign_child"
#: The longest header that a child may answer with.
_LONGEST = 2_000_000  # bytes

#: Why no field can be added to a file.
WhyNot = Literal["certified", "locked", "turned", "no-room", "field-taken", "not-allowed"]
_REASONS = frozenset({"certified", "locked", "turned", "no-room", "field-taken", "not-allowed"})


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
    #: It rests on an algorithm that is not strong enough any more (SHA-1).
    weak: bool
    #: What the signature says of its time (RFC 3339); empty: nothing.
    time: str
    intact: bool
    #: What came after it is allowed by it: further signatures, evidence, form fields.
    changes_allowed: bool
    #: A path leads to an anchor, and the certificate was valid at the time that it states.
    trusted: bool
    #: Why it is not trusted, in the words of whoever checked; empty where it is.
    trust_problem: str

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
    #: Every byte of the file is covered by its last signature or time-stamp, evidence apart.
    whole: bool
    #: The file with one increment that holds the empty field; `None` where none may be added.
    prepared: bytes | None
    why_not: WhyNot | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The field that is to be added to the first page: its name and size (mm), and the corners to try."""

    field: str
    width: float
    height: float
    margin: float
    corners: Sequence[str]


def examine(
    pdf: bytes,
    *,
    anchors: Sequence[bytes],
    chain: Sequence[bytes],
    wanted: Wanted | None,
    cost: Cost | None = None,
) -> Examined:
    """
    Return what may be said of a signed file from somewhere else, and the file with room for one more signature.

    `anchors` and `chain` (DER) are those that other agencies' certificates must lead to. Without `wanted` no
    room is looked for. Hostile and damaged files are `unreadable`, with the reason. Pure: the same file gives
    the same answer. Raises `Unavailable` when no child can be started, `Broken` when it fails for a reason that
    is not the file's.
    """
    header = {
        "bytes": len(pdf),
        "anchors": [base64.b64encode(one).decode() for one in anchors],
        "chain": [base64.b64encode(one).decode() for one in chain],
        "wanted": asdict(wanted) if wanted is not None else None,
    }
    limits = cost or Cost(output_bytes=2 * len(pdf) + 10_000_000)
    try:
        with asking(_CHILD, header, [pdf], cost=limits) as answer:
            return _read(pdf, answer)
    except TooCostly as error:
        return _unreadable(f"reading it {error}")


def _unreadable(why: str) -> Examined:
    """Return what is known of a file that cannot be judged."""
    return Examined(unreadable=why, signatures=(), whole=False, prepared=None, why_not=None)


def _read(pdf: bytes, answer: IO[bytes]) -> Examined:
    """Turn the child's answer into values; the child is not trusted to be sane."""
    try:
        said: Mapping[str, Any] = json.loads(answer.readline(_LONGEST))
        if said["unreadable"]:
            return _unreadable(str(said["unreadable"])[:300])
        signatures = tuple(ForeignSignature(**one) for one in said["signatures"])
        prepared = answer.read() if said["why_not"] is None else None
        if prepared is not None and (not prepared.startswith(pdf) or len(prepared) == len(pdf)):
            raise ValueError("the prepared file does not begin with the one that came")
        if said["why_not"] is not None and said["why_not"] not in _REASONS:
            raise ValueError("an unknown reason")
        return Examined(
            unreadable="",
            signatures=signatures,
            whole=said["whole"] is True,
            prepared=prepared,
            why_not=said["why_not"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Broken("The reader of signed files gave an answer that makes no sense") from error
