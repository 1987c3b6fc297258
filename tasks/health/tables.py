"""What was found last of each part that the office needs."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class HealthCheckRow(SQLModel, table=True):
    """How one part was when a machine looked last; it holds no personal data."""

    __tablename__ = "health_check"

    name: str = Field(primary_key=True)
    #: Which machine looked: tokens, disks and clocks are a machine's own.
    machine: str = Field(primary_key=True)
    at: datetime = moment(nullable=False)
    #: `ok`, `warning`, `failing` or `skipped`
    state: str
    cause: str
    remedy: str
