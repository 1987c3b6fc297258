"""
Sending a document to other agencies: written down with everything that is to leave, before anything is packed.

A letter comes with its data and its files; a result comes from a dossier. What is secret is refused before a file
is read (EXC-01), what is not signed does not take the place of paper (EXC-02).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlmodel import Session, select

from infra.database import now
from infra.edxml.limits import attachment_faults, letter_faults, media_type_of
from infra.edxml.values import Business, Entry, Letter, Replaced, Response, Signatory, Staff, document_id
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.object_store import Stored
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import Standing
from tasks.dossier.moves import SYSTEM, Actor, look, office_of, original_of, originals_of, procedure_of
from tasks.dossier.offices import OfficeData
from tasks.dossier.papers import fetch_file, store_file
from tasks.dossier.register import number_of
from tasks.dossier.releases import released
from tasks.exchange import books
from tasks.exchange.judging import Judged, judge
from tasks.exchange.organisations import organ_of_row, resolve
from tasks.exchange.rules import Secrecy, legal_effect, message_key, refuse_secret, send_by
from tasks.exchange.tables import ExchangeDocumentRow, ExchangeFileRow, MessageRow, RecipientRow
from tasks.people.acting import acting

#: A class that has a field `date` cannot name the type so.
_Day = date


class _Data(BaseModel):
    """Checked data: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SignatorySaid(_Data):
    """Who signed the letter."""

    competence: str = ""
    position: str = ""
    name: str = ""


class AnswerSaid(_Data):
    """A document that the letter answers."""

    organ: str
    code: str
    date: _Day | None = None
    document_id: str = ""


class LetterSaid(_Data):
    """A letter as its file describes it (docs/exchange.md shows one)."""

    to: tuple[str, ...] = Field(min_length=1)
    number: str
    notation: str
    date: _Day
    type: str = "Công văn"
    type_code: str = "1"
    subject: str
    content: str = ""
    signatory: SignatorySaid = SignatorySaid()
    due: _Day | None = None
    priority: int = Field(default=0, ge=0, le=3)
    secrecy: Secrecy = "none"
    #: That a document without a signature may go, to be known only (EXC-02).
    for_information: bool = False
    paper: bool = False
    places: tuple[str, ...] = ()
    answers: tuple[AnswerSaid, ...] = ()
    #: The document (its code here) that this one updates or takes the place of.
    updates: str = ""
    replaces: str = ""
    department: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileGiven:
    """One file that is to be attached; the first one is the document itself."""

    name: str
    #: A copy that nobody else changes.
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outgoing:
    """What is written down of a document."""

    letter: Letter
    files: Sequence[tuple[Entry, Stored, dict[str, Any]]]
    signed_at: datetime | None
    signed: bool
    dossier: str | None = None
    ordinal: int = 0
    about: str | None = None
    by: Actor = field(default_factory=lambda: SYSTEM)


def read_letter(said: object) -> LetterSaid:
    """Return a letter's data; refuses with what is wrong in it, without repeating what it says."""
    try:
        return LetterSaid.model_validate(said)
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors())
        raise Forbidden(
            f"this does not describe a letter: {where}.",
            rule="EDX-08",
            way_out="Correct the file; docs/exchange.md shows a complete one.",
        ) from error


