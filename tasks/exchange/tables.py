"""Rows of the exchange: agencies, documents, who gets them, what is sent, what came, and every status."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


def _data(default: type = dict) -> Any:
    """Return a column for checked data."""
    return Field(default_factory=default, sa_column=Column(JSONB, nullable=False))


class OrganisationRow(SQLModel, table=True):
    """An agency as the directory names it; a merger ends its code and says whose it is now (ORG-03)."""

    __tablename__ = "exchange_organisation"

    code: str = Field(primary_key=True)
    name: str
    old_code: str = Field(default="", index=True)
    email: str = ""
    valid_from: date
    valid_until: date | None = None
    successor: str = ""
    #: SHA-256 of the certificates that it signs packages with; empty: its name in the certificate must do.
    certificates: list[str] = _data(list)
    imported_at: datetime = moment(nullable=False)


class ExchangeCounterRow(SQLModel, table=True):
    """The last number that an office gave to a document of a day and direction."""

    __tablename__ = "exchange_counter"

    office: str = Field(primary_key=True)
    direction: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    last: int


class ExchangeDocumentRow(SQLModel, table=True):
    """One document that an office sends (`out`) or got (`in`): where it stands now."""

    __tablename__ = "exchange_document"
    __table_args__ = (UniqueConstraint("office", "direction", "document_id", "business", "round"),)

    code: str = Field(primary_key=True)
    office: str = Field(foreign_key="office.code", index=True)
    direction: str
    #: The name that it has at every agency (EDX-02).
    document_id: str = Field(index=True)
    business: int = 0
    #: Counts packages of one kind about one document: a second update is another document.
    round: int = 0
    sender: str
    number: str
    notation: str
    day: date
    type_name: str
    priority: int = 0
    #: What the package says, as `infra.edxml.values.Letter`.
    letter: dict[str, Any] = _data()
    #: out: `queued`, `sent`, `cancelled`; in: `arrived`, `returned`, `registered`, `awaiting-decision`, `cancelled`
    state: str
    legal_effect: str
    #: What a person must look at; empty: nothing.
    attention: str = ""
    #: For a result: the dossier that it ends or comes from.
    dossier: str | None = None
    ordinal: int = 0
    #: The incoming document that this package is about (recall, update), or the outgoing one that it follows.
    about: str | None = None
    signed_at: datetime | None = moment()
    made_at: datetime = moment(nullable=False)
    due_at: datetime | None = moment()
    sent_at: datetime | None = moment()
    answered_at: datetime | None = moment()
    ended_at: datetime | None = moment()
    #: The Prefect run that shows it, and what it was last told.
    run_id: UUID | None = None
    shown: str | None = None


class ExchangeFileRow(SQLModel, table=True):
    """One attachment of a document, by its hash, with the verdict on its signatures."""

    __tablename__ = "exchange_file"

    document: str = Field(
        sa_column=Column(String, ForeignKey("exchange_document.code"), primary_key=True, nullable=False)
    )
    position: int = Field(primary_key=True)
    content_id: str
    name: str
    media_type: str
    description: str = ""
    sha256: str
    key: str
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    verdict: dict[str, Any] = _data()


class RecipientRow(SQLModel, table=True):
    """One agency that gets a document, and the last status of its chain; for an incoming one: the office itself."""

    __tablename__ = "exchange_recipient"

    document: str = Field(
        sa_column=Column(String, ForeignKey("exchange_document.code"), primary_key=True, nullable=False)
    )
    organ: str = Field(primary_key=True)
    name: str = ""
    #: It works in this system, so nothing goes over the axis (ORG-06).
    internal: bool = False
    status: str = ""
    status_at: datetime | None = moment()
    acknowledged_at: datetime | None = moment()


class ExchangeStatusRow(SQLModel, table=True):
    """One status of one document at one agency; rows are only added (STA-03)."""

    __tablename__ = "exchange_status"
    __table_args__ = (
        UniqueConstraint("document", "organ", "place"),
        Index("ix_exchange_status_of", "document", "organ"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    document: str
    organ: str
    place: int
    code: str
    #: Who said it, and when by their clock.
    sender: str
    at: datetime = moment(nullable=False)
    reason: str = ""
    kept_at: datetime = moment(nullable=False)


class MessageRow(SQLModel, table=True):
    """One package that is to be sent, its tries, and what the axis answered: the outbox of the exchange."""

    __tablename__ = "exchange_message"

    key: str = Field(primary_key=True)
    office: str = Field(index=True)
    #: The document that it carries or speaks of; none for the answer to a package that could not be read.
    document: str | None = Field(default=None, index=True)
    kind: str  # `edoc` or `status`
    to: list[str] = _data(list)
    internal: bool = False
    #: For a status: what is said, as `infra.edxml.values.Status`.
    status: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    #: For a recall: what is sent in place of the document's own letter.
    letter: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    #: `queued`, `sent`, `dead`, `cancelled`
    state: str = Field(default="queued", index=True)
    priority: int = 0
    #: The signed package, once it is made; how often its signing was begun.
    sha256: str = ""
    store_key: str = ""
    size: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    signings: int = 0
    attempts: int = 0
    next_try_at: datetime = moment(nullable=False, index=True)
    last_answer: str = ""
    axis_id: str = ""
    queued_at: datetime = moment(nullable=False)
    sent_at: datetime | None = moment()
    lease_until: datetime | None = moment()
    fence: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))


class ArrivalRow(SQLModel, table=True):
    """One package that the axis had for an office: what it was, and what became of it."""

    __tablename__ = "exchange_arrival"
    __table_args__ = (Index("ix_exchange_arrival_sha256", "office", "sha256"),)

    office: str = Field(primary_key=True)
    axis_id: str = Field(primary_key=True)
    kind: str
    sender: str
    sha256: str = ""
    store_key: str = ""
    size: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    #: `damaged` (fetched again), `taken`, `duplicate`, `set-aside`, `held` (overtook what it belongs to)
    state: str
    attempts: int = 0
    document: str | None = None
    faults: list[str] = _data(list)
    arrived_at: datetime = moment(nullable=False)
    confirmed_at: datetime | None = moment()
