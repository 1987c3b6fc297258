"""What a clerk or a citizen does about an appointment: book, move, cancel; and who did not come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.services import services
from tasks.appointment.rules import check_slot
from tasks.appointment.tables import AppointmentRow
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import Stage
from tasks.dossier.looking import hold, office_of
from tasks.dossier.moves import SYSTEM, Actor, Telling, ask_to_continue, move_to, owe_notice, tell
from tasks.dossier.offices import OfficeData
from tasks.dossier.opening import Opened, Opening, answered_before, open_dossier
from tasks.dossier.tables import DossierRow, NoticeRow
from tasks.people.acting import acting, acting_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """A booked dossier and its place."""

    opened: Opened
    starts_at: datetime
    ends_at: datetime
    place: str


def book(opening: Opening, starts_at: datetime, *, by: Actor) -> Booked:
    """
    Open a dossier with a seat in a slot, and owe the applicant the confirmation.

    The same request id again returns the same dossier. Refuses slots that are over, on days off,
    outside the hours or full; two people never get the last seat.
    """
    with services().database.transaction() as session:
        office = office_of(session, opening.office)
        by = acting(session, by, "book", office=office.code, procedure=opening.procedure)
        if before := answered_before(session, opening):
            seat = held_seat(session, before.code)
            return Booked(opened=before, starts_at=seat.starts_at, ends_at=seat.ends_at, place=office.address)
        ends_at = _check(session, office, starts_at)
        _lock_slot(
            session, office, starts_at
        )  # Before the history: whoever moves takes them in this order too.
        dossier, opened = open_dossier(session, opening, office, by=by, walk_in=False)
        _take_seat(session, office, dossier, starts_at, ends_at)
        tell(session, dossier, Telling(event="appointment:booked", by=by, facts=_when(starts_at)))
        owe_notice(session, dossier.code, "booked", facts=_when(starts_at))
        return Booked(opened=opened, starts_at=starts_at, ends_at=ends_at, place=office.address)


def move_appointment(code: str, starts_at: datetime, *, by: Actor) -> AppointmentRow:
    """Give a booked dossier another slot and owe a new confirmation; the same slot again changes nothing."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "move", dossier)
        _is_booked(dossier)
        office = office_of(session, dossier.office)
        old = held_seat(session, code)
        if old.starts_at == starts_at:
            return old
        ends_at = _check(session, office, starts_at)
        old.state = "moved"
        _supersede(session, code)
        session.add(old)
        session.flush()
        seat = _take_seat(session, office, dossier, starts_at, ends_at)
        tell(session, dossier, Telling(event="appointment:moved", by=by, facts=_when(starts_at)))
        owe_notice(session, code, "booked", occasion=seat.id or 0, facts=_when(starts_at))
        ask_to_continue(session, code)
        return seat


def cancel(code: str, *, by: Actor) -> None:
    """Cancel a booked dossier and free its seat; cancelling again changes nothing."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "cancel", dossier)
        if dossier.stage == Stage.CANCELLED:
            return
        move_to(session, dossier, Stage.CANCELLED, Telling(event="appointment:cancelled", by=by))
        _supersede(session, code)
        seat = held_seat(session, code)
        seat.state = "cancelled"
        session.add(seat)


def keep_no_shows(*, grace: timedelta = timedelta(hours=1)) -> list[str]:
    """End the booked dossiers whose slot is over by `grace` and return their codes; nothing is deleted."""
    ended: list[str] = []
    with services().database.transaction() as session:
        late = select(AppointmentRow.dossier).where(
            AppointmentRow.state == "held", AppointmentRow.ends_at < now(session) - grace
        )
        codes = list(session.exec(late))
    for code in codes:
        with services().database.transaction() as session:
            dossier = hold(session, code)
            if dossier.stage != Stage.BOOKED:
                continue
            seat = held_seat(session, code)
            if seat.ends_at >= now(session) - grace:
                continue  # It was moved to a later slot in between.
            seat.state = "missed"
            session.add(seat)
            move_to(session, dossier, Stage.NO_SHOW, Telling(event="appointment:missed", by=SYSTEM))
            ended.append(code)
    return ended


def held_seat(session: Session, code: str) -> AppointmentRow:
    """Return the seat that a dossier holds, or held last."""
    query = (
        select(AppointmentRow)
        .where(AppointmentRow.dossier == code)
        .order_by((col(AppointmentRow.state) == "held").desc(), col(AppointmentRow.id).desc())
    )
    return session.exec(query).first() or _absent(code)


def _absent(code: str) -> AppointmentRow:
    """Refuse to speak of a seat that never was."""
    raise Forbidden(f"dossier {code} has no appointment.", rule="CERT-04", way_out="It came in as a walk-in.")


def _is_booked(dossier: DossierRow) -> None:
    """Refuse to move what does not wait for its appointment any more."""
    if dossier.stage != Stage.BOOKED:
        raise Forbidden(
            f"dossier {dossier.code} stands at {dossier.stage}; its appointment is behind it.",
            rule="CERT-04",
            way_out="Only a booked dossier can be given another slot.",
        )


def _check(session: Session, office: OfficeData, starts_at: datetime) -> datetime:
    """Return when the slot ends, by PostgreSQL's clock."""
    return check_slot(starts_at, now=now(session), calendar=office.calendar(), minutes=office.slot_minutes)


def _supersede(session: Session, code: str) -> None:
    """Let a confirmation that was not sent yet never be sent: the time in it is no longer true."""
    owed = select(NoticeRow).where(
        NoticeRow.dossier == code, NoticeRow.kind == "booked", NoticeRow.state == "owed"
    )
    for notice in session.exec(owed):
        notice.state = "superseded"
        notice.ended_at = now(session)
        session.add(notice)


def _lock_slot(session: Session, office: OfficeData, starts_at: datetime) -> None:
    """Let one at a time look for a seat in a slot; the lock ends with the transaction."""
    session.connection().exec_driver_sql(
        "select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{office.code} {starts_at.isoformat()}",)
    )


def _take_seat(
    session: Session, office: OfficeData, dossier: DossierRow, starts_at: datetime, ends_at: datetime
) -> AppointmentRow:
    """Take the first free seat of a slot; the unique index decides between two who came at once."""
    query = select(AppointmentRow.seat).where(
        AppointmentRow.office == office.code,
        AppointmentRow.starts_at == starts_at,
        col(AppointmentRow.state).in_(["held", "kept"]),
    )
    _lock_slot(session, office, starts_at)
    taken = set(session.exec(query))
    free = [seat for seat in range(1, office.capacity + 1) if seat not in taken]
    if not free:
        raise Forbidden(
            f"the slot {local(starts_at):%Y-%m-%d %H:%M} at {office.code} is full.",
            rule="CERT-04",
            way_out=f"Choose another slot; each takes {office.capacity}.",
        )
    seat = AppointmentRow(
        dossier=dossier.code, office=office.code, starts_at=starts_at, ends_at=ends_at, seat=free[0]
    )
    session.add(seat)
    session.flush()
    return seat


def _when(starts_at: datetime) -> dict[str, Json]:
    """Return a slot as history entries and notices write it."""
    return {"starts_at": local(starts_at).isoformat()}
