"""
The yearly register of certifications: every number once, none missing (CERT-22 to CERT-24).

A number is reserved in the same transaction as its line, so a transaction that fails leaves no gap; it
ends *certified* or *void*, stays with its original for ever and is never given again.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, Session, SQLModel

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.reading import rows_of
from tasks.dossier.calendar import local
from tasks.dossier.moves import Actor
from tasks.dossier.tables import moment


class RegisterBookRow(SQLModel, table=True):
    """One office's register of one year: its last number, and whether it is locked (CERT-22, CERT-29)."""

    __tablename__ = "register_book"

    office: str = Field(primary_key=True, foreign_key="office.code")
    year: int = Field(primary_key=True)
    symbol: str = Field(primary_key=True)
    book: int = 1
    last_number: int = 0
    locked_at: datetime | None = moment()


class RegisterEntryRow(SQLModel, table=True):
    """
    One line of the register: a number, and the original it belongs to for ever (CERT-23).

    `reserved` before the page that carries it is signed, then `certified`, or `void` with a reason.
    """

    __tablename__ = "register_entry"
    __table_args__ = (UniqueConstraint("dossier", "ordinal"),)

    office: str = Field(primary_key=True)
    year: int = Field(primary_key=True)
    symbol: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    book: int
    dossier: str = Field(foreign_key="dossier.code")
    ordinal: int
    state: str = "reserved"
    reason: str | None = None
    by: str | None = None
    reserved_at: datetime = moment(nullable=False)
    ended_at: datetime | None = moment()


def reserve(session: Session, office: str, symbol: str, code: str, ordinal: int) -> RegisterEntryRow:
    """
    Return the register line of an original, reserved now if it had none.

    The year's book is locked until the commit, which is what keeps numbers unique and without gaps
    when many ask at once. Refuses a year whose register is locked (CERT-29).
    """
    line = line_of(session, code, ordinal)
    if line is not None and line.state == "void":
        raise Broken(f"the number of {code}/{ordinal} is void; a void number is never used again")
    if line is not None:
        return line
    year = local(now(session)).year
    row = insert(RegisterBookRow).values(office=office, year=year, symbol=symbol, book=1, last_number=1)
    table = RegisterBookRow.__table__  # type: ignore[attr-defined]
    statement = row.on_conflict_do_update(
        index_elements=["office", "year", "symbol"],
        set_={"last_number": table.c.last_number + 1},
        where=table.c.locked_at.is_(None),
    ).returning(table.c.last_number, table.c.book)
    reserved = session.connection().execute(statement).one_or_none()
    if reserved is None:
        raise Forbidden(
            f"the register {symbol} of {office} for {year} is locked.",
            rule="CERT-29",
            way_out="A locked year takes no further number; open a dossier in the new year.",
        )
    number, book = reserved
    line = RegisterEntryRow(
        office=office,
        year=year,
        symbol=symbol,
        number=number,
        book=book,
        dossier=code,
        ordinal=ordinal,
        reserved_at=now(session),
    )
    session.add(line)
    return line


def line_of(session: Session, code: str, ordinal: int) -> RegisterEntryRow | None:
    """Return an original's line in the register, whatever its state."""
    return next(iter(rows_of(session, RegisterEntryRow, dossier=code, ordinal=ordinal)), None)


def certify_number(session: Session, code: str, ordinal: int) -> None:
    """End a reserved line as certified: the copy that carries the number was signed and sealed."""
    line = line_of(session, code, ordinal)
    if line is not None and line.state == "reserved":
        line.state = "certified"
        line.ended_at = now(session)
        session.add(line)


def void_number(session: Session, code: str, ordinal: int, reason: str, by: Actor) -> None:
    """End a reserved line as void, with reason and person; a void number is counted apart and never reused."""
    line = line_of(session, code, ordinal)
    if line is None or line.state != "reserved":
        return
    line.state = "void"
    line.reason = reason
    line.by = by.staff or by.role
    line.ended_at = now(session)
    session.add(line)


def number_text(number: int, book: int, year: int, symbol: str) -> str:
    """
    Return a certification number as the page and the register write it (CERT-25).

    >>> number_text(7, 1, 2026, "SCT/BS")
    'Số chứng thực: 07 quyển số 01/2026-SCT/BS'
    """
    return f"Số chứng thực: {number:02d} quyển số {book:02d}/{year}-{symbol}"


def short_number(line: RegisterEntryRow) -> str:
    """Return a number as lists write it: `07/2026-SCT/BS`."""
    return f"{line.number:02d}/{line.year}-{line.symbol}"


def number_of(session: Session, code: str, ordinal: int) -> str | None:
    """Return an original's number as lists write it, if it has one."""
    line = line_of(session, code, ordinal)
    return short_number(line) if line else None
