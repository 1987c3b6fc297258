"""
What was read in a transaction and is not read again in it, until rows of that kind are written.

The functions of a step ask for the same few rows each for itself, which keeps them simple; asking PostgreSQL each
time would be most of what a step costs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.orm import Session as AnySession

T = TypeVar("T")

#: Where a session keeps what was read in it: by the kinds of row that it came from, and by what was asked.
_READ = "read"


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


def forget(session: AnySession, *, but: tuple[type, ...] = ()) -> None:
    """Let everything be read anew in a session, except what comes from these tables alone."""
    known: dict[Any, Any] = session.info.get(_READ, {})
    for kinds, asked in [one for one in known if not set(one[0]) <= set(but)]:
        del known[kinds, asked]


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


event.listen(AnySession, "after_flush", _forget_what_was_written)
event.listen(AnySession, "do_orm_execute", _forget_when_written_at_once)
event.listen(AnySession, "after_soft_rollback", _forget_when_undone)
