"""
Whether certificates are in force now, as their issuers say: asked before a token is touched.

The network is asked outside of any transaction, so a slow responder holds up nobody else; what is found
is a refusal that the caller raises, and writes down, where it decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from infra.certificates import path_of
from infra.errors import Forbidden
from infra.pdf.evidence import must_be_good
from infra.pdf.trust import parsed
from infra.services import services


def doubt_about(certificates: Iterable[bytes]) -> Forbidden | None:
    """
    Return why one of these certificates (DER), or one above it, may not be relied on now; `None`: nothing is known.

    A certificate that leads to no anchor is passed over: whoever checks it refuses it for that. Raises
    `NoRevocationAnswer` when nobody answers: then it is not known, and nothing is signed (PKI-05).
    """
    try:
        for certificate in certificates:
            _ask_about(certificate)
    except Forbidden as error:
        return error
    return None


def _ask_about(certificate: bytes) -> None:
    """Raise `Forbidden` when a certificate of this path is revoked, unknown, or cannot be asked about."""
    parts = services()
    # Another agency's signer is asked about as well, before our signature joins theirs.
    known, anchors = (*parts.chain, *parts.foreign_chain), (*parts.anchors, *parts.foreign_anchors)
    path = path_of(certificate, known=known, anchors=anchors)
    moment = parts.clock.now()
    for one, issuer in pairwise(path or ()):
        answer = parts.revocation.ask(one, issuer=issuer, at=moment)
        if answer is not None:
            must_be_good(answer)
        elif parts.settings.revocation_policy == "require":
            raise Forbidden(
                f"the certificate {parsed(one).serial_number:x} names nobody who could say whether it is revoked.",
                rule="PKI-05",
                way_out="Use a certificate that names an OCSP responder or a CRL.",
            )
