"""Prefect may be away or lose everything: the office goes on, and afterwards Prefect shows the truth."""

from __future__ import annotations

import pytest

from tasks.appointment.acts import cancel
from tasks.certification.receiving import Receipt, receive
from tasks.certification.scanning import Presented
from tests.flows.live import OFFICE, Live, until

pytestmark = pytest.mark.long


def test_a_dossier_lives_its_life_while_prefect_is_stopped_and_is_shown_afterwards(office: Live) -> None:
    before = office.book()
    office.waits(before, "Booked")
    office.shown(before)
    run = office.run_of(before)["id"]
    office.kill("prefect")
    while_away = office.book()
    office.waits(while_away, "Booked")
    shown = Presented(kind="Bằng tốt nghiệp", files=(("1.jpg", office.scan),))
    receive(before, [shown], Receipt(paid="BL-1"), by=office.officer(OFFICE))
    office.waits(before, "AwaitingSignature")
    office.sign(before)
    office.waits(before, "AwaitingArchive")
    assert office.type("archive", before).code == 0
    office.waits(before, "Archived")
    office.up()
    office.shown(before, while_away)
    assert office.run_of(before)["id"] == run
    assert ": Archived** –" in office.timeline(before)


def test_after_prefect_lost_its_database_every_open_dossier_has_a_run_again_and_no_ended_one(
    office: Live,
) -> None:
    ended = office.book()
    cancel(ended, by=office.officer(OFFICE))
    office.waits(ended, "Cancelled")
    codes = [office.book(), office.receive()]
    office.waits(codes[0], "Booked")
    office.waits(codes[1], "AwaitingSignature")
    office.shown(ended, *codes)
    until("that its end was shown", lambda: str(office.dossier(ended).shown).startswith("COMPLETED"))
    told = {code: office.events(code) for code in codes}
    office.kill("prefect")
    office.wipe_prefect()
    office.up()
    assert office.api("POST", "/flow_runs/count") == 0
    while_empty = office.receive()
    office.waits(while_empty, "AwaitingSignature")  # Nothing is deployed, and the work goes on.
    assert office.deploy().code == 0
    office.shown(*codes, while_empty)
    assert {code: office.events(code) for code in codes} == told
    assert office.runs(name={"any_": [ended]}) == []
