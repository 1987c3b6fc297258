"""
Certificates without any PDF: whose they are, how they lead to an anchor, until when they hold.

Pure, and light enough for every command. What pyHanko says of a path is asked besides, where a signature
is checked (`infra.pdf.trust`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from infra.errors import Broken

#: No chain of certificates is longer.
_LONGEST = 8


@lru_cache(maxsize=1024)
def read_certificate(certificate: bytes) -> x509.Certificate:
    """Return a certificate (DER) as the library reads it; raises `Broken` for one that cannot be read."""
    try:
        return x509.load_der_x509_certificate(certificate)
    except ValueError as error:
        raise Broken("A certificate cannot be read.") from error


@lru_cache(maxsize=1024)
def _issued(certificate: bytes, issuer: bytes) -> bool:
    """Say whether one certificate was signed with the other's key, by its name, as an authority may."""
    above = read_certificate(issuer)
    try:
        read_certificate(certificate).verify_directly_issued_by(above)
        constraints = above.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    try:
        usage = above.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return constraints.ca
    return constraints.ca and usage.key_cert_sign


def path_of(
    certificate: bytes, *, known: Collection[bytes], anchors: Collection[bytes]
) -> tuple[bytes, ...] | None:
    """Return a certificate and those above it, up to an anchor (all DER); `None` if no path leads there."""
    path = [certificate]
    while path[-1] not in anchors:
        last = read_certificate(path[-1])
        above = next(
            (
                one
                for one in (*anchors, *known)
                if one not in path and read_certificate(one).subject == last.issuer and _issued(path[-1], one)
            ),
            None,
        )
        if above is None or len(path) == _LONGEST:
            return None
        path.append(above)
    return tuple(path)


def in_force(path: Sequence[bytes], at: datetime) -> bool:
    """Say whether every certificate of a path is within its validity at a moment."""
    found = map(read_certificate, path)
    return all(one.not_valid_before_utc <= at <= one.not_valid_after_utc for one in found)


def ends_of(certificate: bytes) -> datetime:
    """Return the last moment of a certificate's validity."""
    return read_certificate(certificate).not_valid_after_utc


def holder_of(certificate: bytes) -> str:
    """Return the name that a certificate gives its holder."""
    subject = read_certificate(certificate).subject
    names = [*subject.get_attributes_for_oid(NameOID.COMMON_NAME), *subject]
    return str(names[0].value) if names else ""


def is_never_asked_about(certificate: bytes) -> bool:
    """Say whether an OCSP responder's certificate needs no proof of its own (RFC 6960 §4.2.2.2.1)."""
    try:
        read_certificate(certificate).extensions.get_extension_for_class(x509.OCSPNoCheck)
    except x509.ExtensionNotFound:
        return False
    return True
