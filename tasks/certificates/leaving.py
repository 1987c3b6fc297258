"""
From a person who leaves to a certificate that is revoked: nobody is forgotten (CER-09).

Whoever records that a person left, signs no more or left a post compares certificates with people in the same
transaction. The night compares them too, so that an end that lay in the future then is found when it has come.
"""

from __future__ import annotations

from sqlmodel import Session, col, select

from infra.database import now
from infra.history import Json
from tasks.authority.records import read_records
from tasks.certificates.acts import Cause, suspend_now
from tasks.certificates.lifecycle import LIVING, CertificateState
from tasks.certificates.records import policy, tell_of
from tasks.certificates.tables import CertificateRow, RevocationTaskRow
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.moves import SYSTEM, Actor
from tasks.people.persons import held, works_here


def must_be_revoked(
    session: Session, office: str, staff: str, cause: Cause, *, by: Actor = SYSTEM
) -> list[RevocationTaskRow]:
    """
    Ask for the revocation of every certificate that a person still has at an office; return the open tasks.

    They sign nothing from this moment on. A task is due in three working days (CER-08) and ends when the
    revocation is on record. Asking again asks once.
    """
    rows = session.exec(
        select(CertificateRow)
        .where(
            CertificateRow.office == office,
            CertificateRow.holder == staff,
            col(CertificateRow.state).in_(sorted(LIVING)),
        )
        .with_for_update()
    ).all()
    moment = now(session)
    return [
        _task(session, row, cause, by=by) for row in rows if row.not_after is None or row.not_after > moment
    ]


def _task(session: Session, row: CertificateRow, cause: Cause, *, by: Actor) -> RevocationTaskRow:
    """Return the open task about a certificate, opened now if there was none."""
    known = open_task(session, row.sha256)
    if known is not None:
        return known
    calendar = office_of(session, row.office).calendar()
    moment = now(session)
    last = calendar.add_working_days(local(moment).date(), policy().revocation_working_days)
    task = RevocationTaskRow(
        certificate=row.sha256,
        office=row.office,
        reason=str(cause),
        opened_at=moment,
        due_at=calendar.closing(last),
    )
    session.add(task)
    session.flush()
    facts: dict[str, Json] = {
        "serial": row.serial,
        "cause": str(cause),
        "due_at": task.due_at.isoformat(),
    }
    tell_of(session, row, event="certificate:to-be-revoked", by=by, facts=facts)
    if row.state in (CertificateState.ACTIVE, CertificateState.RENEWED):
        suspend_now(session, row, f"to be revoked: {cause}", by=by)
    return task


def open_task(session: Session, certificate: str) -> RevocationTaskRow | None:
    """Return the open task about a certificate, if there is one."""
    query = select(RevocationTaskRow).where(
        RevocationTaskRow.certificate == certificate, col(RevocationTaskRow.ended_at).is_(None)
    )
    return session.exec(query.with_for_update()).one_or_none()


def compare_with_people(
    session: Session, office: str | None = None, *, by: Actor = SYSTEM
) -> list[RevocationTaskRow]:
    """Return the tasks about certificates of people who do not sign (at an office) any more, opened as needed."""
    holders = select(CertificateRow.office, CertificateRow.holder).where(
        CertificateRow.holder != "", col(CertificateRow.state).in_(sorted(LIVING))
    )
    if office is not None:
        holders = holders.where(CertificateRow.office == office)
    found: list[RevocationTaskRow] = []
    without_post: dict[str, frozenset[str]] = {}
    for where, staff in session.exec(holders.distinct()).all():
        if where not in without_post:
            without_post[where] = _without_post(session, where)
        cause = _why_gone(session, where, staff, without_post[where])
        if cause is not None:
            found += must_be_revoked(session, where, staff, cause, by=by)
    return found


def _why_gone(session: Session, office: str, staff: str, without_post: frozenset[str]) -> Cause | None:
    """Return why a person does not sign at an office any more, or `None` for one who does."""
    if works_here(session, office, staff) is None:
        return Cause.LEFT
    if not any(role.role == "official" for role in held(session, office, staff)):
        return Cause.POSITION
    return Cause.POSITION if staff in without_post else None


def _without_post(session: Session, office: str) -> frozenset[str]:
    """
    Return who held a post at an office, and holds none now.

    Who goes from one post to another keeps their certificate if the next post is on record by then, though it
    may begin later. An office that has no posts on record loses nobody.
    """
    read = read_records(session, office)
    holdings = read.records.holdings
    still = {one.staff for one in holdings if one.before is None or one.before > read.moment}
    return frozenset(one.staff for one in holdings) - still
