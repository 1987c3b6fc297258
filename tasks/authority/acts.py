"""
Putting posts, who holds them, and mandates on record: appended, never edited, each with its entry.

A change is made under a lock of the office's row, so that two persons cannot give one post at once.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from tasks.authority.giving import check_holding, check_mandate
from tasks.authority.records import person_hash, read_records
from tasks.authority.tables import HoldingEndRow, HoldingRow, MandateEndRow, MandateRow
from tasks.authority.values import Holding, Mandate, Records, last_second, wall
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor, ask_to_continue
from tasks.dossier.offices import OfficeData
from tasks.dossier.posts import moment_after
from tasks.dossier.tables import OfficeRow, ProcedureRow
from tasks.dossier.waiting import frozen_at


def give_post(session: Session, office: str, new: Holding, *, by: Actor) -> int:
    """
    Record that a person holds a post and return the number of the holding.

    Refuses two holders of a head's post, a post of an unknown person, and one that somebody gives to
    themselves (AUTH-01).
    """
    data, records = hold_office(session, office)
    known_person(data, new.staff)
    _not_for_oneself(by, new.staff, "a post")
    check_holding(new, records)
    row = HoldingRow(
        office=office,
        post=new.post,
        staff=new.staff,
        manner=new.manner,
        since=new.since,
        ends_before=new.before,
        decision=new.decision,
        recorded_at=now(session),
        recorded_by=by.staff or by.role,
    )
    session.add(row)
    session.flush()
    facts: dict[str, Json] = {
        "event": "post:given",
        "holding": row.id,
        "post": new.post,
        "holder": person_hash(office, new.staff),
        "manner": new.manner,
        "since": wall(new.since),
        "until": last_second(new.before) if new.before else None,
        "decision": new.decision,
    }
    tell_office(session, office, by, facts)
    return row.id or 0


def end_post(
    session: Session, office: str, holding: int, decision: str, *, by: Actor, last: datetime | None = None
) -> datetime:
    """
    Record that a holding ends, and return the first moment after it; without `last` it ends now.

    What was signed before stays explained by the decision that is kept beside each signature.
    """
    _, records = hold_office(session, office)
    held = next((h for h in records.holdings if h.id == holding), None)
    if held is None:
        raise Forbidden(
            f"{office} has no holding {holding} on record.",
            rule="AUTH-01",
            way_out="“hoso post list” numbers them.",
        )
    ends = _end(session, last, held.since, held.before, f"holding {holding} of {held.staff}")
    session.add(
        HoldingEndRow(
            holding=holding,
            ends_before=ends,
            decision=decision,
            recorded_at=now(session),
            recorded_by=by.staff or by.role,
        )
    )
    facts: dict[str, Json] = {
        "event": "post:ended",
        "holding": holding,
        "post": held.post,
        "holder": person_hash(office, held.staff),
        "until": last_second(ends),
        "decision": decision,
    }
    tell_office(session, office, by, facts)
    return ends


def give_mandate(session: Session, office: str, new: Mandate, *, by: Actor) -> int:
    """
    Record a mandate and return its number.

    Refuses a giver who does not hold the post, a mandate to oneself or recorded by who gets it, what was
    delegated before (never delegated again), a wrong basis, and one that is on record already (AUTH-01).
    """
    data, records = hold_office(session, office)
    for staff in (new.giver, new.to):
        if staff:
            known_person(data, staff)
    _not_for_oneself(by, new.to, "a mandate")
    _known_procedures(session, new.covers)
    check_mandate(new, records)
    row = MandateRow(
        office=office,
        capacity=new.capacity,
        giver_post=new.giver_post,
        giver=new.giver,
        to_staff=new.to,
        to_post=new.to_post,
        covers=list(new.covers),
        limits=new.limits,
        basis_kind=new.basis.kind,
        basis_number=new.basis.number,
        basis_date=new.basis.date,
        basis_issuer=new.basis.issuer,
        since=new.since,
        ends_before=new.before,
        recorded_at=now(session),
        recorded_by=by.staff or by.role,
    )
    session.add(row)
    session.flush()
    facts: dict[str, Json] = {
        "event": "mandate:given",
        "mandate": row.id,
        "capacity": new.capacity,
        "giver": person_hash(office, new.giver),
        "giver_post": new.giver_post,
        "to": person_hash(office, new.to) if new.to else new.to_post,
        "covers": list(new.covers),
        "since": wall(new.since),
        "until": last_second(new.before) if new.before else None,
        "basis": new.basis.said(),
    }
    tell_office(session, office, by, facts)
    return row.id or 0


def revoke_mandate(
    session: Session, office: str, mandate: int, decision: str, *, by: Actor, last: datetime | None = None
) -> datetime:
    """Record that a mandate ends, and return the first moment after it; without `last` it ends now."""
    _, records = hold_office(session, office)
    given = next((m for m in records.mandates if m.id == mandate), None)
    if given is None:
        raise Forbidden(
            f"{office} has no mandate {mandate} on record.",
            rule="AUTH-01",
            way_out="“hoso mandate list” numbers them.",
        )
    ends = _end(session, last, given.since, given.before, f"mandate {mandate}")
    session.add(
        MandateEndRow(
            mandate=mandate,
            ends_before=ends,
            decision=decision,
            recorded_at=now(session),
            recorded_by=by.staff or by.role,
        )
    )
    facts: dict[str, Json] = {
        "event": "mandate:revoked",
        "mandate": mandate,
        "giver": person_hash(office, given.giver),
        "to": person_hash(office, given.to) if given.to else given.to_post,
        "until": last_second(ends),
        "decision": decision,
    }
    tell_office(session, office, by, facts)
    return ends


# What every act does ---------------------------------------------------------------------------------


def hold_office(session: Session, office: str) -> tuple[OfficeData, Records]:
    """Return an office and what it has on record, locked until the transaction ends."""
    session.exec(select(OfficeRow).where(OfficeRow.code == office).with_for_update()).one_or_none()
    return office_of(session, office), read_records(session, office).records


def tell_office(session: Session, office: str, by: Actor, facts: dict[str, Json]) -> None:
    """
    Write an entry about an office's authority, whose subject is the office.

    Every dossier that waits for a signature there is looked at again: its page may have to name another.
    """
    record(session, office, {"office": office, "actor": by.facts(), **facts})
    for code in sorted({waits.dossier for waits in frozen_at(session, office)}):
        ask_to_continue(session, code)


def known_person(office: OfficeData, staff: str) -> None:
    """Refuse a staff code that nobody of the office has."""
    codes = [officer.staff for officer in office.officers]
    if staff not in codes:
        raise Forbidden(
            f"“{staff}” does not work at {office.code}.",
            rule="AUTH-06",
            way_out=f"Known people: {', '.join(codes)}.",
        )


def _not_for_oneself(by: Actor, staff: str, what: str) -> None:
    """Refuse an entry in one's own favour."""
    if staff and by.staff == staff:
        raise Forbidden(
            f"{staff} cannot record {what} for themselves.",
            rule="AUTH-01",
            way_out="Another supervisor records it, with the number of the decision.",
        )


def _known_procedures(session: Session, covers: tuple[str, ...]) -> None:
    """Refuse a mandate over a procedure that no office offers."""
    rows = session.exec(select(ProcedureRow.code, ProcedureRow.body["kind"].astext)).all()
    known = {name for row in rows for name in row}
    for name in covers:
        # The lists of registration rounds are signed too, and belong to no procedure.
        if known and name not in known | {"registration"}:
            raise Forbidden(
                f"there is no procedure or kind of procedure “{name}”.",
                rule="GEN-02",
                way_out=f"Known: {', '.join(sorted(known))}.",
            )


def _end(
    session: Session, last: datetime | None, since: datetime, before: datetime | None, what: str
) -> datetime:
    """Return the first moment after an end; refuses one that is there already or lies before the beginning."""
    ends = moment_after(last) if last else now(session)
    if before is not None and before <= ends:
        raise Forbidden(
            f"{what} ends at {last_second(before)} already.",
            rule="AUTH-01",
            way_out="Give an earlier end, or leave it as it is.",
        )
    if ends <= since:
        raise Forbidden(
            f"{what} begins only at {wall(since)}.",
            rule="AUTH-01",
            way_out="Give an end that lies after the beginning (--until).",
        )
    return ends
