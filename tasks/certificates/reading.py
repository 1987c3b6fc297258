"""What an X.509 certificate says, as values that rules can look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from infra.errors import Forbidden

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)

#: The names by which policies call subject attributes (RFC 4519 §2, in snake case); another keeps its OID.
_ATTRIBUTES = {
    "2.5.4.3": "common_name",
    "2.5.4.5": "serial_number",
    "2.5.4.7": "locality_name",
    "2.5.4.8": "state_or_province_name",
    "2.5.4.10": "organization_name",
    "2.5.4.11": "organizational_unit_name",
    "2.5.4.12": "title",
    "2.5.4.97": "organization_identifier",
    "0.9.2342.19200300.100.1.1": "user_id",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """One certificate: its names, its key, what it may be used for, and when."""

    der: bytes
    sha256: str
    serial: str  # hexadecimal
    subject: Mapping[str, tuple[str, ...]]
    subject_text: str  # RFC 4514
    issuer_text: str
    not_before: datetime
    not_after: datetime
    rsa_bits: int | None  # None: another kind of key
    hash_name: str
    usages: frozenset[str]
    purposes: frozenset[str] | None  # None: it names none
    is_authority: bool

    @property
    def years(self) -> float:
        """How long it is valid, in years of 365.25 days."""
        return (self.not_after - self.not_before).total_seconds() / (365.25 * 86400)


def read_certificate(content: bytes) -> CertificateFacts:
    """Return what one certificate says (PEM or DER); refuses a file that holds none, or more than one."""
    try:
        if b"-----BEGIN" in content:
            found = x509.load_pem_x509_certificates(content)
        else:
            found = [x509.load_der_x509_certificate(content)]
        if len(found) != 1:
            raise ValueError
        return _facts(found[0])
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise Forbidden(
            "the file does not hold exactly one readable certificate (X.509, PEM or DER).",
            rule="CER-10",
            way_out="Give the certificate of the holder alone, without those of the authorities.",
        ) from error


def _facts(found: x509.Certificate) -> CertificateFacts:
    """Return what a parsed certificate says."""
    der = found.public_bytes(Encoding.DER)
    key = found.public_key()
    hash_algorithm = found.signature_hash_algorithm
    return CertificateFacts(
        der=der,
        sha256=sha256(der).hexdigest(),
        serial=f"{found.serial_number:x}",
        subject=_subject(found.subject),
        subject_text=found.subject.rfc4514_string(),
        issuer_text=found.issuer.rfc4514_string(),
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        rsa_bits=key.key_size if isinstance(key, RSAPublicKey) else None,
        hash_name=hash_algorithm.name if hash_algorithm else "",
        usages=_usages(found),
        purposes=_purposes(found),
        is_authority=_is_authority(found),
    )


def _subject(name: x509.Name) -> dict[str, tuple[str, ...]]:
    """Return a subject by the names of its attributes."""
    found: dict[str, tuple[str, ...]] = {}
    for attribute in name:
        key = _ATTRIBUTES.get(attribute.oid.dotted_string, attribute.oid.dotted_string)
        value = attribute.value if isinstance(attribute.value, str) else attribute.value.hex()
        found[key] = (*found.get(key, ()), value)
    return found


def _usages(found: x509.Certificate) -> frozenset[str]:
    """Return the key usages; none where the extension is missing."""
    try:
        usage = found.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(name for name in _USAGES if getattr(usage, name))


def _purposes(found: x509.Certificate) -> frozenset[str] | None:
    """Return the extended key usages as OIDs, or `None` where the certificate names none."""
    try:
        purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None
    return frozenset(oid.dotted_string for oid in purposes)


def _is_authority(found: x509.Certificate) -> bool:
    """Whether the certificate may issue others."""
    try:
        return found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
