"""Certificates of authorities that exist for one stack only, in one way for all who need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from infra.clock import SystemClock
from infra.stack.layout import write_private

type_of_key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
type_of_public_key = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Somebody who signs certificates."""

    name: x509.Name
    key: type_of_key


def certify(
    subject: x509.Name,
    public_key: type_of_public_key,
    *,
    by: Authority,
    days: int,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    """
    Return a certificate (RFC 5280) for a key, valid from yesterday for `days`, signed with SHA-256.

    `extensions` are (extension, critical) pairs; the key identifiers are added. The serial number is random.
    """
    now = SystemClock().now().replace(microsecond=0)
    authority_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
    builder = (
        x509.CertificateBuilder()
        .issuer_name(by.name)
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(authority_key_id, critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(by.key, hashes.SHA256())


def write_certificate(path: Path, certificate: x509.Certificate) -> None:
    """Write a certificate as PEM."""
    write_private(path, certificate.public_bytes(serialization.Encoding.PEM))


def write_key(path: Path, key: type_of_key) -> None:
    """Write a private key as PEM (PKCS #8), for its owner only."""
    plain = serialization.NoEncryption()
    write_private(
        path,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
    )
