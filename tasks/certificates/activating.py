"""Letting a certificate sign, and taking over from the one before it without a stop."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from tasks.certificates.lifecycle import CertificateState
from tasks.certificates.records import become, policy, tell_of
from tasks.certificates.tables import CertificateRow, RevocationTaskRow
from tasks.dossier.moves import Actor


def in_charge(session: Session, office: str, holder: str) -> CertificateRow | None:
    """Return the certificate that speaks, or would speak were it not suspended, for a holder."""
    query = select(CertificateRow).where(
        CertificateRow.office == office,
        CertificateRow.holder == holder,
        col(CertificateRow.state).in_([CertificateState.ACTIVE, CertificateState.SUSPENDED]),
        col(CertificateRow.ended_at).is_(None),
    )
    return session.exec(query.with_for_update()).first()


def taken_over_from(session: Session, office: str, holder: str, follows: str | None) -> CertificateRow | None:
    """
    Return the certificate that a new one takes over from; refuses a second one for a holder (CER-14).

    Only a certificate that was asked for as the renewal or the change of the one in charge may take its place.
    """
    current = in_charge(session, office, holder)
    if current is None or current.sha256 == follows:
        return current
    moment = now(session)
    if current.not_after is not None and current.not_after <= moment:
        return current
    raise Forbidden(
        f"{holder or 'the agency'} of {office} has the certificate {current.serial}, which is {current.state}.",
        rule="CER-14",
        way_out="Ask for its renewal or change, or revoke it first: a person has one certificate at an office.",
    )


def activate_now(session: Session, row: CertificateRow, *, by: Actor, decision: str = "") -> None:
    """
    Let a certificate sign whose key was tested, and let the one before it end.

    One that is to be revoked signs again by a decision only, whose number ends the task.

    A renewed one goes on signing during the switch-over, the newer one first; one whose contents changed, or
    that expired, ends at once. Refuses a certificate whose key nobody tested (CER-15), and a second one.
    """
    if row.tested_at is None:
        raise Forbidden(
            "the key of this certificate was never tested.",
            rule="CER-15",
            way_out="Register it with “hoso certificate register”, with its token.",
        )
    if row.state == CertificateState.ACTIVE:
        return
    _decide_task(session, row, decision, by=by)
    previous = None
    if row.state != CertificateState.SUSPENDED:  # Nobody else can have taken its place.
        previous = taken_over_from(session, row.office, row.holder, row.follows)
    if previous is not None:
        _hand_on(session, previous, row, by=by)
    row.activated_at = row.activated_at or now(session)
    become(session, row, CertificateState.ACTIVE)
    facts: dict[str, Json] = {"serial": row.serial}
    if row.follows:
        facts["follows"] = row.follows
    tell_of(session, row, event="certificate:activated", by=by, facts=facts)


def _decide_task(session: Session, row: CertificateRow, decision: str, *, by: Actor) -> None:
    """Refuse a certificate that is to be revoked, or end that task by a decision (CER-09)."""
    query = select(RevocationTaskRow).where(
        RevocationTaskRow.certificate == row.sha256, col(RevocationTaskRow.ended_at).is_(None)
    )
    task = session.exec(query.with_for_update()).one_or_none()
    if task is None:
        return
    if not decision:
        raise Forbidden(
            f"the certificate {row.serial} is to be revoked ({task.reason}).",
            rule="CER-09",
            way_out="Record the revocation; if the report was wrong, give the number of the decision: --decision.",
        )
    task.ended_at = now(session)
    session.add(task)
    tell_of(session, row, event="certificate:kept", by=by, facts={"decision": decision})


def _hand_on(session: Session, previous: CertificateRow, row: CertificateRow, *, by: Actor) -> None:
    """End a certificate that another one takes over from."""
    moment = now(session)
    if previous.not_after is not None and previous.not_after <= moment:
        previous.ended_at = moment
        become(session, previous, CertificateState.EXPIRED)
        tell_of(session, previous, event="certificate:expired", by=by)
        return
    renewed = row.renewals > previous.renewals
    overlap = policy().switch_over_days if renewed and previous.state == CertificateState.ACTIVE else 0
    previous.ended_at = moment + timedelta(days=overlap)
    become(session, previous, CertificateState.RENEWED if renewed else CertificateState.CHANGED)
    facts: dict[str, Json] = {"by": row.sha256, "signs_until": previous.ended_at.isoformat()}
    tell_of(session, previous, event="certificate:taken-over", by=by, facts=facts)
