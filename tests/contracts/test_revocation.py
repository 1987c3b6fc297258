"""The contract of revocation, on the double and over HTTP to the stack's responders, which misbehave as told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from infra.clock import SystemClock
from infra.errors import Forbidden
from infra.revocation import NoRevocationAnswer, Revocation
from infra.revocation.http import HttpRevocation
from infra.revocation.memory import MemoryRevocation
from infra.stack.authorities import (
    CRL_HOST,
    OCSP_HOST,
    Keeping,
    authority_name,
    issuing_authority,
    sources,
    usage,
)
from infra.stack.certificates import certify
from infra.stack.pki_control import behaving, revoke, times_asked
from tests.contracts.test_timestamps import Site


class Responders(Protocol):
    """Whoever answers about certificates of one issuer."""

    port: Revocation
    issuer: bytes

    def revoke(self, certificate: bytes, at: datetime) -> None:
        """Revoke one."""


class OverHttp:
    """The stack's responders."""

    def __init__(self, site: Site) -> None:
        self.site, self.issuer, self.port = site, site.chain[0], http(site)

    def revoke(self, certificate: bytes, at: datetime) -> None:
        revoke(self.site.served, certificate, at)


class InMemory:
    """The double."""

    def __init__(self, site: Site) -> None:
        key = load_pem_private_key((site.served / "issuers" / "issuing" / "key.pem").read_bytes(), None)
        self.issuer = site.chain[0]
        self.double = MemoryRevocation(keys={self.issuer: key})
        self.port: Revocation = self.double

    def revoke(self, certificate: bytes, at: datetime) -> None:
        self.double.revoked[x509.load_der_x509_certificate(certificate).serial_number] = at


def http(site: Site, **changes: Any) -> HttpRevocation:
    chosen: dict[str, Any] = {
        "hosts": [OCSP_HOST, CRL_HOST],
        "rewrite": {OCSP_HOST: site.here, CRL_HOST: site.here},
        "seconds": 2,
        "limit_bytes": 100_000,
        "kept_seconds": 0,
    }
    return HttpRevocation(**{**chosen, **changes})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("pki"))
    yield made
    made.server.terminate()
    made.server.communicate(timeout=20)


@pytest.fixture(params=["memory", "http"])
def responders(request: pytest.FixtureRequest, site: Site) -> Responders:
    """The double, then the real one."""
    return InMemory(site) if request.param == "memory" else OverHttp(site)


def now() -> datetime:
    return SystemClock().now().replace(microsecond=0)


def issued(site: Site, named: list[tuple[x509.ExtensionType, bool]] | None = None) -> bytes:
    """A certificate of somebody, by the issuing authority."""
    by = issuing_authority(Keeping(pki=site.served.parent, secrets=site.served.parent.parent / "secrets"))
    extensions = [(usage("digital_signature"), True), *(sources("issuing") if named is None else named)]
    key = rsa.generate_private_key(65537, 2048).public_key()
    made = certify(authority_name("Somebody"), key, by=by, days=30, extensions=extensions)
    return made.public_bytes(Encoding.DER)


def test_a_certificate_that_is_not_revoked_is_good(site: Site, responders: Responders) -> None:
    certificate = issued(site)
    answer = responders.port.ask(certificate, issuer=responders.issuer, at=now())
    assert answer is not None
    assert (answer.status, answer.kind, answer.certificate) == ("good", "ocsp", certificate)
    assert answer.next_update is not None
    assert answer.this_update <= now() < answer.next_update


def test_a_revoked_certificate_is_told_with_moment_and_reason(site: Site, responders: Responders) -> None:
    certificate, moment = issued(site), now() - timedelta(hours=1)
    responders.revoke(certificate, moment)
    answer = responders.port.ask(certificate, issuer=responders.issuer, at=now())
    assert answer is not None
    assert (answer.status, answer.revoked_at, answer.reason) == ("revoked", moment, "key_compromise")


def test_what_was_said_a_moment_ago_is_at_hand_until_it_is_forgotten_or_too_old(site: Site) -> None:
    certificate = issued(site)
    asker = http(site, kept_seconds=60)
    answer = asker.ask(certificate, issuer=site.chain[0], at=now())
    assert answer is not None
    assert list(asker.kept(now())) == [answer]
    assert not asker.kept(now() + timedelta(days=365)), "it has ended by then"
    asker.forget()
    assert not asker.kept(now())
    asker = http(site)  # keeps nothing
    asker.ask(certificate, issuer=site.chain[0], at=now())
    assert not asker.kept(now())


def test_a_certificate_that_names_nobody_has_no_answer(site: Site) -> None:
    assert http(site).ask(issued(site, named=[]), issuer=site.chain[0], at=now()) is None


