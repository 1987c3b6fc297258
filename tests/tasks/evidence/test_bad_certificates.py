"""
Certificates that must not count, on the live CA, OCSP responder, CRL and time-stamping authority of the stack.

What is shown where (this file, unless another is named):

| asked                          | revoked | expired | not yet valid | for something else | of a stranger |
|--------------------------------|---------|---------|---------------|--------------------|---------------|
| registering a certificate      | certificates/test_registering, all five                               ||||
| before the official's signature| refused | refused | refused       | refused            | refused       |
| before the seal, its own       | refused | refused | refused       | refused            | refused       |
| before the seal, the official's| refused | refused | cannot be     | cannot be          | refused       |
| before a list is signed        | refused | refused | refused       | refused            | refused       |
| between a list's signatures    | refused | a list is level B | cannot be | cannot be      | its reader decides |
| lifting                        | refused | refused | cannot be     | cannot be          | refused       |
| another agency's signer        | test_foreign_signers: sent back, all five                             ||||
| verify, when it was signed     | 1       | 1       | 1             | 1                  | 3 (verifying/test_verdicts); under a trusted name, or after somebody trusted, 1 |
| verify, since then, level B    | 3       | 3       | cannot be     | cannot be          | 3             |
| verify, since then, time-stamp | 0       | 0 (verifying/test_verdicts) | cannot be | cannot be | 3           |

*Refused* means: by PKI-05, with the reason, in the history, and before the token is touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.certificates import path_of
from infra.clock import HANOI
from infra.errors import Forbidden
from infra.pdf.evidence import lift
from infra.pdf.signing import sign_field
from infra.revocation import Revoked
from infra.stack.pki_control import behaving, reinstate, revoke
from infra.token import Token
from infra.token.software import SoftwareDevice
from tasks.evidence.steps import lift_for_release, sources
from tasks.registration.sealing import sign_list_page
from tasks.signing.steps import sign_original
from tests.tasks.registration.test_lists import on_a_list, told
from tests.world import World, refused

KINDS = ("revoked", "expired", "not yet valid", "for something else", "of a stranger")
#: What a refusal says of each.
SAYS = {
    "revoked": "was revoked",
    "expired": "expired on",
    "not yet valid": "not valid before",
    "for something else": "not for signatures that bind a person",
    "of a stranger": "does not lead to a certificate that is trusted here",
}


@pytest.fixture
def served(world: World) -> Path:
    return world.root / "pki" / "served"


@pytest.fixture(autouse=True)
def nothing_kept(world: World) -> Iterator[None]:
    """Ask anew for everything, and leave no answer about a revoked certificate to other tests."""
    world.parts.revocation.forget()
    yield
    world.parts.revocation.forget()


def issued(world: World, kind: str, name: str, key: rsa.RSAPublicKey) -> bytes:
    """Issue a certificate that is what `kind` says."""
    now = world.parts.clock.now().replace(microsecond=0)
    good: dict[str, Any] = {"start": now - timedelta(days=1)}
    ways: dict[str, dict[str, Any]] = {
        "expired": {"start": now - timedelta(days=10), "days": 9},
        "not yet valid": {"start": now + timedelta(days=9)},
        "for something else": {"signs": False},
    }
    authority = strangers(good["start"]) if kind == "of a stranger" else world.authority
    return type(authority).issue(authority, name, key, **{**good, **ways.get(kind, {})})


def strangers(start: datetime) -> Any:
    """Return an authority that nobody here has heard of; it has the names of the tests' own, as a forger's would."""
    from tests.conftest import Authority

    return Authority(start=start)


@contextmanager
def issuing(world: World, kind: str, key: str) -> Iterator[None]:
    """Let offices that are opened within the block have a bad certificate for one of their keys."""
    good = world.authority.issue

    def issue(name: str, public: rsa.RSAPublicKey, **more: Any) -> bytes:
        if name.startswith(f"{key} "):
            return issued(world, kind, name, public)
        return good(name, public, **more)

    with patch.object(world.authority, "issue", issue):
        yield


@contextmanager
def bad(world: World, served: Path, kind: str, certificate: bytes) -> Iterator[None]:
    """Let a certificate be revoked within the block, if that is what is wrong with it."""
    if kind == "revoked":
        revoke(served, certificate, world.parts.clock.now() - timedelta(minutes=1))
    try:
        yield
    finally:
        reinstate(served, certificate)


def refuses(kind: str, work: Any) -> None:
    """Assert that something is refused for what is wrong with a certificate."""
    error = refused(Forbidden, work)
    assert isinstance(error, Forbidden)
    assert (error.rule, SAYS[kind] in str(error)) == ("PKI-05", True), str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signer", ["ha", "seal"])
def test_a_signature_is_refused_before_the_token_is_touched(
    world: World, served: Path, kind: str, signer: str
) -> None:
    """Before the first signature the official's, between two the seal's own."""
    with issuing(world, kind, "seal" if signer == "seal" else "official-ha"):
        office = world.office()
    code = world.frozen(office)
    if signer == "seal":
        assert sign_original(code, 1, world.signer(office))
    key = world.signer(office, signer)
    with bad(world, served, kind, key.token.certificate):
        refuses(kind, lambda: sign_original(code, 1, key))
    assert key.token.calls == 0
    assert world.events(code)[-1] == "signature:refused"
    assert world.stage(code) == ("AwaitingSeal" if signer == "seal" else "AwaitingSignature")


@pytest.mark.parametrize("kind", ["revoked", "expired", "of a stranger"])
def test_what_becomes_of_the_official_s_certificate_between_two_signatures_stops_the_seal(
    world: World, served: Path, kind: str
) -> None:
    office = world.office()
    code = world.frozen(office)
    official, seal = world.signer(office), world.signer(office, "seal")
    assert sign_original(code, 1, official)
    world.parts.revocation.forget()
    certificate = official.token.certificate
    if kind == "expired":
        # The time that passes is put into the certificate on record instead.
        over = issued(world, "expired", "official-ha", world.keys["official-ha"].public_key())
        with world.owner() as connection:
            connection.execute("update certificate set der = %s where der = %s", (over, certificate))
    parts: dict[str, Any] = {}
    if kind == "of a stranger":
        # The office has taken the root out of its folder, because nobody trusts it any more.
        parts = {"anchors": world.parts.anchors[:1], "chain": world.parts.chain[:1]}
    with bad(world, served, kind, certificate), world.having(**parts):
        error = refused(Forbidden, lambda: sign_original(code, 1, seal))
    assert SAYS[kind] in str(error)
    assert seal.token.calls == 0
    assert world.stage(code) == "AwaitingSeal"


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_a_round_is_not_signed_with_it_either(world: World, served: Path, kind: str) -> None:
    with issuing(world, kind, "official-lam"):
        office = world.office()
    code = on_a_list(world, office)
    key = world.signer(office, "lam")
    with bad(world, served, kind, key.token.certificate):
        refuses(kind, lambda: sign_list_page(code, 1, key))
    assert key.token.calls == 0
    assert told(world, code)[-1] == "registration:signature-refused"


def test_whoever_is_revoked_between_a_list_s_signatures_stops_its_seal(world: World, served: Path) -> None:
    office = world.office()
    code = on_a_list(world, office)
    official, seal = world.signer(office, "lam"), world.signer(office, "seal")
    assert sign_list_page(code, 1, official)
    world.parts.revocation.forget()
    with bad(world, served, "revoked", official.token.certificate):
        refused(Revoked, lambda: sign_list_page(code, 1, seal))
    assert seal.token.calls == 0
    world.parts.revocation.forget()
    assert sign_list_page(code, 1, seal)


class _Later:
    """A clock that is ahead."""

    def __init__(self, clock: Any, ahead: timedelta) -> None:
        self._clock, self._ahead = clock, ahead

    def now(self) -> datetime:
        moment: datetime = self._clock.now()
        return moment + self._ahead


@pytest.mark.parametrize("who", ["official", "seal"])
@pytest.mark.parametrize("kind", ["revoked", "expired", "of a stranger"])
def test_a_document_is_not_lifted_over_a_certificate_that_does_not_count_any_more(
    world: World, served: Path, kind: str, who: str
) -> None:
    """Nothing is stamped, nothing is kept, and the reason is a refusal, not a fault of the program."""
    office = world.office()
    code = world.frozen(office)
    assert sign_original(code, 1, world.signer(office))
    assert sign_original(code, 1, world.signer(office, "seal"))
    certificate = world.signer(office, "ha" if who == "official" else "seal").token.certificate
    world.parts.revocation.forget()
    parts: dict[str, Any] = {}
    if kind == "expired":
        parts = {"clock": _Later(world.parts.clock, timedelta(days=1001))}
    if kind == "of a stranger":
        parts = {"anchors": world.parts.anchors[:1], "chain": world.parts.chain[:1]}
    says = "does not lead to one that is trusted here" if kind == "of a stranger" else SAYS[kind]
    with bad(world, served, kind, certificate), world.having(**parts):
        error = refused(Forbidden, lambda: lift_for_release(code, 1))
    assert says in str(error)
    assert "document:lifted" not in world.events(code)
    world.parts.revocation.forget()
    assert lift_for_release(code, 1)


# What anybody sees ------------------------------------------------------------------------------


def key_of(world: World, kind: str = "good", name: str = "Trần Thị Bình") -> Token:
    """Return somebody's key with a certificate that is what `kind` says."""
    key = rsa.generate_private_key(65537, 2048)
    device = SoftwareDevice(label="x", pin="1", keys={b"\x01": key})
    return device.open(
        "pkcs11:token=x;id=%01", pin="1", certificate=issued(world, kind, name, key.public_key())
    )


