"""Returning a result by e-mail: honest about every answer, with one Message-ID over all tries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from email.message import EmailMessage
from functools import partial
from typing import Any

import pytest

from infra.mail import MailAnswer, Outcome
from infra.mail.memory import MemoryMail
from infra.stack.scripted import script_faults
from tasks.delivery.acts import confirm, redirect
from tasks.delivery.legs import legs_due, open_legs
from tasks.delivery.notices import wake_at
from tasks.delivery.steps import deliver
from tests.world import World, somebody


def leg(world: World, code: str, channel: str = "email") -> Any:
    """Return one leg of a dossier as it stands."""
    return world.ask("select * from delivery_leg where dossier = :d and channel = :c", d=code, c=channel)[0]


def later(world: World, code: str) -> None:
    """Let the time pass that a leg was told to wait."""
    world.put("update delivery_leg set next_try_at = clock_timestamp() where dossier = :d", d=code)


def tasks(world: World, code: str) -> list[str]:
    """Return the open counter tasks of a dossier."""
    rows = world.ask(
        "select kind from counter_task where dossier = :d and ended_at is null order by id", d=code
    )
    return [row.kind for row in rows]


def results(world: World, code: str) -> list[Any]:
    """Return the results that the mail server took."""
    return [m for m in world.mails(code) if str(m["Subject"]).startswith("Kết quả")]


@pytest.fixture
def faults(world: World) -> Iterator[Any]:
    """A script for the mail server's next requests; nothing of it is left over."""
    folder = world.root / "mail"
    yield partial(script_faults, folder)
    script_faults(folder)


def test_an_accepted_result_is_delivered_once_and_carries_every_sealed_document(world: World) -> None:
    code = world.signed(world.office(), 2)
    world.carry(code)
    world.carry(code)
    assert world.stage(code) == "Returned"
    assert (leg(world, code).state, leg(world, code).attempts) == ("accepted", 1)
    (mail,) = results(world, code)
    for attachment, ordinal in zip(mail.iter_attachments(), (1, 2), strict=True):
        row = world.ask(
            "select sha256 from document where dossier = :d and ordinal = :o and kind = 'lifted'",
            d=code,
            o=ordinal,
        )[0]
        assert hashlib.sha256(attachment.get_content()).hexdigest() == row.sha256


def test_the_mail_says_in_one_line_how_anybody_checks_what_is_attached(world: World) -> None:
    """DOS-28: the command takes the files under the names that they travel by, and is one that exists."""
    code = world.signed(world.office(), 2)
    world.carry(code)
    (mail,) = results(world, code)
    text = mail.get_body().get_content()
    (line,) = [one for one in text.splitlines() if "hoso verify" in one]
    assert line.startswith("4. Ai cũng có thể tự kiểm tra")
    words = line.partition("hoso verify ")[2].split()
    attached = [one.get_filename() for one in mail.iter_attachments()]
    assert words == [*attached, "--anchors", "THƯ_MỤC_CHỨNG_THƯ_GỐC", "--lang", "vi"]
    folder = world.root / "received" / code
    folder.mkdir(parents=True)
    for one in mail.iter_attachments():
        (folder / one.get_filename()).write_bytes(one.get_content())
    (folder / "roots").mkdir()
    for number, anchor in enumerate(world.parts.anchors):
        (folder / "roots" / f"{number}.der").write_bytes(anchor)
    known = {"THƯ_MỤC_CHỨNG_THƯ_GỐC": folder / "roots", **{name: folder / name for name in attached}}
    said = world.type("verify", *(known.get(word, word) for word in words), by=None)
    assert (said.code, said.out.count("=> Hợp lệ")) == (0, 2), said.out


@pytest.mark.parametrize("fault", ["451", "data-451", "421-at-connect"])
def test_a_server_that_asks_for_patience_gets_the_same_message_later(
    world: World, faults: Any, fault: str
) -> None:
    code = world.signed(world.office())
    open_legs(code)
    faults(fault)
    assert deliver(code, "email") == "deferred"
    assert legs_due(code) == []
    woken = wake_at(code)
    assert woken is not None
    assert woken > world.parts.clock.now()
    first = leg(world, code).message_id
    assert results(world, code) == []
    later(world, code)
    world.carry(code)
    assert world.stage(code) == "Returned"
    (mail,) = results(world, code)
    assert mail["Message-ID"] == first == leg(world, code).message_id
    assert leg(world, code).attempts == 2
    assert tasks(world, code) == []


def test_a_refusal_goes_on_by_the_portal_where_there_is_an_account_and_a_clerk_is_told(world: World) -> None:
    applicant = somebody(email="550@citizen.example", account="A-550")
    code = world.signed(world.office(), applicant=applicant, channels=("email",))
    world.carry(code)
    assert leg(world, code).state == "refused"
    assert leg(world, code).attempts == 1
    assert leg(world, code, "portal").state == "accepted"
    assert world.stage(code) == "Returned"
    assert tasks(world, code) == ["undelivered-email"]
    assert "550" in leg(world, code).last_answer
    assert "citizen" not in leg(world, code).last_answer


def test_a_refusal_without_another_way_waits_for_a_clerk_who_gives_another_address(world: World) -> None:
    office = world.office()
    code = world.signed(office, applicant=somebody(email="550@citizen.example"))
    world.carry(code)
    world.carry(code)
    assert world.stage(code) == "Signed"
    assert leg(world, code).attempts == 1
    assert tasks(world, code) == ["undelivered-email"]
    assert world.type("status", code, "--json").json["waits_for"] == "AwaitingClerk"
    refused_id = leg(world, code).message_id
    redirect(code, "email", email="right@citizen.example", account=None, by=world.officer(office))
    world.carry(code)
    assert world.stage(code) == "Returned"
    assert tasks(world, code) == []
    (mail,) = results(world, code)
    assert mail["To"] == "right@citizen.example"
    # Another address is another errand: a server that knows the old Message-ID must not drop it.
    assert mail["Message-ID"] != refused_id


