"""
Sending a letter to other agencies: written down with everything that is to leave, before anything is packed.

A letter comes with its data and its files. What is secret is refused before a file is read (EXC-01), what is not
signed does not take the place of paper (EXC-02).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlmodel import Session

from infra.database import now
from infra.edxml.limits import attachment_faults, media_type_of
from infra.edxml.values import Business, Entry, Letter, Replaced, Response, Signatory, Staff, document_id
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor
from tasks.dossier.offices import OfficeData
from tasks.dossier.papers import sha256_of_file, store_file
from tasks.exchange import books
from tasks.exchange.judging import Judged, judge
from tasks.exchange.organisations import organ_of_row, resolve
from tasks.exchange.outgoing import Outgoing, write_down
from tasks.exchange.rules import Secrecy, legal_effect, refuse_secret
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
    digests = [sha256_of_file(one.path) for one in files]
    judged = [judge(one.name, one.path, digest) for one, digest in zip(files, digests, strict=True)]
    effect = _effect(judged, said)
    stored = [
        store_file(one.path, media_type_of(one.name), digest=digest)
        for one, digest in zip(files, digests, strict=True)
    ]
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
        outgoing = Outgoing(
            letter=letter,
            files=[(e, s, j.kept()) for e, s, j in zip(entries, stored, judged, strict=True)],
            signed_at=judged[0].signed_at,
            signed=effect == "replaces-paper",
            about=said.updates or said.replaces or None,
            by=by,
        )
        return write_down(session, data, outgoing)


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
