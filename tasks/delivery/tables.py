"""Return legs: one for each channel that the applicant chose."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class LegRow(SQLModel, table=True):
    """One channel of one dossier, from the first try to its end."""

    __tablename__ = "delivery_leg"

    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    channel: str = Field(primary_key=True)
    #: `queued`, `trying`, `deferred`, `ambiguous`, `at-counter`; ends as `accepted`, `collected`, `refused`,
    #: `confirmed` (on the applicant's word), `withdrawn` (its result was taken back first), or `ambiguous` when
    #: it may have arrived and is not sent again
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


class SentCopyRow(SQLModel, table=True):
    """One file that went to somebody, or may have: rows are only added, and tell no address."""

    __tablename__ = "sent_copy"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    dossier: str = Field(foreign_key="dossier.code", index=True)
    ordinal: int
    channel: str
    #: Which errand of its leg it was: each address, and each sending anew, is one of its own.
    errand: int
    #: `e-mail address`, `portal account` or `collector`.
    address_kind: str
    #: `result`, or the `note` that goes with one that takes no signature.
    part: str
    sha256: str
    size: int
    #: `accepted`, `collected`, or `in doubt` when the answer was lost and it may have arrived.
    outcome: str
    at: datetime = moment(nullable=False)
