"""Registration rounds as rows: what is known of people lies in one table that can be emptied, and nowhere else."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment
from tasks.registration.lifecycle import State


class RoundRow(SQLModel, table=True):
    """One round: what the letter that opened it says, and the forms that hold for it for good (GEN-02)."""

    __tablename__ = "registration_round"

    code: str = Field(primary_key=True)
    office: str = Field(foreign_key="office.code", index=True)
    body: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    forms: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    deadline: datetime = moment(nullable=False)
    opened_at: datetime = moment(nullable=False)
    #: The personal data of its rows was erased then.
    erased_at: datetime | None = moment()


class UnitRow(SQLModel, table=True):
    """A unit that must answer, and its answer."""

    __tablename__ = "registration_unit"

    round: str = Field(primary_key=True, foreign_key="registration_round.code")
    code: str = Field(primary_key=True)
    place: int
    name: str
    mailbox: str = ""
    #: The agency that confirms its list, where the unit has no seal of its own (CER-01).
    managed_by: str = ""
    #: The decision by which it may answer after the deadline.
    late_decision: str | None = None
    answered_at: datetime | None = moment()
    answer: str | None = None
    nothing: bool = False
    confirmed_at: datetime | None = moment()
    confirmation: str | None = None
    #: Since when it is asked; the database says so.
    added_at: datetime | None = Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    )


class EntryRow(SQLModel, table=True):
    """One row of a unit's list: where it stands. Whose it is stands in `registration_person`."""

    __tablename__ = "registration_entry"
    __table_args__ = (
        ForeignKeyConstraint(["round", "unit"], ["registration_unit.round", "registration_unit.code"]),
        Index("ix_registration_entry_unit", "round", "unit"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    round: str
    unit: str
    subject: str
    state: State = Field(sa_column=Column(String, nullable=False))
    #: Counts what the row said: 1, and one more with every correction.
    version: int = 1
    list_ordinal: int | None = None
    number: int | None = None
    changed_at: datetime = moment(nullable=False)


class VersionRow(SQLModel, table=True):
    """What a row said once, as a salted hash: written once, kept when the person's data is erased."""

    __tablename__ = "registration_version"

    entry: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    version: int = Field(primary_key=True)
    commitment: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: datetime = moment(nullable=False)


class EntryContentRow(SQLModel, table=True):
    """What one version of a row says of a person or an agency's keeper; deleting it erases it."""

    __tablename__ = "registration_person"
    __table_args__ = (
        # Of everybody who asks, only one row of a round counts, whoever writes at the same moment (CER-14).
        Index(
            "ux_registration_identity",
            "round",
            "subject",
            "identity",
            unique=True,
            postgresql_where=text("live"),
        ),
        Index("ux_registration_email", "round", "email", unique=True, postgresql_where=text("live")),
    )

    entry: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    version: int = Field(primary_key=True)
    round: str
    subject: str
    identity: str
    email: str
    #: The newest version of a row that was not rejected.
    live: bool = True
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    content: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    #: Why the row was rejected, in words.
    remark: str = ""


class ListRow(SQLModel, table=True):
    """A consolidated list of a round, for one kind of subject: numbered, and sent once."""

    __tablename__ = "registration_list"

    round: str = Field(primary_key=True, foreign_key="registration_round.code")
    ordinal: int = Field(primary_key=True)
    subject: str
    #: Number and notation of the document, `12/DS-UBND`.
    number: str
    #: The official that its page is addressed to; nobody where the seal alone signs it (SIG-16).
    official: str | None = None
    made_at: datetime = moment(nullable=False)
    sent_at: datetime | None = moment()
    sent_with: str | None = None


class PaperRow(SQLModel, table=True):
    """One document of a list: the workbook, the page as it was frozen, and as it was signed."""

    __tablename__ = "registration_paper"
    __table_args__ = (
        ForeignKeyConstraint(
            ["round", "list_ordinal"], ["registration_list.round", "registration_list.ordinal"]
        ),
    )

    round: str = Field(primary_key=True)
    list_ordinal: int = Field(primary_key=True)
    #: `workbook`, `frozen`, `approved` (by the official), `sealed`
    kind: str = Field(primary_key=True)
    #: Counts the days on which the page was made anew, before anybody had signed it.
    revision: int = Field(primary_key=True)
    sha256: str
    key: str
    size: int
    #: The day that the page says, and the rows that stand on it, as the history names them.
    for_day: date
    rows_sha256: str
    #: What the page prints of its official: `lines`, the capacity line by line.
    facts: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    made_at: datetime = moment(nullable=False)


class PaperSignatureRow(SQLModel, table=True):
    """One signature of a list's document: intended before the token is touched, then kept; at most one a field."""

    __tablename__ = "registration_signature"
    __table_args__ = (UniqueConstraint("round", "list_ordinal", "revision", "field"),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    round: str = Field(index=True)
    list_ordinal: int
    revision: int
    field: str
    signer: str
    certificate_sha256: str
    document_sha256: str
    intended_at: datetime = moment(nullable=False)
    #: How often the token was to be asked, and whether the end of the last try is still to be told.
    tries: int = 0
    open_try: bool = False
    #: By which authority it is signed, so that it stays explained.
    decision: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    kept_key: str
    kept_sha256: str | None = None
    level: str | None = None
    signed_at: datetime | None = moment()
    kept_at: datetime | None = moment()


class IssuedRow(SQLModel, table=True):
    """The provider's certificate for a row: one a row, one row a certificate."""

    __tablename__ = "registration_certificate"

    entry: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    sha256: str = Field(unique=True)
    serial: str = Field(index=True)
    #: Where its DER bytes lie in the work store.
    key: str
    not_before: datetime = moment(nullable=False)
    not_after: datetime = moment(nullable=False)
    matched_at: datetime = moment(nullable=False)