def test_the_list_answers_when_the_responder_does_not(site: Site) -> None:
    certificate = issued(site)
    with behaving(site.served, ocsp="503"):
        answer = http(site).ask(certificate, issuer=site.chain[0], at=now())
        assert answer is not None
        assert (answer.kind, answer.status) == ("crl", "good")
        revoke(site.served, certificate, now())
        answer = http(site).ask(certificate, issuer=site.chain[0], at=now())
    assert answer is not None
    assert (answer.kind, answer.status, answer.reason) == ("crl", "revoked", "key_compromise")


NOT_BELIEVED = {
    "down": "does not answer",
    "503": "answered 503",
    "slow:4": "does not answer|takes longer",
    "stranger": "not signed by who may answer",
    "stale": "out of date",
    "try-later": "try_later",
    "other-certificate": "about another certificate",
}


@pytest.mark.parametrize("how", NOT_BELIEVED)
def test_an_ocsp_answer_that_cannot_be_believed_is_none(site: Site, how: str) -> None:
    with (
        behaving(site.served, ocsp=how, crl="down"),
        pytest.raises(NoRevocationAnswer, match=NOT_BELIEVED[how]),
    ):
        http(site).ask(issued(site), issuer=site.chain[0], at=now())


@pytest.mark.parametrize(
    ("how", "why"),
    [("stranger", "not signed by the issuer"), ("stale", "out of date"), ("huge", "more than")],
)
def test_a_list_that_cannot_be_believed_is_none(site: Site, how: str, why: str) -> None:
    with behaving(site.served, ocsp="down", crl=how), pytest.raises(NoRevocationAnswer, match=why):
        http(site).ask(issued(site), issuer=site.chain[0], at=now())


def test_an_unknown_certificate_is_told_as_unknown(site: Site) -> None:
    with behaving(site.served, ocsp="unknown"):
        answer = http(site).ask(issued(site), issuer=site.chain[0], at=now())
    assert answer is not None
    assert answer.status == "unknown"


def test_a_batch_asks_once_a_certificate_and_anew_after_forgetting(site: Site) -> None:
    port, certificate = http(site, kept_seconds=60), issued(site)
    before = times_asked(site.served)["ocsp"]
    for _ in range(20):
        port.ask(certificate, issuer=site.chain[0], at=now())
    assert times_asked(site.served)["ocsp"] == before + 1
    port.forget()
    port.ask(certificate, issuer=site.chain[0], at=now())
    assert times_asked(site.served)["ocsp"] == before + 2


def test_an_answer_is_not_used_after_its_end(site: Site) -> None:
    port, certificate = http(site, kept_seconds=3600), issued(site)
    first = port.ask(certificate, issuer=site.chain[0], at=now())
    assert first is not None
    assert first.next_update is not None
    before = times_asked(site.served)["ocsp"]
    with pytest.raises(NoRevocationAnswer, match="out of date"):
        port.ask(certificate, issuer=site.chain[0], at=first.next_update + timedelta(days=2))
    assert times_asked(site.served)["ocsp"] == before + 1


def test_a_host_that_the_settings_do_not_name_is_never_asked(site: Site) -> None:
    """PKI-03: certificates come from anybody, so what they name is asked only if the settings allow it."""
    trap = socket.create_server(("127.0.0.1", 0))
    trap.settimeout(0.2)
    port = trap.getsockname()[1]
    place = x509.UniformResourceIdentifier(f"http://127.0.0.1:{port}/ocsp")
    access = x509.AccessDescription(x509.AuthorityInformationAccessOID.OCSP, place)
    certificate = issued(site, named=[(x509.AuthorityInformationAccess([access]), False)])
    with pytest.raises(Forbidden, match="HOSO_REVOCATION_HOSTS"):
        http(site).ask(certificate, issuer=site.chain[0], at=now())
    with pytest.raises(TimeoutError):
        trap.accept()
    trap.close()


def test_redirections_are_not_followed(site: Site, tmp_path: Path) -> None:
    """PKI-03: an allowed host may not send us to another."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Away(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://{site.here}/ocsp/issuing")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Away)
    Thread(target=server.serve_forever, daemon=True).start()
    elsewhere = f"127.0.0.1:{server.server_address[1]}"
    with (
        behaving(site.served, crl="down"),
        pytest.raises(NoRevocationAnswer, match="answered 302"),
    ):
        http(site, rewrite={OCSP_HOST: elsewhere, CRL_HOST: site.here}).ask(
            issued(site), issuer=site.chain[0], at=now()
        )
    server.shutdown()
