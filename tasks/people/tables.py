"""The rows of people: who they are, what they may do, how they prove who they are, and who is logged in."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, LargeBinary
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class PersonRow(SQLModel, table=True):
    """Somebody who works at an office, or a machine that acts for it. Never deleted: old acts name them."""

    __tablename__ = "person"

    office: str = Field(primary_key=True, foreign_key="office.code")
    staff: str = Field(primary_key=True)
    name: str
    #: What the person is called in the office, as the history writes it.
    post: str
    identity: str = ""
    email: str = ""
    joined_at: datetime = moment(nullable=False)
    #: The first day on which the person does not work here any more.
    leaves_on: date | None = None


class PersonRoleRow(SQLModel, table=True):
    """A role that a person holds at an office (`*`: every) for a procedure (`*`: every) from a day to a day."""

    __tablename__ = "person_role"
    __table_args__ = (
        ForeignKeyConstraint(["office", "staff"], ["person.office", "person.staff"]),
        Index("ix_person_role_person", "office", "staff"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    office: str
    staff: str
    role: str
    at: str
    procedure: str
    from_on: date
    #: The last day.
    until_on: date | None = None
    #: `file`: the office's file says so; `command`: an administrator gave it.
    source: str


class CredentialRow(SQLModel, table=True):
    """How a person's password is checked (Argon2id, PHC string)."""

    __tablename__ = "credential"
    __table_args__ = (ForeignKeyConstraint(["office", "staff"], ["person.office", "person.staff"]),)

    office: str = Field(primary_key=True)
    staff: str = Field(primary_key=True)
    password: str
    set_at: datetime = moment(nullable=False)


class LoginTryRow(SQLModel, table=True):
    """
    How often a person's password was wrong in a row at one address, and what follows from it there.

    By address, so that nobody who guesses elsewhere keeps a person from the desk where the person works.
    """

    __tablename__ = "login_try"
    __table_args__ = (
        ForeignKeyConstraint(["office", "staff"], ["person.office", "person.staff"]),
        Index("ix_login_try_last", "last_at"),
    )

    office: str = Field(primary_key=True)
    staff: str = Field(primary_key=True)
    #: From where PostgreSQL saw the tries.
    address: str = Field(primary_key=True)
    failures: int = 0
    last_at: datetime = moment(nullable=False)
    #: Until then even the right password is refused there.
    not_before: datetime | None = moment()
    locked_at: datetime | None = moment()


class ReadingRow(SQLModel, table=True):
    """That somebody looked at something, and by which act; rows are never changed or deleted."""

    __tablename__ = "reading"
    __table_args__ = (
        Index("ix_reading_reader", "reader_office", "reader", "at"),
        Index("ix_reading_office", "office", "at"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    at: datetime = moment(nullable=False)
    #: Where it lies that was looked at; `*` for several offices at once.
    office: str
    #: Empty for lists.
    dossier: str | None = Field(default=None, index=True)
    act: str
    reader_office: str
    reader: str
    role: str
    address: str


class EnrolmentRow(SQLModel, table=True):
    """A code, kept as its hash, by which a person sets the first password, once and for a while."""

    __tablename__ = "enrolment"
    __table_args__ = (ForeignKeyConstraint(["office", "staff"], ["person.office", "person.staff"]),)

    code_sha256: str = Field(primary_key=True)
    office: str
    staff: str
    expires_at: datetime = moment(nullable=False)
    ended_at: datetime | None = moment()


class LoginRow(SQLModel, table=True):
    """One login: the hash of its token, whose it is, from which address, and until when."""

    __tablename__ = "login"
    __table_args__ = (
        ForeignKeyConstraint(["office", "staff"], ["person.office", "person.staff"]),
        Index("ix_login_person", "office", "staff"),
    )

    token_sha256: str = Field(primary_key=True)
    office: str
    staff: str
    #: `password` or `token`.
    way: str
    #: The desk's address as PostgreSQL sees it.
    address: str
    opened_at: datetime = moment(nullable=False)
    seen_at: datetime = moment(nullable=False)
    expires_at: datetime = moment(nullable=False)
    ended_at: datetime | None = moment()
    #: `logout`, `password`, `left`, `role`
    ended_by: str | None = None


class ChallengeRow(SQLModel, table=True):
    """What a token was asked to sign for a login; answered once or never."""

    __tablename__ = "login_challenge"
    __table_args__ = (ForeignKeyConstraint(["office", "staff"], ["person.office", "person.staff"]),)

    nonce: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    office: str
    staff: str
    expires_at: datetime = moment(nullable=False)
    answered_at: datetime | None = moment()
