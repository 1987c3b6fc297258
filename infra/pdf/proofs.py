"""
Paths of certificates to an anchor, and the proofs that none of them was revoked.

The proofs lie in the document's security store (the DSS of ISO 32000-2 §12.8.4.3), as they were in one of its
revisions: what a later revision added is not covered by an earlier time-stamp.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.rw_common import PdfHandler
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import NoDSSFoundError, ValidationInfoReadingError

from infra.revocation import NoRevocationAnswer, RevocationAnswer
from infra.revocation.reading import read_crl, read_ocsp

#: No chain of certificates is longer.
_LONGEST = 8


@lru_cache(maxsize=1024)
def _read(certificate: bytes) -> x509.Certificate:
    """Return a certificate (DER) as the library reads it."""
    return x509.load_der_x509_certificate(certificate)


@lru_cache(maxsize=1024)
def _issued(certificate: bytes, issuer: bytes) -> bool:
    """Say whether one certificate was signed with the other's key, by its name."""
    try:
        _read(certificate).verify_directly_issued_by(_read(issuer))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def path_of(
    certificate: bytes, *, known: Collection[bytes], anchors: Collection[bytes]
) -> tuple[bytes, ...] | None:
    """Return a certificate and those above it, up to an anchor (all DER); `None` if no path leads there."""
    path = [certificate]
    while path[-1] not in anchors:
        last = _read(path[-1])
        above = next(
            (
                one
                for one in (*anchors, *known)
                if one not in path and _read(one).subject == last.issuer and _issued(path[-1], one)
            ),
            None,
        )
        if above is None or len(path) == _LONGEST:
            return None
        path.append(above)
    return tuple(path)


def ends_of(certificate: bytes) -> datetime:
    """Return the last moment of a certificate's validity."""
    return _read(certificate).not_valid_after_utc


def is_never_asked_about(certificate: bytes) -> bool:
    """Say whether an OCSP responder's certificate needs no proof of its own (RFC 6960 §4.2.2.2.1)."""
    try:
        _read(certificate).extensions.get_extension_for_class(x509.OCSPNoCheck)
    except x509.ExtensionNotFound:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """What a document's security store holds in one revision, as DER."""

    present: bool
    certificates: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, revision: PdfHandler) -> Store:
        """Read the store of a document, or of one of its revisions."""
        try:
            found = DocumentSecurityStore.read_dss(revision)
        except (NoDSSFoundError, ValidationInfoReadingError):
            return cls(present=False)
        return cls(
            present=True,
            certificates=tuple(one.dump() for one in found.load_certs()),
            ocsps=tuple(ref.get_object().read_data(DecodePurpose.OCSP_RESPONSE) for ref in found.ocsps),
            crls=tuple(ref.get_object().read_data(DecodePurpose.CRL) for ref in found.crls),
        )

    def proof(self, certificate: bytes, issuer: bytes) -> RevocationAnswer | None:
        """Return the newest answer of the store about a certificate, if there is one that can be believed."""
        ways: list[tuple[Literal["ocsp", "crl"], Iterable[bytes]]] = [
            ("ocsp", self.ocsps),
            ("crl", self.crls),
        ]
        answers = []
        for kind, proofs in ways:
            for proof in proofs:
                answer = _answer(kind, proof, certificate, issuer)
                if answer is not None:
                    answers.append(answer)
        return max(answers, key=lambda one: one.this_update, default=None)

    def lacking(self, path: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        """Return (certificate, issuer) for each certificate of a path that nothing is proved about; not its anchor."""
        pairs = pairwise(path)
        return [pair for pair in pairs if not self.proves(*pair)]

    def proves(self, certificate: bytes, issuer: bytes, *, by: datetime | None = None) -> bool:
        """Say whether a certificate is proved to have been good, if need be only until the proven moment `by`."""
        answer = self.proof(certificate, issuer)
        if answer is None or answer.status == "unknown":
            return False
        if answer.status == "revoked" and (
            by is None or answer.revoked_at is None or answer.revoked_at <= by
        ):
            return False
        # The responder must be beyond doubt as well, or be excused from being asked about.
        return all(
            one == issuer or is_never_asked_about(one) or self.proof(one, issuer) is not None
            for one in answer.responders
        )


@lru_cache(maxsize=4096)
def _answer(
    kind: Literal["ocsp", "crl"], proof: bytes, certificate: bytes, issuer: bytes
) -> RevocationAnswer | None:
    """Read one proof as of its own moment; `None` if it says nothing about this certificate that can be believed."""
    read = read_ocsp if kind == "ocsp" else read_crl
    try:
        return read(proof, certificate=certificate, issuer=issuer, at=None)
    except NoRevocationAnswer:
        return None
