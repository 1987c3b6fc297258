"""At most one signature a step is kept, whatever dies, and the history explains every call of the token."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from infra.errors import Broken, Forbidden, Unavailable
from infra.object_store.memory import MemoryStore
from infra.pdf.checking import signatures_of
from infra.services import services
from infra.token import TokenAbsent
from tasks.certification.examining import ask_for_supplement, decline_original
from tasks.certification.receiving import Receipt
from tasks.dossier.papers import newest, read
from tasks.dossier.refusals import Refusal
from tasks.evidence.steps import lift_for_release
from tasks.signing.authorising import Signer
from tasks.signing.steps import sign_original, validate
from tests.world import PIN, World


class Interrupted(BaseException):
    """The process dies here: nothing of ours may catch it."""


class Spy:
    """A store that does what another one does, and dies or fails where it is told to."""

    def __init__(self, store: Any, *, die_before: str = "", die_after: str = "", lose: str = "") -> None:
        self._store = store
        self._faults = {"before": die_before, "after": die_after, "lose": lose}

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        if name not in self._faults.values():
            return call

        def faulty(*args: Any, **kwargs: Any) -> Any:
            if self._faults["before"] == name:
                raise Interrupted
            call(*args, **kwargs)
            if self._faults["after"] == name:
                raise Interrupted
            raise Unavailable("the answer was lost")

        return faulty


class DyingToken:
    """A key that signs, after which the process dies before anybody sees the signature."""

    def __init__(self, signer: Signer, error: BaseException) -> None:
        self._token = signer.token
        self._error = error
        self.certificate = signer.token.certificate
        self.calls = 0

    def sign(self, content: bytes) -> bytes:
        self._token.sign(content)
        self.calls += 1
        raise self._error

    def close(self) -> None:
        self._token.close()


@pytest.fixture
def listed(world: World) -> tuple[str, str]:
    """An office and a dossier whose one original waits for its official."""
    office = world.office()
    return office, world.frozen(office)


def kept(world: World, code: str) -> list[Any]:
    """Return the signatures of a dossier that are kept."""
    return world.ask("select * from signature where dossier = :c and kept_at is not null order by id", c=code)


def in_the_document(code: str, kind: str) -> list[str]:
    """Return the fields that are signed in a dossier's newest document of a kind."""
    parts = services()
    with parts.database.transaction() as session:
        row = newest(session, code, 1, kind)
    assert row is not None
    found = signatures_of(read(row), anchors=parts.anchors, chain=parts.chain)
    assert all(one.intact and one.trusted for one in found)
    return [one.field for one in found]


def calls_and_their_ends(world: World, code: str) -> list[str]:
    """Return what the history says of the token's calls."""
    return [e for e in world.events(code) if e.startswith("signature:")]


def test_a_signature_that_was_kept_is_not_made_again(world: World, listed: tuple[str, str]) -> None:
    office, code = listed
    signer = world.signer(office)
    assert sign_original(code, 1, signer)
    assert not sign_original(code, 1, signer)
    assert signer.token.calls == 1
    assert len(kept(world, code)) == 1
    assert in_the_document(code, "approved") == ["official_1"]


def test_the_intent_is_committed_before_the_token_is_touched(world: World, listed: tuple[str, str]) -> None:
    office, code = listed
    signer = world.signer(office)
    dying = DyingToken(signer, Interrupted())
    with pytest.raises(Interrupted):
        sign_original(code, 1, replace(signer, token=dying))
    assert dying.calls == 1
    (row,) = world.ask("select * from signature where dossier = :c", c=code)
    assert row.kept_at is None
    assert calls_and_their_ends(world, code) == ["signature:intended"]
    intent = next(e for e in world.told(code) if e["event"] == "signature:intended")
    assert intent["doc"]["sha256"] == row.document_sha256
    assert intent["certificate"] == row.certificate_sha256


def test_after_a_death_with_the_signature_in_hand_one_is_kept_and_both_calls_are_told(
    world: World, listed: tuple[str, str]
) -> None:
    office, code = listed
    signer = world.signer(office)
    with pytest.raises(Interrupted):
        sign_original(code, 1, replace(signer, token=DyingToken(signer, Interrupted())))
    assert sign_original(code, 1, world.signer(office))
    assert len(kept(world, code)) == 1
    assert calls_and_their_ends(world, code) == [
        "signature:intended",
        "signature:interrupted",
        "signature:intended",
        "signature:done",
    ]
    tries = [e["try"] for e in world.told(code) if e["event"].startswith("signature:")]
    assert tries == [1, 1, 2, 2]
    assert in_the_document(code, "approved") == ["official_1"]


