"""What a supervisor sees in the Prefect UI is what the database says, from the booking to the archive."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flows.standing import waiting
from infra.services import using
from tasks.appointment.acts import cancel
from tasks.certification.examining import ask_for_supplement
from tasks.certification.receiving import Receipt, receive
from tasks.certification.scanning import Presented
from tests.flows.live import CANARIES, IDENTITY, OFFICE, Live, until


@pytest.fixture(scope="module")
def life(running_office: Live) -> dict[str, Any]:
    """One dossier's whole life, and which run showed it at each stage."""
    office, runs = running_office, []

    def stand(name: str) -> None:
        office.waits(code, name)
        office.shown(code)
        runs.append(office.run_of(code)["id"])

    with using(office.parts):
        code = office.book()
        stand("Booked")
        shown = Presented(kind="Bằng tốt nghiệp", files=(("canary-file.jpg", office.scan),))
        receive(code, [shown], Receipt(paid="BL-1"), by=office.officer(OFFICE))
        stand("AwaitingSignature")
        office.sign(code)
        stand("AwaitingArchive")
        assert office.type("archive", code).code == 0
        stand("Archived")
    return {"code": code, "runs": runs}


def test_a_booking_makes_a_run_from_the_deployment_named_by_the_code_and_tagged(office: Live) -> None:
    code = office.book()
    office.waits(code, "Booked")
    office.shown(code)
    run = office.run_of(code)
    assert run["name"] == code
    assert run["parameters"] == {"code": code}
    assert {f"office:{OFFICE}", "procedure:e-copy"} <= set(run["tags"])
    deployment = office.api("GET", "/deployments/name/dossier/dossier")
    assert run["deployment_id"] == deployment["id"]


def test_one_run_shows_the_whole_life(life: dict[str, Any]) -> None:
    assert len(set(life["runs"])) == 1


def test_the_run_of_an_archived_dossier_is_completed(office: Live, life: dict[str, Any]) -> None:
    run = office.run_of(life["code"])
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Archived")


def test_the_run_shows_each_step_that_was_done_as_a_task(office: Live, life: dict[str, Any]) -> None:
    wanted = {
        "confirm booking",
        "reserve number of original 1",
        "issue copy of original 1",
        "seal original 1",
    }
    wanted |= {"validate original 1", "deliver by email", "archive"}

    def names() -> bool:
        chosen = {"id": {"any_": [life["runs"][0]]}}
        tasks = office.api("POST", "/task_runs/filter", flow_runs=chosen, limit=200)
        return {task["name"] for task in tasks if task["state_type"] == "COMPLETED"} >= wanted

    until("all steps as tasks", names)  # Prefect writes task runs down after the run itself.


def test_the_timeline_tells_every_event_of_the_history_in_order(office: Live, life: dict[str, Any]) -> None:
    lines = office.timeline(life["code"]).splitlines()
    rows = [line.split("|")[2].split()[0] for line in lines if line.startswith("| 20")]
    assert rows == office.events(life["code"])
    assert any(": Archived** –" in line for line in lines)


def test_the_state_filter_answers_what_the_database_answers(office: Live) -> None:
    booked, received, cancelled, asked = office.book(), office.receive(), office.book(), office.receive()
    unpaid = office.book()
    cancel(cancelled, by=office.officer(OFFICE))
    scan = Presented(kind="Giấy khai sinh", files=(("1.jpg", office.scan),))
    receive(unpaid, [scan], Receipt(), by=office.officer(OFFICE))
    office.waits(received, "AwaitingSignature")
    office.waits(asked, "AwaitingSignature")
    ask_for_supplement(asked, "Thiếu trang 2.", by=office.officer(OFFICE))
    mine = [booked, received, cancelled, asked, unpaid]
    for code in mine:
        office.waits(code, waiting(code).name)
    office.shown(*mine)
    names = {waiting(code).name for code in mine}
    assert names == {"Booked", "AwaitingSignature", "Cancelled", "SupplementAsked", "PaymentDue"}
    everybody = [row.code for row in office.ask("select code from dossier")]
    for name in names:
        by_database = {code for code in everybody if waiting(code).name == name}

        def same(name: str = name, wanted: set[str] = by_database) -> bool:
            return {run["name"] for run in office.runs(state={"name": {"any_": [name]}})} == wanted

        until(f"the same dossiers under {name}", same)


def test_nothing_of_an_applicant_reaches_prefect(office: Live, life: dict[str, Any]) -> None:
    secrets = [*CANARIES.values(), IDENTITY, "canary-file", *CANARIES["name"].split()]
    # Prefect may keep text escaped as JSON.
    escaped = [json.dumps(secret)[1:-1] for secret in secrets]
    tables = set()
    for table, row in office.prefect_tables():
        tables.add(table)
        assert not [s for s in {*secrets, *escaped} if s in row], f"{table}: {row[:300]}"
    assert {"flow_run", "task_run_state_cache", "artifact", "events", "log"} & tables >= {
        "flow_run",
        "artifact",
        "events",
    }
    assert any(life["code"] in row for _, row in office.prefect_tables())


def test_a_second_run_for_the_same_dossier_steps_aside(office: Live) -> None:
    code = office.book()
    office.waits(code, "Booked")
    office.shown(code)
    other = office.press_run("dossier", code=code)
    until("its end", lambda: office.api("GET", f"/flow_runs/{other}")["state_name"] == "ShownElsewhere")
    office.shown(code)
