"""Batches on a live Prefect server: runs, names, artifacts, and what happens when a worker is killed."""

from __future__ import annotations

import json

from tasks.batches import records
from tasks.batches.rules import Kind
from tests.flows.live import OFFICE, Live, until


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