def send_letter(office: str, said: LetterSaid, files: Sequence[FileGiven], *, by: Actor) -> str:
    """
    Queue a letter for the agencies that it names; return the code of the document.

    Sending the same document again to the same agencies returns the code it has. Raises `Forbidden`: EXC-01
    secret, EXC-02 not signed, ORG-05 an unknown agency, STA-05 an agency that has it already.
    """
    with services().database.transaction() as session:
        data = office_of(session, office)
        by = acting(session, by, "exchange send", office=data.code)
        _refuse_secret(data, said, by)
    judged = [judge(one.name, one.path) for one in files]
    effect = _effect(judged, said)
    stored = [store_file(one.path, media_type_of(one.name)) for one in files]
    entries = [
        Entry(content_id=f"{n}-{held.sha256[:32]}", name=one.name, media_type=media_type_of(one.name))
        for n, (one, held) in enumerate(zip(files, stored, strict=True), start=1)
    ]
    starts = [(entry, _start(one.path)) for entry, one in zip(entries, files, strict=True)]
    faults = attachment_faults(entries, starts)
    if faults:
        raise Forbidden(f"{faults[0]}.", rule="EDX-08", way_out="Correct the file and send it again.")
    with services().database.transaction() as session:
        letter = _letter(session, data, said, entries)
        outgoing = _Outgoing(
            letter=letter,
            files=[(e, s, j.kept()) for e, s, j in zip(entries, stored, judged, strict=True)],
            signed_at=judged[0].signed_at,
            signed=effect == "replaces-paper",
            about=said.updates or said.replaces or None,
            by=by,
        )
        return _write_down(session, data, outgoing)


def _start(path: Path) -> bytes:
    """Return a file's first bytes, which say what it is."""
    with path.open("rb") as file:
        return file.read(16)


def _refuse_secret(office: OfficeData, said: LetterSaid, by: Actor) -> None:
    """Refuse a secret document, with an entry that says nothing of it (EXC-01)."""
    try:
        refuse_secret(said.secrecy)
    except Forbidden:
        with services().database.transaction() as own:
            facts: dict[str, Json] = {
                "event": "exchange:secret-refused",
                "actor": by.facts(),
                "office": office.code,
                "rule": "EXC-01",
            }
            record(own, office.code, facts)
        raise


def _effect(judged: Sequence[Judged], said: LetterSaid) -> str:
    """Return what the document is worth, or refuse one that is not signed and not sent for information (EXC-02)."""
    if not judged:
        raise Forbidden(
            "nothing is attached.", rule="EDX-10", way_out="Name the document's file with --file."
        )
    broken = [fault for one in judged for fault in one.faults]
    if broken:
        raise Forbidden(
            f"the document is not sent: {broken[0]}.",
            rule="EXC-06",
            way_out="Sign it anew, or attach the file as it was signed.",
        )
    effect = legal_effect(judged[0].signed)
    if effect != "replaces-paper" and not said.for_information:
        raise Forbidden(
            "the document is not signed, so it does not take the place of paper.",
            rule="EXC-02",
            way_out="Sign it, or say “for_information: true” in its file to send it for information only.",
        )
    return effect


def _letter(session: Session, office: OfficeData, said: LetterSaid, entries: Sequence[Entry]) -> Letter:
    """Return the letter with every agency under its present code."""
    today = local(now(session)).date()
    business, about = Business.NEW, ""
    replaced: tuple[Replaced, ...] = ()
    if said.updates:
        business, about = Business.UPDATE, books.look(session, said.updates).document_id
    elif said.replaces:
        business = Business.REPLACE
    to = tuple(organ_of_row(resolve(session, code, today)) for code in said.to)
    if said.replaces:
        old = books.look(session, said.replaces).document_id
        replaced = (Replaced(document_id=old, organs=tuple(one.code for one in to)),)
    return Letter(
        document_id=document_id(office.code, said.date, said.number, said.notation),
        sender=books.organ_of(office),
        to=to,
        number=said.number,
        notation=said.notation,
        place=office.place,
        day=said.date,
        type_code=said.type_code,
        type_name=said.type,
        subject=said.subject,
        content=said.content,
        signatory=Signatory(**said.signatory.model_dump()),
        due=said.due,
        to_places=said.places,
        priority=said.priority,
        answers=tuple(
            Response(organ=one.organ, code=one.code, day=one.date, document_id=one.document_id)
            for one in said.answers
        ),
        business=business,
        about=about,
        paper=said.paper,
        staff=Staff(department=said.department),
        replaces=replaced,
        attachments=tuple(entries),
    )


