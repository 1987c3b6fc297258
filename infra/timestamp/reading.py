"""
Time-stamp requests, and answers that are believed only when everything in them is right (RFC 3161).

Pure: bytes in, a time-stamp or `NoTimestamp` out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from asn1crypto import algos, cms, core, tsp, x509  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from infra.certificates import holder_of, in_force, path_of, read_certificate
from infra.chance import random_bytes
from infra.timestamp import NoTimestamp, Timestamp

_SHA256_SIZE = 32  # bytes
_HASHES: dict[str, HashAlgorithm] = {"sha256": SHA256(), "sha384": SHA384(), "sha512": SHA512()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request: what is to be stamped, and the number that makes the answer its own."""

    digest: bytes  # SHA-256
    nonce: int
    policy: str | None

    @classmethod
    def about(cls, digest: bytes, policy: str | None = None) -> Question:
        """Return a request with a fresh nonce of 64 bits."""
        assert len(digest) == _SHA256_SIZE
        # The highest bit but one is set, so that all requests and answers have one size.
        nonce = int.from_bytes(random_bytes(8), "big") >> 2 | 1 << 62
        return cls(digest=digest, nonce=nonce, policy=policy)

    def encode(self) -> bytes:
        """Return the request in DER; the authority's certificate is asked for."""
        imprint = {
            "hash_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
            "hashed_message": self.digest,
        }
        request: dict[str, Any] = {
            "version": 1,
            "message_imprint": tsp.MessageImprint(imprint),
            "nonce": core.Integer(self.nonce),
            "cert_req": True,
        }
        if self.policy:
            request["req_policy"] = tsp.ObjectIdentifier(self.policy)
        return bytes(tsp.TimeStampReq(request).dump())


class _Answer(core.Sequence):  # type: ignore[misc]
    """A TimeStampResp; asn1crypto's own cannot be read when the token is left out, as a refusal leaves it."""

    _fields: ClassVar = [
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]


def read_answer(
    body: bytes,
    question: Question,
    *,
    rank: int,
    anchors: Sequence[bytes],
    chain: Sequence[bytes],
    at: datetime,
) -> Timestamp:
    """
    Return the time-stamp of an answer.

    Raises `NoTimestamp` with the first thing that is wrong: not granted, another nonce, digest, policy or
    algorithm, a certificate whose only purpose, marked critical, is not time-stamping (§2.3), no path to
    an anchor at `at`, a signature that does not verify.
    """
    try:
        token = _granted(_Answer.load(body, strict=True))
        info = token["content"]["encap_content_info"]["content"].parsed
        _must_fit(info, question)
        certificate = signer_of(token)
        _must_be_for_time_stamps(certificate)
        _must_verify(token, certificate, anchors, chain, at)
        moment = info["gen_time"].native
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise NoTimestamp(f"the authority's answer cannot be read ({type(error).__name__})") from error
    return Timestamp(
        token=bytes(token.dump()),
        time=moment.astimezone(UTC),
        authority=holder_of(bytes(certificate.dump())),
        rank=rank,
        certificate=bytes(certificate.dump()),
    )


def _granted(response: _Answer) -> cms.ContentInfo:
    """Return the token of an answer that grants one."""
    status = response["status"]
    if status["status"].native not in ("granted", "granted_with_mods"):
        said = status["status_string"].native or [status["status"].native]
        raise NoTimestamp(f"the authority refused: {said[0]}")
    return response["time_stamp_token"]


def _must_fit(info: tsp.TSTInfo, question: Question) -> None:
    """Raise `NoTimestamp` unless the token answers just this request."""
    imprint = info["message_imprint"]
    if imprint["hash_algorithm"]["algorithm"].native != "sha256":
        raise NoTimestamp("the time-stamp is over another kind of hash than was sent")
    if imprint["hashed_message"].native != question.digest:
        raise NoTimestamp("the time-stamp is over another hash than was sent")
    if info["nonce"].native != question.nonce:
        raise NoTimestamp("the time-stamp answers another request")
    if question.policy and info["policy"].dotted != question.policy:
        raise NoTimestamp("the time-stamp was made under another policy")


