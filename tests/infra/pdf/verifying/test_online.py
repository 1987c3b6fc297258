"""Authorities are asked about trusted certificates only, and whatever they do not answer stays unknown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from infra.pdf.verifying.findings import Report
from infra.pdf.verifying.online import ask_authorities

NOW = datetime(2026, 11, 20, tzinfo=UTC)


class Responder:
    """An authority on this machine: a list, and answers about single certificates."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.asked: list[str] = []
        self.speaks_ocsp = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self._send(outer.crl() if self.path == "/crl" else None)

            def do_POST(self) -> None:
                outer.asked.append(self.path)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._send(outer.answer(body) if outer.speaks_ocsp else None)

            def _send(self, content: bytes | None) -> None:
                self.send_response(200 if content else 503)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.at = f"http://127.0.0.1:{self.server.server_port}"
        self.root = self.issue("Gốc", self.key, ca=True)
        self.one = self.issue("Người ký", rsa.generate_private_key(65537, 2048), ca=False)

    def issue(self, name: str, key: rsa.RSAPrivateKey, *, ca: bool) -> x509.Certificate:
        location = x509.UniformResourceIdentifier(f"{self.at}/ocsp")
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, location)
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(f"{self.at}/crl")], None, None, None)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gốc")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=100))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def crl(self) -> bytes:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.root.subject)
        made = builder.last_update(NOW).next_update(NOW + timedelta(days=1)).sign(self.key, hashes.SHA256())
        return made.public_bytes(Encoding.DER)

    def answer(self, request: bytes) -> bytes:
        assert ocsp.load_der_ocsp_request(request).serial_number == self.one.serial_number
        made = ocsp.OCSPResponseBuilder().add_response(
            self.one,
            self.root,
            hashes.SHA1(),
            ocsp.OCSPCertStatus.GOOD,
            NOW,
            NOW + timedelta(days=1),
            None,
            None,
        )
        signed = made.responder_id(ocsp.OCSPResponderEncoding.NAME, self.root).sign(self.key, hashes.SHA256())
        return signed.public_bytes(Encoding.DER)

    def report(self, *, trusted: bool) -> Report:
        chain = tuple(one.public_bytes(Encoding.DER).hex() for one in (self.root, self.one))
        empty = Report(
            name="a", sha256="", size=0, title=None, pages=1, signatures=(), revisions=(), findings=()
        )
        return replace(empty, chains=(chain,) if trusted else ())


@pytest.fixture
def responder() -> Iterator[Responder]:
    one = Responder()
    threading.Thread(target=one.server.serve_forever, daemon=True).start()
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_a_responder_is_asked_first(responder: Responder) -> None:
    asked = ask_authorities([responder.report(trusted=True)])
    assert (len(asked.ocsps), len(asked.crls), responder.asked) == (1, 0, ["/ocsp"])


def test_a_list_is_fetched_where_no_responder_answers(responder: Responder) -> None:
    responder.speaks_ocsp = False
    asked = ask_authorities([responder.report(trusted=True)])
    assert (len(asked.ocsps), asked.crls, responder.asked) == (0, (responder.crl(),), ["/ocsp", "/crl"])


def test_nobody_is_asked_about_certificates_that_lead_to_no_anchor(responder: Responder) -> None:
    asked = ask_authorities([responder.report(trusted=False)])
    assert (asked.ocsps, asked.crls, responder.asked) == ((), (), [])


def test_an_authority_that_is_away_leaves_things_unknown(responder: Responder) -> None:
    report = responder.report(trusted=True)
    responder.server.shutdown()
    responder.server.server_close()
    asked = ask_authorities([report])
    assert (asked.ocsps, asked.crls) == ((), ())