def send_result(code: str, ordinal: int, to: Sequence[str], *, by: Actor) -> str:
    """
    Queue a dossier's released result for some agencies; return the code of the document.

    The result goes as it was released, with the note that belongs to it. Sending it again to the same agencies
    returns the code that it has.
    """
    with services().database.transaction() as session:
        dossier = look(session, code)
        office = office_of(session, dossier.office)
        if by != SYSTEM:
            by = acting(session, by, "exchange send", office=office.code, procedure=dossier.procedure)
        original = original_of(session, code, ordinal)
        if original.standing != Standing.VALID:
            raise Forbidden(
                f"original {ordinal} of {code} is {original.standing}; only a released result is sent.",
                rule="EXC-02",
                way_out="Wait until it is signed and released; “hoso show” says what it waits for.",
            )
        result = released(session, original)
        rows = [row for row in (result.document, result.note) if row is not None]
        number, notation = _number(number_of(session, code, ordinal) or f"{code}.{ordinal}/KQ")
        name = procedure_of(session, dossier).name
    with tempfile.TemporaryDirectory(prefix="hoso-send-") as folder:
        paths = [fetch_file(row.key, row.sha256, Path(folder) / str(n)) for n, row in enumerate(rows)]
        judged = [judge("result.pdf", path) for path in paths]
    entries = tuple(
        Entry(content_id=f"{n}-{row.sha256[:32]}", name=f"{code}-{ordinal}-{n}.pdf", media_type="application/pdf")
        for n, row in enumerate(rows, start=1)
    )  # fmt: skip
    with services().database.transaction() as session:
        today = local(now(session)).date()
        signed_at = judged[0].signed_at or now(session)
        day = local(signed_at).date()
        letter = Letter(
            document_id=document_id(office.code, day, number, notation),
            sender=books.organ_of(office),
            to=tuple(organ_of_row(resolve(session, one, today)) for one in to),
            number=number,
            notation=notation,
            place=office.place,
            day=day,
            type_code="0",
            type_name="Kết quả giải quyết thủ tục hành chính",
            subject=f"Kết quả giải quyết thủ tục hành chính: {name}, hồ sơ {code}"[:500],
            answers=tuple(Response(organ=one, code=code) for one in to),
            attachments=entries,
        )
        files = [
            (e, Stored(key=r.key, version_id="", sha256=r.sha256, size=r.size), j.kept())
            for e, r, j in zip(entries, rows, judged, strict=True)
        ]
        outgoing = _Outgoing(
            letter=letter, files=files, signed_at=signed_at, signed=True, dossier=code, ordinal=ordinal, by=by
        )
        return _write_down(session, office, outgoing)


def results_to_send(code: str) -> list[int]:
    """Return the released originals that a dossier's procedure sends to other agencies and that were not sent yet."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        if not procedure_of(session, dossier).exchanged_with:
            return []
        query = select(ExchangeDocumentRow.ordinal).where(
            ExchangeDocumentRow.dossier == code, ExchangeDocumentRow.direction == "out"
        )
        known = set(session.exec(query))
        valid = [o.ordinal for o in originals_of(session, code) if o.standing == Standing.VALID]
        return [ordinal for ordinal in valid if ordinal not in known]


def send_released(code: str, ordinal: int) -> str:
    """Queue a released result for the agencies that the procedure names; doing it again changes nothing (EXC-03)."""
    with services().database.transaction() as session:
        to = procedure_of(session, look(session, code)).exchanged_with
    return send_result(code, ordinal, to, by=SYSTEM)


def _number(written: str) -> tuple[str, str]:
    """Return number and notation of a result: `01/2026-SCT/BS` is number 01 with all that follows."""
    number, _, notation = written.replace(",", ".").partition("/")
    return number, notation or "KQ"


def _write_down(session: Session, office: OfficeData, out: _Outgoing) -> str:
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


def _is_same(session: Session, row: ExchangeDocumentRow, out: _Outgoing) -> bool:
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
