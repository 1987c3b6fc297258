"""Of which deadline whom was told what."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, DateTime
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class DeadlineAlertRow(SQLModel, table=True):
    """One alert about one promised time of one dossier; a new time may bring new alerts."""

    __tablename__ = "deadline_alert"

    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    due_at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    #: `near`, `late`, `escalated`, or `again` when it is late for long after the superior gave it back
    kind: str = Field(primary_key=True)
    office: str = Field(index=True)
    raised_at: datetime = moment(nullable=False)
    #: When the mail server took the message that names it.
    mailed_at: datetime | None = moment()
    #: When it was over: the work is done, the clock stands still, or there is a new time.
    ended_at: datetime | None = moment()
    #: For what was escalated: when the superior gave it back with an instruction, and who did.
    answered_at: datetime | None = moment()
    answered_by: str | None = None
    #: When the office was told of that, and when the superior was told that it is over.
    answer_told_at: datetime | None = moment()
    end_told_at: datetime | None = moment()