def signed(world: World, pdf: bytes, field: str, token: Token) -> bytes:
    """Sign as hoso does, whatever the certificate is."""
    return sign_field(
        pdf, field=field, token=token, image=None, at=world.parts.clock.now().astimezone(HANOI),
        certify=field == "official", name=None, location=None, reason=None, chain=world.authority.chain,
    )  # fmt: skip


def verified(
    world: World, folder: Path, pdf: bytes, *certificates: bytes, at: datetime | None = None
) -> tuple[int, set[str]]:
    """Let `hoso verify` judge a file with the roots and with what the live authority says of some certificates."""
    roots = folder / "roots"
    roots.mkdir(exist_ok=True)
    for number, anchor in enumerate(world.parts.anchors):
        (roots / f"{number}.der").write_bytes(anchor)
    world.parts.revocation.forget()
    for certificate in certificates:
        path = path_of(certificate, known=world.parts.chain, anchors=world.parts.anchors)
        assert path is not None
        for number, (one, issuer) in enumerate(pairwise(path)):
            answer = world.parts.revocation.ask(one, issuer=issuer, at=world.parts.clock.now())
            assert answer is not None
            (roots / f"{certificates.index(certificate)}-{number}.{answer.kind}").write_bytes(answer.proof)
    (folder / "a.pdf").write_bytes(pdf)
    moment = ("--at", at.isoformat()) if at else ()
    said = world.type("verify", folder / "a.pdf", "--anchors", roots, "--json", *moment, by=None)
    report = json.loads(said.out)["files"][0]
    return said.code, {one["code"] for one in report["sentences"] if one["weight"] != "noted"}


