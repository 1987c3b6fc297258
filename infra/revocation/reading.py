"""
What an OCSP response or a CRL says, once it is sure that it may say it.

Pure: bytes in, an answer or `NoRevocationAnswer` out. An answer that cannot be believed is no answer.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from asn1crypto.keys import PublicKeyInfo  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from infra.revocation import NoRevocationAnswer, RevocationAnswer

#: Clocks of two authorities may differ so much.
_TOLERANCE = timedelta(minutes=5)
#: An answer that does not say when the next one comes is believed for so long.
_UNSAID = timedelta(days=1)

_STATUS = {
    ocsp.OCSPCertStatus.GOOD: "good",
    ocsp.OCSPCertStatus.REVOKED: "revoked",
    ocsp.OCSPCertStatus.UNKNOWN: "unknown",
}


def sources_of(certificate: bytes) -> tuple[list[str], list[str]]:
    """Return the addresses that a certificate (DER) names for OCSP and for CRLs, in its order."""
    found = x509.load_der_x509_certificate(certificate)
    responders, lists = [], []
    try:
        access = found.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        responders = [
            one.access_location.value
            for one in access
            if one.access_method == AuthorityInformationAccessOID.OCSP
            and isinstance(one.access_location, x509.UniformResourceIdentifier)
        ]
    except x509.ExtensionNotFound:
        pass
    try:
        points = found.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        names = [name for point in points for name in point.full_name or ()]
        lists = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    except x509.ExtensionNotFound:
        pass
    return responders, lists


def ocsp_request(certificate: bytes, issuer: bytes) -> bytes:
    """Return the OCSP request about one certificate, its issuer named by SHA-1 hashes as every responder knows them."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        x509.load_der_x509_certificate(certificate),
        x509.load_der_x509_certificate(issuer),
        SHA1(),  # noqa: S303  A name, not a proof (RFC 6960 §4.1.1); responders need not know others.
    )
    return builder.build().public_bytes(Encoding.DER)


def read_ocsp(proof: bytes, *, certificate: bytes, issuer: bytes, at: datetime | None) -> RevocationAnswer:
    """
    Return what an OCSP response says of a certificate at a moment.

    `at` may be left out (`None`): then it is read as of its own moment, as a proof that was kept.
    Raises `NoRevocationAnswer` unless it is successful, about this certificate of this issuer, in force at
    `at`, and signed by the issuer or by a responder that it has authorised (RFC 6960 §4.2.2.2).
    """
    try:
        response = ocsp.load_der_ocsp_response(proof)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise NoRevocationAnswer(f"the OCSP responder says {response.response_status.name.lower()}")
        above = x509.load_der_x509_certificate(issuer)
        single = _about(response, x509.load_der_x509_certificate(certificate), above)
        moment = at or single.this_update_utc
        _must_be_fresh(single.this_update_utc, single.next_update_utc, moment, "the OCSP response")
        responder = _responder(response, above, moment)
        _must_verify(
            responder.public_key(),
            response.signature,
            response.tbs_response_bytes,
            response.signature_hash_algorithm,
        )
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NoRevocationAnswer("the OCSP response cannot be read") from error
    except InvalidSignature as error:
        raise NoRevocationAnswer("the OCSP response is not signed by who may answer") from error
    revoked = single.certificate_status is ocsp.OCSPCertStatus.REVOKED
    reason = single.revocation_reason.name if revoked and single.revocation_reason else ""
    return RevocationAnswer(
        certificate=certificate,
        kind="ocsp",
        proof=proof,
        status=_STATUS[single.certificate_status],  # type: ignore[arg-type]
        this_update=single.this_update_utc,
        next_update=single.next_update_utc,
        revoked_at=single.revocation_time_utc if revoked else None,
        reason=reason,
        responders=tuple(one.public_bytes(Encoding.DER) for one in response.certificates),
    )


def _about(
    response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate
) -> ocsp.OCSPSingleResponse:
    """Return the part of a response that is about a certificate of this issuer."""
    key = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bits = _bit_string(key)
    for single in response.responses:
        name_hash = _digest(single.hash_algorithm, issuer.subject.public_bytes())
        key_hash = _digest(single.hash_algorithm, bits)
        if (single.serial_number, single.issuer_name_hash, single.issuer_key_hash) == (
            certificate.serial_number,
            name_hash,
            key_hash,
        ):
            return single
    raise NoRevocationAnswer("the OCSP response is about another certificate")


