"""Compares our book of what was sent with the axis's, each night, so that nothing is lost between the two."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session, col, select

from infra.database import now
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from tasks.dossier.moves import SYSTEM
from tasks.dossier.tables import OfficeRow
from tasks.exchange import books
from tasks.exchange.receiving import check_axis
from tasks.exchange.tables import MessageRow

#: How far back both books are compared.
_BACK = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How many packages stand in both books, which the axis lost, which it has and we do not know."""

    agreed: int = 0
    missing: int = 0
    unknown: int = 0


def compare_books(office: str = "") -> Compared:
    """
    Compare what some offices sent in the last week with what the axis took.

    What we believe is there and the axis does not know is queued again under its old key; what the axis took and
    we have no answer of is written down as sent; what it has and we never sent is told. Raises `Unavailable`.
    """
    check_axis()
    with services().database.transaction() as session:
        offices = [office] if office else list(session.exec(select(OfficeRow.code)))
    found = [_compare(one) for one in offices]
    return Compared(
        agreed=sum(one.agreed for one in found),
        missing=sum(one.missing for one in found),
        unknown=sum(one.unknown for one in found),
    )


def _compare(office: str) -> Compared:
    """Compare the books of one office."""
    parts = services()
    assert parts.axis is not None
    since = parts.clock.now() - _BACK
    theirs = {one.key: one for one in parts.axis.sent(office, since)}
    with parts.database.transaction() as session:
        query = select(MessageRow).where(
            MessageRow.office == office,
            col(MessageRow.queued_at) >= since,
            col(MessageRow.internal).is_(False),
        )
        ours = {one.key: one for one in session.exec(query.with_for_update()).all()}
        agreed = missing = 0
        for key, message in ours.items():
            if message.state == "sent" and key in theirs:
                agreed += 1
            elif message.state == "sent":
                missing += 1
                message.state, message.attempts, message.next_try_at = "queued", 0, now(session)
                session.add(message)
                books.queue(session, message)
            elif key in theirs and message.lease_until is None and message.state in ("queued", "dead"):
                _was_sent(session, message, theirs[key].axis_id)
                agreed += 1
        strange = [
            one.axis_id for key, one in theirs.items() if key not in ours and not key.endswith("/again")
        ]
        found = Compared(agreed=agreed, missing=missing, unknown=len(strange))
        if found != Compared(agreed=agreed):
            facts: dict[str, Json] = {
                "event": "exchange:books-differ",
                "actor": SYSTEM.facts(),
                "office": office,
                "missing": missing,
                "unknown": [*strange[:20]],
            }
            record(session, office, facts)
    return found


def _was_sent(session: Session, message: MessageRow, axis_id: str) -> None:
    """Queue a package once more whose answer was lost: the axis gives its old id and keeps it once."""
    message.state, message.attempts, message.next_try_at = "queued", 0, now(session)
    message.axis_id = axis_id
    session.add(message)
    books.queue(session, message)
