"""Return legs: one for each channel that the applicant chose."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class LegRow(SQLModel, table=True):
    """One channel of one dossier, from the first try to its end."""

    __tablename__ = "delivery_leg"

    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    channel: str = Field(primary_key=True)
    #: `queued`, `trying`, `deferred`, `ambiguous`, `at-counter`; ends as `accepted`, `collected`, `refused`,
    #: `confirmed` (on the applicant's word), or `ambiguous` when it may have arrived and is not sent again
    state: str = "queued"
    #: Counts the addresses that were tried; each is an errand of its own, with its own Message-ID.
    errand: int = 0
    attempts: int = 0
    ambiguous: int = 0
    message_id: str | None = None
    next_try_at: datetime | None = moment()
    last_answer: str = ""
    receipt: str | None = None
    opened_at: datetime = moment(nullable=False)
    ended_at: datetime | None = moment()


class PublicationRow(SQLModel, table=True):
    """A result that the public may look up: number, hash and standing, nothing personal (DOS-25)."""

    __tablename__ = "publication"

    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    ordinal: int = Field(primary_key=True)
    number: str
    sha256: str
    standing: str
    published_at: datetime = moment(nullable=False)
