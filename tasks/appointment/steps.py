"""What follows from an appointment by itself."""

from __future__ import annotations

from sqlmodel import select

from infra.services import services
from tasks.appointment.tables import AppointmentRow
from tasks.dossier.lifecycle import Stage
from tasks.dossier.looking import hold


def keep_seat(code: str) -> bool:
    """Mark the seat of somebody who came as kept; return whether that was news."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        if dossier.received_at is None and dossier.stage != Stage.DECLINED:
            return False
        query = select(AppointmentRow).where(AppointmentRow.dossier == code, AppointmentRow.state == "held")
        seat = session.exec(query).one_or_none()
        if seat is None:
            return False
        seat.state = "kept"
        session.add(seat)
        return True
