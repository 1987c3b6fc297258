"""The day sheet: how many applicants come to which office at which hour, and their codes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlmodel import Session, col, select

from infra.clock import HANOI
from tasks.appointment.tables import AppointmentRow
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.tables import OfficeRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """One slot of one office: when, for how many there is room, and who comes, by code."""

    office: str
    starts_at: datetime
    capacity: int
    codes: tuple[str, ...]


def day_sheet(session: Session, day: date) -> list[Hour]:
    """Return the slots of a day for which seats are taken, by office and hour; codes only, no persons."""
    begins = datetime.combine(day, time(), tzinfo=HANOI)
    query = (
        select(AppointmentRow)
        .where(
            col(AppointmentRow.starts_at) >= begins,
            col(AppointmentRow.starts_at) < begins + timedelta(days=1),
            col(AppointmentRow.state).in_(("held", "kept")),
        )
        .order_by(col(AppointmentRow.office), col(AppointmentRow.starts_at), col(AppointmentRow.seat))
    )
    slots: dict[tuple[str, datetime], list[str]] = defaultdict(list)
    for row in session.exec(query):
        slots[row.office, row.starts_at].append(row.dossier)
    rooms = {code: office_of(session, code).capacity for code in session.exec(select(OfficeRow.code))}
    return [
        Hour(office=office, starts_at=local(at), capacity=rooms[office], codes=tuple(codes))
        for (office, at), codes in slots.items()
    ]
