"""Who works where: persons as the office's file names them, their roles from day to day, and their leaving."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.reading import read_once
from tasks.dossier.calendar import local
from tasks.dossier.moves import Actor
from tasks.dossier.offices import OfficeData, Officer
from tasks.people.rules import EVERY, Held
from tasks.people.tables import LoginRow, PersonRoleRow, PersonRow

#: Roles that stand for the office's file are made and ended by loading it.
_FILE = "file"


def today(session: Session) -> date:
    """Return the day at the office, by PostgreSQL's clock."""
    return local(now(session)).date()


def person_of(session: Session, office: str, staff: str) -> PersonRow:
    """Return a person, who may have left; refuses one who was never here (AUTH-06)."""
    row = _row(session, office, staff)
    if row is None:
        raise Forbidden(
            f"nobody is {office}/{staff}.",
            rule="AUTH-06",
            way_out="“hoso person list” names the people; the office's file brings new ones.",
        )
    return row


def _row(session: Session, office: str, staff: str) -> PersonRow | None:
    """Read a person's row, once a transaction."""
    return read_once(session, (PersonRow,), (office, staff), lambda: session.get(PersonRow, (office, staff)))


def works_here(session: Session, office: str, staff: str) -> PersonRow | None:
    """Return a person who works at an office today, or `None`."""
    row = _row(session, office, staff)
    if row is None or (row.leaves_on is not None and row.leaves_on <= today(session)):
        return None
    return row


def held(session: Session, office: str, staff: str) -> list[Held]:
    """Return the roles that a person holds today; nobody who has left holds any."""
    if works_here(session, office, staff) is None:
        return []
    day = today(session)
    query = select(PersonRoleRow).where(
        PersonRoleRow.office == office,
        PersonRoleRow.staff == staff,
        PersonRoleRow.from_on <= day,
        col(PersonRoleRow.until_on).is_(None) | (col(PersonRoleRow.until_on) >= day),
    )
    rows = read_once(session, (PersonRoleRow,), (office, staff, day), lambda: tuple(session.exec(query)))
    return [Held(role=r.role, office=r.at, procedure=r.procedure) for r in rows]


def officials_of(session: Session, office: str, day: date) -> set[tuple[str, str]]:
    """Return who is an official of an office on a day: staff code, and the procedure (`*`: every one)."""
    query = (
        select(PersonRoleRow.staff, PersonRoleRow.procedure)
        .join(
            PersonRow,
            (col(PersonRow.office) == PersonRoleRow.office) & (col(PersonRow.staff) == PersonRoleRow.staff),
        )
        .where(
            PersonRoleRow.office == office,
            PersonRoleRow.role == "official",
            col(PersonRoleRow.at).in_([office, EVERY]),
            PersonRoleRow.from_on <= day,
            col(PersonRoleRow.until_on).is_(None) | (col(PersonRoleRow.until_on) >= day),
            col(PersonRow.leaves_on).is_(None) | (col(PersonRow.leaves_on) > day),
        )
    )
    return set(session.exec(query))


def load_people(session: Session, office: OfficeData, *, by: Actor) -> None:
    """
    Make the people of an office what its file says, in the caller's transaction; loading again changes nothing.

    A role that the file does not name any more ended yesterday. Somebody whom it does not name any more
    leaves today: the row stays, because old acts name the person.
    """
    for officer in office.officers:
        _load(session, office.code, officer, by)
    named = {officer.staff for officer in office.officers}
    gone = select(PersonRow).where(PersonRow.office == office.code, col(PersonRow.leaves_on).is_(None))
    for row in list(session.exec(gone)):
        if row.staff not in named:
            leave(session, office.code, row.staff, today(session), by=by)


def _load(session: Session, office: str, officer: Officer, by: Actor) -> None:
    """Make one person what the file says; whoever comes back works here again."""
    row = session.get(PersonRow, (office, officer.staff))
    fresh = row is None
    row = row or PersonRow(office=office, staff=officer.staff, name="", post="", joined_at=now(session))
    row.name, row.post = officer.name, officer.post
    row.identity, row.email = officer.identity, officer.email
    back = row.leaves_on is not None and row.leaves_on <= today(session)
    row.leaves_on = None if back else row.leaves_on
    session.add(row)
    session.flush()
    if fresh or back:
        tell_of(
            session, row, event="person:joined", by=by, private={"name": row.name, "identity": row.identity}
        )
    wanted = {(r, p) for r in officer.roles for p in (officer.procedures or {EVERY})}
    _set_roles(session, row, wanted, by)