def signer_of(token: cms.ContentInfo) -> x509.Certificate:
    """Return the certificate, among those in a token, that its one signer names; raises `NoTimestamp`."""
    data = token["content"]
    (signer,) = data["signer_infos"]
    wanted = signer["sid"].chosen
    for choice in data["certificates"] or ():
        found = choice.chosen
        if isinstance(wanted, cms.IssuerAndSerialNumber):
            same = (found.issuer, found.serial_number) == (wanted["issuer"], wanted["serial_number"].native)
        else:
            same = found.key_identifier == wanted.native
        if same:
            return found
    raise NoTimestamp("the time-stamp does not bring its authority's certificate")


def _must_be_for_time_stamps(certificate: x509.Certificate) -> None:
    """Raise `NoTimestamp` unless time-stamping is the certificate's only purpose, and that is critical."""
    usage = certificate.extended_key_usage_value
    critical = "extended_key_usage" in certificate.critical_extensions
    if usage is None or usage.native != ["time_stamping"] or not critical:
        raise NoTimestamp("the time-stamp was made with a certificate that is not for time-stamps")


def _must_verify(
    token: cms.ContentInfo,
    certificate: x509.Certificate,
    anchors: Sequence[bytes],
    chain: Sequence[bytes],
    at: datetime,
) -> None:
    """Raise `NoTimestamp` unless the signature verifies and the certificate leads to an anchor in force at `at`."""
    data = token["content"]
    (signer,) = data["signer_infos"]
    attributes = {one["type"].native: one["values"] for one in signer["signed_attrs"]}
    hashed = hashlib.new(
        signer["digest_algorithm"]["algorithm"].native, bytes(data["encap_content_info"]["content"])
    )
    fitting = (
        hashed.digest_size >= _SHA256_SIZE
        and attributes["message_digest"][0].native == hashed.digest()
        and attributes["content_type"][0].native == "tst_info"
        and _names(attributes, certificate)
    )
    if not fitting or not _is_signed(signer, certificate):
        raise NoTimestamp("the time-stamp's signature does not verify")
    brought = [bytes(one.chosen.dump()) for one in data["certificates"]]
    path = path_of(bytes(certificate.dump()), known=[*chain, *brought], anchors=anchors)
    if path is None or not in_force(path, at):
        raise NoTimestamp("the time-stamp comes from an authority that is not trusted here")


def _names(attributes: dict[str, Any], certificate: x509.Certificate) -> bool:
    """Say whether the signed attributes name the certificate that verifies them (RFC 3161 §2.4.2, RFC 5816)."""
    der = certificate.dump()
    if "signing_certificate_v2" in attributes:
        first = attributes["signing_certificate_v2"][0]["certs"][0]
        name = first["hash_algorithm"]["algorithm"].native
        return bool(first["cert_hash"].native == hashlib.new(name, der).digest())
    if "signing_certificate" in attributes:
        # The attribute's first form knows SHA-1 only; here it names a certificate, and proves nothing.
        first = attributes["signing_certificate"][0]["certs"][0]
        return bool(first["cert_hash"].native == hashlib.sha1(der).digest())  # noqa: S324
    return False


def _is_signed(signer: cms.SignerInfo, certificate: x509.Certificate) -> bool:
    """Say whether the certificate's key signed the attributes (RFC 5652 §5.4)."""
    content = signer["signed_attrs"].untag().dump()
    digest = _HASHES.get(signer["digest_algorithm"]["algorithm"].native)
    kind = signer["signature_algorithm"].signature_algo
    key = read_certificate(bytes(certificate.dump())).public_key()
    signature = signer["signature"].native
    if digest is None:
        return False
    try:
        if isinstance(key, rsa.RSAPublicKey) and kind == "rsassa_pkcs1v15":
            key.verify(signature, content, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and kind == "ecdsa":
            key.verify(signature, content, ec.ECDSA(digest))
        else:
            return False
    except InvalidSignature:
        return False
    return True
