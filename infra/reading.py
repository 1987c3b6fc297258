"""
What was read in a transaction and is not read again in it, until rows of that kind are written.

The functions of a step ask for the same few rows each for itself, which keeps them simple; asking PostgreSQL each
time would be most of what a step costs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.orm import Session as AnySession
from sqlmodel import SQLModel, select

T = TypeVar("T")
Row = TypeVar("Row", bound=SQLModel)

#: Where a session keeps what was read in it: by the kinds of row that it came from, and by what was asked.
_READ = "read"
#: Where it keeps rows: by the kind and the columns that say whose they are.
_ROWS = "rows"
#: Where it is said whose rows are asked for together.
_TOGETHER = "together"


@dataclass(slots=True)
class _Known:
    """The rows of a table that are known, by what stands in some columns; those of `whole` are known all."""

    rows: dict[tuple[Hashable, ...], list[Any]] = field(default_factory=dict)
    whole: set[Hashable] = field(default_factory=set)

    def holds(self, whose: tuple[Hashable, ...]) -> bool:
        """Whether it is known which rows there are."""
        return whose in self.rows or whose[0] in self.whole


def read_once(session: AnySession, kinds: tuple[type, ...], asked: Hashable, read: Callable[[], T]) -> T:
    """
    Return what `read` returns, from the first time that this was asked in the session's transaction.

    `kinds` are the tables that the answer comes from: as soon as rows of them are written in this session, or a
    part of it is undone, the question is asked anew. What other transactions write meanwhile is seen or not, as
    between two statements anyhow; who holds a row (`forget`) reads anew what belongs to it.
    """
    if any(isinstance(one, kinds) for one in (*session.new, *session.dirty, *session.deleted)):
        return read()
    known: dict[Any, Any] = session.info.setdefault(_READ, {})
    if (kinds, asked) not in known:
        known[kinds, asked] = read()
    return cast("T", known[kinds, asked])


def ask_together(session: AnySession, whose: Collection[Hashable]) -> None:
    """Ask from now on for the rows of all of these at once (`rows_of`), whenever those of one are wanted first."""
    session.info[_TOGETHER] = frozenset(whose)


def rows_of(session: AnySession, kind: type[Row], **whose: Hashable) -> list[Row]:
    """
    Return the rows of a table with these values in these columns, in no order, as they are in this transaction.

    The first of the columns says whose they are. PostgreSQL is asked once, and once for all whose rows are asked for
    together; what is added, changed and deleted in the session afterwards is seen, flushed or not. As with `read_once`,
    statements that write tables past the session are not.
    """
    columns, values = tuple(whose), tuple(whose.values())
    known = session.info.setdefault(_ROWS, {}).setdefault((kind, columns), _Known())
    if not known.holds(values):
        _ask(session, kind, columns, values, known)
    gone = session.deleted
    there = [row for row in known.rows.get(values, ()) if row not in gone]
    return there + [one for one in session.new if type(one) is kind and _whose(one, columns) == values]


def _ask(
    session: AnySession,
    kind: type[Row],
    columns: tuple[str, ...],
    values: tuple[Hashable, ...],
    known: _Known,
) -> None:
    """Ask for the rows of one, or of all with whom they are asked for together."""
    together = session.info.get(_TOGETHER, ())
    query = select(kind)
    if values[0] in together:
        query = query.where(getattr(kind, columns[0]).in_(together))
    else:
        for column, value in zip(columns, values, strict=True):
            query = query.where(getattr(kind, column) == value)
    found = session.execute(query).scalars().all()
    if values[0] in together:
        known.whole |= together
        known.rows.clear()
    else:
        known.rows[values] = []
    for row in found:
        known.rows.setdefault(_whose(row, columns), []).append(row)


def _whose(row: object, columns: tuple[str, ...]) -> tuple[Hashable, ...]:
    """Return what stands in some columns of a row."""
    return tuple(getattr(row, column) for column in columns)


def forget(session: AnySession, *, but: tuple[type, ...] = ()) -> None:
    """Let everything be read anew in a session, except what comes from these tables alone."""
    known: dict[Any, Any] = session.info.get(_READ, {})
    for kinds, asked in [one for one in known if not set(one[0]) <= set(but)]:
        del known[kinds, asked]
    rows: dict[Any, _Known] = session.info.get(_ROWS, {})
    for which in [one for one in rows if one[0] not in but]:
        del rows[which]


def _see_rows_that_were_written(session: AnySession, _context: object) -> None:
    for (kind, columns), known in session.info.get(_ROWS, {}).items():
        for row in (one for one in session.new if type(one) is kind):
            if known.holds(whose := _whose(row, columns)):
                known.rows.setdefault(whose, []).append(row)
        for row in (one for one in session.deleted if type(one) is kind):
            whose = _whose(row, columns)
            known.rows[whose] = [one for one in known.rows.get(whose, ()) if one is not row]


def _forget_what_was_written(session: AnySession, _context: object) -> None:
    written = {type(one) for one in (*session.new, *session.dirty, *session.deleted)}
    known: dict[Any, Any] = session.info.get(_READ, {})
    for kinds, asked in [one for one in known if any(issubclass(kind, one[0]) for kind in written)]:
        del known[kinds, asked]


def _forget_when_written_at_once(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        forget(state.session)


def _forget_when_undone(session: AnySession, _before: object) -> None:
    forget(session)


event.listen(AnySession, "after_flush", _see_rows_that_were_written)
event.listen(AnySession, "after_flush", _forget_what_was_written)
event.listen(AnySession, "do_orm_execute", _forget_when_written_at_once)
event.listen(AnySession, "after_soft_rollback", _forget_when_undone)
