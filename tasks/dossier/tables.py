"""The rows that every stage shares: the dossier, its originals, its documents, and what must follow."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.lifecycle import Stage, Standing


def moment(*, nullable: bool = True, index: bool = False) -> Any:
    """Return a column for an aware point in time."""
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable, index=index))


class OfficeRow(SQLModel, table=True):
    """One office's data as it was loaded last."""

    __tablename__ = "office"

    code: str = Field(primary_key=True)
    body: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    loaded_at: datetime = moment(nullable=False)


class ProcedureRow(SQLModel, table=True):
    """One version of one procedure; never changed once it is here (GEN-02)."""

    __tablename__ = "procedure"

    code: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    effective_from: date
    sha256: str
    body: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class DossierRow(SQLModel, table=True):
    """One dossier: where it stands now. What happened is in the history."""

    __tablename__ = "dossier"

    code: str = Field(primary_key=True)
    office: str = Field(foreign_key="office.code", index=True)
    resolving_office: str
    procedure: str
    procedure_version: int
    stage: Stage = Field(sa_column=Column(String, nullable=False, index=True))
    portal_code: int = 1
    channels: list[str] = Field(sa_column=Column(JSONB, nullable=False))
    opened_by: str
    opened_at: datetime = moment(nullable=False)
    walk_in: bool = False
    #: How it came, for reports (REP-02): over the `portal`, to the `counter`, by `post`.
    came_by: str = "counter"
    examiner: str | None = None
    received_at: datetime | None = moment()
    due_at: datetime | None = moment(index=True)
    extended_by: int = 0
    paused_at: datetime | None = moment()
    supplements: int = 0
    confidential: bool = False
    ended_at: datetime | None = moment()
    #: The archive is asked for this dossier, by a person or by the night.
    archive_asked: bool = False
    #: The Prefect run that shows this life, and what it was last told.
    run_id: UUID | None = None
    shown: str | None = None


class ApplicantRow(SQLModel, table=True):
    """The person behind a dossier: the only place, beside the history's erasable rows, that says who."""

    __tablename__ = "applicant"

    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    name: str
    identity: str = Field(index=True)
    address: str = ""
    telephone: str = ""
    email: str | None = None
    account: str | None = None
    kin_of: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))


class OriginalRow(SQLModel, table=True):
    """One original of a dossier, and what became of it."""

    __tablename__ = "original"

    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    ordinal: int = Field(primary_key=True)
    kind: str
    pages: int
    copies: int = 1
    fee: int = 0
    compared_pages: int = 0
    compared_by: str = ""
    compared_at: datetime | None = moment()
    foreign: bool = False
    legalised: bool = False
    standing: Standing = Field(sa_column=Column(String, nullable=False, index=True))
    reason_code: str | None = None
    reason: str | None = None
    #: Counts the times it was put before an official anew; the bytes differ when day, official or scan do.
    revision: int = 0
    #: The original that this one is an attachment of, in a file of its own (SIG-06).
    attached_to: int | None = None
    #: Number and notation of the document that it is attached to, as its signature shows them.
    notation: str = ""


class DocumentRow(SQLModel, table=True):
    """Bytes that belong to an original (ordinal ≥ 1) or to the whole dossier (0), by their hash."""

    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("dossier", "ordinal", "kind", "revision", "position"),
        Index("ix_document_current", "dossier", "ordinal", "kind"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    dossier: str = Field(foreign_key="dossier.code")
    ordinal: int = 0
    #: `scan`, `page`, `frozen`, `approved`, `sealed`, `lifted`, `receipt`, `letter-…`, `validation`, `result`
    kind: str
    revision: int = 0
    position: int = 0
    sha256: str
    key: str
    size: int
    media_type: str
    #: For frozen bytes: the day that the page says it is signed on.
    for_day: date | None = None
    #: What is known of it besides its bytes: sizes of a page, boxes of a signature.
    facts: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    made_at: datetime = moment(nullable=False)
    #: The PAdES level that the file has really reached, and the rules that say so; `None`: not asked.
    level: str | None = None
    level_rules: str | None = None


class NoticeRow(SQLModel, table=True):
    """A message owed to the applicant about the dossier; results themselves go by delivery legs."""

    __tablename__ = "notice"
    __table_args__ = (UniqueConstraint("dossier", "kind", "ordinal", "occasion"),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    dossier: str = Field(foreign_key="dossier.code", index=True)
    kind: str
    ordinal: int = 0
    occasion: int = 0
    facts: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    #: `owed`, `trying`; then `sent`, `superseded`, or `at-counter` when e-mail does not reach the applicant.
    state: str = "owed"
    attempts: int = 0
    ambiguous: int = 0
    next_try_at: datetime | None = moment()
    last_answer: str = ""
    ended_at: datetime | None = moment()


class StatusReportRow(SQLModel, table=True):
    """One status code owed to the National Portal, in order (DOS-06, DOS-07)."""

    __tablename__ = "status_report"

    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    sequence: int = Field(primary_key=True)
    code: int
    at: datetime = moment(nullable=False)
    attempts: int = 0
    next_try_at: datetime | None = moment()
    sent_at: datetime | None = moment()


class OutboxRow(SQLModel, table=True):
    """
    That something must follow for a dossier: one row a dossier, so that ten acts are one errand.

    `asked` grows with every act; a worker that carried the dossier on sets `done` to the number it saw.
    The lease (owner, until, fence) says who is at it; a late worker's fence is too old to write.
    """

    __tablename__ = "outbox"

    dossier: str = Field(sa_column=Column(String, ForeignKey("dossier.code"), primary_key=True))
    asked: int = Field(default=1, sa_column=Column(BigInteger, nullable=False))
    done: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    asked_at: datetime = moment(nullable=False)
    not_before: datetime = moment(nullable=False, index=True)
    attempts: int = 0
    lease_owner: str | None = None
    lease_until: datetime | None = moment()
    fence: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    last_error: str | None = None
    #: How many workers running died, or were silent beyond their lease, while they were at it.
    deaths: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    #: Until then the office's batches carry this dossier, and no warm worker takes it; empty: it is no batch's.
    batch_until: datetime | None = moment()


class CommandRow(SQLModel, table=True):
    """The answer to a request that opens something, so that the same request gets the same answer."""

    __tablename__ = "command"

    request_id: str = Field(primary_key=True)
    request_hash: str
    answer: str
    at: datetime = moment(nullable=False)


class CounterTaskRow(SQLModel, table=True):
    """Something that a clerk must do at the counter, until somebody says that it is done."""

    __tablename__ = "counter_task"
    __table_args__ = (UniqueConstraint("dossier", "kind", "ordinal"),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    dossier: str = Field(foreign_key="dossier.code", index=True)
    kind: str
    ordinal: int = 0
    reason: str
    opened_at: datetime = moment(nullable=False)
    ended_at: datetime | None = moment()
    ended_by: str | None = None


class DayCounterRow(SQLModel, table=True):
    """The last dossier sequence that an office used on a day (DOS-04)."""

    __tablename__ = "day_counter"

    office: str = Field(primary_key=True, foreign_key="office.code")
    day: date = Field(primary_key=True)
    last: int
