"""
What an official did with each document of a list: opened it, signed it, left it out, or did not reach it.

One row a document, written as soon as it is known, so that an interrupted list can be shown and gone on
with. The hash of the whole stands in the history at the end of every run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import rfc8785
from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.services import services
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor, person
from tasks.signing.lists import Listed, SignList, SignOutcome, own_list, read_list, tell_list
from tasks.signing.tables import ListedDocumentRow, SignListRow

#: What is said of a document of which nothing is known yet.
_OPEN = "not reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentOutcome:
    """What became of one document: whether it was opened, and how it ended."""

    number: int
    dossier: str
    original: int
    sha256: str
    opened_at: datetime | None
    result: str
    why: str
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a list; `sha256` is the hash of it without the reasons, which may be personal."""

    list: str
    office: str
    official: str
    written_at: datetime
    unlocked_at: datetime | None
    ended_at: datetime | None
    documents: tuple[DocumentOutcome, ...]
    sha256: str


def outcome_of(digest: str, official: str, *, at: str) -> Outcome:
    """Return what became of an official's list so far; refuses a list of somebody else."""
    with services().database.transaction() as session:
        row = own_list(session, digest, official, at)
        listed = read_list(row)
        rows = _rows(session, row.digest)
    documents = tuple(
        _document(number, document, rows.get((document.dossier, document.original)))
        for number, document in enumerate(listed.documents, start=1)
    )
    return Outcome(
        list=row.digest,
        office=row.office,
        official=row.official,
        written_at=row.written_at,
        unlocked_at=row.unlocked_at,
        ended_at=row.ended_at,
        documents=documents,
        sha256=_hash(row.digest, documents),
    )


def results_of(digest: str) -> Mapping[tuple[str, int], SignOutcome]:
    """Return what is known of a list's documents, by dossier and ordinal."""
    with services().database.transaction() as session:
        return {
            place: SignOutcome(dossier=row.dossier, original=row.ordinal, result=row.result, why=row.why)
            for place, row in _rows(session, digest).items()
            if row.result is not None
        }


def keep_outcomes(digest: str, outcomes: Sequence[SignOutcome]) -> None:
    """Keep what became of documents. Keeping the same again, or that one was signed before, changes nothing."""
    with services().database.transaction() as session:
        for outcome in outcomes:
            result = "signed" if outcome.result == "signed before" else outcome.result
            row = _row(session, digest, outcome.dossier, outcome.original)
            if row.result in (result, "signed"):
                continue
            row.result, row.why, row.ended_at = result, outcome.why, now(session)
            session.add(row)


def put_back(session: Session, digest: str) -> None:
    """Forget what was left out of a list that is written again with the same documents."""
    for row in _rows(session, digest).values():
        if row.result == "left out":
            row.result, row.why, row.ended_at = None, "", None
            session.add(row)


def latest_list(official: str, *, at: str) -> SignList:
    """Return the list that an official wrote last; refuses where there is none."""
    with services().database.transaction() as session:
        query = (
            select(SignListRow)
            .where(SignListRow.office == at, SignListRow.official == official)
            .order_by(col(SignListRow.written_at).desc())
        )
        row = session.exec(query).first()
        if row is None:
            raise Forbidden(
                f"{official} has written no list at {at}.",
                rule="SIG-12",
                way_out="Write one with “hoso sign --list”.",
            )
        return read_list(own_list(session, row.digest, official, at))


def find_listed(chosen: SignList, which: str) -> Listed:
    """Return the document that “3”, the third of the list, or “CODE/2” names; refuses any other word."""
    for number, listed in enumerate(chosen.documents, start=1):
        if which in (str(number), f"{listed.dossier}/{listed.original}"):
            return listed
    raise Forbidden(
        f"list {chosen.digest[:12]}… has no document “{which}”.",
        rule="SIG-12",
        way_out=f"Name it by its number, 1 to {len(chosen.documents)}, or as CODE/ORDINAL.",
    )


def open_listed(chosen: SignList, which: str, *, by: Actor) -> tuple[Listed, bytes]:
    """
    Return a document of a list and exactly the bytes that were listed, and say in the history that it was opened.

    Raises `Broken` when the store holds other bytes: those are never shown for the listed ones.
    """
    listed = find_listed(chosen, which)
    content = services().work.get(listed.key)
    if hashlib.sha256(content).hexdigest() != listed.sha256:
        raise Broken(
            f"the document of {listed.dossier}/{listed.original} in the store is not the one that was listed"
        )
    with services().database.transaction() as session:
        stored = own_list(session, chosen.digest, by.staff, by.office)
        row = _row(session, stored.digest, listed.dossier, listed.original)
        row.opened_at = row.opened_at or now(session)
        session.add(row)
        office = office_of(session, stored.office)
        official = person(office, office.officer(by.staff, "official"), "official")
        tell_list(
            session, stored.office, "list:opened", official, stored.digest, stored.body,
            {"doc": {"sha256": listed.sha256, "size": len(content)}},
        )  # fmt: skip
    return listed, content


def _rows(session: Session, digest: str) -> dict[tuple[str, int], ListedDocumentRow]:
    """Return the rows of a list."""
    query = select(ListedDocumentRow).where(ListedDocumentRow.digest == digest)
    return {(row.dossier, row.ordinal): row for row in session.exec(query)}


def _row(session: Session, digest: str, dossier: str, ordinal: int) -> ListedDocumentRow:
    """Return the row of one document, a new one if nothing is known of it yet."""
    found = session.get(ListedDocumentRow, (digest, dossier, ordinal), with_for_update=True)
    return found or ListedDocumentRow(digest=digest, dossier=dossier, ordinal=ordinal)


def _document(number: int, listed: Listed, row: ListedDocumentRow | None) -> DocumentOutcome:
    """Return what became of one document."""
    return DocumentOutcome(
        number=number,
        dossier=listed.dossier,
        original=listed.original,
        sha256=listed.sha256,
        opened_at=row.opened_at if row else None,
        result=(row.result if row else None) or _OPEN,
        why=row.why if row else "",
        at=row.ended_at if row else None,
    )


def _hash(digest: str, documents: tuple[DocumentOutcome, ...]) -> str:
    """Return the hash of an outcome: RFC 8785 over the list, and each document with its end."""
    body: dict[str, Any] = {
        "v": 1,
        "list": digest,
        "documents": [
            {
                "dossier": d.dossier,
                "original": d.original,
                "sha256": d.sha256,
                "opened_at": d.opened_at.astimezone(UTC).isoformat() if d.opened_at else None,
                "result": d.result,
                "at": d.at.astimezone(UTC).isoformat() if d.at else None,
            }
            for d in documents
        ],
    }
    return hashlib.sha256(rfc8785.dumps(body)).hexdigest()
