"""Who looked at what: the rows that every act which only looks leaves behind, for those who may see them."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel import Session, and_, col, or_, select

from infra.database import now
from tasks.people.acting import Scope
from tasks.people.rules import EVERY
from tasks.people.tables import ReadingRow

#: At most so many rows are shown, the newest.
_MOST = 1000


def readings_of(
    session: Session,
    seen: Scope,
    *,
    dossier: str | None = None,
    reader: tuple[str, str] | None = None,
    back: timedelta,
) -> list[ReadingRow]:
    """
    Return readings of a scope's offices, newest first: of one dossier, by one person (office, staff), or all.

    A list that spanned several offices is seen by whoever may see the reader's own office.
    """
    spanning = and_(col(ReadingRow.office) == EVERY, seen.within(ReadingRow.reader_office, EVERY))
    query = select(ReadingRow).where(
        or_(seen.within(ReadingRow.office, EVERY), spanning), col(ReadingRow.at) > now(session) - back
    )
    if dossier is not None:
        query = query.where(ReadingRow.dossier == dossier)
    if reader is not None:
        query = query.where(ReadingRow.reader_office == reader[0], ReadingRow.reader == reader[1])
    return list(session.exec(query.order_by(col(ReadingRow.id).desc()).limit(_MOST)))
