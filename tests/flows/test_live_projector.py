"""Many dossiers are shown in Prefect together, and each as if it were alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import httpx
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from sqlalchemy import text

from flows.pictures import pictures
from flows.projector import project
from flows.showing import set_states
from infra.services import services, using
from tests.flows.live import Live

T = TypeVar("T")


@pytest.fixture(scope="module")
def alone(running_office: Live) -> Iterator[Live]:
    """The office without the worker that compares by itself, so that only the tests do."""
    running_office.kill("warm-worker")
    with using(running_office.parts):
        yield running_office
    running_office.up()


@pytest.fixture
def codes(alone: Live) -> list[str]:
    """Some booked dossiers that Prefect knows nothing of."""
    return [alone.book() for _ in range(6)]


def asked(office: Live, what: Callable[[PrefectClient], Awaitable[T]], **settings: Any) -> T:
    """Ask Prefect something as a worker does."""

    async def go() -> T:
        async with get_client(httpx_settings=settings) as client:
            return await what(client)

    with temporary_settings(
        {PREFECT_API_URL: office.settings.prefect_api_url, PREFECT_CLIENT_MAX_RETRIES: 0}
    ):
        return asyncio.run(go())


def forget(codes: Sequence[str]) -> None:
    """Lose what was known of dossiers' runs, as in a crash right after they were made."""
    with services().database.transaction() as session:
        statement = text("update dossier set run_id = null, shown = null where code = any(:codes)")
        session.connection().execute(statement, {"codes": list(codes)})


def timelines_of(office: Live, run: str) -> list[dict[str, Any]]:
    """Return the artifacts beside a run."""
    return list(office.api("POST", "/artifacts/filter", flow_runs={"id": {"any_": [run]}}))


def test_dossiers_without_runs_are_made_together_each_with_its_timeline(
    alone: Live, codes: list[str]
) -> None:
    paths: list[str] = []

    async def note(request: httpx.Request) -> None:
        paths.append(request.url.path.rpartition("/api")[2])

    wrong = asked(alone, lambda client: project(client, codes), event_hooks={"request": [note]})
    assert wrong == len(codes)
    assert all(alone.is_shown(code) for code in codes)
    for code in codes:
        [timeline] = timelines_of(alone, alone.run_of(code)["id"])
        assert timeline["data"] == alone.timeline(code)
        assert ": Booked** –" in timeline["data"]
        assert len([line for line in timeline["data"].splitlines() if line.startswith("| 20")]) == len(
            alone.events(code)
        )
    # All in one request; Prefect takes only timelines one at a time.
    assert len([path for path in paths if path.endswith("create_flow_run/bulk")]) == 1
    assert not [path for path in paths if path.endswith(("create_flow_run", "set_state"))]
    assert asked(alone, lambda client: project(client, codes)) == 0


def test_two_who_show_the_same_dossiers_at_once_make_one_run_of_each(alone: Live, codes: list[str]) -> None:
    async def both(client: PrefectClient) -> None:
        async with get_client() as other:
            await asyncio.gather(project(client, codes), project(other, codes))

    asked(alone, both)
    assert all(alone.is_shown(code) for code in codes)  # Which fails where one has two runs.


def test_a_dossier_that_prefects_database_refuses_keeps_no_other_from_being_shown(
    alone: Live, codes: list[str]
) -> None:
    refused = codes[2]
    alone.prefect(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$"
    )
    alone.prefect(
        "create trigger refuse before insert on flow_run for each row"
        f" when (new.name = '{refused}') execute function refuse()"
    )
    try:
        assert asked(alone, lambda client: project(client, codes)) == len(codes) - 1
        assert [code for code in codes if not alone.is_shown(code)] == [refused]
    finally:
        alone.prefect("drop function refuse() cascade")
    assert asked(alone, lambda client: project(client, codes)) == 1
    assert alone.is_shown(refused)


def test_a_run_of_which_nothing_is_known_any_more_is_found_by_its_key_and_set_right(
    alone: Live, codes: list[str]
) -> None:
    asked(alone, lambda client: project(client, codes))
    runs = {code: alone.run_of(code)["id"] for code in codes}
    forget(codes)
    alone.set_state(runs[codes[1]], "CANCELLED", "Cancelled")
    asked(alone, lambda client: project(client, codes))
    assert all(alone.is_shown(code) for code in codes)
    assert {code: alone.run_of(code)["id"] for code in codes} == runs


def test_runs_with_wrong_states_are_set_right_and_those_that_were_deleted_made_anew(
    alone: Live, codes: list[str]
) -> None:
    asked(alone, lambda client: project(client, codes))
    for code in codes[:3]:
        alone.set_state(alone.run_of(code)["id"], "CANCELLED", "Cancelled")
    alone.api("DELETE", f"/flow_runs/{alone.run_of(codes[3])['id']}")
    assert asked(alone, lambda client: project(client, codes)) == 4
    assert all(alone.is_shown(code) for code in codes)


def test_a_run_that_somebody_set_going_after_it_was_seen_is_left_alone(alone: Live, codes: list[str]) -> None:
    asked(alone, lambda client: project(client, codes))
    alone.set_state(alone.run_of(codes[0])["id"], "CANCELLED", "Cancelled")

    async def late(client: PrefectClient) -> int:
        shown = pictures(codes[:2])
        wrong = [(one, await client.read_flow_run(one.run_id)) for one in shown if one.run_id]
        alone.set_state(alone.run_of(codes[1])["id"], "RUNNING", "Running")
        return len(await set_states(client, wrong))

    assert asked(alone, late) == 1
    assert [alone.run_of(code)["state_name"] for code in codes[:2]] == ["Booked", "Running"]


def test_a_timeline_names_those_who_acted_by_staff_code(alone: Live) -> None:
    code = alone.receive()
    asked(alone, lambda client: project(client, [code]))
    page = alone.timeline(code)
    assert "| mai, " in page
    assert page.count("\n| 20") == len(alone.events(code))
