"""
The proofs in a document that no certificate of a path was revoked.

The proofs lie in the document's security store (the DSS of ISO 32000-2 §12.8.4.3), as they were in one of its
revisions: what a later revision added is not covered by an earlier time-stamp.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal

from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.rw_common import PdfHandler
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import NoDSSFoundError, ValidationInfoReadingError

from infra.certificates import is_never_asked_about
from infra.revocation import NoRevocationAnswer, RevocationAnswer
from infra.revocation.reading import read_crl, read_ocsp


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


def stored_proofs(pdf: bytes) -> Store:
    """Return what the newest security store of a file holds; an empty one for a file that has none."""
    return Store.of(PdfFileReader(io.BytesIO(pdf)))


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
