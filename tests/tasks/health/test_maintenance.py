"""Maintenance: new acts are refused with the time, reading goes on, workers finish and begin nothing (OPS-01)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flows.batch_slots import certification_batch
from flows.upkeep import no_shows
from infra.services import using
from tasks.dossier import outbox
from tasks.people.rules import ACTS
from tests.world import VECTORS, World

REASON = VECTORS / "reason.txt"


@pytest.fixture(scope="module")
def office(running_world: World) -> str:
    """An office whose administrator administers every office."""
    with using(running_world.parts):
        code = running_world.office()
        granted = ("person", "grant", f"{code}/an", "--role", "administrator", "--at", "*")
        assert running_world.type(*granted, by=None).code == 0
        return code


@contextmanager
def maintained(world: World, office: str) -> Iterator[None]:
    """Let the system be maintained within a `with` block."""
    with world.as_(office, "an"):
        said = world.type("maintenance", "on", "--until", "23:59", "--why", REASON)
    assert said.code == 0, said.err
    try:
        yield
    finally:
        with world.as_(office, "an"):
            assert world.type("maintenance", "off").out == "work goes on\n"


def test_ops_01_acts_are_refused_with_the_time_and_nothing_is_half_done_while_reading_goes_on(
    world: World, office: str
) -> None:
    code = world.booked(office)
    with maintained(world, office):
        before = world.picture()
        said = world.type("cancel", code)
        assert said.code == 1
        assert "being maintained until about" in said.err
        assert "23:59" in said.err
        assert REASON.read_text(encoding="utf-8").strip() in said.err
        assert said.err.splitlines()[0].endswith("[OPS-01]")
        assert world.picture() == before
        assert world.type("show", code).code == 0
        assert world.type("list", "--office", office).code == 0
        assert "maintenance until about" in world.type("status", code, by=None).out
        assert world.type("status", "--json", by=None).json["maintenance_until"].endswith("23:59:00+07:00")
        # Who has lost a token, or must be kept out, cannot wait for the end of it.
        with world.as_(office, "an"):
            assert world.type("person", "unlock", f"{office}/mai").code == 0
    assert world.type("status", by=None).out == "the system works\n"
    assert world.type("cancel", code).code == 0


def test_ops_01_workers_begin_nothing_and_go_on_afterwards(world: World, office: str) -> None:
    code = world.received(office)
    with maintained(world, office):
        assert outbox.take("a worker", 100) == []
        assert outbox.take_one("a worker", code) is None
        # Nor does the clock: each run says so, and leaves the work to the next one.
        for flow in (no_shows, certification_batch):
            assert asyncio.run(flow.fn()).name == "Maintenance"
    lease = outbox.take_one("a worker", code)
    assert lease is not None
    outbox.give_back(lease)


def test_it_begins_once_by_name_and_is_in_the_history_with_the_reason_beside_it(
    world: World, office: str
) -> None:
    other = world.office()
    for staff, where in (("mai", office), ("an", other)):
        with world.as_(where, staff):
            said = world.type("maintenance", "on", "--until", "23:59", "--why", REASON)
            assert (said.code, "[AUTH-06]" in said.err) == (1, True), said.err
    with maintained(world, office), world.as_(office, "an"):
        again = world.type("maintenance", "on", "--until", "23:59", "--why", REASON)
        assert (again.code, f"begun by {office}/an" in again.err) == (1, True)
    begun, ended = world.told("maintenance")[-2:]
    assert (begun["event"], ended["event"]) == ("maintenance:begun", "maintenance:ended")
    assert begun["actor"]["id_hash"] == world.officer(office, "an", "administrator").facts()["id_hash"]
    assert "reason" not in begun
    with world.as_(office, "an"):
        assert world.type("maintenance", "off").out == "there was no maintenance\n"
        late = world.type("maintenance", "on", "--until", "noon", "--why", REASON)
        assert (late.code, "[OPS-01]" in late.err) == (1, True)


def test_what_only_looks_and_what_cannot_wait_is_all_that_goes_on() -> None:
    going_on = {name for name, act in ACTS.items() if act.in_maintenance}
    assert {name for name in going_on if name.split()[0] not in ("person", "maintenance")} == {
        "certificate suspend", "certificate revoke", "release", "deploy", "drain", "project", "probe", "history checkpoint", "reconcile", "fixity",
    }  # fmt: skip
    changing = {
        "book",
        "receive",
        "sign",
        "cancel",
        "archive",
        "retry",
        "batch run",
        "exchange send",
        "register lock",
    }
    assert not [name for name in changing if ACTS[name].reads or ACTS[name].in_maintenance]
