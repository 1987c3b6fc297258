"""What was read in a transaction is asked once, and never answered with what is not so any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlmodel import Session, col, delete, select, update

from infra.reading import forget, read_once
from tasks.dossier.tables import OfficeRow, ProcedureRow
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
