"""The states of a certificate and the only moves between them (CER-15)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from infra.errors import Forbidden


class CertificateState(StrEnum):
    """Where a certificate, or the request for one, stands; the value is the word of lists and of the history."""

    REQUESTED = "requested"  # asked of the provider
    REJECTED = "rejected"  # the provider, or the managing agency, said no
    ISSUED = "issued"  # the provider made it; the device is on its way
    HANDED_OVER = "handed-over"  # the holder has the device, by minutes
    ACTIVE = "active"  # signs
    SUSPENDED = "suspended"  # signs nothing until somebody decides
    RENEWED = "renewed"  # a newer one has taken over; signs to the end of the switch-over
    CHANGED = "changed"  # a newer one with other contents has taken over
    REVOKED = "revoked"  # not valid from a moment on
    EXPIRED = "expired"  # its validity is over


_S = CertificateState

#: What may follow what. A certificate that expired may still be found to have been revoked before (CER-08).
MOVES: Mapping[CertificateState, frozenset[CertificateState]] = {
    _S.REQUESTED: frozenset({_S.ISSUED, _S.REJECTED}),
    _S.REJECTED: frozenset(),
    _S.ISSUED: frozenset({_S.HANDED_OVER, _S.REVOKED, _S.EXPIRED}),
    _S.HANDED_OVER: frozenset({_S.ACTIVE, _S.REVOKED, _S.EXPIRED}),
    _S.ACTIVE: frozenset({_S.SUSPENDED, _S.RENEWED, _S.CHANGED, _S.REVOKED, _S.EXPIRED}),
    _S.SUSPENDED: frozenset({_S.ACTIVE, _S.RENEWED, _S.CHANGED, _S.REVOKED, _S.EXPIRED}),
    _S.RENEWED: frozenset({_S.REVOKED, _S.EXPIRED}),
    _S.CHANGED: frozenset({_S.REVOKED, _S.EXPIRED}),
    _S.REVOKED: frozenset(),
    _S.EXPIRED: frozenset({_S.REVOKED}),
}

#: States in which somebody has, or will have, a key that could sign.
LIVING: frozenset[CertificateState] = frozenset(
    {_S.ISSUED, _S.HANDED_OVER, _S.ACTIVE, _S.SUSPENDED, _S.RENEWED, _S.CHANGED}
)


def move(current: CertificateState, wanted: CertificateState) -> CertificateState:
    """
    Return `wanted` if a certificate in `current` may go there, and refuse otherwise.

    >>> move(CertificateState.HANDED_OVER, CertificateState.ACTIVE)
    <CertificateState.ACTIVE: 'active'>
    >>> move(CertificateState.ISSUED, CertificateState.ACTIVE)
    Traceback (most recent call last):
    infra.errors.Forbidden: the certificate is issued and cannot become active. [CER-15] …
    """
    if wanted in MOVES[current]:
        return wanted
    nexts = ", ".join(sorted(MOVES[current])) or "nothing more: its life has ended"
    raise Forbidden(
        f"the certificate is {current} and cannot become {wanted}.",
        rule="CER-15",
        way_out=f"From {current} it may become {nexts}.",
    )
