"""The locked years of the registers, the pages that say so, and the signatures on them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class RegisterLockRow(SQLModel, table=True):
    """That a year of a register is locked, with its totals; the database refuses every entry afterwards (CERT-29)."""

    __tablename__ = "register_lock"

    office: str = Field(primary_key=True)
    year: int = Field(primary_key=True)
    symbol: str = Field(primary_key=True)
    locked_at: datetime = moment(nullable=False)
    locked_by: str
    certified: int
    void: int
    last_number: int
    #: SHA-256 over the canonical form of all lines, as they were locked.
    lines_sha256: str
    decision: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class RegisterPaperRow(SQLModel, table=True):
    """One form of the page of a locked year: `frozen`, then `approved` by the certifier, then `sealed`."""

    __tablename__ = "register_paper"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    office: str
    year: int
    symbol: str
    kind: str
    #: Counts the times that nobody signed it on its day, so that it was made anew.
    revision: int = 0
    for_day: date
    official: str
    lines: list[str] = Field(sa_column=Column(JSONB, nullable=False))
    sha256: str
    size: int
    key: str
    made_at: datetime = moment(nullable=False)


class RegisterSignatureRow(SQLModel, table=True):
    """One signature of a page: written down before the token is asked, kept after the result was checked."""

    __tablename__ = "register_signature"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    #: The frozen page.
    paper: int
    field: str
    certificate_sha256: str = ""
    kept_key: str = ""
    tries: int = 0
    open_try: bool = False
    decision: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    intended_at: datetime = moment(nullable=False)
    kept_sha256: str | None = None
    level: str | None = None
    signed_at: datetime | None = moment()
    kept_at: datetime | None = moment()
