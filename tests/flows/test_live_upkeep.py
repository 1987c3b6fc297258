"""What the clock starts does its work when it is started by hand, in processes of the pool worker."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deploying import DEAD_RUNS, reconcile
from flows.deployments import read_deployments
from infra.services import using
from infra.stack.layout import PROJECT
from infra.stack.run import pids
from tests.flows.live import Live, until


@pytest.fixture(scope="module")
def done(running_office: Live) -> dict[str, str]:
    """Give each flow something to do, start them all, and return what they were given by their name."""
    office = running_office
    with using(office.parts):
        returned = office.receive()
        missed = office.book()
        for code, name in ((returned, "AwaitingSignature"), (missed, "Booked")):
            office.waits(code, name)
        office.sign(returned)
        office.waits(returned, "AwaitingArchive")
        late = "update appointment set starts_at = starts_at - interval '9 days', ends_at = ends_at - interval '9 days'"
        office.put(f"{late} where dossier = :c", c=missed)
        worker = pids(office.root, "warm-worker")[0]
        os.kill(worker, signal.SIGSTOP)  # Nobody is warm: the flows must do the work themselves.
        try:
            nobody_took = office.book()
            runs = [office.press_run(flow) for flow in ("archival", "no-shows", "sweep")]
            for run in runs:
                until(
                    f"the end of {run}",
                    lambda run=run: office.api("GET", f"/flow_runs/{run}")["state_type"] == "COMPLETED",
                )  # type: ignore[misc]
        finally:
            os.kill(worker, signal.SIGCONT)
    return {"archival": returned, "no-shows": missed, "sweep": nobody_took}


def test_the_night_archives_what_was_returned(office: Live, done: dict[str, str]) -> None:
    assert office.stage(done["archival"]) == "Archived"
    office.shown(done["archival"])


def test_who_did_not_come_is_a_no_show(office: Live, done: dict[str, str]) -> None:
    assert office.stage(done["no-shows"]) == "NoShow"
    office.shown(done["no-shows"])


def test_the_sweep_carries_on_what_nobody_took(office: Live, done: dict[str, str]) -> None:
    assert "notice:sent" in office.events(done["sweep"])
    office.shown(done["sweep"])


def test_a_run_that_gives_no_sign_of_life_is_shown_as_crashed(office: Live) -> None:
    async def watch(silence: timedelta) -> None:
        async with get_client() as client:
            await reconcile(
                client, read_deployments(PROJECT / "prefect.yaml"), release=PROJECT, silence=silence
            )

    with temporary_settings({PREFECT_API_URL: office.settings.prefect_api_url}):
        asyncio.run(watch(timedelta(seconds=10)))  # the shortest that Prefect takes
    try:
        # A run whose process is gone: set going, and nobody behind it.
        known = office.api("GET", "/deployments/name/no-shows/no-shows")
        made = office.api("POST", f"/deployments/{known['id']}/create_flow_run", state={"type": "PENDING"})
        office.set_state(made["id"], "RUNNING", "Running")
        until("the crash", lambda: office.api("GET", f"/flow_runs/{made['id']}")["state_type"] == "CRASHED")
    finally:
        assert office.hoso("deploy", "--json").json == [f"made automation “{DEAD_RUNS}”"]
