"""The contract of time-stamps, on the double and over HTTP to the stack's authorities, which misbehave as told."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ExtendedKeyUsage, load_pem_x509_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from infra.clock import SystemClock
from infra.errors import Forbidden
from infra.revocation.http import HttpRevocation
from infra.stack.authorities import CRL_HOST, OCSP_HOST, Keeping, authority_name, issuing_authority, usage
from infra.stack.certificates import Authority, certify
from infra.stack.pki_control import behaving, reinstate, revoke, times_asked
from infra.timestamp import NoTimestamp, Timestamps
from infra.timestamp.http import HttpTimestamps
from infra.timestamp.memory import MemoryTimestamps

DIGEST = hashlib.sha256(b"a document").digest()


class Site:
    """The stack's authorities and the server that answers for them, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "pki").mkdir()
        (folder / "secrets").mkdir()
        keeping = Keeping(pki=folder / "pki", secrets=folder / "secrets")
        issuing_authority(keeping)
        self.served = keeping.served
        self.anchors = (self.der(keeping.pki / "anchors" / "root.pem"),)
        self.chain = (self.der(keeping.pki / "chain" / "issuing.pem"),)
        self.server = subprocess.Popen(
            [sys.executable, "-m", "infra.stack.pki_server", "--port", "0", "--folder", str(self.served)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.server.stdout
        self.here = self.server.stdout.readline().split()[-1]

    @staticmethod
    def der(path: Path) -> bytes:
        return load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)

    def http(self, *, seconds: float = 5, policy: str | None = None, urls: int = 2) -> HttpTimestamps:
        addresses = [f"http://{self.here}/tsa/{name}" for name in ("primary", "secondary")][:urls]
        revocation = HttpRevocation(
            hosts=[OCSP_HOST, CRL_HOST],
            rewrite={OCSP_HOST: self.here, CRL_HOST: self.here},
            seconds=5,
            limit_bytes=100_000,
            kept_seconds=0,
        )
        return HttpTimestamps(
            addresses,
            anchors=self.anchors,
            chain=self.chain,
            seconds=seconds,
            policy=policy,
            revocation=revocation,
        )

    def memory(self) -> MemoryTimestamps:
        folder = self.served / "issuers" / "root"
        root = load_pem_x509_certificate((folder / "certificate.pem").read_bytes())
        by = Authority(name=root.subject, key=load_pem_private_key((folder / "key.pem").read_bytes(), None))
        key = rsa.generate_private_key(65537, 2048)
        made = certify(
            authority_name("Time-stamping authority of a test, primary"),
            key.public_key(),
            by=by,
            days=300,
            extensions=[
                (usage("digital_signature"), True),
                (ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True),
            ],
        )
        der = made.public_bytes(Encoding.DER)
        return MemoryTimestamps(certificate=der, key=key, anchors=self.anchors, chain=self.chain)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("pki"))
    yield made
    made.server.terminate()
    made.server.communicate(timeout=20)


@pytest.fixture(params=["memory", "http"])
def stamps(request: pytest.FixtureRequest, site: Site) -> Timestamps:
    """The double, then the real one."""
    return site.memory() if request.param == "memory" else site.http()


def now() -> datetime:
    return SystemClock().now()


def test_a_time_stamp_is_over_the_digest_and_of_this_moment(stamps: Timestamps) -> None:
    moment = now()
    made = stamps.stamp(DIGEST, at=moment)
    info = cms.ContentInfo.load(made.token)["content"]["encap_content_info"]["content"].parsed
    assert info["message_imprint"]["hashed_message"].native == DIGEST
    assert abs(made.time - moment) < timedelta(minutes=1)
    assert made.time.tzinfo is UTC
    assert (made.authority, made.rank) == ("Time-stamping authority of a test, primary", 0)


def test_the_same_digest_twice_gives_two_time_stamps(stamps: Timestamps) -> None:
    assert stamps.stamp(DIGEST, at=now()).token != stamps.stamp(DIGEST, at=now()).token


def test_the_authorities_are_known_before_they_stamp(stamps: Timestamps) -> None:
    known = stamps.authorities(at=now())
    assert stamps.stamp(DIGEST, at=now()).certificate in known


def test_an_authority_is_not_believed_outside_its_certificate_s_time(stamps: Timestamps) -> None:
    with pytest.raises(NoTimestamp, match="not trusted"):
        stamps.stamp(DIGEST, at=now() + timedelta(days=6000))


WRONG = {
    "down": "does not answer",
    "503": "answered 503",
    "slow:3": "does not answer|too slow",
    "refuse": "refused: not today",
    "wrong-nonce": "answers another request",
    "wrong-imprint": "over another hash",
    "no-usage": "not for time-stamps",
    "stranger": "does not verify",
}


@pytest.mark.parametrize("how", WRONG)
def test_a_wrong_answer_is_none_and_the_second_authority_is_asked(site: Site, how: str) -> None:
    stamps = site.http(seconds=1)
    with behaving(site.served, tsa_primary=how):
        made = stamps.stamp(DIGEST, at=now())
        assert (made.authority, made.rank) == ("Time-stamping authority of a test, secondary", 1)
        with pytest.raises(NoTimestamp, match=WRONG[how]):
            site.http(seconds=1, urls=1).stamp(DIGEST, at=now())


def test_when_no_authority_answers_both_reasons_are_told(site: Site) -> None:
    with (
        behaving(site.served, tsa_primary="down", tsa_secondary="503"),
        pytest.raises(NoTimestamp) as error,
    ):
        site.http().stamp(DIGEST, at=now())
    assert "authority 1: it does not answer" in str(error.value)
    assert "authority 2: it answered 503" in str(error.value)


def test_a_policy_that_was_asked_for_must_be_in_the_time_stamp(site: Site) -> None:
    assert site.http(policy="1.3.6.1.4.1.99999.1", urls=1).stamp(DIGEST, at=now()).rank == 0
    with (
        behaving(site.served, tsa_primary="other-policy"),
        pytest.raises(NoTimestamp, match="another policy"),
    ):
        site.http(policy="1.3.6.1.4.1.99999.1", urls=1).stamp(DIGEST, at=now())


def test_a_revoked_authority_counts_as_one_that_failed(site: Site) -> None:
    certificate = site.der(site.served / "tsa" / "primary" / "certificate.pem")
    revoke(site.served, certificate, now())
    try:
        assert site.http().stamp(DIGEST, at=now()).rank == 1
        with pytest.raises(NoTimestamp, match="its certificate is revoked"):
            site.http(urls=1).stamp(DIGEST, at=now())
    finally:
        reinstate(site.served, certificate)


def test_one_time_stamp_is_one_request(site: Site) -> None:
    stamps = site.http()
    stamps.authorities(at=now())
    before = times_asked(site.served)["tsa-primary"]
    for _ in range(3):
        stamps.authorities(at=now())
        stamps.stamp(DIGEST, at=now())
    assert times_asked(site.served)["tsa-primary"] == before + 3


def test_without_an_authority_the_settings_are_to_blame() -> None:
    with pytest.raises(Forbidden, match="HOSO_TSA_URL"):
        HttpTimestamps([], anchors=(), chain=(), seconds=1).stamp(DIGEST, at=now())
