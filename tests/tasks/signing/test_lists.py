"""The list that was reviewed is the list that is signed (SIG-12, SIG-13, CERT-26)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from infra.errors import Broken, Forbidden
from infra.services import services
from infra.token import PinLocked, TokenAbsent, WrongPin
from tasks.certificates.lifecycle import CertificateState
from tasks.certificates.reading import read_certificate
from tasks.certificates.records import record_of
from tasks.certificates.rules import Holder
from tasks.certification.examining import decline_original, examine_again, withdraw
from tasks.certification.scanning import Presented
from tasks.certification.steps import issue_copy, stale_copies
from tasks.dossier.refusals import Refusal
from tasks.signing.acts import leave_out, sign_list, unlock_list, write_list
from tasks.signing.keys import official_key
from tasks.signing.lists import SignOutcome
from tests.world import PIN, World, small_scan, together


def signed_by(world: World, office: str, digest: str, staff: str = "ha", pin: str = PIN) -> list[SignOutcome]:
    """Do what the command does with a list: unlock it, open the key with the PIN, sign every document."""
    chosen = unlock_list(digest, staff, at=office)
    with official_key(office, staff, pin) as key:
        return sign_list(chosen, together(key))


@contextmanager
def device_of(world: World, office: str, staff: str = "ha") -> Iterator[None]:
    """Let a device be as it was after a test that spoilt it."""
    device = world.devices[f"{office}-official-{staff}"]
    try:
        yield
    finally:
        device.present, device.vanish_after, device.tries_left = True, None, 3


def results(outcomes: list[SignOutcome]) -> list[str]:
    """Return what became of each document."""
    return [outcome.result for outcome in outcomes]


def test_the_digest_names_exactly_the_documents_the_official_and_the_day(world: World) -> None:
    office = world.office()
    code = world.frozen(office, 2)
    written = write_list(office, "ha")
    body = world.ask("select body from sign_list where digest = :d", d=written.digest)[0][0]
    assert hashlib.sha256(rfc8785.dumps(body)).hexdigest() == written.digest
    assert body["official"] == "ha"
    frozen = world.ask(
        "select sha256 from document where dossier = :c and kind = 'frozen' order by ordinal", c=code
    )
    newest = [original.revision for original in world.originals(code)]
    assert [d["sha256"] for d in body["documents"]] == [
        world.ask(
            "select sha256 from document where dossier = :c and kind = 'frozen' and ordinal = :o and revision = :r",
            c=code, o=ordinal, r=revision,
        )[0][0]
        for ordinal, revision in enumerate(newest, start=1)
    ]  # fmt: skip
    assert len(frozen) >= 2
    assert write_list(office, "ha").digest == written.digest


def test_unlocking_and_every_signature_are_in_the_history(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    written = write_list(office, "ha")
    assert results(signed_by(world, office, written.digest)) == ["signed"]
    assert results(signed_by(world, office, written.digest)) == ["signed before"]
    assert world.events(f"list/{written.digest}") == ["list:written", *["list:unlocked", "list:ended"] * 2]
    unlocked = world.told(f"list/{written.digest}")[1]
    assert unlocked["list"] == written.digest
    assert unlocked["actor"]["post"] == "Phó Chủ tịch Ủy ban nhân dân xã"
    assert world.events(code).count("signature:done") == 1


def test_a_list_may_be_named_by_its_beginning_but_not_by_less_than_eight_digits(world: World) -> None:
    office = world.office()
    world.frozen(office)
    digest = write_list(office, "ha").digest
    assert unlock_list(digest[:12], "ha", at=office).digest == digest
    for short in (digest[:7], "", "________", "%" * 64):
        with pytest.raises(Forbidden) as refusal:
            unlock_list(short, "ha", at=office)
        assert refusal.value.rule == "SIG-12"


def test_an_official_sees_and_unlocks_only_a_list_of_their_own(world: World) -> None:
    office = world.office()
    world.frozen(office)
    with pytest.raises(Forbidden) as nothing:
        write_list(office, "lam")
    assert nothing.value.rule == "SIG-12"
    with pytest.raises(Forbidden) as foreign:
        unlock_list(write_list(office, "ha").digest, "lam", at=office)
    assert foreign.value.rule == "AUTH-06"


def test_cert_26_yesterday_s_list_cannot_be_unlocked(world: World) -> None:
    office = world.office()
    world.frozen(office)
    digest = write_list(office, "ha").digest
    world.put("update sign_list set for_day = for_day - 1 where digest = :d", d=digest)
    with pytest.raises(Forbidden) as refusal:
        unlock_list(digest, "ha", at=office)
    assert refusal.value.rule == "CERT-26"


def test_a_stored_list_that_was_tampered_with_is_broken(world: World) -> None:
    office = world.office()
    world.frozen(office)
    digest = write_list(office, "ha").digest
    world.put(
        """update sign_list set body = jsonb_set(body, '{documents,0,sha256}', '"00"') where digest = :d""",
        d=digest,
    )
    with pytest.raises(Broken):
        unlock_list(digest, "ha", at=office)


class TestWhatChangedAfterItWasListed:
    """A document that is not what was reviewed is left out, and the rest goes on."""

    def test_a_page_that_was_issued_for_another_official_is_left_out(self, world: World) -> None:
        office = world.office()
        changed, kept = world.frozen(office), world.frozen(office)
        digest = write_list(office, "ha").digest
        assert issue_copy(changed, 1, official="lam")
        outcomes = {o.dossier: o for o in signed_by(world, office, digest)}
        assert outcomes[changed].result == "left out"
        assert "changed after the list was written" in outcomes[changed].why
        assert outcomes[kept].result == "signed"
        assert world.originals(changed)[0].standing == "certified"
        refused = [e for e in world.told(changed) if e["event"] == "signature:refused"]
        assert [(e["rule"], e["field"]) for e in refused] == [("SIG-12", "official_1")]

    @pytest.mark.parametrize("what", ["declined", "withdrawn", "left out"])
    def test_an_original_that_is_gone_is_left_out(self, world: World, what: str) -> None:
        office = world.office()
        gone, kept = world.frozen(office), world.frozen(office)
        digest = write_list(office, "ha").digest
        clerk = world.officer(office)
        if what == "declined":
            decline_original(gone, 1, Refusal.R2, "", by=clerk)
        elif what == "withdrawn":
            withdraw(gone, "changed my mind", by=clerk)
        else:
            leave_out(gone, 1, "blurred", by=world.officer(office, "ha", "official"))
        device = world.devices[f"{office}-official-ha"]
        outcomes = {o.dossier: o.result for o in signed_by(world, office, digest)}
        assert outcomes == {gone: "left out", kept: "signed"}
        assert device.pins_offered == 1

    def test_a_new_scan_needs_a_new_list_and_keeps_the_number(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office)
        digest = write_list(office, "ha").digest
        leave_out(code, 1, "blurred", by=world.officer(office, "ha", "official"))
        assert world.stage(code) == "ReturnedToExaminer"
        better = Presented(kind="Giấy 1", files=(("better.jpg", small_scan(seed=12)),))
        examine_again(code, 1, better, by=world.officer(office))
        world.carry(code)
        assert world.stage(code) == "AwaitingSignature"
        number = world.ask("select number, state from register_entry where dossier = :c", c=code)
        assert [(row.number, row.state) for row in number] == [(1, "reserved")]
        assert results(signed_by(world, office, digest)) == ["left out"]
        assert results(signed_by(world, office, write_list(office, "ha").digest)) == ["signed"]

    def test_the_same_bytes_put_forward_again_are_signed_although_a_first_try_failed(
        self, world: World
    ) -> None:
        office = world.office()
        code = world.frozen(office)
        digest = write_list(office, "ha").digest
        world.devices[f"{office}-official-ha"].vanish_after = 0
        with device_of(world, office):
            assert results(signed_by(world, office, digest)) == ["not reached"]
        leave_out(code, 1, "is it the right one?", by=world.officer(office, "ha", "official"))
        examine_again(code, 1, None, by=world.officer(office))
        world.carry(code)
        assert results(signed_by(world, office, write_list(office, "ha").digest)) == ["signed"]
        assert world.stage(code) == "AwaitingSeal"

    def test_bytes_that_the_store_no_longer_holds_are_never_signed(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office)
        digest = write_list(office, "ha").digest
        other = world.frozen(office)
        row = world.ask(
            "select key from document where dossier = :c and kind = 'frozen' order by revision desc limit 1",
            c=other,
        )[0]
        world.put("update document set key = :k where dossier = :c and kind = 'frozen'", k=row.key, c=code)
        device = world.devices[f"{office}-official-ha"]
        device.vanish_after = 0
        with device_of(world, office):
            (outcome,) = signed_by(world, office, digest)
            assert device.present, "the token was touched"
        assert outcome.result == "refused"
        assert "not the one that was listed" in outcome.why


class TestThePin:
    """Tried once, never again by itself (SIG-13)."""

    def test_a_wrong_pin_reaches_the_device_once_and_signs_nothing(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office, 2)
        digest = write_list(office, "ha").digest
        device = world.devices[f"{office}-official-ha"]
        with pytest.raises(WrongPin):
            signed_by(world, office, digest, pin="000000")
        assert (device.pins_offered, device.tries_left) == (1, 2)
        assert world.ask("select count(*) from signature where dossier = :c", c=code)[0][0] == 0
        assert world.stage(code) == "AwaitingSignature"
        assert results(signed_by(world, office, digest)) == ["signed", "signed"]
        assert device.pins_offered == 2

    def test_a_locked_token_is_said_to_be_locked_and_not_asked_again(self, world: World) -> None:
        office = world.office()
        world.frozen(office)
        digest = write_list(office, "ha").digest
        device = world.devices[f"{office}-official-ha"]
        device.tries_left = 0
        with pytest.raises(PinLocked) as refusal:
            signed_by(world, office, digest)
        assert device.pins_offered == 0
        assert "CER-02" in refusal.value.way_out

    def test_a_wrong_pin_at_the_command_reaches_softhsm_once_and_is_told(
        self, world: World, tmp_path: Path
    ) -> None:
        office = real_office(world)
        code = world.frozen(office)
        digest = world.type("sign", "--list", "--office", office, "--only", code, "--json", by="ha").json[
            "digest"
        ]
        wrong = tmp_path / "wrong"
        wrong.write_text("00000000\n")
        said = world.hoso("sign", "--manifest", digest, "--pin-file", wrong, by="ha")
        assert said.code == 1
        assert "[SIG-13]" in said.err
        assert "00000000" not in said.err + said.out
        assert world.events(f"list/{digest}") == ["list:written", "list:unlocked", "list:stopped-WrongPin"]
        assert world.stage(code) == "AwaitingSignature"
        right = world.root / "secrets" / "pin_officials"
        done = world.hoso("sign", "--manifest", digest, "--pin-file", right, "--json", by="ha")
        assert done.code == 0, done.err
        assert [o["result"] for o in done.json] == ["signed"]


def real_office(world: World) -> str:
    """Open an office whose official's key is one on the stack's real token; the sample office does without it."""
    office = world.office()
    tokens = world.settings.trust_anchors.parent
    said = json.loads((tokens / "tokens.json").read_text())["official-lam"]
    path = Path(said["certificate"])
    pem = (path if path.is_absolute() else tokens / path).read_bytes()
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    world.put(
        "update certificate set ended_at = clock_timestamp() where office = :o and key = 'official-ha'",
        o=office,
    )
    with world.owner() as connection:  # Its record is another office's, and the application deletes none.
        connection.execute("delete from certificate where sha256 = %s", [hashlib.sha256(der).hexdigest()])
    image = world.ask("select image from certificate where office = :o limit 1", o=office)[0].image
    with services().database.transaction() as session:
        holder = Holder(office=office, staff="ha", name="", unit="")
        row = record_of(read_certificate(der), holder, session)
        row.state, row.token_uri, row.image = CertificateState.ACTIVE, said["uri"], image
        session.add(row)
    return office


class TestTheTokenGoesAway:
    """A token error stops the list; what was not reached is said to be so and signed later."""

    def test_what_was_not_reached_is_signed_later_by_the_same_list(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office, 3)
        digest = write_list(office, "ha").digest
        device = world.devices[f"{office}-official-ha"]
        device.vanish_after = 1
        with device_of(world, office):
            outcomes = signed_by(world, office, digest)
        assert results(outcomes) == ["signed", "not reached", "not reached"]
        failed = [e["called"] for e in world.told(code) if e["event"] == "signature:failed"]
        assert failed == [True, False]
        assert results(signed_by(world, office, digest)) == ["signed before", "signed", "signed"]

    def test_a_token_that_is_not_there_at_all_signs_nothing(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office)
        digest = write_list(office, "ha").digest
        world.devices[f"{office}-official-ha"].present = False
        with device_of(world, office), pytest.raises(TokenAbsent):
            signed_by(world, office, digest)
        assert world.events(code).count("signature:intended") == 0


def test_cert_26_pages_of_yesterday_are_issued_anew_before_they_are_listed(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    world.put("update document set for_day = for_day - 1 where dossier = :c and kind = 'frozen'", c=code)
    with pytest.raises(Forbidden):
        write_list(office, "ha")
    assert stale_copies(office, "ha") == [(code, 1)]
    before = world.ask("select number from register_entry where dossier = :c", c=code)
    written = world.type("sign", "--list", "--office", office, "--json", by="ha")
    assert written.code == 0, written.err
    assert len(written.json["documents"]) == 1
    assert world.ask("select number from register_entry where dossier = :c", c=code) == before
    assert stale_copies(office, "ha") == []


def test_two_officials_who_sign_the_same_list_at_once_leave_one_signature(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    digest = write_list(office, "ha").digest
    answers = world.at_once([partial(signed_by, world, office, digest)] * 4)
    given = [results(answer) for answer in answers if isinstance(answer, list)]
    assert len(given) == 4, answers
    assert sorted(result for (result,) in given) == ["signed", *["signed before"] * 3]
    assert (
        world.ask("select count(*) from signature where dossier = :c and kept_at is not null", c=code)[0][0]
        == 1
    )
    assert world.events(code).count("signature:done") == 1
