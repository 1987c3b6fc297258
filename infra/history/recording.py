"""Writing the history, in the same transaction as the change that it tells of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC

import rfc8785
from sqlalchemy import event, text
from sqlalchemy.orm import Session as SqlSession
from sqlalchemy.orm import SessionTransaction
from sqlmodel import Session, col, select

from infra.chance import random_bytes
from infra.database import AT_END, ROWS_FIRST
from infra.errors import Broken
from infra.history import Entry, Json, commit_to, subject_hash, write_entry
from infra.history.tables import HistoryEntry, HistoryPayload

log = logging.getLogger("hoso.history")

_HEAD = text("select size, leaf_hash from history_head")
#: The time is read when the lock is had, so that times never run backwards along the positions.
_HOLD_HEAD = text("""
    with head as materialized (select log, size, leaf_hash from history_head for update)
    select log, size, leaf_hash, clock_timestamp() as moment from head
""")
#: One statement for all: a second one would cost as much as all the rest.
_APPEND = text("""
    with moved as (update history_head set size = size + :count, leaf_hash = :leaf_hash)
    insert into history_entry (position, leaf_hash, entry, subject, at)
    select position, leaf_hash, entry, subject, :at from unnest(
        cast(:positions as bigint[]), cast(:leaf_hashes as bytea[]),
        cast(:entries as bytea[]), cast(:subjects as bytea[])
    ) as told (position, leaf_hash, entry, subject)