def _set_roles(session: Session, person: PersonRow, wanted: Iterable[tuple[str, str]], by: Actor) -> None:
    """Make the roles that come from the file what it says; those that an administrator gave stay."""
    missing = set(wanted)
    day = today(session)
    query = select(PersonRoleRow).where(
        PersonRoleRow.office == person.office,
        PersonRoleRow.staff == person.staff,
        PersonRoleRow.source == _FILE,
        col(PersonRoleRow.until_on).is_(None),
    )
    for row in list(session.exec(query)):
        if (row.role, row.procedure) in missing:
            missing.discard((row.role, row.procedure))
        else:
            _end_role(session, row, day, by)
    for role, procedure in sorted(missing):
        _give(
            session, person, Held(role=role, office=person.office, procedure=procedure), day, None, _FILE, by
        )


def grant(
    session: Session, office: str, staff: str, given: Held, *, since: date, until: date | None, by: Actor
) -> None:
    """Give a person a role from a day to a day, both included; the same role for the same days once more is nothing."""
    person = person_of(session, office, staff)
    if until is not None and until < since:
        raise Forbidden(
            f"a role from {since} cannot end on {until}.",
            rule="AUTH-06",
            way_out="Give --until a day that is not before --from.",
        )
    same = select(PersonRoleRow).where(
        PersonRoleRow.office == office,
        PersonRoleRow.staff == staff,
        PersonRoleRow.role == given.role,
        PersonRoleRow.at == given.office,
        PersonRoleRow.procedure == given.procedure,
        PersonRoleRow.from_on == since,
    )
    if any(row.until_on == until for row in session.exec(same)):
        return
    _give(session, person, given, since, until, "command", by)


def revoke(session: Session, office: str, staff: str, role: str, at: str, *, by: Actor) -> int:
    """Take a role at an office away from a person, at once and for every procedure; return how many rows ended."""
    person_of(session, office, staff)
    day = today(session)
    query = select(PersonRoleRow).where(
        PersonRoleRow.office == office,
        PersonRoleRow.staff == staff,
        PersonRoleRow.role == role,
        PersonRoleRow.at == at,
        col(PersonRoleRow.until_on).is_(None) | (col(PersonRoleRow.until_on) >= day),
    )
    rows = list(session.exec(query))
    for row in rows:
        _end_role(session, row, day, by)
    return len(rows)


def leave(session: Session, office: str, staff: str, on: date, *, by: Actor) -> None:
    """
    Say from which day on a person does not work here; what the person did stays explained.

    From that day nobody acts under this name. Today or earlier ends the logins at once. Saying the same
    day again changes nothing.
    """
    person = person_of(session, office, staff)
    if person.leaves_on == on:
        return
    person.leaves_on = on
    session.add(person)
    tell_of(session, person, event="person:left", by=by, facts={"on": on.isoformat()})
    if on <= today(session):
        end_logins(session, office, staff, "left")


def end_logins(session: Session, office: str, staff: str, why: str) -> int:
    """End every open login of a person; return how many there were."""
    query = select(LoginRow).where(
        LoginRow.office == office, LoginRow.staff == staff, col(LoginRow.ended_at).is_(None)
    )
    rows = list(session.exec(query))
    for row in rows:
        row.ended_at, row.ended_by = now(session), why
        session.add(row)
    return len(rows)


def tell_of(
    session: Session,
    person: PersonRow,
    *,
    event: str,
    by: Actor,
    facts: dict[str, Json] | None = None,
    private: dict[str, Json] | None = None,
) -> None:
    """Write a history entry about a person, named by the hash of office and staff code."""
    said: dict[str, Json] = {
        "event": event,
        "actor": by.facts(),
        "office": person.office,
        "person": hash_of(person.office, person.staff),
        **(facts or {}),
    }
    record(session, f"person/{person.office}/{person.staff}", said, private=private)


def hash_of(office: str, staff: str) -> str:
    """Return a person as history entries name one."""
    return str(Actor(role="", office=office, staff=staff).facts()["id_hash"])


def _give(
    session: Session,
    person: PersonRow,
    given: Held,
    since: date,
    until: date | None,
    source: str,
    by: Actor,
) -> None:
    """Write down a role, end the person's logins, so that the next one knows it, and say so."""
    row = PersonRoleRow(
        office=person.office,
        staff=person.staff,
        role=given.role,
        at=given.office,
        procedure=given.procedure,
        from_on=since,
        until_on=until,
        source=source,
    )
    session.add(row)
    session.flush()
    end_logins(session, person.office, person.staff, "role")
    facts: dict[str, Json] = {
        "role": given.role,
        "where": given.office,
        "procedure": given.procedure,
        "from": since.isoformat(),
        "until": until.isoformat() if until else None,
    }
    tell_of(session, person, event="role:granted", by=by, facts=facts)


def _end_role(session: Session, row: PersonRoleRow, day: date, by: Actor) -> None:
    """End a role before a day begins, and with it the person's logins; and say so."""
    end_logins(session, row.office, row.staff, "role")
    row.until_on = date.fromordinal(day.toordinal() - 1)
    session.add(row)
    facts: dict[str, Json] = {"role": row.role, "where": row.at, "procedure": row.procedure}
    tell_of(session, person_of(session, row.office, row.staff), event="role:ended", by=by, facts=facts)
