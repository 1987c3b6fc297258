"""What people do with certificates, one transaction each: ask, record what the provider made, hand over, end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from tasks.certificates.activating import activate_now, in_charge
from tasks.certificates.lifecycle import CertificateState, move
from tasks.certificates.reading import CertificateFacts, read_certificate
from tasks.certificates.records import (
    become,
    find_certificate,
    holder_facts,
    holder_of,
    policy,
    record_of,
    tell_of,
)
from tasks.certificates.registering import check_certificate, must_be_of
from tasks.certificates.rules import Holder, may_renew
from tasks.certificates.tables import CertificateRequestRow, CertificateRow, RevocationTaskRow
from tasks.dossier.moves import Actor
from tasks.people.acting import acting


class Cause(StrEnum):
    """Why a certificate is revoked (CER-08)."""

    COMPROMISED = "compromised"  # the key is exposed, or suspected to be
    DEVICE = "device"  # broken, lost, unsafe
    INVESTIGATION = "investigation"  # written request of police or investigators
    AGENCY = "agency"  # written request of the managing agency
    POSITION = "position"  # moved to a position that does not match
    LEFT = "left"  # retired, resigned, died
    DISSOLVED = "dissolved"  # the organisation was dissolved, split, merged


def request(office: str, holder: str, *, document: str, by: Actor) -> int:
    """
    Record that a first certificate was asked for by a letter, and return the request's number (CER-03).

    Asking again by the same letter returns the same number. Refuses a holder who has a certificate, or for
    whom another request is open (CER-14).
    """
    with services().database.transaction() as session:
        whom = holder_of(session, office, holder)
        by = acting(session, by, "certificate request", office=office)
        return _ask(session, whom, kind="new", follows=None, document=document, by=by)


def renew(named: str, *, document: str, by: Actor) -> int:
    """Record that a renewal was asked for, and return the request's number; once, and with 60 days left (CER-06)."""
    with services().database.transaction() as session:
        row = _in_charge_of(session, named)
        by = acting(session, by, "certificate renew", office=row.office)
        if row.not_after is not None:
            may_renew(row.not_after, row.renewals, now(session), policy())
        whom = holder_of(session, row.office, row.holder or "seal")
        return _ask(session, whom, kind="renewal", follows=row.sha256, document=document, by=by)


def change(named: str, *, document: str, by: Actor) -> int:
    """Record that a change of contents was asked for: another agency, name, address or e-mail (CER-07)."""
    with services().database.transaction() as session:
        row = _in_charge_of(session, named)
        by = acting(session, by, "certificate change", office=row.office)
        whom = holder_of(session, row.office, row.holder or "seal")
        return _ask(session, whom, kind="change", follows=row.sha256, document=document, by=by)


def _in_charge_of(session: Session, named: str) -> CertificateRow:
    """Return a certificate that another may follow; refuses one that is not active."""
    row = find_certificate(session, named, lock=True)
    if row.state not in (CertificateState.ACTIVE, CertificateState.SUSPENDED):
        raise Forbidden(
            f"the certificate {row.serial} is {row.state}; only one in use is renewed or changed.",
            rule="CER-15",
            way_out="Ask for a new one with “hoso certificate request”.",
        )
    return row


def _ask(session: Session, whom: Holder, *, kind: str, follows: str | None, document: str, by: Actor) -> int:
    """Write a request down, or find the same one."""
    known = open_request(session, whom.office, whom.staff)
    if known is not None:
        if (known.kind, known.follows, known.document) == (kind, follows, document):
            return known.id or 0
        raise Forbidden(
            f"request {known.id} for {whom.spoken} is open since {known.requested_at:%Y-%m-%d}.",
            rule="CER-14",
            way_out="Record what became of it first: “hoso certificate issue” or “hoso certificate reject”.",
        )
    current = in_charge(session, whom.office, whom.staff)
    moment = now(session)
    if follows is None and current is not None and (current.not_after is None or current.not_after > moment):
        raise Forbidden(
            f"{whom.spoken} has the certificate {current.serial}, which is {current.state}.",
            rule="CER-14",
            way_out="Ask for its renewal or change, or revoke it first.",
        )
    row = CertificateRequestRow(
        office=whom.office,
        holder=whom.staff,
        kind=kind,
        follows=follows,
        document=document,
        state=CertificateState.REQUESTED,
        requested_at=moment,
    )
    session.add(row)
    session.flush()
    facts: dict[str, Json] = {"kind": kind, "document": document}
    if follows:
        facts["follows"] = follows
    _tell_request(session, row, event="certificate:requested", by=by, facts=facts)
    return row.id or 0


