"""The books of the exchange: documents by their codes, the chain of statuses, what is queued, every history entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, func, select

from infra.database import now
from infra.edxml.values import Letter, Organ, Response, Status
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from tasks.dossier.calendar import local
from tasks.dossier.moves import SYSTEM, Actor
from tasks.dossier.offices import OfficeData
from tasks.exchange.lifecycle import allowed
from tasks.exchange.rules import message_key
from tasks.exchange.tables import (
    ExchangeCounterRow,
    ExchangeDocumentRow,
    ExchangeFileRow,
    ExchangeStatusRow,
    MessageRow,
    RecipientRow,
)

#: The channel on which PostgreSQL wakes whoever posts.
WAKE = "hoso_exchange"

_LETTER: TypeAdapter[Letter] = TypeAdapter(Letter)
_STATUS: TypeAdapter[Status] = TypeAdapter(Status)


def kept(value: Letter | Status) -> dict[str, Any]:
    """Return a document or a status as a row keeps it."""
    adapter: TypeAdapter[Any] = _LETTER if isinstance(value, Letter) else _STATUS
    found: dict[str, Any] = adapter.dump_python(value, mode="json")
    return found


def letter_of(row: ExchangeDocumentRow) -> Letter:
    """Return what a document's package says."""
    return _LETTER.validate_python(row.letter)


def letter_in(kept_letter: Mapping[str, Any]) -> Letter:
    """Return a letter that a row keeps."""
    return _LETTER.validate_python(kept_letter)


def status_in(kept_status: Mapping[str, Any]) -> Status:
    """Return a status that a row keeps."""
    return _STATUS.validate_python(kept_status)


def organ_of(office: OfficeData) -> Organ:
    """Return an office as packages name it."""
    return Organ(
        code=office.code,
        name=office.unit,
        in_charge=office.parent,
        address=office.address,
        email=office.mailbox,
        telephone=office.telephone,
    )


def next_code(session: Session, office: str, direction: str) -> str:
    """Return the code of an office's next document of today: `H49.21-DI-261122-0001`, or `DEN` for incoming ones."""
    day = local(now(session)).date()
    new = insert(ExchangeCounterRow).values(office=office, direction=direction, day=day, last=1)
    table = ExchangeCounterRow.__table__  # type: ignore[attr-defined]
    kept_last = new.on_conflict_do_update(
        index_elements=["office", "direction", "day"], set_={"last": table.c.last + 1}
    ).returning(table.c.last)
    last = session.connection().execute(kept_last).scalar_one()
    return f"{office}-{'DI' if direction == 'out' else 'DEN'}-{day:%y%m%d}-{last:04d}"


def hold(session: Session, code: str) -> ExchangeDocumentRow:
    """Return a document locked until the transaction ends; refuses a code that no document has."""
    query = select(ExchangeDocumentRow).where(ExchangeDocumentRow.code == code).with_for_update()
    return _found(session.exec(query).one_or_none(), code)


def look(session: Session, code: str) -> ExchangeDocumentRow:
    """Return a document without locking it; refuses a code that no document has."""
    return _found(session.get(ExchangeDocumentRow, code), code)


def _found(row: ExchangeDocumentRow | None, code: str) -> ExchangeDocumentRow:
    """Return a row, or the refusal."""
    if row is None:
        raise Forbidden(
            f"there is no exchanged document {code[:60]}.",
            rule="EXC-06",
            way_out="“hoso exchange inbox” lists what came and what was sent.",
        )
    return row


def files_of(session: Session, code: str) -> list[ExchangeFileRow]:
    """Return a document's attachments in order."""
    query = select(ExchangeFileRow).where(ExchangeFileRow.document == code)
    return list(session.exec(query.order_by(col(ExchangeFileRow.position))))


def recipients_of(session: Session, code: str) -> list[RecipientRow]:
    """Return who gets a document."""
    query = select(RecipientRow).where(RecipientRow.document == code)
    return list(session.exec(query.order_by(col(RecipientRow.organ))))


def chain_of(session: Session, code: str, organ: str) -> list[str]:
    """Return the statuses of a document at an agency, in order."""
    query = select(ExchangeStatusRow.code).where(
        ExchangeStatusRow.document == code, ExchangeStatusRow.organ == organ
    )
    return list(session.exec(query.order_by(col(ExchangeStatusRow.place))))


