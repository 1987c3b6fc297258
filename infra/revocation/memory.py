"""An issuer in this process's memory: the double of `infra.revocation.http`, for tests and trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from infra.revocation import NoRevocationAnswer, RevocationAnswer
from infra.revocation.reading import read_ocsp


@dataclass(slots=True, kw_only=True)
class MemoryRevocation:
    """
    Answers by OCSP for every issuer whose key it was given; the issuer signs the answers itself.

    `revoked` says since when, by serial number; `away` lets it give no answer, as a responder that is down.
    """

    keys: dict[bytes, rsa.RSAPrivateKey] = field(default_factory=dict, repr=False)  # by issuer certificate
    revoked: dict[int, datetime] = field(default_factory=dict)
    away: bool = False
    asked: int = 0  # how many answers were made

    def ask(self, certificate: bytes, *, issuer: bytes, at: datetime) -> RevocationAnswer | None:
        """See `Revocation.ask`; `None` for an issuer that it knows nothing of."""
        key = self.keys.get(issuer)
        if key is None:
            return None
        if self.away:
            raise NoRevocationAnswer("the responder is away")
        self.asked += 1
        found, above = (x509.load_der_x509_certificate(one) for one in (certificate, issuer))
        moment = at.astimezone(UTC).replace(microsecond=0)
        since = self.revoked.get(found.serial_number)
        status = ocsp.OCSPCertStatus.GOOD if since is None else ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=found,
            issuer=above,
            algorithm=hashes.SHA1(),  # noqa: S303  A name, as in every OCSP answer.
            cert_status=status,
            this_update=moment,
            next_update=moment + timedelta(minutes=10),
            revocation_time=since,
            revocation_reason=None if since is None else x509.ReasonFlags.key_compromise,
        )
        made = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, above).sign(key, hashes.SHA256())
        return read_ocsp(made.public_bytes(Encoding.DER), certificate=certificate, issuer=issuer, at=at)

    def kept(self, at: datetime) -> Sequence[RevocationAnswer]:
        """See `Revocation.kept`: it keeps nothing."""
        return ()

    def forget(self) -> None:
        """Keep nothing: it keeps nothing anyway."""
