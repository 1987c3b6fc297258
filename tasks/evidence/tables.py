"""Evidence: what was about to be added to a document, what was kept of it, and when it must be renewed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, Identity, UniqueConstraint
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class LiftRow(SQLModel, table=True):
    """
    One document that is brought to a level: intended, then kept.

    There is at most one row for each (document, level), and what it keeps is the object stored first under
    `kept_key`, a name computed from the intent.
    """

    __tablename__ = "lift"
    __table_args__ = (UniqueConstraint("document_sha256", "wanted"),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    dossier: str = Field(foreign_key="dossier.code", index=True)
    ordinal: int
    revision: int
    #: The document as it was before.
    document_sha256: str
    #: The level that was wanted, or `renewal`.
    wanted: str
    kept_key: str
    intended_at: datetime = moment(nullable=False)
    kept_sha256: str | None = None
    kept_at: datetime | None = moment()
    #: The level really reached, and the rules that say so.
    level: str | None = None
    level_rules: str | None = None
    #: Who gave the last time-stamp, whether it was the second authority, when, and the hash of its token.
    authority: str | None = None
    second: bool = False
    stamped_at: datetime | None = moment()
    token_sha256: str | None = None


class PreservationRow(SQLModel, table=True):
    """Until when one document's evidence lasts, as it was computed; a renewed document has a row of its own."""

    __tablename__ = "preservation"

    document_sha256: str = Field(primary_key=True)
    dossier: str = Field(foreign_key="dossier.code", index=True)
    ordinal: int
    level: str
    #: From when on more evidence is of use, and before when it must be there.
    may_extend_from: datetime = moment(nullable=False)
    must_extend_before: datetime = moment(nullable=False)
    #: What ends first.
    cause: str
    computed_at: datetime = moment(nullable=False)
    superseded_at: datetime | None = moment()
    superseded_by: str | None = None
