"""Batches on a live Prefect server: runs, names, artifacts, and what happens when a worker is killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence

import pytest

from infra.stack.layout import Place
from infra.stack.postgres import administrator
from tasks.batches import records
from tasks.batches.rules import Kind
from tests.flows.live import OFFICE, Live, until

pytestmark = pytest.mark.long


def ended(live: Live, run: str) -> dict[str, object]:
    """Wait until a run has ended and return it."""

    def look() -> dict[str, object] | None:
        found: dict[str, object] = live.api("GET", f"/flow_runs/{run}")
        return found if found["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    return until(f"the end of run {run}", look)


def for_the_batch(live: Live, count: int) -> list[str]:
    """Receive dossiers that wait for a batch; the warm worker leaves them alone from the first moment."""
    codes = []
    for _ in range(count):
        with live.parts.database.together():
            codes.append(live.receive())
            live.put(
                "update outbox set batch_until = now() + interval '1 day' where dossier = :c", c=codes[-1]
            )
    return codes


def test_a_batch_is_a_run_with_a_named_end_a_table_and_chunks_that_are_runs_of_their_own(
    office: Live,
) -> None:
    codes = for_the_batch(office, 3)
    waits = [code for code, _ in records.waiting_for(Kind.CERTIFICATION, OFFICE, room=500)]
    batch = office.press_run("certification-batch", office=OFFICE)
    run = ended(office, batch)
    assert run["state_type"] == "COMPLETED", run
    assert run["state_name"] == f"{len(waits)} done"
    number = json.loads(run["state"]["message"])["batches"][0]  # type: ignore[index]
    for code in codes:
        assert office.stage(code) == "AwaitingSignature"
    chunks = records.chunks_of(number)
    assert len(chunks) > 1
    assert {office.api("GET", f"/flow_runs/{chunk.run_id}")["state_name"] for chunk in chunks} == {"carried"}
    office.shown(*codes)
    table = office.api("GET", f"/artifacts/batch-{number}/latest")
    assert table["type"] == "table"
    assert json.loads(table["data"])[0] == {
        "result": "done",
        "reason": "",
        "dossiers": len(waits),
        "dossier": "",
    }
    bar = office.api("GET", f"/artifacts/batch-{number}-progress/latest")
    assert (bar["type"], float(bar["data"])) == ("progress", 100.0)


def certified_once(live: Live, codes: Sequence[str]) -> bool:
    """Whether each dossier was certified, and none twice."""
    frozen = live.ask(
        "select dossier, count(*) from document where kind = 'frozen' and dossier = any(:c) group by dossier",
        c=list(codes),
    )
    return {live.stage(code) for code in codes} == {"AwaitingSignature"} and dict(frozen) == dict.fromkeys(
        codes, 1
    )


def test_a_chunk_whose_worker_is_killed_is_finished_by_another_and_nothing_is_done_twice(
    office: Live,
) -> None:
    codes = for_the_batch(office, 4)
    batch = office.press_run("certification-batch", office=OFFICE)

    def carrier() -> int | None:
        """Return a process that carries a chunk at this moment."""
        found = office.ask(
            "select lease_owner from batch_chunk where ended_at is null and lease_until > now()"
            " and lease_owner is not null limit 1"
        )
        return int(found[0][0].split("/")[1]) if found else None

    pid = until("a chunk that is carried", carrier)
    os.kill(pid, signal.SIGKILL)
    run = ended(office, batch)
    assert run["state_type"] == "COMPLETED", run
    assert certified_once(office, codes)
    number = json.loads(run["state"]["message"])["batches"][0]  # type: ignore[index]
    chunks = records.chunks_of(number)
    assert max(chunk.fence for chunk in chunks) > 1, "another took up what the dead one had"
    runs = office.api("POST", "/flow_runs/filter", flow_runs={"tags": {"all_": [f"batch:{number}"]}})
    assert len(runs) <= 2 * len(chunks), "one run was started in the place of a dead one's"


def test_a_batch_whose_own_run_died_is_taken_up_by_the_warm_worker(office: Live) -> None:
    codes = for_the_batch(office, 2)
    number = records.begin_batch(Kind.CERTIFICATION, OFFICE)
    assert number is not None
    records.add_chunk(number, codes, urgent=False)
    office.put("update batch set lease_until = now() - interval '1 second' where id = :b", b=number)
    until("the end of the batch", lambda: records.batch_row(number).ended_at)
    assert certified_once(office, codes)
    again = office.api("POST", "/flow_runs/filter", flows={"name": {"any_": ["batch-again"]}})
    assert [run["parameters"] for run in again].count({"batch": number}) == 1, "one run takes it up"


def test_a_run_that_never_begins_is_cancelled_and_a_booked_dossiers_run_waits_on(
    office: Live,
) -> None:
    booked = office.book()
    office.shown(booked)
    waits = office.run_of(booked)["id"]
    known = office.api("GET", "/deployments/name/batch-chunk/batch-chunk")
    stuck = office.api(
        "POST", f"/deployments/{known['id']}/create_flow_run",
        parameters={"batch": 0, "chunk": 0}, state={"type": "PENDING", "name": "Pending"},
    )["id"]  # fmt: skip
    aged = "update flow_run_state set timestamp = timestamp - interval '11 minutes' where name = 'Pending' and flow_run_id = %s"
    with administrator(Place(office.root), "prefect") as connection:
        for run in (waits, stuck):
            connection.execute(aged, (run,))
    assert ended(office, stuck)["state_type"] == "CANCELLED"
    assert office.api("GET", f"/flow_runs/{waits}")["state_type"] in ("PENDING", "PAUSED"), "it waits on"
