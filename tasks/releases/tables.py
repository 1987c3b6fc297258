"""Releases as they were deployed; the newest row says which one works."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class ReleaseRow(SQLModel, table=True):
    """One release that was deployed, or, with an empty name, that nobody works; rows are only added."""

    __tablename__ = "release"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    name: str
    #: SHA-256 of the code, and how many recorded lives it was tried on.
    code: str
    lives: int
    at: datetime = moment(nullable=False)
