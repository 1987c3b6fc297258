"""What the nightly comparison found, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class FindingRow(SQLModel, table=True):
    """One gap between what should be the same; open until a comparison does not find it any more."""

    __tablename__ = "finding"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    #: Which equality is broken; `tasks.reconciliation.rules.FINDINGS` says it in a sentence.
    code: str
    #: The dossier, or the office and year of a register.
    subject: str
    ordinal: int = 0
    facts: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    found_at: datetime = moment(nullable=False)
    seen_at: datetime = moment(nullable=False)
    repaired_by: str | None = None
    repaired_at: datetime | None = moment()
    ended_at: datetime | None = moment()