def _bit_string(spki: bytes) -> bytes:
    """Return the key bits of a SubjectPublicKeyInfo, which OCSP hashes without tag and length."""
    return bytes(PublicKeyInfo.load(spki)["public_key"].contents[1:])


def _digest(algorithm: HashAlgorithm, content: bytes) -> bytes:
    """Hash as the responder chose to."""
    hashed = Hash(algorithm)
    hashed.update(content)
    return hashed.finalize()


def _responder(response: ocsp.OCSPResponse, issuer: x509.Certificate, at: datetime) -> x509.Certificate:
    """Return who signed a response: the issuer itself, or whom the issuer certified for just this."""
    for candidate in response.certificates:
        if not _is_named(response, candidate) or candidate == issuer:
            continue
        try:
            candidate.verify_directly_issued_by(issuer)
            usage = candidate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            continue
        in_force = candidate.not_valid_before_utc <= at <= candidate.not_valid_after_utc
        if ExtendedKeyUsageOID.OCSP_SIGNING in usage and in_force:
            return candidate
    if _is_named(response, issuer):
        return issuer
    raise NoRevocationAnswer("the OCSP response comes from somebody who may not answer for the issuer")


def _is_named(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    """Say whether a response names this certificate's holder as its responder."""
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return response.responder_key_hash == _digest(SHA1(), _bit_string(key))  # noqa: S303  RFC 6960 §4.2.1


def read_crl(proof: bytes, *, certificate: bytes, issuer: bytes, at: datetime | None) -> RevocationAnswer:
    """
    Return what a CRL says of a certificate at a moment, or (`None`) at its own.

    Raises `NoRevocationAnswer` unless it is the issuer's own, complete, signed by it, and in force at `at`
    (RFC 5280 §6.3.3). Delta, indirect and partial lists are not understood and not believed.
    """
    try:
        found = x509.load_der_x509_crl(proof)
        above = x509.load_der_x509_certificate(issuer)
        if found.issuer != above.subject or not _is_complete(found):
            raise NoRevocationAnswer("the CRL is not the issuer's whole list")
        _must_be_fresh(found.last_update_utc, found.next_update_utc, at or found.last_update_utc, "the CRL")
        if not found.is_signature_valid(above.public_key()):  # type: ignore[arg-type]
            raise NoRevocationAnswer("the CRL is not signed by the issuer")
        serial = x509.load_der_x509_certificate(certificate).serial_number
        entry = found.get_revoked_certificate_by_serial_number(serial)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise NoRevocationAnswer("the CRL cannot be read") from error
    reason = ""
    if entry is not None:
        try:
            reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.name
        except x509.ExtensionNotFound:
            reason = ""
    return RevocationAnswer(
        certificate=certificate,
        kind="crl",
        proof=proof,
        status="good" if entry is None else "revoked",
        this_update=found.last_update_utc,
        next_update=found.next_update_utc,
        revoked_at=entry.revocation_date_utc if entry is not None else None,
        reason=reason,
    )


def _is_complete(found: x509.CertificateRevocationList) -> bool:
    """Say whether a CRL has no critical extension, by which its scope would be narrowed."""
    return not any(extension.critical for extension in found.extensions)


def _must_be_fresh(began: datetime, ends: datetime | None, at: datetime, what: str) -> None:
    """Raise `NoRevocationAnswer` for an answer that is not yet or no longer in force."""
    if began > at + _TOLERANCE:
        raise NoRevocationAnswer(f"{what} is dated in the future")
    if (ends or began + _UNSAID) + _TOLERANCE < at:
        raise NoRevocationAnswer(f"{what} is out of date")


def _must_verify(key: object, signature: bytes, content: bytes, algorithm: HashAlgorithm | None) -> None:
    """Raise `InvalidSignature` unless the key made the signature; SHA-1 proves nothing any more (PKI-07)."""
    if algorithm is None or algorithm.digest_size < 32:
        raise NoRevocationAnswer("the OCSP response is signed with an algorithm that is not believed")
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, content, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, content, ec.ECDSA(algorithm))
    else:
        raise NoRevocationAnswer("the OCSP responder has a kind of key that is not known here")
