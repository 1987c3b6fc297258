"""Appointments: seats in an office's hours."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, text
from sqlmodel import Field, SQLModel

from tasks.dossier.tables import moment


class AppointmentRow(SQLModel, table=True):
    """
    One seat in one slot, kept or not.

    The partial unique index is what stops two people from taking the last place: a slot of capacity
    three has the seats 1 to 3, and each can be held once.
    """

    __tablename__ = "appointment"
    __table_args__ = (
        Index(
            "ix_appointment_seat",
            "office",
            "starts_at",
            "seat",
            unique=True,
            postgresql_where=text("state in ('held', 'kept')"),
        ),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    dossier: str = Field(foreign_key="dossier.code", index=True)
    office: str = Field(foreign_key="office.code")
    starts_at: datetime = moment(nullable=False)
    ends_at: datetime = moment(nullable=False)
    seat: int
    #: `held`, then `kept`, `moved`, `cancelled` or `missed`
    state: str = "held"