@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        ({"die_before": "put_first"}, 1),  # nothing was stored: the token is asked once more
        ({"die_after": "put_first"}, 0),  # it was stored: the token is not asked again
        ({"lose": "put_first"}, 0),
    ],
    ids=str,
)
def test_a_second_try_finds_what_the_first_one_stored(
    world: World, listed: tuple[str, str], fault: dict[str, str], calls: int
) -> None:
    office, code = listed
    with world.having(work=Spy(world.parts.work, **fault)), pytest.raises((Interrupted, Unavailable)):
        sign_original(code, 1, world.signer(office))
    assert kept(world, code) == []
    assert world.originals(code)[0].standing == "certified"
    again = world.signer(office)
    assert sign_original(code, 1, again)
    assert again.token.calls == calls
    assert len(kept(world, code)) == 1
    assert in_the_document(code, "approved") == ["official_1"]


def test_two_keys_of_one_step_at_once_keep_one_signature(world: World, listed: tuple[str, str]) -> None:
    office, code = listed
    answers = world.at_once([partial(sign_original, code, 1, world.signer(office)) for _ in range(6)])
    assert sorted(map(str, answers)) == ["False"] * 5 + ["True"], answers
    assert len(kept(world, code)) == 1
    assert world.events(code).count("signature:done") == 1
    documents = world.ask("select count(*) from document where dossier = :c and kind = 'approved'", c=code)
    assert documents[0][0] == 1
    assert world.stage(code) == "AwaitingSeal"


def test_the_seal_after_the_official_and_both_are_valid_in_the_end(
    world: World, listed: tuple[str, str]
) -> None:
    office, code = listed
    assert sign_original(code, 1, world.signer(office))
    answers = world.at_once([partial(sign_original, code, 1, world.signer(office, "seal")) for _ in range(4)])
    assert sorted(map(str, answers)) == ["False"] * 3 + ["True"], answers
    assert in_the_document(code, "sealed") == ["official_1", "seal"]
    assert lift_for_release(code, 1)
    validated = world.at_once([partial(validate, code, 1)] * 4)
    assert sorted(map(str, validated)) == ["False"] * 3 + ["True"], validated
    assert world.stage(code) == "Signed"
    line = world.ask("select state from register_entry where dossier = :c", c=code)
    assert [row.state for row in line] == ["certified"]


def test_a_token_that_fails_is_told_and_leaves_the_original_where_it_was(
    world: World, listed: tuple[str, str]
) -> None:
    office, code = listed
    signer = world.signer(office)
    with pytest.raises(TokenAbsent):
        sign_original(code, 1, replace(signer, token=DyingToken(signer, TokenAbsent("gone"))))
    assert calls_and_their_ends(world, code) == ["signature:intended", "signature:failed"]
    failed = world.told(code)[-1]
    assert (failed["cause"], failed["field"]) == ("TokenAbsent", "official_1")
    assert world.originals(code)[0].standing == "certified"
    assert sign_original(code, 1, world.signer(office))


def test_a_signature_that_came_too_late_is_told_as_unused(world: World, listed: tuple[str, str]) -> None:
    office, code = listed
    clerk = world.officer(office)

    class Slow:
        """While the token works the examiner declines the original."""

        def __init__(self, signer: Signer) -> None:
            self._token = signer.token
            self.certificate = signer.token.certificate
            self.calls = 0

        def sign(self, content: bytes) -> bytes:
            decline_original(code, 1, Refusal.R1, "", by=clerk)
            return self._token.sign(content)

        def close(self) -> None:
            self._token.close()

    signer = world.signer(office)
    assert not sign_original(code, 1, replace(signer, token=Slow(signer)))
    assert kept(world, code) == []
    assert calls_and_their_ends(world, code) == ["signature:intended", "signature:unused"]
    assert world.originals(code)[0].standing == "declined"
    line = world.ask("select state from register_entry where dossier = :c", c=code)
    assert [row.state for row in line] == ["void"]


class Forger:
    """A key that gives a signature by another key than its certificate's."""

    def __init__(self, signer: Signer) -> None:
        self._other = rsa.generate_private_key(65537, 2048)
        self.certificate = signer.token.certificate
        self.calls = 0

    def sign(self, content: bytes) -> bytes:
        return self._other.sign(content, padding.PKCS1v15(), hashes.SHA256())

    def close(self) -> None:
        """Nothing is held."""


def test_what_does_not_verify_is_never_stored_or_kept(world: World, listed: tuple[str, str]) -> None:
    office, code = listed
    signer = world.signer(office)
    with pytest.raises(Broken):
        sign_original(code, 1, replace(signer, token=Forger(signer)))
    assert kept(world, code) == []
    (row,) = world.ask("select kept_key from signature where dossier = :c", c=code)
    assert world.parts.work.find(row.kept_key) is None
    assert sign_original(code, 1, world.signer(office))


