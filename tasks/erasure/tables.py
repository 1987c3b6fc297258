"""Of which dossiers the personal data is gone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class ErasureRow(SQLModel, table=True):
    """That the personal data of a dossier was erased, to the end; rows are only added."""

    __tablename__ = "erasure"

    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    erased_at: datetime = moment(nullable=False)
    by: str
    #: How much of each kind went.
    counts: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
