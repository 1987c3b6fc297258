"""Reports as they were made, their pages, their one signature; and what was promised and paid when."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


def _counted() -> Any:
    """Return a primary key that the database counts."""
    return Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))


class ReportRow(SQLModel, table=True):
    """One report on one period: made once, never changed (REP-10)."""

    __tablename__ = "report"
    __table_args__ = (UniqueConstraint("office", "about", "first", "last"),)

    number: int | None = _counted()
    #: The office that makes it and signs it.
    office: str = Field(foreign_key="office.code")
    #: The office whose dossiers it counts; `*`: every office.
    about: str
    kind: str
    name: str
    first: date
    last: date
    #: The number of the rule set by which it was counted.
    rules: int
    made_at: datetime = moment(nullable=False)
    made_by: str
    #: The figures in canonical JSON (RFC 8785): computed again they are the same to the byte.
    figures: str
    sha256: str
    #: What units and procedures were called when it was made.
    names: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    #: The list of every dossier with the column that it is counted in, in the work store.
    dossiers_sha256: str
    dossiers_key: str


class ReportPaperRow(SQLModel, table=True):
    """One form of a report: the `workbook`, the `page` as it was made, and `sealed` by the agency."""

    __tablename__ = "report_paper"

    report: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    kind: str = Field(primary_key=True)
    sha256: str
    key: str
    size: int
    made_at: datetime = moment(nullable=False)


class ReportSignatureRow(SQLModel, table=True):
    """The agency's signature of a report: written down before the token is asked, kept after it was checked."""

    __tablename__ = "report_signature"

    report: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    certificate_sha256: str = ""
    kept_key: str = ""
    tries: int = 0
    open_try: bool = False
    decision: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    intended_at: datetime = moment(nullable=False)
    level: str | None = None
    signed_at: datetime | None = moment()
    kept_at: datetime | None = moment()


class PromisedTimeRow(SQLModel, table=True):
    """
    That from a moment on this time was promised for a dossier, or set for a round (`registration/CODE`).

    The database itself writes it with every change of the time, so that a report of a period that is over says what
    was late then, and not what is late by today's promise.
    """

    __tablename__ = "promised_time"

    id: int | None = _counted()
    subject: str
    at: datetime = moment(nullable=False)
    due_at: datetime = moment(nullable=False)


class FeeTakenRow(SQLModel, table=True):
    """That so much of a dossier's fee was paid at a moment, in đồng; the database itself writes it."""

    __tablename__ = "fee_taken"

    id: int | None = _counted()
    dossier: str
    at: datetime = moment(nullable=False)
    amount: int = Field(sa_column=Column(BigInteger, nullable=False))
