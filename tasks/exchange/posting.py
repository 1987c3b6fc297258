"""
The outbox of the exchange: what is due is packed and left on the axis, at most five times, then a person is asked.

A message is taken under a lease with a fence, so that each has one sender at a time and a late one cannot write.
The axis knows each message by its key, so a try whose answer was lost is simply tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text
from sqlmodel import Session, select

from infra.axis import Kind, Waits
from infra.database import now
from infra.errors import Broken, Forbidden, HosoError, Unavailable
from infra.history import Json
from infra.services import services
from tasks.exchange import books
from tasks.exchange.abreast import abreast
from tasks.exchange.arriving import settle_held
from tasks.exchange.packing import pack
from tasks.exchange.receiving import take_in
from tasks.exchange.rules import after_failure
from tasks.exchange.tables import ExchangeDocumentRow, MessageRow, RecipientRow

_TAKE = text("""
    update exchange_message set fence = fence + 1,
           lease_until = clock_timestamp() + make_interval(secs => :seconds)
    where key in (
        select key from exchange_message
        where state = 'queued' and next_try_at <= clock_timestamp()
          and (lease_until is null or lease_until < clock_timestamp())
          and (cast(:document as varchar) is null or document = :document)
        order by priority desc, queued_at limit :room for update skip locked)
    returning key, fence, priority, queued_at,
              (select coalesce(sum(size), 0) from exchange_file where document = exchange_message.document
               and exchange_message.kind = 'edoc') as size
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """That one sender has one message, until it is silent for too long."""

    key: str
    fence: int
    #: Bytes of what is attached.
    size: int = 0


def due(room: int, *, document: str | None = None) -> list[Turn]:
    """Return turns on up to `room` messages that are due, urgent ones first (EXC-05)."""
    with services().database.transaction() as session:
        values = {"seconds": services().settings.lease_seconds * 4, "room": room, "document": document}
        found = session.connection().execute(_TAKE, values)
        ordered = sorted(found, key=lambda row: (-row.priority, row.queued_at))
        return [Turn(key=row.key, fence=row.fence, size=int(row.size)) for row in ordered]


def post(room: int = 50, *, document: str | None = None) -> int:
    """
    Pack and send what is due; return how many messages have left. Each failure is written down and set aside.

    Packages are made while others leave, and leave in their order.
    """
    turns = due(room, document=document)
    packed = abreast(turns, lambda turn, folder: pack(turn.key, folder), size=lambda turn: turn.size)
    return sum(_post_one(turn, package) for turn, package in packed)


def _post_one(turn: Turn, packed: Callable[[], tuple[MessageRow, Path]]) -> bool:
    """
    Send one message; return whether it has left.

    A fault that time cures is tried again after a growing time (`HOSO_AXIS_PATIENCE`); after five tries, and at once
    where a rule or the axis says no, it is a dead letter that a person looks at (STA-05).
    """
    try:
        axis_id = _leave(*packed())
    except (Unavailable, Forbidden, Broken) as error:
        _failed(turn, error)
        return False
    return _left(turn, axis_id)


def _leave(message: MessageRow, package: Path) -> str:
    """Give a packed message to the axis, or to the office of this system that it is for."""
    parts = services()
    kind: Kind = "status" if message.kind == "status" else "edoc"
    if message.internal:
        waits = Waits(
            axis_id=f"internal/{message.key}",
            kind=kind,
            sender=message.office,
            sent_at=parts.clock.now(),
            sha256=message.sha256,
            size=message.size,
        )
        take_in(message.to[0], waits, package)
        settle_held(message.to[0])
        return waits.axis_id
    if parts.axis is None:
        raise Unavailable("this installation has no axis (HOSO_AXIS_URL)")
    return parts.axis.send(package, key=message.key, kind=kind, sender=message.office, to=message.to)