class TestAuthority:
    """Looked up at the signing moment, never passed in (AUTH-06, CERT-08, CERT-10)."""

    def refused(self, world: World, code: str, signer: Signer, rule: str) -> None:
        """Assert that a signature is refused before the token, and that the history says so."""
        with pytest.raises(Forbidden) as refusal:
            sign_original(code, 1, signer)
        assert refusal.value.rule == rule
        assert signer.token.calls == 0
        assert calls_and_their_ends(world, code)[-1] == "signature:refused"
        assert world.told(code)[-1]["rule"] == rule
        assert kept(world, code) == []

    def test_a_certificate_that_is_no_longer_registered(self, world: World, listed: tuple[str, str]) -> None:
        office, code = listed
        signer = world.signer(office)
        world.put(
            "update certificate set ended_at = clock_timestamp() where office = :o and key = 'official-ha'",
            o=office,
        )
        self.refused(world, code, signer, "AUTH-06")

    def test_a_certificate_of_another_person_or_office(self, world: World, listed: tuple[str, str]) -> None:
        office, code = listed
        lam, elsewhere = world.signer(office, "lam"), world.signer(world.office())
        self.refused(world, code, replace(lam, staff="ha"), "AUTH-06")
        self.refused(world, code, elsewhere, "AUTH-06")

    def test_a_seal_in_place_of_the_official_and_the_other_way_round(
        self, world: World, listed: tuple[str, str]
    ) -> None:
        office, code = listed
        self.refused(
            world, code, replace(world.signer(office, "seal"), role="official", staff="ha"), "AUTH-06"
        )
        assert sign_original(code, 1, world.signer(office))
        with pytest.raises(Forbidden) as refusal:
            sign_original(code, 1, replace(world.signer(office), role="agency", staff=""))
        assert refusal.value.rule == "AUTH-06"

    def test_an_expired_certificate_is_refused_before_the_token_is_touched(
        self, world: World, listed: tuple[str, str]
    ) -> None:
        office, code = listed
        now = world.parts.clock.now()
        key = world.keys["official-ha"]
        der = world.authority.issue("expired", key.public_key(), start=now - timedelta(days=1), days=0)
        row = world.ask("select image from certificate where office = :o and key = 'official-ha'", o=office)[
            0
        ]
        world.put(
            "update certificate set der = :d, sha256 = :s where office = :o and key = 'official-ha'",
            d=der, s=sha256(der).hexdigest(), o=office,
        )  # fmt: skip
        device = world.devices[f"{office}-official-ha"]
        uri = world.ask(
            "select token_uri from certificate where office = :o and key = 'official-ha'", o=office
        )[0][0]
        token = device.open(uri, pin=PIN, certificate=der)
        self.refused(world, code, Signer(role="official", staff="ha", token=token, image=row.image), "PKI-05")

    def test_the_examiner_who_compared_cannot_sign(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office, by="ha")
        self.refused(world, code, world.signer(office, "ha"), "AUTH-06")
        assert sign_original(code, 1, world.signer(office, "lam"))

    def test_an_official_does_not_certify_for_a_relative_declared_at_the_counter(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office, receipt=Receipt(paid="BL", kin_of=("ha",)))
        self.refused(world, code, world.signer(office, "ha"), "CERT-10")

    def test_cert_26_a_page_that_is_dated_another_day_is_not_signed(
        self, world: World, listed: tuple[str, str]
    ) -> None:
        office, code = listed
        world.put("update document set for_day = for_day - 1 where dossier = :c and kind = 'frozen'", c=code)
        self.refused(world, code, world.signer(office), "CERT-26")

    def test_a_dossier_whose_clock_stands_still_is_not_signed(
        self, world: World, listed: tuple[str, str]
    ) -> None:
        office, code = listed
        ask_for_supplement(code, "a second page", by=world.officer(office))
        signer = world.signer(office)
        with pytest.raises(Forbidden) as refusal:
            sign_original(code, 1, signer)
        assert refusal.value.rule == "DOS-06"
        assert signer.token.calls == 0


def test_a_damaged_document_in_the_store_is_never_released(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    assert sign_original(code, 1, world.signer(office))
    assert sign_original(code, 1, world.signer(office, "seal"))
    row = world.ask("select key, sha256 from document where dossier = :c and kind = 'sealed'", c=code)[0]
    content = bytearray(world.parts.work.get(row.key))
    content[len(content) // 2] ^= 1
    double = MemoryStore()
    double.put(row.key, bytes(content), content_type="application/pdf")
    for step in (lift_for_release, validate):
        with world.having(work=double), pytest.raises(Broken):
            step(code, 1)
    assert world.originals(code)[0].standing == "sealed"
    assert lift_for_release(code, 1)
    assert validate(code, 1)


def test_nothing_of_a_signature_s_history_names_a_person(world: World, listed: tuple[str, str]) -> None:
    office, code = listed
    sign_original(code, 1, world.signer(office))
    for entry in world.told(code):
        said = json.dumps(entry, ensure_ascii=False)
        assert "Hoàng Thị Thu Hà" not in said
        assert '"ha"' not in said
