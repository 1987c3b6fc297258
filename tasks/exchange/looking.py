"""What is to be seen of the exchange: one document with its chain, what came and was sent, and what is late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from infra.database import now
from infra.services import services
from tasks.exchange import books
from tasks.exchange.lifecycle import NAMES, is_wanted_back
from tasks.exchange.tables import (
    ArrivalRow,
    ExchangeDocumentRow,
    ExchangeFileRow,
    ExchangeStatusRow,
    MessageRow,
    RecipientRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One document with everything that belongs to it."""

    document: ExchangeDocumentRow
    files: tuple[ExchangeFileRow, ...]
    recipients: tuple[RecipientRow, ...]
    statuses: tuple[ExchangeStatusRow, ...]
    messages: tuple[MessageRow, ...]
    waits_for: str


def see(session: Session, code: str) -> Seen:
    """Return one document; refuses a code that no document has."""
    row = books.look(session, code)
    statuses = select(ExchangeStatusRow).where(ExchangeStatusRow.document == code)
    messages = select(MessageRow).where(MessageRow.document == code)
    return Seen(
        document=row,
        files=tuple(books.files_of(session, code)),
        recipients=tuple(books.recipients_of(session, code)),
        statuses=tuple(session.exec(statuses.order_by(col(ExchangeStatusRow.id)))),
        messages=tuple(session.exec(messages.order_by(col(MessageRow.queued_at)))),
        waits_for=waits_for(session, row, now(session))[0],
    )


def waits_for(session: Session, row: ExchangeDocumentRow, moment: datetime) -> tuple[str, str]:
    """Return what a document waits for: the name of its state, and a sentence without anything that it says."""
    if row.ended_at is not None:
        return _END.get(row.state, "Done"), "its way has ended"
    if row.attention:
        name = "AwaitingDecision" if row.state == "awaiting-decision" else "NeedsAttention"
        return name, row.attention
    if row.direction == "in":
        late = row.due_at is not None and row.due_at < moment and row.state == "arrived"
        name = {"arrived": "AwaitingAcceptance", "registered": "BeingWorkedOn"}.get(row.state, row.state)
        return name, f"from {row.sender}" + (
            f"; it should have been acknowledged by {_wall(row.due_at)} (EXC-07)"
            if late and row.due_at
            else ""
        )
    if row.state == "queued":
        late = row.due_at is not None and row.due_at < moment
        about = f"is being sent; by {_wall(row.due_at)}" if row.due_at else "is being sent"
        return ("SendingLate" if late else "Sending"), about
    chains = {
        one.organ: books.chain_of(session, row.code, one.organ)
        for one in books.recipients_of(session, row.code)
    }
    asked = [organ for organ, chain in chains.items() if is_wanted_back(chain)]
    if asked:
        return "AwaitingReturn", f"{', '.join(asked[:5])} decide whether they give it back"
    silent = [one.organ for one in books.recipients_of(session, row.code) if one.status in ("", "01")]
    if silent:
        return "AwaitingAcknowledgement", f"waits for {', '.join(silent[:5])}"
    return "BeingWorkedOn", "the agencies work on it"


#: What an ended document is called.
_END = {"returned": "Returned", "cancelled": "Cancelled"}


def _wall(moment: datetime) -> str:
    """Return a moment as the clock on the wall shows it."""
    from tasks.dossier.calendar import local  # noqa: PLC0415

    return f"{local(moment):%Y-%m-%d %H:%M}"


def status_name(code: str) -> str:
    """Return a status with its name."""
    return f"{code} {NAMES.get(code, '')}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One document on a list or a board."""

    code: str
    direction: str
    agency: str
    number: str
    type_name: str
    priority: int
    state: str
    waits_for: str
    why: str
    due_at: datetime | None
    late: bool


def lines(session: Session, offices: list[str], *, direction: str = "", open_only: bool = True) -> list[Line]:
    """Return the documents of some offices: urgent ones first, then what is due next."""
    query = select(ExchangeDocumentRow).where(col(ExchangeDocumentRow.office).in_(offices))
    if direction:
        query = query.where(ExchangeDocumentRow.direction == direction)
    if open_only:
        query = query.where(col(ExchangeDocumentRow.ended_at).is_(None))
    ordered = query.order_by(
        col(ExchangeDocumentRow.priority).desc(),
        col(ExchangeDocumentRow.due_at),
        col(ExchangeDocumentRow.code),
    )
    moment = now(session)
    found = []
    for row in session.exec(ordered).all():
        name, why = waits_for(session, row, moment)
        to = [one.organ for one in books.recipients_of(session, row.code)]
        open_late = row.due_at is not None and row.due_at < moment and row.state in ("queued", "arrived")
        found.append(
            Line(
                code=row.code,
                direction=row.direction,
                agency=row.sender if row.direction == "in" else ", ".join(to),
                number=f"{row.number}/{row.notation}",
                type_name=row.type_name,
                priority=row.priority,
                state=row.state,
                waits_for=name,
                why=why,
                due_at=row.due_at,
                late=open_late,
            )
        )
    return found


def set_aside(session: Session, offices: list[str]) -> list[ArrivalRow]:
    """Return the packages that were kept aside or overtook what they belong to, the newest first."""
    query = select(ArrivalRow).where(
        col(ArrivalRow.office).in_(offices), col(ArrivalRow.state).in_(["set-aside", "held", "damaged"])
    )
    return list(session.exec(query.order_by(col(ArrivalRow.arrived_at).desc())))


def dead(session: Session, offices: list[str]) -> list[MessageRow]:
    """Return the dead letters of some offices, the oldest first (STA-05)."""
    query = select(MessageRow).where(col(MessageRow.office).in_(offices), MessageRow.state == "dead")
    return list(session.exec(query.order_by(col(MessageRow.queued_at))))


def offices_here() -> list[str]:
    """Return the offices of this system."""
    from tasks.dossier.tables import OfficeRow  # noqa: PLC0415

    with services().database.transaction() as session:
        return list(session.exec(select(OfficeRow.code).order_by(OfficeRow.code)))
