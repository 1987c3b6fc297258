"""One transaction, kept whole or not at all; faults of the database are told apart from bugs."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, timedelta

import pytest
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import IntegrityError

from infra.database import Database, now
from infra.errors import Unavailable
from infra.schema import migrate
from tasks.dossier.tables import CommandRow
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


def kept(world: World, mark: str) -> list[str]:
    return [
        row[0]
        for row in world.ask("select answer from command where request_hash = :mark order by 1", mark=mark)
    ]


def keep(world: World, mark: str, answer: str, request: str = "") -> None:
    with world.parts.database.transaction() as session:
        at = world.parts.clock.now()
        session.add(
            CommandRow(request_id=request or f"{mark}/{answer}", request_hash=mark, answer=answer, at=at)
        )


def test_parts_that_are_done_as_one_are_not_marked(world: World) -> None:
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement.split(maxsplit=1)[0])

    engine = world.parts.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        world.parts.database.as_one(lambda: [keep(world, "as-one", answer) for answer in "abc"])
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert kept(world, "as-one") == ["a", "b", "c"]
    assert sent.count("INSERT") == 1
    assert "SAVEPOINT" not in sent


def test_a_part_that_fails_is_undone_alone_although_it_was_begun_as_one(world: World) -> None:
    tries: list[str] = []

    def work() -> list[str]:
        failed = []
        for answer in "abc":
            tries.append(answer)
            try:
                with world.parts.database.transaction():
                    keep(world, "one-fails", answer)
                    if answer == "b":
                        raise ZeroDivisionError
            except ZeroDivisionError:
                failed.append(answer)
        return failed

    assert world.parts.database.as_one(work) == ["b"]
    assert kept(world, "one-fails") == ["a", "c"]
    assert tries == ["a", "b", "a", "b", "c"]


def test_a_row_that_is_refused_at_the_end_fails_the_part_that_it_is_of(world: World) -> None:
    keep(world, "refused", "before", "refused/same")

    def work() -> int:
        refused = 0
        for answer, request in (("a", ""), ("b", "refused/same"), ("c", "")):
            try:
                keep(world, "refused", answer, request)
            except IntegrityError:
                refused += 1
        return refused

    assert world.parts.database.as_one(work) == 1
    assert kept(world, "refused") == ["a", "before", "c"]


def test_ctrl_c_within_a_part_of_what_is_done_as_one_undoes_all_of_it(world: World) -> None:
    def work() -> None:
        keep(world, "ctrl-c", "a")
        with suppress(KeyboardInterrupt), world.parts.database.transaction():
            keep(world, "ctrl-c", "b")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.parts.database.as_one(work)
    assert kept(world, "ctrl-c") == []


def test_what_is_done_as_one_within_something_shared_is_a_part_of_that(world: World) -> None:
    with pytest.raises(ZeroDivisionError), world.parts.database.together():
        world.parts.database.as_one(lambda: keep(world, "within", "a"))
        raise ZeroDivisionError
    assert kept(world, "within") == []


def test_migrating_again_changes_nothing(world: World) -> None:
    def revision() -> list[tuple[str]]:
        with world.owner() as connection:
            return connection.execute("select version_num from alembic_version").fetchall()

    before, tables = revision(), world.picture()
    migrate(world.settings)
    assert revision() == before
    assert world.picture() == tables