def open_request(session: Session, office: str, holder: str) -> CertificateRequestRow | None:
    """Return the request for a holder that has no answer yet."""
    query = select(CertificateRequestRow).where(
        CertificateRequestRow.office == office,
        CertificateRequestRow.holder == holder,
        CertificateRequestRow.state == CertificateState.REQUESTED,
    )
    return session.exec(query.with_for_update()).one_or_none()


def reject(number: int, reason: str, *, by: Actor) -> None:
    """Record that a request was refused, and why. Again changes nothing."""
    with services().database.transaction() as session:
        row = _request_row(session, number)
        by = acting(session, by, "certificate reject", office=row.office)
        if row.state == CertificateState.REJECTED and row.reason == reason:
            return
        row.state = move(row.state, CertificateState.REJECTED)
        row.reason, row.ended_at = reason, now(session)
        session.add(row)
        _tell_request(session, row, event="certificate:rejected", by=by, private={"reason": reason})


def issue(number: int, certificate: bytes, *, by: Actor) -> str:
    """
    Record the certificate that the provider made for a request, and return its SHA-256; it signs nothing yet.

    Subject, use, validity (CER-05) and path are checked now, so that a wrong one goes back before the device
    is handed over. Again changes nothing.
    """
    facts = read_certificate(certificate)
    with services().database.transaction() as session:
        asked = _request_row(session, number)
        by = acting(session, by, "certificate issue", office=asked.office)
        holder = holder_of(session, asked.office, asked.holder or "seal")
        return issue_to(session, holder, facts, by=by, asked=asked)


def issue_to(
    session: Session,
    holder: Holder,
    facts: CertificateFacts,
    *,
    by: Actor,
    asked: CertificateRequestRow | None = None,
) -> str:
    """
    Record an issued certificate in the caller's transaction, for a request or for one that was made elsewhere.

    Raises `Forbidden` for a certificate that is not this holder's, not for signatures, or not trusted.
    """
    known = session.get(CertificateRow, facts.sha256)
    must_be_of(known, holder)
    if known is not None:
        return known.sha256
    follows = session.get(CertificateRow, asked.follows) if asked is not None and asked.follows else None
    row = record_of(facts, holder, session)
    if asked is not None and follows is not None:
        row.follows = follows.sha256
        row.renewals = follows.renewals + (asked.kind == "renewal")
    session.add(row)
    session.flush()
    check_certificate(facts, holder, session)
    said: dict[str, Json] = {"serial": row.serial}
    if asked is not None:
        asked.state = move(asked.state, CertificateState.ISSUED)
        asked.certificate, asked.ended_at = row.sha256, now(session)
        session.add(asked)
        said["request"] = asked.id
    tell_of(session, row, event="certificate:issued", by=by, facts=said, private={"subject": row.subject})
    return row.sha256


def hand_over(named: str, *, minutes: str, by: Actor) -> None:
    """Record that the holder has the device, by minutes (CER-04, CER-15, SIG-13). Again changes nothing."""
    with services().database.transaction() as session:
        row = find_certificate(session, named, lock=True)
        by = acting(session, by, "certificate hand-over", office=row.office)
        if row.state != CertificateState.ISSUED and row.minutes == minutes:
            return
        row.minutes = minutes
        become(session, row, CertificateState.HANDED_OVER)
        tell_of(session, row, event="certificate:handed-over", by=by, facts={"minutes": minutes})