def _left(turn: Turn, axis_id: str) -> bool:
    """Write down that a message has left."""
    with services().database.transaction() as session:
        message = session.get_one(MessageRow, turn.key, with_for_update=True)
        if message.fence != turn.fence or message.state != "queued":
            return message.state == "sent"
        moment = now(session)
        message.state, message.axis_id, message.sent_at = "sent", axis_id, moment
        message.attempts += 1
        message.lease_until, message.last_answer = None, ""
        session.add(message)
        row = _document(session, message)
        if row is not None:
            if message.kind == "edoc" and message.letter is None:
                row.sent_at = row.sent_at or moment
                row.state = "sent" if row.state == "queued" else row.state
            row.attention = "" if row.attention.startswith(_DEAD) else row.attention
            session.add(row)
            facts: dict[str, Json] = {
                "package": message.key,
                "kind": message.kind,
                "to": [*message.to],
                "axis": axis_id,
                "doc": {"sha256": message.sha256, "size": message.size},
                "try": message.attempts,
            }
            books.tell(session, row, event="exchange:sent", facts=facts)
    return True


#: How the attention of a document begins of which something could not be sent.
_DEAD = "not sent: "


def _failed(turn: Turn, error: HosoError) -> None:
    """Write down that a try failed, and what follows."""
    chosen = services().settings
    patience = [float(part) for part in chosen.axis_patience.split(",")]
    with services().database.transaction() as session:
        message = session.get_one(MessageRow, turn.key, with_for_update=True)
        if message.fence != turn.fence or message.state != "queued":
            return
        message.attempts += 1
        message.lease_until = None
        message.last_answer = f"{type(error).__name__}: {error}"[:300]
        following = after_failure(message.attempts, patience)
        dead = following.dead or not isinstance(error, Unavailable)
        message.state = "dead" if dead else "queued"
        message.next_try_at = now(session) + (timedelta() if dead else following.wait)
        session.add(message)
        row = _document(session, message)
        if row is None:
            return
        facts: dict[str, Json] = {
            "package": message.key,
            "kind": message.kind,
            "to": [*message.to],
            "try": message.attempts,
            "cause": type(error).__name__,
        }
        if isinstance(error, Forbidden):
            facts["rule"] = error.rule
        outcome = "dead" if dead else "put-off"
        books.tell(session, row, event=f"exchange:try-{outcome}", facts=facts)
        if dead:
            row.attention = f"{_DEAD}{message.last_answer}"[:500]
            session.add(row)


def resend(session: Session, row: ExchangeDocumentRow) -> int:
    """Queue a document's dead letters again, by hand; return how many. The axis still takes each of them once."""
    found = dead_letters(session, row.code)
    for message in found:
        message.state, message.attempts, message.next_try_at = "queued", 0, now(session)
        session.add(message)
        books.queue(session, message)
    return len(found)


def dead_letters(session: Session, document: str) -> list[MessageRow]:
    """Return what could not be sent of a document."""
    query = select(MessageRow).where(MessageRow.document == document, MessageRow.state == "dead")
    return list(session.exec(query.with_for_update()))


def cancel_queued(session: Session, row: ExchangeDocumentRow) -> bool:
    """Take a document's packages out of the outbox; return whether none of them had left (STA-04)."""
    query = select(MessageRow).where(MessageRow.document == row.code, MessageRow.kind == "edoc")
    messages = list(session.exec(query.with_for_update()))
    # A try whose answer was lost may have arrived, so only what was never tried is cancelled here.
    if any(one.state == "sent" or one.attempts or one.lease_until is not None for one in messages):
        return False
    for one in messages:
        one.state = "cancelled"
        session.add(one)
    return True


def _document(session: Session, message: MessageRow) -> ExchangeDocumentRow | None:
    """Return the document of a message, locked."""
    return books.hold(session, message.document) if message.document is not None else None


def unacknowledged(session: Session, code: str) -> list[RecipientRow]:
    """Return the agencies that have not said anything of a document yet."""
    return [one for one in books.recipients_of(session, code) if not one.status]
