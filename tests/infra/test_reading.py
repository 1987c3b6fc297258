"""What was read in a transaction is asked once, and never answered with what is not so any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, text
from sqlmodel import Session, col, delete, select, update

from infra.reading import ask_together, forget, read_once, rows_of
from tasks.dossier.tables import CounterTaskRow, OfficeRow, ProcedureRow
from tests.world import World

pytestmark = pytest.mark.usefixtures("world")


@contextmanager
def asking(world: World, office: str) -> Iterator[tuple[Session, Callable[[], str | None], list[str]]]:
    """Yield a session, the question for the body's name of an office, and how often it was really asked."""
    asked: list[str] = []

    with world.parts.database.transaction() as session:

        def read() -> str | None:
            asked.append(office)
            row = session.exec(select(OfficeRow).where(OfficeRow.code == office)).one_or_none()
            return None if row is None else str(row.body.get("name"))

        yield session, lambda: read_once(session, (OfficeRow,), office, read), asked
        session.rollback()


@pytest.fixture
def office(world: World) -> str:
    return world.office()


def test_it_is_asked_once_and_in_another_transaction_again(world: World, office: str) -> None:
    for _ in range(2):
        with asking(world, office) as (_session, ask, asked):
            assert ask() == ask()
            assert len(asked) == 1


def test_it_is_asked_again_when_its_table_is_written_and_not_when_another_one_is(
    world: World, office: str
) -> None:
    with asking(world, office) as (session, ask, asked):
        ask()
        other = session.exec(select(ProcedureRow)).first()
        assert other is not None
        other.body = {**other.body, "x": 1}
        session.add(other)
        ask()
        session.flush()
        ask()
        assert len(asked) == 1
        row = session.get_one(OfficeRow, office)
        row.body = {**row.body, "name": "Khác"}
        session.add(row)
        assert ask() == "Khác"
        session.flush()
        assert ask() == ask() == "Khác"
        assert len(asked) == 3


@pytest.mark.parametrize("written", ["update", "delete"])
def test_it_is_asked_again_after_many_rows_were_written_at_once(
    world: World, office: str, written: str
) -> None:
    with asking(world, office) as (session, ask, asked):
        ask()
        where = col(OfficeRow.code) == "none"
        session.exec(
            update(OfficeRow).where(where).values(code="none")
            if written == "update"
            else delete(OfficeRow).where(where)
        )
        ask()
        assert len(asked) == 2


def test_it_is_asked_again_when_a_part_is_undone(world: World, office: str) -> None:
    with asking(world, office) as (session, ask, asked):
        before = ask()
        part = session.begin_nested()
        row = session.get_one(OfficeRow, office)
        row.body = {**row.body, "name": "Khác"}
        session.add(row)
        session.flush()
        assert ask() == "Khác"
        part.rollback()
        assert ask() == before
        assert len(asked) == 3


def test_who_forgets_keeps_only_what_comes_from_the_tables_that_are_named(world: World, office: str) -> None:
    with asking(world, office) as (session, ask, asked):
        ask()
        forget(session, but=(OfficeRow,))
        ask()
        assert len(asked) == 1
        forget(session, but=(ProcedureRow,))
        ask()
        assert len(asked) == 2


@contextmanager
def counted(session: Session) -> Iterator[list[str]]:
    """Yield the statements that a session's connection sends meanwhile."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(connection, "before_cursor_execute", note)


@pytest.fixture
def two(world: World, office: str) -> list[str]:
    return [world.booked(office), world.booked(office)]


def task(world: World, code: str, kind: str, ordinal: int = 0) -> CounterTaskRow:
    opened = world.parts.clock.now()
    return CounterTaskRow(dossier=code, kind=kind, ordinal=ordinal, reason="thử", opened_at=opened)


def kinds(session: Session, code: str, **more: int) -> list[str]:
    return sorted(row.kind for row in rows_of(session, CounterTaskRow, dossier=code, **more))


def test_rows_of_one_are_asked_for_once_and_those_of_another_apart(world: World, two: list[str]) -> None:
    with world.parts.database.transaction() as session:
        session.add(task(world, two[0], "a"))
        session.flush()
        with counted(session) as sent:
            assert [kinds(session, code) for code in (*two, *two)] == [["a"], [], ["a"], []]
        assert len(sent) == 2
        session.rollback()


def test_rows_of_those_that_are_asked_for_together_take_one_statement(world: World, two: list[str]) -> None:
    with world.parts.database.transaction() as session:
        session.add_all([task(world, two[0], "a"), task(world, two[1], "b", 2)])
        session.flush()
        ask_together(session, two)
        with counted(session) as sent:
            assert [kinds(session, code) for code in two] == [["a"], ["b"]]
        assert len(sent) == 1
        with counted(session) as sent:
            assert kinds(session, two[1], ordinal=2) == ["b"]
            assert kinds(session, two[1], ordinal=1) == kinds(session, two[0], ordinal=2) == []
        assert len(sent) == 1
        session.rollback()


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_what_is_added_changed_and_deleted_is_seen_without_asking_again(
    world: World, two: list[str], *, flushed: bool, together: bool
) -> None:
    code = two[0]
    with world.parts.database.transaction() as session:
        if together:
            ask_together(session, two)
        assert kinds(session, code) == kinds(session, code, ordinal=0) == []
        row = task(world, code, "a")

        def written() -> None:
            if flushed:
                session.flush()

        session.add(row)
        written()
        assert kinds(session, code) == kinds(session, code, ordinal=0) == ["a"]
        row.kind = "b"
        session.add(row)
        written()
        assert kinds(session, code) == kinds(session, code, ordinal=0) == ["b"]
        if flushed:
            session.delete(row)
        else:
            session.expunge(row)
        written()
        assert kinds(session, code) == kinds(session, code, ordinal=0) == []
        assert kinds(session, two[1]) == []
        session.rollback()


def test_rows_are_asked_for_anew_when_a_part_is_undone_or_they_are_to_be_forgotten(
    world: World, two: list[str]
) -> None:
    with world.parts.database.transaction() as session:
        ask_together(session, two)
        part = session.begin_nested()
        session.add(task(world, two[0], "a"))
        session.flush()
        assert kinds(session, two[0]) == ["a"]
        part.rollback()
        assert kinds(session, two[0]) == []
        session.connection().execute(
            text(
                "insert into counter_task (dossier, kind, ordinal, reason, opened_at)"
                " values (:code, 'b', 0, 'x', now())"
            ),
            {"code": two[0]},
        )
        forget(session, but=(CounterTaskRow,))
        assert kinds(session, two[0]) == []
        forget(session)
        assert kinds(session, two[0]) == ["b"]
        session.rollback()
