"""
The official's list: reviewed, named by its digest, unlocked once, signed exactly.

What was shown is what is signed: the manifest holds the SHA-256 of every document, its digest goes into
the history with the unlock, and a document that changed since is left out and reported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import rfc8785
from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken, Forbidden, HosoError, Unavailable
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from infra.token import PinLocked, WrongPin
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import Standing
from tasks.dossier.moves import Actor, Telling, follow, hold, office_of, original_of, person
from tasks.dossier.waiting import frozen_at
from tasks.people.acting import Scope, acting_on, scope
from tasks.signing.tables import SignListRow


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
    result: str  # "signed", "signed before", "left out", "not reached"
    why: str = ""


def write_list(
    office_code: str, official: str, *, only: Sequence[str] | None = None, limit: int = 500
) -> SignList:
    """
    Write down what an official is asked to sign today and return it; the digest names exactly those bytes.

    `only` restricts it to some dossiers. The same documents on the same day give the same digest.
    """
    with services().database.transaction() as session:
        office = office_of(session, office_code)
        theirs = _may_sign(session, office_code, official)
        officer = office.officer(official, "official")
        today = local(now(session)).date()
        documents = tuple(
            Listed(
                dossier=waits.dossier,
                original=waits.ordinal,
                kind=waits.kind,
                pages=waits.pages,
                sha256=waits.sha256,
                key=waits.key,
                due_at=waits.due_at,
            )
            for waits in frozen_at(session, office_code)
            if waits.official == official
            and theirs.allows(office_code, waits.procedure)
            and waits.for_day in (None, today)
            and (only is None or waits.dossier in only)
        )[:limit]
        if not documents:
            raise Forbidden(
                f"nothing waits for the signature of {official} at {office_code}.",
                rule="SIG-12",
                way_out="“hoso list” says what waits for whom.",
            )
        body = _manifest(office_code, official, today, documents)
        digest = hashlib.sha256(rfc8785.dumps(body)).hexdigest()
        if session.get(SignListRow, digest) is None:
            session.add(
                SignListRow(
                    digest=digest,
                    office=office_code,
                    official=official,
                    for_day=today,
                    body=body,
                    written_at=now(session),
                )
            )
            _tell_list(
                session, office_code, "list:written", person(office, officer, "official"), digest, body
            )
        return SignList(
            digest=digest, office=office_code, official=official, for_day=today, documents=documents
        )


def list_of(digest: str, official: str, *, at: str) -> SignList:
    """Return a list as its official reviews it; refuses a list of somebody else."""
    with services().database.transaction() as session:
        return _read_list(_own_list(session, digest, official, at))


def unlock_list(digest: str, official: str, *, at: str) -> SignList:
    """Say in the history that an official of the office `at` unlocks a key for exactly this list, and return it."""
    with services().database.transaction() as session:
        row = _own_list(session, digest, official, at)
        today = local(now(session)).date()
        if row.for_day != today:
            raise Forbidden(
                f"list {row.digest[:12]}… was written on {row.for_day}.",
                rule="CERT-26",
                way_out="Write today's list with “hoso sign --list”; pages are dated the day of signing.",
            )
        office = office_of(session, row.office)
        officer = office.officer(official, "official")
        row.unlocked_at = row.unlocked_at or now(session)
        session.add(row)
        _tell_list(
            session, row.office, "list:unlocked", person(office, officer, "official"), row.digest, row.body
        )
        return _read_list(row)


def _may_sign(session: Session, office: str, official: str) -> Scope:
    """Return where a person may sign at an office; refuses whoever is no official there today (AUTH-06)."""
    return scope(session, Actor(role="", staff=official, office=office), "sign", office=office)


def _own_list(session: Session, digest: str, official: str, office: str) -> SignListRow:
    """Return a list that was written for this official; refuses any other."""
    _may_sign(session, office, official)
    row = _list_row(session, digest)
    if (row.office, row.official) != (office, official):
        raise Forbidden(
            f"list {row.digest[:12]}… was written for {row.office}/{row.official}, not for {office}/{official}.",
            rule="AUTH-06",
            way_out="Each official reviews and signs a list of their own.",
        )
    return row


def tell_refused_unlock(chosen: SignList, error: HosoError) -> None:
    """Say in the history that a key did not open for a list, or stopped in it, and why by kind."""
    with services().database.transaction() as session:
        office = office_of(session, chosen.office)
        by = person(office, office.officer(chosen.official, "official"), "official")
        event = f"list:stopped-{type(error).__name__}"
        _tell_list(session, chosen.office, event, by, chosen.digest, _list_row(session, chosen.digest).body)


def _tell_nobody(_: SignOutcome) -> None:
    """Let outcomes be read from the list that is returned."""


def sign_list(
    chosen: SignList,
    sign_one: Callable[[Listed], bool],
    *,
    told: Callable[[SignOutcome], None] = _tell_nobody,
) -> list[SignOutcome]:
    """
    Sign every document of an unlocked list by `sign_one` and return what became of each.

    A document that changed or is refused is set aside and the rest goes on. A token or PIN error stops
    the list at once: what was not reached is said to be so and can be signed later by the same list.
    """
    outcomes: list[SignOutcome] = []
    stopped: Exception | None = None
    for listed in chosen.documents:
        if stopped is not None:
            outcome = SignOutcome(
                dossier=listed.dossier, original=listed.original, result="not reached", why=str(stopped)
            )
        else:
            outcome, stopped = _one(listed, sign_one)
        outcomes.append(outcome)
        told(outcome)
    if stopped is None:
        with services().database.transaction() as session:
            row = _list_row(session, chosen.digest)
            row.ended_at = row.ended_at or now(session)
            session.add(row)
    elif isinstance(stopped, WrongPin | PinLocked):
        raise stopped
    return outcomes


def _one(listed: Listed, sign_one: Callable[[Listed], bool]) -> tuple[SignOutcome, Exception | None]:
    """Sign one document; the second value is set when the fault is the token's or a service's."""

    def ended(result: str, why: str = "") -> SignOutcome:
        return SignOutcome(dossier=listed.dossier, original=listed.original, result=result, why=why)

    try:
        return ended("signed" if sign_one(listed) else "signed before"), None
    except (WrongPin, PinLocked, Unavailable) as error:
        return ended("not reached", str(error)), error
    except (Forbidden, Broken) as error:
        return ended("left out", str(error)), None


def leave_out(code: str, ordinal: int, reason: str, *, by: Actor) -> None:
    """Give an original back to the examiner with the official's reason; leaving it out twice changes nothing."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "leave-out", dossier)
        original = original_of(session, code, ordinal)
        if original.standing == Standing.LEFT_OUT:
            return
        if original.standing != Standing.CERTIFIED:
            raise Forbidden(
                f"original {ordinal} of {code} is {original.standing} and not on anybody's list.",
                rule="SIG-12",
                way_out="Only what waits for a signature can be left out.",
            )
        original.standing = Standing.LEFT_OUT
        original.reason = reason
        session.add(original)
        facts: dict[str, Json] = {"original": ordinal}
        telling = Telling(event="original:left-out", by=by, facts=facts, private={"reason": reason})
        follow(session, dossier, telling)


def _manifest(office: str, official: str, day: date, documents: Sequence[Listed]) -> dict[str, Any]:
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


def _read_list(row: SignListRow) -> SignList:
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


def _list_row(session: Session, digest: str) -> SignListRow:
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


def _tell_list(
    session: Session, office: str, event: str, by: Actor, digest: str, body: dict[str, Any]
) -> None:
    """Write a history entry about a list; its subject is the office, because it spans dossiers."""
    facts: dict[str, Json] = {
        "event": event,
        "actor": by.facts(),
        "office": office,
        "list": digest,
        "documents": len(body["documents"]),
    }
    record(session, f"list/{digest}", facts)
