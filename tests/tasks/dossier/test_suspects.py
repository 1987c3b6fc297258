"""A dossier that its workers die at is carried alone, given up by name, and drags no other with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.dossier import outbox
from tests.world import World

REASON = Path(__file__).parents[2] / "vectors" / "reason.txt"


@pytest.fixture
def two(world: World) -> Iterator[list[str]]:
    """Two dossiers that are due, and no other one."""
    before = world.ask("select dossier, lease_owner, lease_until, deaths from outbox")
    world.put(
        "update outbox set lease_until = clock_timestamp() + interval '1 hour', lease_owner = 'a test', deaths = 0"
    )
    office = world.office()
    codes = [world.received(office), world.received(office)]
    are_due(world, codes)
    yield codes
    free = "lease_owner = null, lease_until = null, deaths = 0, done = asked where dossier = any(:d)"
    world.put(f"update outbox set {free}", d=codes)
    for row in before:
        back = "lease_owner = :o, lease_until = :u, deaths = :n where dossier = :d"
        world.put(
            f"update outbox set {back}", o=row.lease_owner, u=row.lease_until, n=row.deaths, d=row.dossier
        )


def are_due(world: World, codes: list[str]) -> None:
    """Let what was asked for a moment ago be due now, whatever this process thinks that PostgreSQL's clock says."""
    world.put("update outbox set not_before = not_before - interval '1 s' where dossier = any(:d)", d=codes)


def dies(world: World) -> None:
    """Let whoever holds something be silent for too long."""
    world.put(
        "update outbox set lease_until = clock_timestamp() - interval '1 s' where lease_owner like 'worker%'"
    )


def taken(who: str, room: int = 4, *, idle: bool = True) -> list[str]:
    return sorted(lease.code for lease in outbox.take(who, room, idle=idle))


def test_after_one_death_they_are_taken_together_and_after_two_each_alone_by_who_has_nothing_else(
    world: World, two: list[str]
) -> None:
    assert taken("worker-1") == sorted(two)
    dies(world)
    assert taken("worker-2") == sorted(two), "one death says nothing about what it happened at"
    dies(world)
    assert taken("worker-3", idle=False) == [], "whoever has something in hand ends it first"
    (first,) = outbox.take("worker-3", 4)
    assert first.deaths == 2
    (second,) = outbox.take("worker-4", 4)
    assert {first.code, second.code} == set(two)
    assert outbox.finish(first, seen=first.asked)
    dies(world)
    assert taken("worker-5") == [second.code], "the one that was carried is suspected no more"


def test_batches_leave_a_suspect_to_those_who_carry_it_alone(world: World, two: list[str]) -> None:
    for _ in range(2):
        assert taken("worker-1") == sorted(two)
        dies(world)
    assert outbox.take_these("worker-2", two) == {}


def test_what_too_many_workers_died_at_waits_for_a_person_by_name_and_may_be_tried_again(
    world: World, two: list[str]
) -> None:
    poison, other = two
    world.put("update outbox set deaths = 3, lease_owner = 'worker-9' where dossier = :d", d=poison)
    dies(world)
    assert taken("worker-1") == [poison]
    dies(world)
    assert taken("worker-2") == [other], "the fifth death was the last one"
    (row,) = world.ask("select * from outbox where dossier = :d", d=poison)
    assert row.last_error.startswith("needs attention: 5 workers running died")
    assert (row.lease_owner, row.asked, row.deaths) == (None, row.done, 0)
    assert world.type("retry", poison, "--why", REASON, by="mai").code == 0
    are_due(world, [poison])
    assert taken("worker-3") == [poison]


def test_a_dossier_that_only_waits_for_a_service_is_no_suspect(world: World, two: list[str]) -> None:
    for lease in outbox.take("worker-1", 4):
        outbox.postpone(lease, "the store does not answer")
    assert world.ask("select sum(deaths) from outbox where dossier = any(:d)", d=two)[0][0] == 0
