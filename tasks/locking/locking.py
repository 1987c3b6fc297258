"""Locking a year: only when nothing is reserved and no number is missing, by who may certify, and for ever."""

from __future__ import annotations

from hashlib import sha256

import rfc8785
from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from tasks.authority.records import may_sign, refusal_facts
from tasks.authority.rules import choose
from tasks.authority.values import Decision
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor
from tasks.dossier.procedures import Procedure
from tasks.dossier.register import RegisterBookRow, RegisterEntryRow
from tasks.dossier.tables import ProcedureRow
from tasks.locking.tables import RegisterLockRow
from tasks.people.acting import acting


def lock_register(office: str, year: int, *, by: Actor) -> list[RegisterLockRow]:
    """
    Lock every register of an office's year with its totals, and return the locks; again returns the same.

    It needs an official who may certify for that register now (CERT-29, AUTH-06). Raises `Forbidden` before
    the last day of the year, while a number is reserved, and where there is no register; `Broken` when a number
    is missing. From then on the database refuses every change of a line of that year.
    """
    with services().database.transaction() as session:
        by = acting(session, by, "register lock", office=office)
        books = books_of(session, office, year)
        today = local(now(session)).date()
        if (today.year, today.month, today.day) < (year, 12, 31):
            raise Forbidden(
                f"the year {year} is not over; its register is locked at its end.",
                rule="CERT-29",
                way_out=f"Lock it from 31 December {year} on.",
            )
        return [_lock(session, book, by) for book in books]


def locks_of(session: Session, office: str, year: int) -> list[RegisterLockRow]:
    """Return the locks of an office's year; refuses a year that is not locked."""
    query = select(RegisterLockRow).where(RegisterLockRow.office == office, RegisterLockRow.year == year)
    found = list(session.exec(query.order_by(col(RegisterLockRow.symbol))))
    if not found:
        raise Forbidden(
            f"the register of {office} for {year} is not locked.",
            rule="CERT-29",
            way_out=f"“hoso register lock {office} {year}” does so, once the year is over.",
        )
    return found


def books_of(session: Session, office: str, year: int) -> list[RegisterBookRow]:
    """Return the registers of an office's year; refuses a year in which it has none."""
    office_of(session, office)
    query = select(RegisterBookRow).where(RegisterBookRow.office == office, RegisterBookRow.year == year)
    found = list(session.exec(query.order_by(col(RegisterBookRow.symbol))))
    if not found:
        raise Forbidden(
            f"{office} has no register of {year}.",
            rule="CERT-29",
            way_out="“hoso register show” lists the years that there are.",
        )
    return found


def lines_of(session: Session, office: str, year: int, symbol: str) -> list[RegisterEntryRow]:
    """Return the lines of a register's year in order."""
    query = select(RegisterEntryRow).where(
        RegisterEntryRow.office == office, RegisterEntryRow.year == year, RegisterEntryRow.symbol == symbol
    )
    return list(session.exec(query.order_by(col(RegisterEntryRow.number))))


def authority_over(session: Session, office: str, symbol: str, staff: str) -> Decision:
    """Return by which authority somebody confirms and signs a register now: that of certifying for it."""
    data = office_of(session, office)
    rows = session.exec(select(ProcedureRow).order_by(ProcedureRow.code, col(ProcedureRow.version).desc()))
    procedures = [Procedure.model_validate(row.body) for row in rows]
    steps = [
        (procedure, step)
        for procedure in procedures
        if procedure.register_ is not None and procedure.register_.symbol == symbol
        for step in procedure.signature_steps
        if step.role == "official"
    ]
    if not steps:
        raise Broken(f"no procedure has the register {symbol}")
    moment = now(session)
    return choose([may_sign(session, data, staff, procedure, step, moment) for procedure, step in steps])


def unlocked_years(session: Session) -> list[RegisterBookRow]:
    """Return the registers of years that are over and not locked, oldest first."""
    year = local(now(session)).year
    query = select(RegisterBookRow).where(
        RegisterBookRow.year < year, col(RegisterBookRow.locked_at).is_(None)
    )
    return list(session.exec(query.order_by(col(RegisterBookRow.year), col(RegisterBookRow.office))))


def _lock(session: Session, book: RegisterBookRow, by: Actor) -> RegisterLockRow:
    """Lock one register, in the caller's transaction; one that is locked stays as it is."""
    known = session.get(RegisterLockRow, (book.office, book.year, book.symbol))
    if known is not None:
        return known
    lines = lines_of(session, book.office, book.year, book.symbol)
    reserved = [line for line in lines if line.state == "reserved"]
    if reserved:
        first = reserved[0]
        raise Forbidden(
            f"the register {book.symbol} of {book.office} for {book.year} has {len(reserved)} reserved number(s),"
            f" the first is {first.number} of {first.dossier}.",
            rule="CERT-29",
            way_out="Let them be signed, or decline or withdraw their dossiers; then lock it.",
        )
    if [line.number for line in lines] != list(range(1, book.last_number + 1)):
        raise Broken(
            f"the register {book.symbol} of {book.office} for {book.year} has a gap (“hoso findings”)"
        )
    decision = authority_over(session, book.office, book.symbol, by.staff)
    if not decision.allowed:
        _tell_refusal(book, by, decision)
        decision.or_refuse()
    certified = sum(line.state == "certified" for line in lines)
    row = RegisterLockRow(
        office=book.office,
        year=book.year,
        symbol=book.symbol,
        locked_at=now(session),
        locked_by=by.staff,
        certified=certified,
        void=len(lines) - certified,
        last_number=book.last_number,
        lines_sha256=digest_of(lines),
        decision=decision.kept(),
    )
    session.add(row)
    session.flush()
    facts: dict[str, Json] = {
        "certified": row.certified,
        "void": row.void,
        "last": row.last_number,
        "lines_sha256": row.lines_sha256,
        "authority": decision.facts(),
    }
    tell_register(session, row, event="register:locked", by=by, facts=facts)
    return row


def digest_of(lines: list[RegisterEntryRow]) -> str:
    """Return the SHA-256 of a register's lines in canonical JSON: number, dossier, original and state of each."""
    body: list[Json] = [[line.number, line.dossier, line.ordinal, line.state] for line in lines]
    return sha256(rfc8785.dumps(body)).hexdigest()


def tell_register(
    session: Session, lock: RegisterLockRow, *, event: str, by: Actor, facts: dict[str, Json]
) -> None:
    """Write an entry about a locked year; its subject is the office."""
    head: dict[str, Json] = {"office": lock.office, "year": lock.year, "symbol": lock.symbol}
    record(session, lock.office, {"event": event, "actor": by.facts(), **head, **facts})


def _tell_refusal(book: RegisterBookRow, by: Actor, decision: Decision) -> None:
    """Write down, in a transaction of its own, that somebody had not the authority to lock a year."""
    facts: dict[str, Json] = {
        "event": "authority:refused",
        "actor": by.facts(),
        "office": book.office,
        "act": "register lock",
        **refusal_facts(book.office, decision),
    }
    with services().database.transaction() as own:
        record(own, book.office, facts)
