"""
A folder of what somebody trusts: root certificates, and revocation lists that were fetched beforehand.

The files are the user's own and are believed to be what they are; nothing of the file under examination is
read here.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path

from asn1crypto import crl, ocsp, x509  # type: ignore[import-untyped]

from infra.errors import Forbidden

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s(.*?)-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Anchors and answers about revocation, all DER."""

    anchors: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()


def read_folder(folder: Path) -> Folder:
    """
    Return what lies in a folder: `.pem`, `.crt`, `.cer`, `.der` are certificates, `.crl` lists, `.ocsp` answers.

    Certificates and lists are in PEM or DER, several in a PEM file if need be; other files are passed over.
    Raises `Forbidden` for a folder that is not there, and for a file that does not hold what its name says.
    """
    if not folder.is_dir():
        raise Forbidden(
            f"{folder} is not a folder.",
            rule="VERIFY-01",
            way_out="Name the folder of root certificates (.pem, .crt, .cer) that you trust with --anchors.",
        )
    anchors: list[bytes] = []
    crls: list[bytes] = []
    ocsps: list[bytes] = []
    for path in sorted(folder.iterdir()):
        kind = path.suffix.lower()
        if kind in (".pem", ".crt", ".cer", ".der"):
            anchors += _checked(path, x509.Certificate, "certificate")
        elif kind == ".crl":
            crls += _checked(path, crl.CertificateList, "revocation list")
        elif kind == ".ocsp":
            ocsps += _checked(path, ocsp.OCSPResponse, "OCSP answer")
    return Folder(anchors=tuple(anchors), crls=tuple(crls), ocsps=tuple(ocsps))


def _checked(path: Path, kind: type[x509.Certificate], what: str) -> list[bytes]:
    """Return the items of a file, each parsed once to see that it can be."""
    content = path.read_bytes()
    items = [b64decode(body) for _, body in _PEM.findall(content)] or [content]
    for item in items:
        try:
            kind.load(item, strict=True).native  # noqa: B018  The library reads late.
        except (ValueError, TypeError, KeyError) as error:
            raise Forbidden(
                f"{path} holds no {what}.",
                rule="VERIFY-01",
                way_out="Take it out of the folder, or put the right file in its place.",
            ) from error
    return items
