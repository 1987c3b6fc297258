"""When each object of the archive and each block of the history was read last, and what every run has read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class FixityRunRow(SQLModel, table=True):
    """One night's reading; one without an end was interrupted."""

    __tablename__ = "fixity_run"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    begun_at: datetime = moment(nullable=False)
    ended_at: datetime | None = moment()
    objects: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    bytes: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    seconds: float = 0.0
    #: How many entries of the history were read again.
    entries: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    findings: list[Any] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    report_key: str | None = None


class FixityReadRow(SQLModel, table=True):
    """The last time that an object version was read, and what was wrong with it then."""

    __tablename__ = "fixity_read"

    key: str = Field(primary_key=True)
    version_id: str = Field(primary_key=True)
    read_at: datetime = moment(nullable=False)
    run: int = Field(sa_column=Column(BigInteger, ForeignKey("fixity_run.id"), nullable=False))
    finding: str | None = None


class HistoryBlockReadRow(SQLModel, table=True):
    """The last time that a block of the history was read."""

    __tablename__ = "history_block_read"

    block: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    read_at: datetime = moment(nullable=False)
