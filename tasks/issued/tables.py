"""What became of results after their issue: changes of standing, requests to correct, the lists that say so."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class StandingChangeRow(SQLModel, table=True):
    """That a result stopped standing: withdrawn, or replaced by that of another dossier. It happens once."""

    __tablename__ = "standing_change"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    dossier: str = Field(foreign_key="dossier.code")
    ordinal: int
    standing: str
    at: datetime = moment(nullable=False)
    by: str
    #: By which authority, as it was found at that moment.
    decision: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    replaced_by: str | None = Field(default=None, foreign_key="dossier.code")


class CorrectionRow(SQLModel, table=True):
    """A request to correct an issued result, and what was decided about it by somebody else."""

    __tablename__ = "correction"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    dossier: str = Field(foreign_key="dossier.code")
    ordinal: int
    #: `asked`, then `refused`, or `approved` and, once the corrected result is released, `settled`.
    state: str = "asked"
    #: In words, for whoever decides; it goes with the dossier's other personal data.
    reason: str
    #: What the corrected original is called, and how many pages it has.
    kind: str
    pages: int
    #: The files and pages that the corrected copy is made of: kind, key, hash and facts of stored bytes.
    files: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    asked_by: str
    asked_at: datetime = moment(nullable=False)
    decided_by: str | None = None
    decided_at: datetime | None = moment()
    decision: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    #: The dossier that makes the corrected result.
    new_dossier: str | None = Field(default=None, foreign_key="dossier.code")


class StandingListRow(SQLModel, table=True):
    """One standing list as it lies in the archive."""

    __tablename__ = "standing_list"

    issued_at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    next_update: datetime = moment(nullable=False)
    documents: int
    #: How many of them stand no more; fewer than there are changes means that it is behind.
    changes: int
    sha256: str
    key: str
    version_id: str
