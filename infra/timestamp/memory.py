"""A time-stamping authority in this process's memory: the double of `infra.timestamp.http`, for tests and trials."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from asn1crypto import keys, tsp, x509  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper

from infra.pdf.trust import finish
from infra.timestamp import NoTimestamp, Timestamp
from infra.timestamp.reading import Question, read_answer


@dataclass(slots=True, kw_only=True)
class MemoryTimestamps:
    """An authority that is always there, until `away` is set; its time is the moment that it is asked for."""

    certificate: bytes  # DER, for time-stamps only
    key: rsa.RSAPrivateKey = field(repr=False)
    anchors: tuple[bytes, ...]
    chain: tuple[bytes, ...] = ()
    away: bool = False
    asked: int = 0  # how many time-stamps were asked for

    def stamp(self, digest: bytes, *, at: datetime) -> Timestamp:
        """See `Timestamps.stamp`."""
        self.asked += 1
        if self.away:
            raise NoTimestamp("no time-stamp: the authority is away")
        question = Question.about(digest)
        der = self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        stamper = DummyTimeStamper(
            tsa_cert=x509.Certificate.load(self.certificate),
            tsa_key=keys.PrivateKeyInfo.load(der),
            fixed_dt=at,
        )
        request = tsp.TimeStampReq.load(question.encode())
        answer = finish(stamper.async_request_tsa_response(request))
        return read_answer(
            bytes(answer.dump()), question, rank=0, anchors=self.anchors, chain=self.chain, at=at
        )

    def authorities(self, *, at: datetime) -> tuple[bytes, ...]:
        """See `Timestamps.authorities`; nothing has to be asked for."""
        return (self.certificate,)
