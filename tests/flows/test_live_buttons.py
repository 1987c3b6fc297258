"""Whatever somebody presses in the Prefect UI, the dossier is where it was, and soon the run says so again."""

from __future__ import annotations

import pytest

from infra.services import using
from tasks.appointment.acts import cancel
from tests.flows.live import OFFICE, Live, until

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def pressed(running_office: Live) -> dict[str, tuple[str, str]]:
    """Press every button, each on the run of a dossier of its own; return code and run by the button."""
    office = running_office
    with using(office.parts):
        open_ones = ("resume", "retry", "cancel", "suspend", "delete", "fail")
        codes = {button: office.book() for button in open_ones}
        codes["retry-ended"] = office.book()
        for code in codes.values():
            office.waits(code, "Booked")
        cancel(codes["retry-ended"], by=office.officer(OFFICE))
        office.waits(codes["retry-ended"], "Cancelled")
        office.shown(*codes.values())
        runs = {button: office.run_of(code)["id"] for button, code in codes.items()}
        office.set_state(runs["retry-ended"], "SCHEDULED", "AwaitingRetry")
        # A booked run waits; only a run that has ended offers Retry, so it is failed first.
        office.set_state(runs["retry"], "FAILED", "Failed")
        office.set_state(runs["retry"], "SCHEDULED", "AwaitingRetry")
        resumed = office.api("POST", f"/flow_runs/{runs['resume']}/resume")
        assert resumed["status"] == "ACCEPT", resumed
        office.set_state(runs["cancel"], "CANCELLING", "Cancelling")
        office.set_state(runs["suspend"], "PAUSED", "Suspended")
        office.set_state(runs["fail"], "FAILED", "Failed")
        office.api("DELETE", f"/flow_runs/{runs['delete']}")
    return {button: (codes[button], runs[button]) for button in codes}


@pytest.mark.parametrize("button", ["cancel", "suspend", "fail"])
def test_a_state_that_is_not_true_is_set_right(
    office: Live, pressed: dict[str, tuple[str, str]], button: str
) -> None:
    code, run = pressed[button]
    office.shown(code)
    assert office.run_of(code)["id"] == run
    assert office.stage(code) == "Booked"


def test_a_deleted_run_is_made_anew(office: Live, pressed: dict[str, tuple[str, str]]) -> None:
    code, run = pressed["delete"]
    until("a new run", lambda: [one for one in office.runs(name={"any_": [code]}) if one["id"] != run])
    office.shown(code)
    assert office.stage(code) == "Booked"


@pytest.mark.parametrize("button", ["resume", "retry", "retry-ended"])
def test_a_run_that_is_set_going_is_taken_by_the_pool_worker_and_ends_under_the_right_name(
    office: Live, pressed: dict[str, tuple[str, str]], button: str
) -> None:
    code, run = pressed[button]
    until(
        "the pool worker's leg",
        lambda: office.states(run)[-1] != "Running" and "Running" in office.states(run),
    )
    office.shown(code)
    assert office.run_of(code)["id"] == run
    assert office.stage(code) == ("Cancelled" if button == "retry-ended" else "Booked")


def test_buttons_do_nothing_to_the_history(office: Live, pressed: dict[str, tuple[str, str]]) -> None:
    for button, (code, _) in pressed.items():
        office.shown(code)
        wanted = ["dossier:opened", "appointment:booked", "notice:sent"]
        wanted += ["appointment:cancelled"] if button == "retry-ended" else []
        assert office.events(code) == wanted