def test_verify_a_good_one_is_valid_and_without_an_answer_undecided(
    world: World, form: bytes, tmp_path: Path
) -> None:
    token = key_of(world)
    pdf = signed(world, form, "official", token)
    assert verified(world, tmp_path, pdf) == (3, {"revocation-unknown"})
    assert verified(world, tmp_path, pdf, token.certificate) == (0, set())


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("expired", "expired-when-signed"),
        ("not yet valid", "not-yet-valid"),
        ("for something else", "wrong-usage"),
    ],
)
def test_verify_what_was_bad_when_it_signed_is_not_valid(
    world: World, form: bytes, tmp_path: Path, kind: str, code: str
) -> None:
    token = key_of(world, kind)
    ended, found = verified(world, tmp_path, signed(world, form, "official", token))
    assert (ended, code in found) == (1, True), found


@pytest.mark.parametrize("asked", ["ocsp", "crl"])
def test_verify_revoked_before_signing_after_it_and_after_a_time_stamp(
    world: World, served: Path, form: bytes, tmp_path: Path, asked: str
) -> None:
    """Exit 1, 3, 0: what counts is whether the signature is proved to be older than the revocation."""
    for since, alone, proven in (
        (-3600, (1, {"revoked"}), (1, {"revoked"})),
        (60, (3, {"revoked-since"}), (0, set())),
    ):
        token = key_of(world)
        pdf = signed(world, form, "official", token)
        lifted = lift(pdf, "LTA", sources(), by_document=True).pdf
        now = world.parts.clock.now()
        revoke(served, token.certificate, now + timedelta(seconds=since))
        try:
            with behaving(served, **({} if asked == "ocsp" else {"ocsp": "503"})):
                for content, expected in ((pdf, alone), (lifted, proven)):
                    folder = tmp_path / f"{since}-{len(content)}"
                    folder.mkdir()
                    later = now + timedelta(seconds=90)
                    assert verified(world, folder, content, token.certificate, at=later) == expected
        finally:
            reinstate(served, token.certificate)


def test_verify_expired_since_then_is_undecided_at_level_b(world: World, form: bytes, tmp_path: Path) -> None:
    token = key_of(world)
    later = world.parts.clock.now() + timedelta(days=1001)
    assert verified(world, tmp_path, signed(world, form, "official", token), at=later) == (
        3,
        {"expired-since"},
    )


def test_verify_a_stranger_under_a_trusted_name_or_after_somebody_trusted_is_not_valid(
    world: World, form: bytes, tmp_path: Path
) -> None:
    stranger, official = key_of(world, "of a stranger", "Người Lạ"), key_of(world)
    alone = signed(world, form, "official", stranger)
    ended, found = verified(world, tmp_path, alone, official.certificate)
    assert (ended, "impostor" in found) == (1, True), "it says that the trusted authority has issued it"
    ended, found = verified(
        world,
        tmp_path,
        signed(world, signed(world, form, "official", official), "seal", stranger),
        official.certificate,
    )
    assert (ended, {"impostor", "stranger-after"} <= found) == (1, True), found
