"""A batch, its chunks, and what became of each dossier in it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class BatchRow(SQLModel, table=True):
    """One batch of one office: which part of the life, for which slot, and how it stands."""

    __tablename__ = "batch"
    __table_args__ = (UniqueConstraint("kind", "office", "slot", name="uq_batch_slot"),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    kind: str
    office: str = Field(foreign_key="office.code")
    procedure: str | None = None
    #: The slot of the office's hours that it was begun for; `None` when somebody asked for it.
    slot: datetime | None = moment()
    asked_by: str
    begun_at: datetime = moment(nullable=False)
    ended_at: datetime | None = moment()
    #: Whose fault keeps it from going on (`token`, `store` …) and what was said; `None` while it goes.
    cause: str | None = None
    #: The chunk that met the fault, and tries it before the others go on; 0: it was tried for the last time.
    paused_by: int | None = None
    #: Until when whoever watches over its chunks is believed to be alive.
    lease_until: datetime | None = moment()
    #: The work store's key of the table of results (CSV).
    result_key: str | None = None


class BatchChunkRow(SQLModel, table=True):
    """A part of a batch that one worker at a time carries; the lease says which."""

    __tablename__ = "batch_chunk"

    batch: int = Field(sa_column=Column(BigInteger, ForeignKey("batch.id"), primary_key=True))
    number: int = Field(primary_key=True)
    urgent: bool = False
    run_id: UUID | None = None
    lease_owner: str | None = None
    lease_until: datetime | None = moment()
    fence: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    ended_at: datetime | None = moment()


class BatchDossierRow(SQLModel, table=True):
    """One dossier of a batch; `result` is empty until it is known (see `tasks.batches.rules.Result`)."""

    __tablename__ = "batch_dossier"
    __table_args__ = (Index("ix_batch_dossier_order", "batch", "chunk", "position"),)

    batch: int = Field(sa_column=Column(BigInteger, primary_key=True))
    dossier: str = Field(sa_column=Column(String, ForeignKey("dossier.code"), primary_key=True))
    chunk: int
    position: int
    result: str | None = None
    cause: str = ""
    at: datetime | None = moment()
