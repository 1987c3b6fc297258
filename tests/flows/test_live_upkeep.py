"""What the clock starts does its work when it is started by hand, in processes of the pool worker."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from datetime import timedelta

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.dead_runs import DEAD_RUNS
from flows.deploying import reconcile
from flows.deployments import read_deployments
from infra.services import using
from infra.stack.layout import PROJECT
from infra.stack.run import pids
from tasks.health.doctor import NAMES
from tests.flows.live import CANARIES, Live, until

pytestmark = pytest.mark.long


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
        names = [office.api("GET", f"/flow_runs/{run}")["name"] for run in runs]
    return {"archival": returned, "no-shows": missed, "sweep": nobody_took, "names": " | ".join(names)}


def test_a_run_by_the_clock_is_called_by_its_flow_and_its_hour(done: dict[str, str]) -> None:
    when = r" \d{4}-\d\d-\d\d \d\d:\d\d"
    assert re.fullmatch(f"archival{when} \\| no-shows{when} \\| sweep{when}", done["names"])


def test_the_night_archives_what_was_returned(office: Live, done: dict[str, str]) -> None:
    assert office.stage(done["archival"]) == "Archived"
    office.shown(done["archival"])


def test_who_did_not_come_is_a_no_show(office: Live, done: dict[str, str]) -> None:
    assert office.stage(done["no-shows"]) == "NoShow"
    office.shown(done["no-shows"])


def test_the_sweep_carries_on_what_nobody_took(office: Live, done: dict[str, str]) -> None:
    assert "notice:sent" in office.events(done["sweep"])
    office.shown(done["sweep"])


def forked(office: Live) -> list[int]:
    """Return the processes of runs that were forked from the one that stands by for them."""
    return list(pids(office.root, "runs"))[1:]


def test_a_run_whose_process_was_killed_is_found_and_what_it_held_is_free(office: Live) -> None:
    async def watch(silence: timedelta) -> None:
        async with get_client() as client:
            await reconcile(
                client, read_deployments(PROJECT / "prefect.yaml"), release=PROJECT, silence=silence
            )

    state = lambda run: office.api("GET", f"/flow_runs/{run}")["state_type"]  # noqa: E731
    with temporary_settings({PREFECT_API_URL: office.settings.prefect_api_url}):
        asyncio.run(watch(timedelta(seconds=10)))  # the shortest that Prefect takes
    try:
        with office.owner() as connection:
            # A table that the run asks first is held, so that the run is in its middle when it is killed.
            connection.execute("begin")
            connection.execute("lock table maintenance in access exclusive mode")
            run = office.press_run("no-shows")
            until("its beginning", lambda: state(run) == "RUNNING")
            assert len(forked(office)) == 1, "a run is forked from the process that stands by for runs"
            office.kill("pool-worker")
            until("the end of its process", lambda: not forked(office))
            connection.execute("rollback")
        until("the crash", lambda: state(run) == "CRASHED")
        office.up()
        # One run at a time is allowed; a slot that the dead one still held would cancel this one.
        again = office.press_run("no-shows")
        until("the next run", lambda: state(again) in ("COMPLETED", "CANCELLED"))
        assert state(again) == "COMPLETED"
    finally:
        office.up()
        assert DEAD_RUNS in str(office.deploy("--json").json)


def test_the_doctor_finds_servers_and_workers_and_misses_the_one_that_hangs(office: Live) -> None:
    found = {one["name"]: one for one in office.hoso("doctor", "--json").json}
    assert found["prefect"]["state"] == "ok", found["prefect"]
    assert found["workers"]["cause"].startswith("1 warm workers listen"), found["workers"]
    assert found["token"]["state"] == "ok", found["token"]
    server = pids(office.root, "prefect")
    for pid in server:
        os.kill(pid, signal.SIGSTOP)
    try:
        said = office.hoso("doctor", "--json")
    finally:
        for pid in server:
            os.kill(pid, signal.SIGCONT)
    assert said.code == 1
    assert [one["name"] for one in said.json if one["state"] == "failing"] == ["prefect"]


def test_the_flow_shows_what_was_found_and_nothing_of_a_person(office: Live) -> None:
    run = office.press_run("health")
    until("its end", lambda: office.api("GET", f"/flow_runs/{run}")["state_type"] in ("COMPLETED", "FAILED"))
    page = str(office.api("GET", "/artifacts/health/latest")["data"])
    assert all(f"| {name} |" in page for name in NAMES)
    assert not [canary for canary in CANARIES.values() if canary in page]
    assert office.ask("select count(*) from health_check")[0][0] >= len(NAMES)
