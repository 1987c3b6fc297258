"""What the rules answered for each office of the installation, under the release that was deployed last."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class ReleaseAnswersRow(SQLModel, table=True):
    """The answers for one office, or, with an empty code, for the procedures that are loaded."""

    __tablename__ = "release_answers"

    office: str = Field(primary_key=True)
    #: SHA-256 of what was asked about: the office's days and the procedures.
    settings: str
    #: How many reasons for a change of the rules the release had accepted.
    reasons: int
    answers: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    release: str
    at: datetime = moment(nullable=False)
