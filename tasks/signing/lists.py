"""An official's list as it is stored: its documents, the digest that names them, and whose it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

import rfc8785
from sqlmodel import Session, col, select

from infra.errors import Broken, Forbidden, Unavailable
from infra.history import Json
from infra.history.recording import record
from infra.token import PinLocked, WrongPin
from tasks.dossier.moves import Actor
from tasks.people.acting import Scope, scope
from tasks.signing.tables import SignListRow

#: What concerns every document that is to be signed, so that nobody goes on to the next.
STOPS = (WrongPin, PinLocked, Unavailable, KeyboardInterrupt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One document of a list."""

    dossier: str
    original: int
    kind: str
    pages: int
    sha256: str
    key: str
    due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignList:
    """A list as it was written: its digest, whose it is, for which day, and its documents."""

    digest: str
    office: str
    official: str
    for_day: date
    documents: tuple[Listed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOutcome:
    """What became of one listed document."""

    dossier: str
    original: int
    result: str  # "signed", "signed before", "left out", "refused", "not reached"
    why: str = ""


def may_sign(session: Session, office: str, official: str) -> Scope:
    """Return where a person may sign at an office; refuses whoever is no official there today (AUTH-06)."""
    return scope(session, Actor(role="", staff=official, office=office), "sign", office=office)


def own_list(session: Session, digest: str, official: str, office: str) -> SignListRow:
    """Return a list that was written for this official; refuses any other."""
    may_sign(session, office, official)
    row = list_row(session, digest)
    if (row.office, row.official) != (office, official):
        raise Forbidden(
            f"list {row.digest[:12]}… was written for {row.office}/{row.official}, not for {office}/{official}.",
            rule="AUTH-06",
            way_out="Each official reviews and signs a list of their own.",
        )
    return row


def manifest(office: str, official: str, day: date, documents: Sequence[Listed]) -> dict[str, Any]:
    """Return what the digest is made of."""
    return {
        "v": 1,
        "office": office,
        "official": official,
        "for_day": day.isoformat(),
        "documents": [
            {
                "dossier": d.dossier,
                "original": d.original,
                "kind": d.kind,
                "pages": d.pages,
                "sha256": d.sha256,
                "key": d.key,
            }
            for d in documents
        ],
    }


def read_list(row: SignListRow) -> SignList:
    """Return a stored list; raises `Broken` when it is not what its digest names."""
    if hashlib.sha256(rfc8785.dumps(row.body)).hexdigest() != row.digest:
        raise Broken(f"the stored list {row.digest[:12]}… does not have that digest")
    documents = tuple(Listed(**d, due_at=None) for d in row.body["documents"])
    return SignList(
        digest=row.digest,
        office=row.office,
        official=row.official,
        for_day=row.for_day,
        documents=documents,
    )


def list_row(session: Session, digest: str) -> SignListRow:
    """Return a list by its digest or the beginning of it; refuses what names none, or two."""
    query = select(SignListRow).where(col(SignListRow.digest).startswith(digest, autoescape=True))
    rows = list(session.exec(query.limit(2))) if len(digest) >= 8 else []
    if len(rows) != 1:
        raise Forbidden(
            f"no list has the digest “{digest}”.",
            rule="SIG-12",
            way_out="Write one with “hoso sign --list” and use the digest that it prints.",
        )
    return rows[0]


def tell_list(
    session: Session,
    office: str,
    event: str,
    by: Actor,
    digest: str,
    body: dict[str, Any],
    more: Mapping[str, Json] = MappingProxyType({}),
) -> None:
    """Write a history entry about a list; its subject is the list, because it spans dossiers."""
    facts: dict[str, Json] = {
        "event": event,
        "actor": by.facts(),
        "office": office,
        "list": digest,
        "documents": len(body["documents"]),
        **more,
    }
    record(session, f"list/{digest}", facts)
