"""
Who sits at this desk: the login in a file of the user's own (0600), until it ends.

The file holds a random token; the database holds its hash, whose it is, and when it ends. Nobody is logged
in by a name alone. How a login is opened is in `tasks.people.logins`; commands that only ask who is there
load none of it.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text
from sqlmodel import Session

from infra.database import now
from infra.environment import state_folder
from infra.errors import Forbidden
from infra.history import Json
from infra.private_file import read_private
from infra.services import services
from tasks.dossier.moves import Actor
from tasks.people.persons import person_of, tell_of, works_here
from tasks.people.tables import LoginRow, PersonRow

#: Somebody who has not shown who it is.
UNKNOWN = Actor(role="nobody")


def session_file() -> Path:
    """Return where this desk's login is kept: by the setting, else one file for each installation."""
    chosen = services().settings
    if chosen.session_file is not None:
        return chosen.session_file
    installation = hashlib.sha256(chosen.database_url.encode()).hexdigest()[:12]
    return state_folder() / "hoso" / f"{installation}.session"


def logged_in() -> Actor:
    """
    Return who is logged in at this desk, in no role yet; every act asks for the role that it needs.

    Raises `Forbidden`: LOGIN-01 when nobody is logged in, or the login has ended (logout, too old, idle for
    too long, the person left, used from another address); LOGIN-03 when the file is not the user's own.
    """
    try:
        token = read_private(session_file())
    except FileNotFoundError as error:
        raise _nobody("nobody is logged in at this desk.") from error
    with services().database.transaction() as session:
        row = session.get(LoginRow, hash_of_token(token))
        why = "it is not known" if row is None else _why_over(session, row)
        if row is not None and not why:
            moment = now(session)
            # Not with every command, so that looking costs no write.
            if moment - row.seen_at > _idle() / 20:
                row.seen_at = moment
                session.add(row)
            return Actor(role="", staff=row.staff, post=_person(session, row).post, office=row.office)
    raise _nobody(f"the login at this desk has ended: {why}.")


#: Why a login was ended by somebody else than the person.
_ENDED = {
    "left": "the person has left",
    "password": "the password was changed",
    "role": "the person's roles were changed",
}


def _why_over(session: Session, row: LoginRow) -> str:
    """Return why a login counts no more; empty when it counts."""
    moment = now(session)
    if row.ended_at is not None:
        return _ENDED.get(row.ended_by or "", "it was logged out")
    if moment >= row.expires_at:
        return f"it was opened more than {services().settings.login_hours:g} hours ago"
    if moment - row.seen_at >= _idle():
        return f"nothing was done for {services().settings.login_idle_minutes:g} minutes"
    if works_here(session, row.office, row.staff) is None:
        return "the person has left"
    if row.address != address_of(session):
        facts: dict[str, Json] = {"opened_by": row.way}
        tell_of(session, _person(session, row), event="login:elsewhere", by=UNKNOWN, facts=facts)
        return "it was opened at another machine"
    return ""


def log_out() -> bool:
    """End the login of this desk and delete its file; return whether there was one. Twice is once."""
    with services().database.transaction() as session:
        ended = end_present(session)
    session_file().unlink(missing_ok=True)
    return ended


def end_present(session: Session) -> bool:
    """End the login that this desk's file names, if it is open."""
    try:
        token = read_private(session_file())
    except (FileNotFoundError, Forbidden):
        return False  # A file of somebody else's is theirs to end.
    row = session.get(LoginRow, hash_of_token(token))
    if row is None or row.ended_at is not None:
        return False
    row.ended_at, row.ended_by = now(session), "logout"
    session.add(row)
    person = _person(session, row)
    actor = Actor(role="person", staff=row.staff, post=person.post, office=row.office)
    tell_of(session, person, event="login:ended", by=actor)
    return True


def _nobody(message: str) -> Forbidden:
    """Return the refusal of an act by nobody."""
    return Forbidden(message, rule="LOGIN-01", way_out="Log in with “hoso login OFFICE/STAFF”.")


def _person(session: Session, row: LoginRow) -> PersonRow:
    """Return whose login it is."""
    return person_of(session, row.office, row.staff)


def address_of(session: Session) -> str:
    """Return from where PostgreSQL sees this desk."""
    asked = session.connection().execute(text("select coalesce(host(inet_client_addr()), 'local')"))
    return str(asked.scalar_one())


def _idle() -> timedelta:
    """Return after how long without a command a login ends."""
    return timedelta(minutes=services().settings.login_idle_minutes)


def hash_of_token(token: str) -> str:
    """Return the hash by which a login's token is known; the token is random, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()
