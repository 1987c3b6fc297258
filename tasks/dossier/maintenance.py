"""
Whether the system is being maintained: nothing new is begun then, what has begun is finished, reading goes on.

It begins and ends by somebody's act (`tasks.health.maintaining`), and never by itself: who changes the schema must
not be surprised by a clerk because it takes longer than was thought.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, Session, SQLModel, col, select

from infra.errors import Forbidden
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.tables import moment


class MaintenanceRow(SQLModel, table=True):
    """One time of maintenance: until when it is expected to last, why, and who began and ended it."""

    __tablename__ = "maintenance"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    begun_at: datetime = moment(nullable=False)
    #: What people are told; passing it changes nothing.
    until_at: datetime = moment(nullable=False)
    reason: str
    #: `OFFICE/STAFF`
    begun_by: str
    ended_at: datetime | None = moment()
    ended_by: str | None = None


def maintenance_now(session: Session) -> MaintenanceRow | None:
    """Return the maintenance that goes on, or `None`."""
    return session.exec(select(MaintenanceRow).where(col(MaintenanceRow.ended_at).is_(None))).one_or_none()


def is_maintained() -> bool:
    """Whether the system is being maintained now."""
    with services().database.transaction() as session:
        return maintenance_now(session) is not None


def must_work(session: Session) -> None:
    """Refuse a new act while the system is being maintained (OPS-01)."""
    row = maintenance_now(session)
    if row is not None:
        raise Forbidden(
            f"the system is being maintained until about {local(row.until_at):%Y-%m-%d %H:%M}: {row.reason}",
            rule="OPS-01",
            way_out="Nothing was done. Looking at dossiers works; do this again afterwards.",
        )
