"""Posts, who holds them, mandates, the seal's keeper: rows that only grow, so that the past stays explained."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


def _number() -> Any:
    """Return a column that counts rows."""
    return Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))


def _of(table: str) -> Any:
    """Return a column that names a row of another table."""
    return Field(sa_column=Column(BigInteger, ForeignKey(f"{table}.id"), nullable=False, index=True))


class PostRow(SQLModel, table=True):
    """A post as it was described; of several rows with one code the newest counts."""

    __tablename__ = "post"

    id: int | None = _number()
    office: str = Field(foreign_key="office.code", index=True)
    code: str
    title: str
    rank: str
    under: str = ""
    described_at: datetime = moment(nullable=False)


class HoldingRow(SQLModel, table=True):
    """That somebody was given a post."""

    __tablename__ = "holding"

    id: int | None = _number()
    office: str = Field(foreign_key="office.code", index=True)
    post: str
    staff: str
    manner: str
    since: datetime = moment(nullable=False)
    ends_before: datetime | None = moment()
    decision: str
    recorded_at: datetime = moment(nullable=False)
    recorded_by: str


class HoldingEndRow(SQLModel, table=True):
    """That a holding ends; of several ends the earliest counts."""

    __tablename__ = "holding_end"

    id: int | None = _number()
    holding: int = _of("holding")
    ends_before: datetime = moment(nullable=False)
    decision: str
    recorded_at: datetime = moment(nullable=False)
    recorded_by: str


class MandateRow(SQLModel, table=True):
    """That somebody was given the right to sign something for the holder of a post."""

    __tablename__ = "mandate"

    id: int | None = _number()
    office: str = Field(foreign_key="office.code", index=True)
    capacity: str
    giver_post: str
    giver: str
    to_staff: str = ""
    to_post: str = ""
    covers: list[str] = Field(sa_column=Column(JSONB, nullable=False))
    limits: str = ""
    basis_kind: str
    basis_number: str
    basis_date: date
    basis_issuer: str
    since: datetime = moment(nullable=False)
    ends_before: datetime | None = moment()
    recorded_at: datetime = moment(nullable=False)
    recorded_by: str


class MandateEndRow(SQLModel, table=True):
    """That a mandate was revoked; of several ends the earliest counts."""

    __tablename__ = "mandate_end"

    id: int | None = _number()
    mandate: int = _of("mandate")
    ends_before: datetime = moment(nullable=False)
    decision: str
    recorded_at: datetime = moment(nullable=False)
    recorded_by: str


class SealKeeperRow(SQLModel, table=True):
    """That the token of the agency's seal went to a keeper, with the minutes of the hand-over (SIG-13)."""

    __tablename__ = "seal_keeper"

    id: int | None = _number()
    office: str = Field(foreign_key="office.code", index=True)
    keeper: str
    handed_by: str = ""
    approved_by: str
    minutes: str
    since: datetime = moment(nullable=False)
    recorded_at: datetime = moment(nullable=False)
    recorded_by: str
