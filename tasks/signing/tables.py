"""Signatures: what was intended before a token was touched, and what was kept of it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class SignListRow(SQLModel, table=True):
    """A list of documents as an official reviewed it; its digest names exactly those bytes."""

    __tablename__ = "sign_list"

    digest: str = Field(primary_key=True)
    office: str = Field(foreign_key="office.code")
    official: str
    for_day: date
    body: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    written_at: datetime = moment(nullable=False)
    unlocked_at: datetime | None = moment()
    ended_at: datetime | None = moment()


class ListedDocumentRow(SQLModel, table=True):
    """What an official did with one document of a list: looked at it, and what became of it."""

    __tablename__ = "listed_document"

    digest: str = Field(primary_key=True, foreign_key="sign_list.digest")
    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    ordinal: int = Field(primary_key=True)
    #: When the official opened exactly the listed bytes, the first time.
    opened_at: datetime | None = moment()
    #: `signed`, `left out` (changed, or by the official), `refused`, `not reached`.
    result: str | None = None
    why: str = ""
    ended_at: datetime | None = moment()


class SignatureRow(SQLModel, table=True):
    """
    One step of one document's route: intended, then kept.

    There is at most one row for each (document, field), and what it keeps is the object stored first
    under `kept_key`, a name computed from the intent. Every intent is one try, counted in `tries`; `open_try`
    says that the history does not know yet how the last one ended.
    """

    __tablename__ = "signature"
    __table_args__ = (UniqueConstraint("document_sha256", "field"),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    dossier: str = Field(foreign_key="dossier.code", index=True)
    ordinal: int
    revision: int
    field: str
    role: str
    signer: str
    certificate_sha256: str
    document_sha256: str
    intended_at: datetime = moment(nullable=False)
    tries: int = 0
    open_try: bool = False
    kept_key: str
    kept_sha256: str | None = None
    #: The PAdES level that it has really reached, by now, and the rules that say so.
    level: str | None = None
    level_rules: str | None = None
    signed_at: datetime | None = moment()
    kept_at: datetime | None = moment()
    #: By which authority: post, mandate, basis, capacity, rule, as they were found at that moment.
    decision: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
