"""Returning a result by the portal, and telling it how far a dossier is (DOS-06, DOS-07, DOS-23)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from infra.stack.scripted import script_faults
from tasks.appointment.acts import cancel
from tasks.delivery.legs import legs_due, open_legs
from tasks.delivery.notices import (
    notices_due,
    papers_to_seal,
    report_status,
    report_these,
    reports_due,
    to_send,
    wake_at,
)
from tasks.delivery.steps import deliver
from tests.world import World, somebody


@pytest.fixture
def faults(world: World) -> Iterator[Any]:
    """A script for the portal's next requests; nothing of it is left over."""
    folder = world.root / "portal"
    yield partial(script_faults, folder)
    script_faults(folder)


def in_account(world: World, account: str) -> list[bytes]:
    """Return the files in an account."""
    box = world.root / "portal" / "accounts" / quote(account, safe="")
    return [file.read_bytes() for file in sorted(box.glob("*.pdf"))]


def heard(world: World, code: str) -> list[int]:
    """Return the status codes that the portal heard of a dossier, by sequence."""
    notes = [json.loads(f.read_text()) for f in (world.root / "portal" / "reports").glob("*.json")]
    mine = sorted((n["sequence"], n["code"]) for n in notes if n["reference"] == code)
    assert [sequence for sequence, _ in mine] == list(range(len(mine)))
    return [status for _, status in mine]


def state(world: World, code: str, channel: str = "portal") -> tuple[str, int]:
    """Return how a leg stands and how often it was tried."""
    row = world.ask("select * from delivery_leg where dossier = :d and channel = :c", d=code, c=channel)[0]
    return row.state, row.attempts


def test_the_result_lies_in_the_account_and_nothing_is_mailed(world: World) -> None:
    office = world.office()
    code = world.signed(office, 2, applicant=somebody(email="x@citizen.example", account=f"A-{office}"))
    world.carry(code)
    assert world.stage(code) == "Returned"
    assert state(world, code) == ("accepted", 1)
    sealed = world.ask("select key from document where dossier = :d and kind = 'lifted'", d=code)
    assert sorted(in_account(world, f"A-{office}")) == sorted(world.parts.work.get(row.key) for row in sealed)
    assert [m for m in world.mails(code) if str(m["Subject"]).startswith("Kết quả")] == []


def test_an_account_that_does_not_exist_goes_on_by_e_mail_and_a_clerk_is_told(world: World) -> None:
    code = world.signed(world.office(), applicant=somebody(email="x@citizen.example", account="unknown-1"))
    world.carry(code)
    assert state(world, code) == ("refused", 1)
    assert state(world, code, "email") == ("accepted", 1)
    assert world.stage(code) == "Returned"
    kinds = [r.kind for r in world.ask("select kind from counter_task where dossier = :d", d=code)]
    assert kinds == ["undelivered-portal"]


def later(world: World, code: str) -> None:
    """Let the time pass that legs and reports were told to wait."""
    for table in ("delivery_leg", "status_report"):
        world.put(f"update {table} set next_try_at = clock_timestamp() where dossier = :d", d=code)


def test_a_portal_that_is_away_is_waited_for(world: World, faults: Any) -> None:
    office = world.office()
    code = world.signed(office, applicant=somebody(account=f"A-{office}"))
    open_legs(code)
    faults("503")
    assert deliver(code, "portal") == "deferred"
    assert legs_due(code) == []
    assert wake_at(code) is not None
    assert in_account(world, f"A-{office}") == []
    later(world, code)
    world.carry(code)
    assert state(world, code) == ("accepted", 2)
    assert len(in_account(world, f"A-{office}")) == 1


def test_a_deposit_whose_answer_was_lost_is_not_stored_twice(world: World, faults: Any) -> None:
    office = world.office()
    code = world.signed(office, applicant=somebody(account=f"A-{office}"))
    open_legs(code)
    faults("lose-answer")
    assert deliver(code, "portal") == "deferred"
    later(world, code)
    world.carry(code)
    assert world.stage(code) == "Returned"
    assert len(in_account(world, f"A-{office}")) == 1
    assert world.ask("select ambiguous from delivery_leg where dossier = :d", d=code)[0].ambiguous == 0


def test_the_portal_hears_every_code_in_order_also_when_answers_are_lost(world: World, faults: Any) -> None:
    code = world.signed(world.office())
    faults("lose-answer")
    assert report_status(code) == 0
    assert not reports_due(code)
    world.carry(code)
    assert world.stage(code) == "Returned"  # what the portal shows never holds a dossier up
    later(world, code)
    world.carry(code)
    assert heard(world, code) == [1, 2, 4, 9, 10]
    assert report_status(code) == 0


@pytest.mark.parametrize("status", ["503", "400"])
def test_a_code_that_was_not_heard_is_told_before_the_next_one(
    world: World, faults: Any, status: str
) -> None:
    code = world.booked(world.office())
    faults(status)
    assert report_status(code) == 0
    cancel(code, by=world.officer(world.dossier(code).office))
    assert heard(world, code) == []
    later(world, code)
    assert report_status(code) == 2
    assert heard(world, code) == [1, 7]


def test_of_several_dossiers_one_that_is_put_off_holds_back_its_own_codes_only(
    world: World, faults: Any
) -> None:
    office = world.office()
    first, second = sorted([world.booked(office), world.booked(office)])
    for code in (first, second):
        cancel(code, by=world.officer(office))
    faults("503")
    assert report_these([first, second]) == (2, {})
    assert (heard(world, first), heard(world, second)) == ([], [1, 7])
    assert report_these([first, second]) == (2, {}), "whoever asks for them decides when"
    assert (heard(world, first), heard(world, second)) == ([1, 7], [1, 7])
    unsent = "select count(*) from status_report where dossier = any(:c) and sent_at is null"
    assert world.ask(unsent, c=[first, second])[0][0] == 0


def test_what_is_owed_is_the_same_asked_for_one_or_for_many(world: World) -> None:
    office = world.office()
    codes = [world.booked(office), world.received(office)]
    assert to_send(codes) == {
        code: [(number, number in papers_to_seal(code)) for number in notices_due(code)] for code in codes
    }
    assert all(due for due in to_send(codes).values())
    world.put("update notice set next_try_at = now() + interval '1 hour' where dossier = :c", c=codes[0])
    assert to_send(codes)[codes[0]] == []


def test_an_office_without_a_portal_goes_on_and_reports_nothing(world: World) -> None:
    code = world.signed(world.office(), applicant=somebody(email="x@citizen.example", account="A-1"))
    with world.having(portal=None):
        world.carry(code)
    assert state(world, code) == ("refused", 1)
    assert state(world, code, "email") == ("accepted", 1)
    assert (
        world.ask("select count(*) from status_report where dossier = :d and sent_at is not null", d=code)[0][
            0
        ]
        == 0
    )
