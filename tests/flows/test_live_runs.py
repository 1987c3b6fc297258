"""What a supervisor sees in the Prefect UI is what the database says, from the booking to the archive."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.exchange import project_documents
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


def documents_shown(office: Live) -> dict[str, dict[str, Any]]:
    """Compare the exchanged documents with Prefect as the worker does now and then; return their runs by name."""

    async def compare() -> None:
        async with get_client() as client:
            await project_documents(client)

    with temporary_settings({PREFECT_API_URL: office.settings.prefect_api_url}):
        asyncio.run(compare())
    deployments = {"name": {"any_": ["document"]}}
    runs: list[dict[str, Any]] = office.api("POST", "/flow_runs/filter", deployments=deployments, limit=200)
    assert len({run["name"] for run in runs}) == len(runs), "one run a document"
    return {run["name"]: run for run in runs}


def test_each_exchanged_document_is_one_run_for_life_and_buttons_do_not_change_what_it_says(
    office: Live, tmp_path: Path, form: bytes
) -> None:
    # To itself: an agency that works in this system gets its post without the axis, and both ways are seen here.
    seal = office.ask("select sha256 from certificate where office = :o and holder = ''", o=OFFICE)[0][0]
    names = f"Mã định danh,Tên cơ quan,Chứng thư số\n{OFFICE},UBND xã,{seal}\n"
    (tmp_path / "names.csv").write_text(names)
    (tmp_path / "van-ban.pdf").write_bytes(form)
    said = {"to": [OFFICE], "number": "1", "notation": "UBND", "date": "2026-11-20", "subject": CANARIES["name"],
            "for_information": True}  # fmt: skip
    (tmp_path / "letter.yaml").write_text(json.dumps(said))

    def type_(*words: object, by: str = "mai") -> Any:
        with office.as_(OFFICE, by):
            done = office.type("exchange", *words, "--json")
        assert done.code == 0, done.err
        return done.json

    type_("organisations", "--import", tmp_path / "names.csv", by="an")
    letter = ("--letter", tmp_path / "letter.yaml", "--file", tmp_path / "van-ban.pdf")
    sent = type_("send", OFFICE, *letter)["code"]
    until("the worker to deliver it", lambda: type_("show", sent)["statuses"])
    came = type_("inbox", OFFICE)[0]["code"]
    before = documents_shown(office)
    assert [before[one]["state_name"] for one in (sent, came)] == [
        "AwaitingAcknowledgement",
        "AwaitingAcceptance",
    ]
    assert {f"office:{OFFICE}", "exchange:out"} <= set(before[sent]["tags"])
    office.set_state(before[sent]["id"], "CANCELLED", "Cancelled")
    assert documents_shown(office)[sent]["state_name"] == "AwaitingAcknowledgement"
    type_("accept", came)
    type_("progress", came, "05")
    type_("progress", came, "06")
    until("the worker to answer", lambda: type_("show", sent)["waits_for"] == "Done")
    after = documents_shown(office)
    assert [after[one]["id"] for one in (sent, came)] == [before[one]["id"] for one in (sent, came)]
    assert {(after[one]["state_type"], after[one]["state_name"]) for one in (sent, came)} == {
        ("COMPLETED", "Done")
    }


def test_nothing_of_an_applicant_reaches_prefect(office: Live, life: dict[str, Any]) -> None:
    secrets = [*CANARIES.values(), IDENTITY, "canary-file", *CANARIES["name"].split()]
    # Prefect may keep text escaped as JSON.
    escaped = [json.dumps(secret)[1:-1] for secret in secrets]
    tables = set()
    for table, row in office.prefect_tables():
        tables.add(table)
        assert not [s for s in {*secrets, *escaped} if s in row], f"{table}: {row[:300]}"
    assert tables >= {"flow_run", "flow_run_state", "artifact"}
    assert "events" not in tables, "its feed of events is not kept (docs/decisions/0011)"
    assert any(life["code"] in row for _, row in office.prefect_tables())


def test_a_second_run_for_the_same_dossier_steps_aside(office: Live) -> None:
    code = office.book()
    office.waits(code, "Booked")
    office.shown(code)
    other = office.press_run("dossier", code=code)
    until("its end", lambda: office.api("GET", f"/flow_runs/{other}")["state_name"] == "ShownElsewhere")
    office.shown(code)
