"""What leaves is written down first: the document, its files, who is to get it, and a package for each way there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from hashlib import sha256
from typing import Any

from sqlmodel import Session

from infra.database import now
from infra.edxml.limits import letter_faults
from infra.edxml.values import Business, Entry, Letter, Response
from infra.errors import Forbidden
from infra.history import Json
from infra.object_store import Stored
from infra.services import services
from tasks.dossier.moves import SYSTEM, Actor
from tasks.dossier.offices import OfficeData
from tasks.exchange import books
from tasks.exchange.rules import legal_effect, message_key, send_by
from tasks.exchange.tables import ExchangeDocumentRow, ExchangeFileRow, MessageRow, RecipientRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What is written down of a document."""

    letter: Letter
    files: Sequence[tuple[Entry, Stored, dict[str, Any]]]
    signed_at: datetime | None
    signed: bool
    dossier: str | None = None
    ordinal: int = 0
    about: str | None = None
    by: Actor = field(default_factory=lambda: SYSTEM)


def write_down(session: Session, office: OfficeData, out: Outgoing) -> str:
    """Write a document down and queue its packages, in the caller's transaction."""
    letter = out.letter
    faults = letter_faults(letter)
    if faults:
        raise Forbidden(
            f"{faults[0]}.", rule="EDX-08", way_out="Correct the letter's file and send it again."
        )
    known = books.named(session, office.code, "out", letter.document_id)
    same = [one for one in known if one.business == letter.business and one.state != "cancelled"]
    for one in same:
        if _is_same(session, one, out):
            return one.code
    if same and letter.business is Business.NEW:
        raise Forbidden(
            f"{letter.number}/{letter.notation} of {letter.day} was sent before as {same[0].code}.",
            rule="STA-05",
            way_out=f"Send it as an update (“updates: {same[0].code}”), or recall the first one.",
        )
    code = books.next_code(session, office.code, "out")
    moment = now(session)
    chosen = services().settings
    signed_at = out.signed_at or datetime.combine(letter.day, time(0), tzinfo=UTC)
    row = ExchangeDocumentRow(
        code=code,
        office=office.code,
        direction="out",
        document_id=letter.document_id,
        business=int(letter.business),
        round=books.rounds_before(session, office.code, "out", letter.document_id, int(letter.business)),
        sender=office.code,
        number=letter.number,
        notation=letter.notation,
        day=letter.day,
        type_name=letter.type_name,
        priority=letter.priority,
        letter=books.kept(letter),
        state="queued",
        legal_effect=legal_effect(out.signed),
        dossier=out.dossier,
        ordinal=out.ordinal,
        about=out.about,
        signed_at=out.signed_at,
        made_at=moment,
        due_at=send_by(
            signed_at,
            letter.priority,
            office.calendar(),
            next_morning=time.fromisoformat(chosen.axis_next_morning),
            urgent_minutes=chosen.axis_urgent_minutes,
        ),
    )
    session.add(row)
    session.flush()
    for position, (entry, stored, verdict) in enumerate(out.files):
        session.add(
            ExchangeFileRow(
                document=code, position=position, content_id=entry.content_id, name=entry.name,
                media_type=entry.media_type, description=entry.description, sha256=stored.sha256,
                key=stored.key, size=stored.size, verdict=verdict,
            )
        )  # fmt: skip
    for organ in letter.to:
        internal = books.is_internal(session, organ.code)
        session.add(RecipientRow(document=code, organ=organ.code, name=organ.name, internal=internal))
    facts: dict[str, Json] = {
        "document": sha256(letter.document_id.encode()).hexdigest(),
        "business": int(letter.business),
        "to": [one.code for one in letter.to],
        "files": [stored.sha256 for _, stored, _ in out.files],
        "effect": row.legal_effect,
    }
    if out.dossier:
        facts["dossier"] = out.dossier
    books.tell(session, row, event="exchange:queued", by=out.by, facts=facts)
    queue_letter(session, row)
    return code


def _is_same(session: Session, row: ExchangeDocumentRow, out: Outgoing) -> bool:
    """Whether a document is the very one that is to be sent: the same files for the same agencies."""
    files = [one.sha256 for one in books.files_of(session, row.code)]
    organs = {one.organ for one in books.recipients_of(session, row.code)}
    wanted = {one.code for one in out.letter.to}
    return files == [stored.sha256 for _, stored, _ in out.files] and organs == wanted


def queue_letter(session: Session, row: ExchangeDocumentRow, *, recall: Letter | None = None) -> None:
    """Queue a document's packages: one for all agencies behind the axis, one for each that works here (ORG-06)."""
    recipients = books.recipients_of(session, row.code)
    moment = now(session)
    groups = [[one.organ] for one in recipients if one.internal]
    groups += [[one.organ for one in recipients if not one.internal]]
    for to in groups:
        if not to:
            continue
        kind = "recall" if recall is not None else "edoc"
        books.queue(
            session,
            MessageRow(
                key=message_key(row.code, kind, to, len(books.chain_of(session, row.code, to[0])) if recall else 0),
                office=row.office,
                document=row.code,
                kind="edoc",
                to=sorted(to),
                internal=books.is_internal(session, to[0]),
                letter=books.kept(recall) if recall is not None else None,
                priority=row.priority,
                next_try_at=moment,
                queued_at=moment,
            ),
        )  # fmt: skip


def recalled(letter: Letter, reason: str) -> Letter:
    """Return what is sent to have a letter back: the same document, its reason, nothing attached (EDX-04)."""
    return replace(
        letter,
        business=Business.RECALL,
        reason=reason,
        about=letter.document_id,
        answers=(
            Response(
                organ=letter.sender.code,
                code=f"{letter.number}/{letter.notation}",
                day=letter.day,
                document_id=letter.document_id,
            ),
        ),
        attachments=(),
        replaces=(),
    )
