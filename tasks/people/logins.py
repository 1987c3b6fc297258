"""How a person shows who it is: by a password, which comes from a one-time code; and the login that follows."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from infra.chance import random_bytes
from infra.database import now
from infra.errors import Forbidden
from infra.history.recording import record
from infra.private_file import write_private
from infra.services import services
from tasks.dossier.moves import Actor
from tasks.people.desk import UNKNOWN, address_of, end_present, hash_of_token, session_file
from tasks.people.passwords import check_strength, code_hash, is_right, kept, new_code, nobodys
from tasks.people.persons import end_logins, person_of, tell_of, works_here
from tasks.people.tables import CredentialRow, EnrolmentRow, LoginRow, PersonRow
from tasks.people.tries import count_try, forget_everywhere, forget_here, lock_here


def open_with_password(office: str, staff: str, password: str) -> LoginRow:
    """
    Log a person in by the password, and keep the login in this desk's file.

    Each try is counted before it is looked at, so that no number of tries at once is worth more than one
    after the other (`tasks.people.tries`). The same answer and the same work for an unknown person, a wrong
    password, a lock, a delay and a person who has left: `Forbidden`, LOGIN-02.
    """
    with services().database.transaction() as session:
        phc, barred = _count(session, office, staff)
    right = is_right(password, phc)
    with services().database.transaction() as session:
        person = works_here(session, office, staff)
        if right and not barred and person is not None:
            forget_here(session, office, staff)
            return open_login(session, person, "password")
        _tell_failure(session, office, staff, barred=barred)
    raise _refused()


def _count(session: Session, office: str, staff: str) -> tuple[str, bool]:
    """Count a try; return what the password is checked against, and whether the try cannot succeed whatever it is."""
    row = session.get(CredentialRow, (office, staff), with_for_update=True)
    if row is None:
        return nobodys(services().settings), True
    return row.password, not count_try(session, office, staff)


def _tell_failure(session: Session, office: str, staff: str, *, barred: bool) -> None:
    """Write a login that failed into the history, and lock a person who failed too often at this desk."""
    person = session.get(PersonRow, (office, staff))
    if person is None:
        record(session, "login", {"event": "login:failed", "actor": UNKNOWN.facts()})
        return
    tell_of(session, person, event="login:failed", by=UNKNOWN, facts={"barred": barred})
    failures = lock_here(session, office, staff)
    if failures:
        tell_of(session, person, event="login:locked", by=UNKNOWN, facts={"failures": failures})


def open_login(session: Session, person: PersonRow, way: str) -> LoginRow:
    """Open a login for a person who has shown who it is; the one that this desk's file held ends."""
    end_present(session)
    token = random_bytes(32).hex()
    moment = now(session)
    row = LoginRow(
        token_sha256=hash_of_token(token),
        office=person.office,
        staff=person.staff,
        way=way,
        address=address_of(session),
        opened_at=moment,
        seen_at=moment,
        expires_at=moment + timedelta(hours=services().settings.login_hours),
    )
    session.add(row)
    session.flush()
    actor = Actor(role="person", staff=person.staff, post=person.post, office=person.office)
    tell_of(session, person, event="login:opened", by=actor, facts={"way": way})
    # Last: without the commit the file names a login that nobody knows, which is as good as none.
    write_private(session_file(), token + "\n")
    return row


def enrol(session: Session, office: str, staff: str, *, by: Actor) -> tuple[str, datetime]:
    """
    Return a one-time code by which a person sets a first (or a forgotten) password, and until when.

    A new code ends the ones before. Only its hash is kept; whoever asked hands it over.
    """
    person = person_of(session, office, staff)
    moment = now(session)
    earlier = select(EnrolmentRow).where(
        EnrolmentRow.office == office, EnrolmentRow.staff == staff, col(EnrolmentRow.ended_at).is_(None)
    )
    for row in session.exec(earlier):
        row.ended_at = moment
        session.add(row)
    code = new_code()
    until = moment + timedelta(hours=services().settings.enrolment_hours)
    session.add(EnrolmentRow(code_sha256=code_hash(code), office=office, staff=staff, expires_at=until))
    tell_of(session, person, event="person:enrolled", by=by, facts={"until": until.isoformat()})
    return code, until


def set_password(office: str, staff: str, proof: str, password: str) -> None:
    """
    Set a person's password by the enrolment code or the present password; every login of the person ends.

    Refused like a login (LOGIN-02) when the proof is wrong, and as too easy to guess (LOGIN-04).
    """
    check_strength(password, staff)
    chosen = services().settings
    with services().database.transaction() as session:
        code = session.get(EnrolmentRow, code_hash(proof), with_for_update=True)
        by_code = (
            code is not None
            and (code.office, code.staff) == (office, staff)
            and code.ended_at is None
            and now(session) < code.expires_at
        )
        phc, barred = ("", False) if by_code else _count(session, office, staff)
    right = by_code or is_right(proof, phc)
    made = kept(password, chosen)
    with services().database.transaction() as session:
        person = works_here(session, office, staff)
        if not right or barred or person is None or not _use_up(session, proof, needed=by_code):
            _tell_failure(session, office, staff, barred=barred)
        else:
            _keep(session, person, made)
            return
    raise _refused()


def _use_up(session: Session, code: str, *, needed: bool) -> bool:
    """End an enrolment code; returns whether it was still open, or none is needed."""
    if not needed:
        return True
    row = session.get_one(EnrolmentRow, code_hash(code), with_for_update=True)
    if row.ended_at is not None:
        return False
    row.ended_at = now(session)
    session.add(row)
    return True


def _keep(session: Session, person: PersonRow, made: str) -> None:
    """Keep what was made of a new password; it lifts a lock, because the proof was right."""
    row = session.get(CredentialRow, (person.office, person.staff))
    row = row or CredentialRow(office=person.office, staff=person.staff, password="", set_at=now(session))
    row.password, row.set_at = made, now(session)
    session.add(row)
    forget_everywhere(session, person.office, person.staff)
    end_logins(session, person.office, person.staff, "password")
    actor = Actor(role="person", staff=person.staff, post=person.post, office=person.office)
    tell_of(session, person, event="password:set", by=actor)


def unlock(session: Session, office: str, staff: str, *, by: Actor) -> bool:
    """Let a person who was locked out log in again; return whether there was a lock."""
    person = person_of(session, office, staff)
    if not forget_everywhere(session, office, staff):
        return False
    tell_of(session, person, event="login:unlocked", by=by)
    return True


def _refused() -> Forbidden:
    """Return the one answer to every login that fails."""
    return Forbidden(
        "nobody was logged in: the person or the secret is wrong, or the person is locked or has left.",
        rule="LOGIN-02",
        way_out="Try again in a minute; an administrator lifts a lock with “hoso person unlock” and gives"
        " a new code with “hoso person enrol”.",
    )
