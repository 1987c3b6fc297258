"""Time-stamps: proof, by an authority, that bytes existed at a moment (RFC 3161)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from infra.errors import Unavailable


class NoTimestamp(Unavailable):
    """No time-stamping authority gave a time-stamp that can be believed; what needs one waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """One time-stamp, checked: over this digest, for this request, by an authority that leads to an anchor."""

    token: bytes  # DER of the CMS object (RFC 3161 §2.4.2)
    time: datetime  # aware, UTC
    authority: str  # common name in the authority's certificate
    #: Which of the configured authorities it was: 0 is the first; the second is asked when the first fails.
    rank: int
    certificate: bytes  # DER of the authority's certificate


class Timestamps(Protocol):
    """The configured time-stamping authorities, the preferred one first."""

    def stamp(self, digest: bytes, *, at: datetime) -> Timestamp:
        """
        Return a time-stamp over a SHA-256 digest; one request to the first authority that answers well.

        `at` (aware) is when the authorities' certificates must be in force. Each call may give another
        time-stamp; nothing is kept. Raises `NoTimestamp` when no authority gave a good one.
        """
        ...

    def authorities(self, *, at: datetime) -> tuple[bytes, ...]:
        """
        Return the certificates (DER) that are expected to stamp next, so that they can be asked about before.

        They are learnt from the answers; the first call in a process asks for one that is thrown away.
        Raises what `stamp` raises.
        """
        ...
