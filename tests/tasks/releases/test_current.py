"""Which release works: the newest that was deployed, on record, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.errors import Forbidden
from infra.release import newest_revision
from tasks.dossier.moves import Actor
from tasks.releases.current import Release, check_schema, current, let_nobody_work, make_current
from tests.world import World, refused

ENGINEER = Actor(role="engineer")
ONE, TWO = Release(name="one", code="1" * 64), Release(name="two", code="2" * 64)


@pytest.fixture(autouse=True)
def none_yet(world: World) -> Iterator[None]:
    """Begin before the first release was deployed, and leave no trace for other tests' workers."""
    yield
    with world.owner() as connection:
        connection.execute("delete from release")


def told(world: World) -> list[dict[str, Any]]:
    query = 'select entry from history_entry where entry like \'%"event":"release:%\' order by position'
    return [json.loads(row[0]) for row in world.ask(query)]


def test_before_the_first_was_deployed_none_works_alone(world: World) -> None:
    assert current() is None


def test_the_newest_deployed_release_works_and_deploying_it_again_changes_nothing(world: World) -> None:
    assert make_current(ONE, lives=3, by=ENGINEER)
    before = world.picture()
    assert not make_current(ONE, lives=3, by=ENGINEER)
    assert world.picture() == before
    assert current() == ONE
    assert make_current(TWO, lives=4, by=ENGINEER)
    assert current() == TWO
    assert make_current(ONE, lives=3, by=ENGINEER), "a release comes back"
    assert current() == ONE
    assert [(e["event"], e["before"], e["release"], e["lives"]) for e in told(world)[-3:]] == [
        ("release:deployed", None, "one", 3),
        ("release:deployed", "one", "two", 4),
        ("release:deployed", "two", "one", 3),
    ]


def test_the_same_name_with_other_code_is_a_change(world: World) -> None:
    make_current(ONE, lives=1, by=ENGINEER)
    assert make_current(Release(name="one", code="9" * 64), lives=1, by=ENGINEER)


def test_after_a_drain_nobody_works_until_a_release_is_deployed(world: World) -> None:
    make_current(ONE, lives=1, by=ENGINEER)
    assert let_nobody_work(by=ENGINEER)
    assert not let_nobody_work(by=ENGINEER)
    found = current()
    assert found is not None
    assert found.name == ""
    assert make_current(ONE, lives=1, by=ENGINEER)
    assert current() == ONE


def test_two_that_deploy_at_once_are_one_after_the_other(world: World) -> None:
    done = world.at_once(
        [lambda: make_current(ONE, lives=1, by=ENGINEER), lambda: make_current(ONE, lives=1, by=ENGINEER)]
    )
    assert sorted(map(str, done)) == ["False", "True"]


def test_a_schema_that_lacks_something_is_refused_and_a_newer_one_is_good(world: World) -> None:
    check_schema(newest_revision())
    check_schema("0001")
    assert refused(Forbidden, lambda: check_schema("9999")).rule == "RELEASE-03"  # type: ignore[attr-defined]
