"""
The certification authorities of one stack: a root, an issuing authority below it, two time-stamping authorities.

Their certificates name where revocation is asked about by host names that exist nowhere (RFC 6761 keeps
`example` free). The settings send those names to the stack's own server, as an office's settings send the
internal names that real certificates carry to addresses that it can reach (PKI-03).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from infra.errors import Broken
from infra.stack.certificates import Authority, certify, type_of_key, write_certificate, write_key

#: The hosts that certificates of a stack name for revocation.
OCSP_HOST, CRL_HOST = "ocsp.ca.example", "crl.ca.example"
#: The time-stamping authorities of a stack.
TIMESTAMPERS = ("primary", "secondary")

_AUTHORITY_DAYS, _SERVICE_DAYS = 3650, 1825

Extensions = list[tuple[x509.ExtensionType, bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Where authorities lie: the folder of certificates and what is served, and that of secrets."""

    pki: Path
    secrets: Path

    @property
    def served(self) -> Path:
        """The folder of the stack's revocation and time-stamping server."""
        return self.pki / "served"


def issuing_authority(keeping: Keeping) -> Authority:
    """Return the test authority that issues to people, made with all others the first time."""
    key_file = keeping.secrets / "ca_issuing.pem"
    name = authority_name("Issuing authority of a test, for no real document")
    if not key_file.exists():
        _make(keeping, name)
    kept = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    if not isinstance(kept, rsa.RSAPrivateKey):
        raise Broken(f"{key_file} holds no RSA key")
    return Authority(name=name, key=kept)


def _make(keeping: Keeping, issuing_name: x509.Name) -> None:
    """Make the authorities; the issuing key comes last, because its being there says that all others are."""
    root = Authority(
        name=authority_name("Root authority of a test, for no real document"), key=_authority_key()
    )
    key = _authority_key()
    for folder in ("anchors", "chain", "served"):
        (keeping.pki / folder).mkdir(mode=0o700, exist_ok=True)
    own = _authority(root.name, root.key, by=root, below=1, label=None)
    below = _authority(issuing_name, key, by=root, below=0, label="root")
    write_certificate(keeping.pki / "anchors" / "root.pem", own)
    write_certificate(keeping.pki / "chain" / "issuing.pem", below)
    serve_issuer(keeping.served, "root", own, root.key)
    serve_issuer(keeping.served, "issuing", below, key)
    for name in TIMESTAMPERS:
        _make_timestamper(keeping.served, name, root)
    write_key(keeping.secrets / "ca_root.pem", root.key)
    write_key(keeping.secrets / "ca_issuing.pem", key)


def serve_issuer(served: Path, label: str, certificate: x509.Certificate, key: Any) -> None:
    """Let the stack answer for an issuer, under `label`, by an OCSP responder of its own (RFC 6960 §4.2.2.2)."""
    folder = served / "issuers" / label
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    responder = ec.generate_private_key(ec.SECP256R1())
    extensions: Extensions = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage("digital_signature"), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False),
        (x509.OCSPNoCheck(), False),
    ]
    made = certify(
        authority_name(f"OCSP responder of {label}"),
        responder.public_key(),
        by=Authority(name=certificate.subject, key=key),
        days=_SERVICE_DAYS,
        extensions=extensions,
    )
    write_key(folder / "key.pem", key)
    write_key(folder / "responder_key.pem", responder)
    write_certificate(folder / "responder.pem", made)
    write_certificate(folder / "certificate.pem", certificate)  # last: the server takes it for complete


def sources(label: str) -> Extensions:
    """Return what says in a certificate where its issuer's OCSP responder and CRL are."""
    ocsp = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP,
        x509.UniformResourceIdentifier(f"http://{OCSP_HOST}/{label}"),
    )
    return [(x509.AuthorityInformationAccess([ocsp]), False), *_crl_source(label)]


def _crl_source(label: str) -> Extensions:
    """Return what says where an issuer's CRL is; authorities and their services are asked about there only."""
    full_name = [x509.UniformResourceIdentifier(f"http://{CRL_HOST}/{label}.crl")]
    point = x509.DistributionPoint(full_name=full_name, relative_name=None, reasons=None, crl_issuer=None)
    return [(x509.CRLDistributionPoints([point]), False)]


def _make_timestamper(served: Path, name: str, root: Authority) -> None:
    """Make one time-stamping authority; RFC 3161 §2.3 wants its one purpose, marked critical."""
    folder = served / "tsa" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    extensions: Extensions = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage("digital_signature"), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True),
        *_crl_source("root"),
    ]
    subject = authority_name(f"Time-stamping authority of a test, {name}")
    write_key(folder / "key.pem", key)
    write_certificate(
        folder / "certificate.pem",
        certify(subject, key.public_key(), by=root, days=_SERVICE_DAYS, extensions=extensions),
    )


def _authority(
    name: x509.Name, key: type_of_key, *, by: Authority, below: int, label: str | None
) -> x509.Certificate:
    """Return an authority's certificate; `below` is how many authorities may stand under it."""
    extensions: Extensions = [
        (x509.BasicConstraints(ca=True, path_length=below), True),
        (usage("key_cert_sign", "crl_sign"), True),
        *(_crl_source(label) if label else ()),
    ]
    return certify(name, key.public_key(), by=by, days=_AUTHORITY_DAYS, extensions=extensions)


def _authority_key() -> rsa.RSAPrivateKey:
    """Return a new key for an authority."""
    return rsa.generate_private_key(public_exponent=65537, key_size=3072)


def authority_name(name: str) -> x509.Name:
    """Return the name of an authority of a stack."""
    return distinguished_name(
        {NameOID.COUNTRY_NAME: "VN", NameOID.ORGANIZATION_NAME: "hoso", NameOID.COMMON_NAME: name}
    )


def distinguished_name(parts: dict[x509.ObjectIdentifier, str]) -> x509.Name:
    """Return a distinguished name."""
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts.items()])


_USAGES: Sequence[str] = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def usage(*wanted: str) -> x509.KeyUsage:
    """Return a key usage extension with these bits and no others."""
    return x509.KeyUsage(**{name: name in wanted for name in _USAGES})
