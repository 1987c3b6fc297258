"""
Wrong passwords: counted by person and desk, and together; slowed and locked where they come from.

Whoever guesses must not be able to keep anybody from working. So waiting and locking hold for the address that
the tries come from, and what is counted together bars only desks at which the person has not logged in before.
Callers hold the person's credential, so that tries at once are counted one after the other.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import Session, col, func, select

from infra.database import now
from infra.services import services
from tasks.people.desk import address_of
from tasks.people.rules import KNOWN_DESK, TOGETHER, delay_after
from tasks.people.tables import LoginRow, LoginTryRow

_DAY = timedelta(days=1)


def count_try(session: Session, office: str, staff: str) -> bool:
    """Count a try from this desk; return whether it may succeed: `False` while one has to wait, or is locked out."""
    moment = now(session)
    row = _row(session, office, staff)
    if row.locked_at is not None or (row.not_before is not None and moment < row.not_before):
        return False
    row.failures += 1
    row.last_at = moment
    row.not_before = moment + timedelta(seconds=delay_after(row.failures))
    session.add(row)
    return not _is_guessed_at(session, row, moment)


def lock_here(session: Session, office: str, staff: str) -> int:
    """Lock a person out at this desk who failed too often here; return the number of failures, 0 for no new lock."""
    row = _row(session, office, staff)
    if row.locked_at is not None or row.failures < services().settings.login_failures:
        return 0
    row.locked_at = now(session)
    session.add(row)
    return row.failures


def forget_here(session: Session, office: str, staff: str) -> None:
    """Forget what was wrong at this desk: the right password came."""
    row = _row(session, office, staff)
    row.failures, row.not_before = 0, None
    session.add(row)


def forget_everywhere(session: Session, office: str, staff: str) -> bool:
    """Forget what was wrong anywhere, and lift every lock; return whether there was one."""
    query = select(LoginTryRow).where(LoginTryRow.office == office, LoginTryRow.staff == staff)
    rows = list(session.exec(query.with_for_update()))
    locked = any(row.locked_at is not None for row in rows)
    for row in rows:
        row.failures, row.not_before, row.locked_at = 0, None, None
        session.add(row)
    return locked


def failures_together(session: Session, moment: datetime) -> int:
    """Return how many passwords of anybody were wrong lately; a desk's own database role sees its office's."""
    query = select(func.coalesce(func.sum(LoginTryRow.failures), 0)).where(
        LoginTryRow.last_at > moment - TOGETHER
    )
    return int(session.exec(query).one())


def _is_guessed_at(session: Session, row: LoginTryRow, moment: datetime) -> bool:
    """Whether so much is guessed, at this person or at everybody, that only desks known for the person count."""
    chosen = services().settings
    own = select(func.coalesce(func.sum(LoginTryRow.failures), 0)).where(
        LoginTryRow.office == row.office, LoginTryRow.staff == row.staff, LoginTryRow.last_at > moment - _DAY
    )
    many = int(session.exec(own).one()) > chosen.login_failures_elsewhere
    if not many and failures_together(session, moment) <= chosen.login_failures_together:
        return False
    known = select(LoginRow.token_sha256).where(
        LoginRow.office == row.office,
        LoginRow.staff == row.staff,
        LoginRow.address == row.address,
        col(LoginRow.opened_at) > moment - KNOWN_DESK,
    )
    return session.exec(known.limit(1)).first() is None


def _row(session: Session, office: str, staff: str) -> LoginTryRow:
    """Return what is counted of a person at this desk, locked; a new row counts nothing yet."""
    address = address_of(session)
    row = session.get(LoginTryRow, (office, staff, address), with_for_update=True)
    return row or LoginTryRow(office=office, staff=staff, address=address, failures=0, last_at=now(session))