def test_a_result_that_is_too_big_for_e_mail_is_never_tried_again_by_it(world: World) -> None:
    applicant = somebody(email="x@citizen.example", account="A-BIG")
    code = world.signed(world.office(), applicant=applicant, channels=("email",))
    with world.having(mail=MemoryMail(limit_bytes=1000)) as parts:
        world.carry(code)
        assert isinstance(parts.mail, MemoryMail)
        assert parts.mail.kept == []
    assert (leg(world, code).state, leg(world, code).attempts) == ("refused", 1)
    assert leg(world, code, "portal").state == "accepted"
    assert world.stage(code) == "Returned"


def test_a_lost_answer_is_sent_again_with_the_same_message_id_and_then_left_to_a_person(world: World) -> None:
    office = world.office()
    code = world.signed(office)
    mail = MemoryMail()
    mail.answer_next(Outcome.AMBIGUOUS, taken=True, times=3)
    with world.having(mail=mail):
        open_legs(code)
        states = []
        for _ in range(3):
            states.append(deliver(code, "email"))
            later(world, code)
        assert states == ["ambiguous"] * 3
        assert deliver(code, "email") == "ended"
    assert len({m["Message-ID"] for m in mail.kept}) == 1
    assert (leg(world, code).ambiguous, len(mail.kept)) == (3, 3)
    assert world.stage(code) == "Signed"
    assert tasks(world, code) == ["undelivered-email"]
    confirm(code, "email", by=world.officer(office))
    world.carry(code)
    assert world.stage(code) == "Returned"
    assert tasks(world, code) == []


def test_the_server_that_took_it_and_hung_up_is_called_ambiguous(world: World, faults: Any) -> None:
    code = world.signed(world.office())
    open_legs(code)
    faults("close-before-250")
    assert deliver(code, "email") == "ambiguous"
    later(world, code)
    world.carry(code)
    assert world.stage(code) == "Returned"
    taken = results(world, code)
    assert len(taken) == 2  # e-mail cannot be exactly once
    assert len({m["Message-ID"] for m in taken}) == 1
    assert leg(world, code).ambiguous == 1


def test_a_process_that_died_after_sending_sends_again_under_the_same_id(world: World) -> None:
    class Dying:
        """Sends, and dies before the answer is written down."""

        def send(self, message: Any) -> Any:
            world.parts.mail.send(message)
            raise KeyboardInterrupt

    code = world.signed(world.office())
    open_legs(code)
    with world.having(mail=Dying()), pytest.raises(KeyboardInterrupt):
        deliver(code, "email")
    assert (leg(world, code).state, leg(world, code).attempts) == ("trying", 1)
    world.carry(code)
    assert world.stage(code) == "Returned"
    taken = results(world, code)
    assert len(taken) == 2
    assert len({m["Message-ID"] for m in taken}) == 1
    tried = [e for e in world.told(code) if e["event"] == "leg:tried"]
    assert [e["try"] for e in tried] == [1, 2]
    assert leg(world, code).ambiguous == 1
    assert "leg:interrupted" in world.events(code)


def test_the_history_of_a_leg_names_no_address(world: World) -> None:
    office = world.office()
    code = world.signed(office, applicant=somebody(email="550@citizen.example"))
    world.carry(code)
    redirect(code, "email", email="right@citizen.example", account=None, by=world.officer(office))
    world.carry(code)
    assert "citizen.example" not in str(world.told(code))


class TestNotices:
    """Messages that are owed besides the result never hold a dossier up."""

    def test_a_confirmation_that_is_put_off_is_tried_again_with_the_same_id(
        self, world: World, faults: Any
    ) -> None:
        code = world.booked(world.office())
        faults("451")
        world.carry(code)
        row = world.ask("select * from notice where dossier = :d", d=code)[0]
        assert (row.state, row.attempts) == ("owed", 1)
        assert row.next_try_at is not None
        world.put("update notice set next_try_at = clock_timestamp() where dossier = :d", d=code)
        world.carry(code)
        assert world.ask("select state from notice where dossier = :d", d=code)[0].state == "sent"
        assert len(world.mails(code)) == 1

    def test_a_refused_receipt_is_left_for_the_counter_and_the_copies_are_made_all_the_same(
        self, world: World
    ) -> None:
        code = world.received(world.office(), applicant=somebody(email="550@citizen.example"))
        world.carry(code)
        assert world.stage(code) == "AwaitingSignature"
        assert [r.state for r in world.ask("select state from notice where dossier = :d", d=code)] == [
            "at-counter"
        ]


def test_an_answer_about_an_address_that_was_replaced_meanwhile_changes_nothing_but_is_told(
    world: World,
) -> None:
    office = world.office()
    code = world.signed(office, applicant=somebody(email="old@citizen.example"))
    assert open_legs(code)

    class Slow(MemoryMail):
        """A server that answers only after a clerk has given another address."""

        def send(self, message: EmailMessage) -> MailAnswer:
            redirect(code, "email", email="new@citizen.example", account=None, by=world.officer(office))
            return super().send(message)

    with world.having(mail=Slow()):
        deliver(code, "email")
    assert "leg:superseded" in world.events(code)
    assert leg(world, code).ended_at is None, "the answer was about the old address"
    assert deliver(code, "email") == "accepted"
    assert [mail["To"] for mail in results(world, code)] == ["new@citizen.example"]