def activate(named: str, *, by: Actor, decision: str = "") -> None:
    """Let a certificate sign whose key was tested, or one that was suspended; the one before it hands on."""
    with services().database.transaction() as session:
        row = find_certificate(session, named, lock=True)
        by = acting(session, by, "certificate activate", office=row.office)
        activate_now(session, row, by=by, decision=decision)


def suspend(named: str, reason: str, *, by: Actor) -> None:
    """Let a certificate sign nothing until somebody decides. Again changes nothing."""
    with services().database.transaction() as session:
        row = find_certificate(session, named, lock=True)
        by = acting(session, by, "certificate suspend", office=row.office)
        suspend_now(session, row, reason, by=by)


def suspend_now(session: Session, row: CertificateRow, reason: str, *, by: Actor) -> None:
    """Suspend a locked certificate; one that signs to the end of a switch-over ends at once."""
    if row.state == CertificateState.SUSPENDED:
        return
    if row.state == CertificateState.RENEWED:
        row.ended_at = min(row.ended_at or now(session), now(session))
        session.add(row)
    else:
        become(session, row, CertificateState.SUSPENDED)
    tell_of(session, row, event="certificate:suspended", by=by, private={"reason": reason})


def revoke(named: str, cause: Cause, *, as_of: datetime, document: str, by: Actor) -> CertificateRow:
    """
    Record that the provider revoked a certificate as of a moment, and end the task that asked for it (CER-08).

    From now on it signs nothing. What it signed since that moment is listed by “hoso certificate impact”.
    Revoking again moves the moment to an earlier one, never to a later one.
    """
    with services().database.transaction() as session:
        row = find_certificate(session, named, lock=True)
        by = acting(session, by, "certificate revoke", office=row.office)
        moment = now(session)
        if as_of > moment:
            raise Forbidden(
                f"the revocation is dated {as_of.isoformat()}, which is to come.",
                rule="CER-08",
                way_out="Suspend the certificate until then, and record the revocation when it holds.",
            )
        if row.state == CertificateState.REVOKED:
            if row.revoked_at is not None and as_of >= row.revoked_at:
                return row
        else:
            become(session, row, CertificateState.REVOKED)
        row.revoked_at, row.revocation_reason = as_of, str(cause)
        row.ended_at = min(row.ended_at or moment, moment)
        session.add(row)
        _end_task(session, row)
        facts: dict[str, Json] = {
            "serial": row.serial,
            "as_of": as_of.isoformat(),
            "cause": str(cause),
            "document": document,
        }
        tell_of(session, row, event="certificate:revoked", by=by, facts=facts)
        return row


def _end_task(session: Session, row: CertificateRow) -> None:
    """End the task that asked for a revocation which is on record now."""
    query = select(RevocationTaskRow).where(
        RevocationTaskRow.certificate == row.sha256, col(RevocationTaskRow.ended_at).is_(None)
    )
    for task in session.exec(query.with_for_update()):
        task.ended_at = now(session)
        session.add(task)


def _request_row(session: Session, number: int) -> CertificateRequestRow:
    """Return a request, locked; refuses a number that none has."""
    query = select(CertificateRequestRow).where(CertificateRequestRow.id == number)
    row = session.exec(query.with_for_update()).one_or_none()
    if row is None:
        raise Forbidden(
            f"there is no request {number}.",
            rule="CER-15",
            way_out="“hoso certificate list” names the open requests.",
        )
    return row


def _tell_request(
    session: Session,
    row: CertificateRequestRow,
    *,
    event: str,
    by: Actor,
    facts: Mapping[str, Json] | None = None,
    private: Mapping[str, Json] | None = None,
) -> None:
    """Write one history entry about a request."""
    said: dict[str, Json] = {
        "event": event,
        "actor": by.facts(),
        "office": row.office,
        "holder": holder_facts(row.office, row.holder),
        "request": row.id,
        "state": str(row.state),
        **(facts or {}),
    }
    record(session, f"certificate-request/{row.id}", said, private=private)
