"""What the counter takes in: originals, their scans, the fee, the time limit (CERT-02, CERT-06, CERT-17, DOS-14)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from infra.errors import Forbidden, Unavailable
from infra.object_store.memory import Fault, MemoryStore
from tasks.certification.examining import pay
from tasks.certification.receiving import Receipt, receive, receive_walk_in
from tasks.certification.scanning import Presented
from tasks.dossier.opening import Opened, Opening
from tasks.dossier.papers import content_key, sha256_of
from tests.world import World, small_scan, somebody


def shown(world: World, **changes: Any) -> Presented:
    """Return an original of one page."""
    return Presented(**{"kind": "Bằng tốt nghiệp", "files": (("1.jpg", world.scan),), **changes})


def payment(world: World, code: str) -> tuple[int, int]:
    """Return what a dossier costs and what was paid of it."""
    row = world.ask("select amount, paid from payment where dossier = :c", c=code)[0]
    return row.amount, row.paid


def test_a_receipt_keeps_originals_pages_comparison_and_the_files_as_they_came(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    other = small_scan(seed=3)
    originals = [
        shown(world),
        shown(world, kind=" Giấy khai sinh ", files=(("1.jpg", world.scan), ("2.jpg", other)), copies=2),
    ]
    receive(code, originals, Receipt(), by=world.officer(office))
    first, second = world.originals(code)
    assert (first.pages, first.copies, first.compared_pages, first.compared_by) == (1, 1, 1, "mai")
    assert (second.kind, second.pages, second.copies) == ("Giấy khai sinh", 2, 2)
    assert (first.fee, second.fee) == (2000, 8000)
    files = world.ask(
        "select ordinal, position, key from document where dossier = :c and kind = 'scan' order by ordinal, position",
        c=code,
    )
    assert [(f.ordinal, f.position) for f in files] == [(1, 0), (2, 0), (2, 1)]
    assert [f.key for f in files] == [content_key(sha256_of(c)) for c in (world.scan, world.scan, other)]
    assert world.parts.work.get(files[2].key) == other
    told = next(e for e in world.told(code) if e["event"] == "dossier:received")
    assert (told["originals"], told["fee"]) == (2, 10_000)


def test_dos_06_an_unpaid_fee_stops_the_clock_until_it_is_paid(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    receive(code, [shown(world)], Receipt(), by=world.officer(office))
    assert world.stage(code) == "PaymentDue"
    assert world.dossier(code).paused_at is not None
    assert payment(world, code) == (2000, 0)
    world.carry(code)
    assert world.stage(code) == "PaymentDue"
    assert world.ask("select count(*) from register_entry where dossier = :c", c=code)[0][0] == 0
    assert pay(code, "BL-1", by=world.officer(office)) == 2000
    assert world.stage(code) == "Received"
    assert world.dossier(code).paused_at is None
    before = world.picture()
    pay(code, "BL-2", by=world.officer(office))
    assert world.picture() == before
    assert payment(world, code) == (2000, 2000)


def test_eight_who_take_the_fee_at_once_take_it_once(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    receive(code, [shown(world)], Receipt(), by=world.officer(office))
    answers = world.at_once([partial(pay, code, f"BL-{n}", by=world.officer(office)) for n in range(8)])
    assert [answer for answer in answers if not isinstance(answer, int)] == []
    assert payment(world, code) == (2000, 2000)
    assert world.events(code).count("fee:paid") == 1


def test_a_fee_paid_at_once_never_stops_the_clock(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    receive(code, [shown(world)], Receipt(paid="BL-7"), by=world.officer(office))
    assert world.stage(code) == "Received"
    assert payment(world, code) == (2000, 2000)


def test_paying_for_what_owes_nothing_is_refused(world: World) -> None:
    office = world.office()
    with pytest.raises(Forbidden) as refusal:
        pay(world.booked(office), "BL", by=world.officer(office))
    assert refusal.value.rule == "CERT-31"


def test_cert_18_the_due_time_is_extended_by_working_days(world: World) -> None:
    office = world.office()
    today = world.booked(office)
    later = world.booked(office)
    receive(today, [shown(world)], Receipt(paid="x"), by=world.officer(office))
    receive(later, [shown(world)], Receipt(paid="x", extended_by=2), by=world.officer(office))
    due = [world.dossier(code).due_at for code in (today, later)]
    assert due[0] is not None
    assert due[1] is not None
    assert (due[1].date() - due[0].date()).days == 2  # this office works every day


def test_two_clerks_who_receive_one_dossier_at_once_leave_one_receipt(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    clerk = world.officer(office)
    answers = world.at_once([partial(receive, code, [shown(world)], Receipt(paid="x"), by=clerk)] * 4)
    assert sum(isinstance(answer, Opened) for answer in answers) == 1
    assert {type(answer) for answer in answers} == {Opened, Forbidden}
    assert len(world.originals(code)) == 1
    assert world.events(code).count("dossier:received") == 1


def test_a_walk_in_with_a_request_id_is_opened_once(world: World) -> None:
    office = world.office()
    opening = Opening(office=office, procedure="e-copy", applicant=somebody(), request_id=f"walk-{office}")
    clerk = world.officer(office)
    work = partial(receive_walk_in, opening, [shown(world)], Receipt(paid="x"), by=clerk)
    answers = world.at_once([work] * 4)
    assert [answer for answer in answers if not isinstance(answer, Opened)] == []
    assert len({answer.code for answer in answers if isinstance(answer, Opened)}) == 1
    assert work().repeated
    assert world.ask("select count(*) from dossier where office = :o", o=office)[0][0] == 1


def test_a_store_that_is_away_receives_nothing_and_the_same_act_works_afterwards(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    store = MemoryStore()
    store.fail_next("put", Fault.AFTER)
    clerk = world.officer(office)
    before = world.picture()
    with world.having(work=store):
        with pytest.raises(Unavailable):
            receive(code, [shown(world)], Receipt(paid="x"), by=clerk)
        assert world.picture() == before
        receive(code, [shown(world)], Receipt(paid="x"), by=clerk)
    assert world.stage(code) == "Received"


def test_everything_on_the_checklist_that_is_required_must_be_shown(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    with pytest.raises(Forbidden) as refusal:
        receive(code, [shown(world)], Receipt(checklist=frozenset({"original"})), by=world.officer(office))
    assert refusal.value.rule == "DOS-14"
    assert "tùy thân" in refusal.value.message
    everything = Receipt(checklist=frozenset({"original", "identity"}), paid="x")
    receive(code, [shown(world)], everything, by=world.officer(office))


def test_a_legalised_or_exempt_foreign_original_is_taken(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    originals = [shown(world, foreign=True, legalised=True), shown(world, foreign=True, exempt=True)]
    receive(code, originals, Receipt(paid="x"), by=world.officer(office))
    assert [(o.foreign, o.legalised) for o in world.originals(code)] == [(True, True), (True, False)]


def test_the_receipt_is_mailed_once_and_names_every_original(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    receive(code, [shown(world)], Receipt(), by=world.officer(office))
    world.carry(code)
    world.carry(code)
    receipts = [m for m in world.mails(code) if "Giấy tiếp nhận" in str(m["Subject"])]
    assert len(receipts) == 1
    (attached,) = receipts[0].iter_attachments()
    assert attached.get_content().startswith(b"%PDF-")


def test_an_applicant_without_e_mail_gets_the_papers_at_the_counter(world: World) -> None:
    office = world.office()
    code = world.received(office, applicant=somebody(email=None, account="A-1"))
    world.carry(code)
    states = world.ask("select kind, state from notice where dossier = :c", c=code)
    assert [(row.kind, row.state) for row in states] == [("receipt", "at-counter")]
    assert world.mails(code) == []