""")
#: Where a session that many parts share keeps what they told, until all of it is written.
_TOLD = "told"


def record(
    session: Session, subject: str, facts: Mapping[str, Json], *, private: Mapping[str, Json] | None = None
) -> None:
    """
    Append one entry about `subject`; it is kept exactly when the transaction is.

    Positions have no gap: the head row is locked until the transaction ends, so keep what follows
    short. What the parts of one transaction tell together (`Database.together`) is written in order at its end, so
    that the head is locked once and briefly; a part that is undone has told nothing. `private` goes into an erasable
    row; the entry holds only its salted commitment.
    """
    facts = dict(facts)
    if private:
        facts["commit"] = _keep_private(session, subject, private).hex()
    if ROWS_FIRST not in session.info:
        session.flush()  # What it tells of comes first, so that a row that is refused leaves no entry half made.
    at_end = session.info.get(AT_END)
    if at_end is None:
        _append(session, [(subject, facts)])
        return
    if _TOLD not in session.info:
        session.info[_TOLD] = []
        at_end.append(write_what_was_told)
    session.info[_TOLD].append((subject, facts))


@contextmanager
def told_together(session: Session) -> Iterator[None]:
    """
    Keep what is told in a `with` block back to its end, and write it there in order, behind all rows it tells of.

    So the head of the history is locked once and briefly, and rows of one kind travel together. Only for a
    transaction that is kept or undone as a whole; what fails in the block has told nothing.
    """
    at_end: list[Callable[[Session], None]] = []
    session.info.update({AT_END: at_end, ROWS_FIRST: True})
    try:
        yield
        session.flush()
        for write in at_end:
            write(session)
    finally:
        for key in (AT_END, ROWS_FIRST, _TOLD):
            session.info.pop(key, None)


def write_what_was_told(session: SqlSession) -> None:
    """Write what the parts of a shared transaction have told so far, for whoever reads the history in it."""
    told = session.info.get(_TOLD)
    if told:
        _append(session, told)
        told.clear()


def _append(session: SqlSession, told: Sequence[tuple[str, Mapping[str, Json]]]) -> None:
    """Write entries behind the last one, with the time at which the head was had."""
    connection = session.connection()
    head = connection.execute(_HOLD_HEAD).one_or_none()
    if head is None:
        raise Broken("the history has no head row; the database was not migrated")
    at = head.moment.astimezone(UTC)
    position, previous = head.size, bytes(head.leaf_hash)
    written: list[Entry] = []
    for _subject, facts in told:
        entry = write_entry(log=head.log, position=position, previous=previous, at=at, facts=facts)
        written.append(entry)
        position, previous = position + 1, entry.leaf_hash
    rows = {
        "count": len(written),
        "leaf_hash": previous,
        "at": at,
        "positions": [entry.position for entry in written],
        "leaf_hashes": [entry.leaf_hash for entry in written],
        "entries": [entry.content for entry in written],
        "subjects": [subject_hash(subject) for subject, _ in told],
    }
    connection.execute(_APPEND, rows)
    if log.isEnabledFor(logging.INFO):
        for entry, (_, facts) in zip(written, told, strict=True):
            _say_when_kept(session, entry, facts)


def _mark(session: SqlSession, part: SessionTransaction) -> None:
    """Remember how much was told before a part of a shared transaction begins."""
    if part.nested and AT_END in session.info:
        session.info[part] = len(session.info.get(_TOLD, ()))


def _untell(session: SqlSession, part: SessionTransaction) -> None:
    """Forget what a part told that is undone."""
    if part.nested and part in session.info:
        del session.info.get(_TOLD, [])[session.info.pop(part) :]


event.listen(SqlSession, "after_transaction_create", _mark)
event.listen(SqlSession, "after_soft_rollback", _untell)


def _say_when_kept(session: SqlSession, entry: Entry, facts: Mapping[str, Json]) -> None:
    """Let the log name an entry once its transaction is kept; after anything was undone, none that came before."""
    if "said" not in session.info:
        session.info["said"] = []
        event.listen(session, "after_commit", _say)
        event.listen(session, "after_soft_rollback", lambda one, _: one.info["said"].clear())
    session.info["said"].append((entry.position, facts.get("event"), facts.get("dossier")))


def _say(session: SqlSession) -> None:
    """Write what was kept into the log: what happened, to which dossier, at which position."""
    if session.in_nested_transaction():
        return  # A part was kept, and the whole may still be undone.
    said = list(session.info["said"])
    session.info["said"].clear()
    for position, happened, dossier in said:
        log.info("%s", happened, extra={"event_id": position, "dossier": dossier})


def _keep_private(session: Session, subject: str, private: Mapping[str, Json]) -> bytes:
    """Store personal data beside the history and return the commitment to it."""
    content = rfc8785.dumps(dict(private))
    salt = random_bytes(32)
    commitment = commit_to(content, salt)
    session.add(
        HistoryPayload(commitment=commitment, subject=subject_hash(subject), salt=salt, content=content)
    )
    return commitment


def entries(session: Session, subject: str | None = None) -> list[Entry]:
    """Return the entries of one subject, or all of them, in order."""
    write_what_was_told(session)
    query = select(HistoryEntry).order_by(col(HistoryEntry.position))
    if subject is not None:
        query = query.where(HistoryEntry.subject == subject_hash(subject))
    return [
        Entry(position=row.position, content=row.entry, leaf_hash=row.leaf_hash)
        for row in session.exec(query)
    ]


def contents_of(session: Session, subjects: Sequence[str]) -> dict[str, list[bytes]]:
    """Return the bytes of the entries of some subjects, each one's in order; all are read at once."""
    write_what_was_told(session)
    found: dict[str, list[bytes]] = {subject: [] for subject in subjects}
    named = {subject_hash(subject): subject for subject in found}
    query = select(HistoryEntry.subject, HistoryEntry.entry).where(col(HistoryEntry.subject).in_(list(named)))
    for subject, content in session.exec(query.order_by(col(HistoryEntry.position))):
        found[named[subject]].append(content)
    return found


def contents(session: Session) -> Iterator[bytes]:
    """Yield the bytes of every entry in order, read a thousand at a time."""
    query = select(HistoryEntry.entry).order_by(col(HistoryEntry.position)).execution_options(yield_per=1000)
    yield from session.exec(query)


def head(session: Session) -> tuple[int, bytes]:
    """Return how many entries there are and the leaf hash of the last."""
    write_what_was_told(session)
    row = session.connection().execute(_HEAD).one()
    return row.size, bytes(row.leaf_hash)