def add_status(
    session: Session,
    row: ExchangeDocumentRow,
    organ: str,
    code: str,
    *,
    sender: str,
    at: datetime,
    reason: str = "",
    by: Actor = SYSTEM,
) -> None:
    """
    Add a status to the chain that a locked document has at an agency, and tell it.

    Refuses what may not come next (STA-02): the chain is only ever added to.
    """
    chain = chain_of(session, row.code, organ)
    if code not in allowed(chain):
        said = ", ".join(sorted(allowed(chain))) or "nothing more"
        raise Forbidden(
            f"status {code} cannot follow {chain[-1] if chain else 'nothing'} for {row.code}.",
            rule="STA-02",
            way_out=f"What may come next: {said}.",
        )
    moment = now(session)
    session.add(
        ExchangeStatusRow(
            document=row.code, organ=organ, place=len(chain), code=code, sender=sender, at=at, reason=reason,
            kept_at=moment,
        )
    )  # fmt: skip
    recipient = session.get_one(RecipientRow, (row.code, organ))
    recipient.status, recipient.status_at = code, moment
    if code in ("02", "03") and recipient.acknowledged_at is None:
        recipient.acknowledged_at = at
    session.add(recipient)
    facts: dict[str, Json] = {"organ": organ, "status": code, "sender": sender, "said_at": at.isoformat()}
    tell(
        session,
        row,
        event="exchange:status",
        by=by,
        facts=facts,
        private={"reason": reason} if reason else None,
    )
    session.flush()


def tell(
    session: Session,
    row: ExchangeDocumentRow,
    *,
    event: str,
    by: Actor = SYSTEM,
    facts: Mapping[str, Json] | None = None,
    private: Mapping[str, Json] | None = None,
) -> None:
    """Write one history entry about a document; what it says in words is never in the clear."""
    said: dict[str, Json] = {
        "event": event,
        "actor": by.facts(),
        "exchange": row.code,
        "office": row.office,
        **(facts or {}),
    }
    record(session, row.code, said, private=private)


def queue_status(
    session: Session,
    row: ExchangeDocumentRow,
    office: OfficeData,
    code: str,
    reason: str = "",
    *,
    by: Actor = SYSTEM,
) -> None:
    """Add a status of an incoming document to its chain and queue it for the sender."""
    moment = now(session)
    add_status(session, row, office.code, code, sender=office.code, at=moment, reason=reason, by=by)
    place = len(chain_of(session, row.code, office.code))
    status = Status(
        code=code,
        sender=organ_of(office),
        answers=Response(
            organ=row.sender, code=f"{row.number}/{row.notation}", day=row.day, document_id=row.document_id
        ),
        at=moment,
        description=reason,
    )
    queue(
        session,
        MessageRow(
            key=message_key(row.code, f"status-{code}", [row.sender], place),
            office=row.office,
            document=row.code,
            kind="status",
            to=[row.sender],
            internal=is_internal(session, row.sender),
            status=kept(status),
            priority=row.priority,
            next_try_at=moment,
            queued_at=moment,
        ),
    )


def queue(session: Session, message: MessageRow) -> None:
    """Put a package into the outbox and wake whoever posts; queueing the same again changes nothing."""
    if session.get(MessageRow, message.key) is None:
        session.add(message)
        session.flush()
    session.connection().execute(
        text("select pg_notify(:channel, :key)"), {"channel": WAKE, "key": message.key}
    )


def is_internal(session: Session, organ: str) -> bool:
    """Whether an agency works in this very system (ORG-06)."""
    found = session.connection().execute(text("select 1 from office where code = :c"), {"c": organ})
    return found.first() is not None


def rounds_before(session: Session, office: str, direction: str, document_id: str, business: int) -> int:
    """Return how many documents of this name and kind an office has already."""
    query = select(func.count()).where(
        ExchangeDocumentRow.office == office,
        ExchangeDocumentRow.direction == direction,
        ExchangeDocumentRow.document_id == document_id,
        ExchangeDocumentRow.business == business,
    )
    return session.exec(query).one()


def named(
    session: Session, office: str, direction: str, document_id: str, sender: str | None = None
) -> Sequence[ExchangeDocumentRow]:
    """Return an office's documents of a name, the newest first, locked until the transaction ends."""
    query = select(ExchangeDocumentRow).where(
        ExchangeDocumentRow.office == office,
        ExchangeDocumentRow.direction == direction,
        ExchangeDocumentRow.document_id == document_id,
    )
    if sender is not None:
        query = query.where(ExchangeDocumentRow.sender == sender)
    return session.exec(query.order_by(col(ExchangeDocumentRow.made_at).desc()).with_for_update()).all()
