"""One transaction, kept whole or not at all; faults of the database are told apart from bugs."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError

from infra.database import Database, now
from infra.errors import Unavailable
from infra.schema import migrate
from tests.world import World


def test_what_fails_half_way_is_not_kept(world: World) -> None:
    before = world.counts("command")
    with pytest.raises(ZeroDivisionError), world.parts.database.transaction() as session:
        session.connection().execute(
            text("insert into command values ('half', 'x', 'x', clock_timestamp())"),
        )
        raise ZeroDivisionError
    assert world.counts("command") == before


def test_the_time_is_the_database_s_and_goes_on_within_a_transaction(world: World) -> None:
    with world.parts.database.transaction() as session:
        first = now(session)
        session.connection().execute(text("select pg_sleep(0.01)"))
        second = now(session)
    assert first.tzinfo is UTC
    assert timedelta() < second - first
    assert world.parts.clock.now() >= second


def test_a_database_that_is_not_there_is_unavailable() -> None:
    away = Database(make_url("postgresql+psycopg://hoso_app:x@127.0.0.1:9/hoso"), pooled=False)
    with pytest.raises(Unavailable):
        away.now()


@pytest.mark.parametrize("state", ["40001", "40P01", "57014", "57P01", "53300", "08006"])
def test_what_time_cures_is_unavailable(world: World, state: str) -> None:
    raising = text(f"do $$ begin raise exception 'x' using errcode = '{state}'; end $$")
    with pytest.raises(Unavailable) as error, world.parts.database.transaction() as session:
        session.connection().execute(raising)
    assert error.value.worth_retrying


def test_a_bug_stays_what_it_is_and_its_message_holds_no_value(world: World) -> None:
    secret = "022000000042"
    insert = text("insert into command values (:id, 'x', 'x', clock_timestamp())")
    with pytest.raises(IntegrityError) as error, world.parts.database.transaction() as session:
        for _ in range(2):
            session.connection().execute(insert, {"id": secret})
    assert "[parameters" not in str(error.value)


def test_migrating_again_changes_nothing(world: World) -> None:
    def revision() -> list[tuple[str]]:
        with world.owner() as connection:
            return connection.execute("select version_num from alembic_version").fetchall()

    before, tables = revision(), world.picture()
    migrate(world.settings)
    assert revision() == before
    assert world.picture() == tables
