"""
Whether a certificate has been revoked, as its issuer says now, and the proof of the answer.

The proof (an OCSP response or a CRL) is what a document carries so that it can still be checked when
nobody answers any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from infra.errors import Forbidden, Unavailable


class NoRevocationAnswer(Unavailable):
    """No authority gave an answer that can be believed; what needs one waits."""


class Revoked(Forbidden):
    """The issuer has revoked the certificate, or does not know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationAnswer:
    """What an issuer says of one certificate, checked: it comes from that issuer, is about it, and is fresh."""

    certificate: bytes  # DER
    kind: Literal["ocsp", "crl"]
    proof: bytes  # DER of the OCSP response (RFC 6960) or of the CRL (RFC 5280)
    status: Literal["good", "revoked", "unknown"]
    this_update: datetime
    #: Until when the issuer expects nothing new; `None`: it did not say.
    next_update: datetime | None
    revoked_at: datetime | None = None
    reason: str = ""
    #: The certificates (DER) that came with an OCSP response: those of its responder.
    responders: tuple[bytes, ...] = ()


class Revocation(Protocol):
    """Asks issuers about certificates."""

    def ask(self, certificate: bytes, *, issuer: bytes, at: datetime) -> RevocationAnswer | None:
        """
        Return what the issuer says of a certificate (both DER), as of the moment `at` (aware).

        An answer is kept for a short time, so that a batch asks once a certificate. `None` means that the
        certificate names nowhere to ask. An answer may say *revoked* or *unknown*; whether that is a
        refusal is the caller's affair. Raises `NoRevocationAnswer` when nobody answered, or what came
        is late, not about this certificate, or not signed by who may answer.
        """
        ...

    def kept(self, at: datetime) -> Sequence[RevocationAnswer]:
        """Return the answers that would be given again at that moment, the youngest few dozen; nobody is asked."""
        ...

    def forget(self) -> None:
        """Ask anew for everything from now on."""
        ...
