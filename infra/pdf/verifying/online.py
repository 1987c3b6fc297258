"""
Asking authorities about revocation, over the network (OCSP, RFC 6960; CRL, RFC 5280).

Only certificates that lead to an anchor of the user's are asked about, and only at the addresses that stand
in them, so that a forged file cannot send anybody anywhere. What cannot be fetched stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from infra.pdf.verifying import Asked
from infra.pdf.verifying.findings import Report

_SECONDS = 15.0
_LARGEST = 20_000_000  # bytes


def ask_authorities(reports: Iterable[Report]) -> Asked:
    """Return what the authorities answer about every certificate that the reports found to be trusted."""
    pairs = {pair for report in reports for chain in report.chains for pair in pairwise(chain)}
    crls: dict[str, bytes] = {}
    ocsps: list[bytes] = []
    with httpx.Client(timeout=_SECONDS, follow_redirects=False) as client:
        for issuer_text, text in sorted(pairs):
            issuer, one = (x509.load_der_x509_certificate(bytes.fromhex(t)) for t in (issuer_text, text))
            answer = next((a for url in _responders(one) if (a := _ask(client, url, one, issuer))), None)
            if answer is not None:
                ocsps.append(answer)
                continue
            for url in _lists(one):
                if url not in crls and (found := _fetch(client, "GET", url)):
                    crls[url] = _der(found)
    return Asked(crls=tuple(crls.values()), ocsps=tuple(ocsps))


def _responders(one: x509.Certificate) -> Iterator[str]:
    """Yield the addresses at which a certificate says that it may be asked about."""
    try:
        access = one.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return
    for each in access:
        if each.access_method == AuthorityInformationAccessOID.OCSP:
            yield from _address(each.access_location)


def _lists(one: x509.Certificate) -> Iterator[str]:
    """Yield the addresses of the lists that a certificate would be on."""
    try:
        points = one.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, ValueError):
        return
    for point in points:
        for name in point.full_name or ():
            yield from _address(name)


def _address(name: x509.GeneralName) -> Iterator[str]:
    """Yield a name if it is a web address."""
    if isinstance(name, x509.UniformResourceIdentifier) and urlsplit(name.value).scheme in ("http", "https"):
        yield name.value


def _ask(client: httpx.Client, url: str, one: x509.Certificate, issuer: x509.Certificate) -> bytes | None:
    """Return the answer of an OCSP responder, if it gave one."""
    # Responders know certificates by SHA-1 of their issuer (RFC 5019 §2.1.1); nothing secret hangs on it.
    request = ocsp.OCSPRequestBuilder().add_certificate(one, issuer, hashes.SHA1()).build()  # noqa: S303
    answer = _fetch(client, "POST", url, request.public_bytes(Encoding.DER), "application/ocsp-request")
    if answer is None:
        return None
    try:
        good = ocsp.load_der_ocsp_response(answer).response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    except ValueError:
        return None
    return answer if good else None


def _fetch(
    client: httpx.Client, method: str, url: str, content: bytes | None = None, kind: str = ""
) -> bytes | None:
    """Return what an address answers, or nothing if it does not answer as it should."""
    headers = {"Content-Type": kind} if kind else {}
    try:
        with client.stream(method, url, content=content, headers=headers) as response:
            if response.status_code != httpx.codes.OK:
                return None
            body = bytearray()
            for piece in response.iter_bytes():
                body += piece
                if len(body) > _LARGEST:
                    return None
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    return bytes(body)


def _der(content: bytes) -> bytes:
    """Return a list as DER; some authorities publish PEM."""
    if not content.startswith(b"-----"):
        return content
    return x509.load_pem_x509_crl(content).public_bytes(Encoding.DER)
