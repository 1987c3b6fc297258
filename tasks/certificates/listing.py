"""Certificates, requests, tasks and devices as people look at them; no names, and nothing is changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, select

from infra.database import now
from infra.history.recording import entries
from infra.services import services
from tasks.authority.seal import seal_keeper
from tasks.certificates.choosing import signs_now
from tasks.certificates.lifecycle import LIVING, CertificateState
from tasks.certificates.records import SEAL, find_certificate, policy
from tasks.certificates.tables import CertificateRequestRow, CertificateRow, RevocationTaskRow, TokenRow
from tasks.dossier.calendar import local
from tasks.dossier.moves import Actor
from tasks.people.acting import Scope, acting
from tasks.people.rules import EVERY


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One certificate in a list."""

    office: str
    holder: str
    serial: str
    sha256: str
    state: str
    not_after: datetime | None
    days_left: int | None
    device: str
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request without an answer."""

    number: int
    office: str
    holder: str
    kind: str
    document: str
    requested_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ToRevoke:
    """One certificate that must be revoked, and by when."""

    office: str
    holder: str
    serial: str
    sha256: str
    cause: str
    due_at: datetime
    overdue: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device, who keeps it, and where."""

    serial: str
    label: str
    model: str
    office: str
    keeper: str
    place: str


def certificates(
    session: Session, where: Scope, *, expiring: bool = False, every: bool = False
) -> list[Listed]:
    """Return certificates, what ends first first: those with a life before them, those that end soon, or all."""
    moment = now(session)
    query = select(CertificateRow).order_by(col(CertificateRow.not_after), col(CertificateRow.sha256))
    query = query.where(where.within(CertificateRow.office, EVERY))
    if expiring:
        query = query.where(
            col(CertificateRow.state).in_([CertificateState.ACTIVE, CertificateState.SUSPENDED]),
            col(CertificateRow.not_after) <= moment + timedelta(days=max(policy().warning_days, default=0)),
        )
    elif not every:
        query = query.where(col(CertificateRow.state).in_(sorted(LIVING)))
    return [
        Listed(
            office=row.office,
            holder=row.holder or SEAL,
            serial=row.serial,
            sha256=row.sha256,
            state=str(row.state),
            not_after=row.not_after,
            days_left=(row.not_after - moment).days if row.not_after else None,
            device=row.token_serial or "",
            uri=row.token_uri,
        )
        for row in session.exec(query)
    ]


def requests(session: Session, where: Scope) -> list[Asked]:
    """Return the requests without an answer, oldest first."""
    query = select(CertificateRequestRow).where(CertificateRequestRow.state == CertificateState.REQUESTED)
    query = query.where(where.within(CertificateRequestRow.office, EVERY))
    return [
        Asked(
            number=row.id or 0,
            office=row.office,
            holder=row.holder or SEAL,
            kind=row.kind,
            document=row.document,
            requested_at=row.requested_at,
        )
        for row in session.exec(query.order_by(col(CertificateRequestRow.id)))
    ]


def tasks(session: Session, where: Scope) -> list[ToRevoke]:
    """Return what must be revoked, nearest due first."""
    moment = now(session)
    query = (
        select(RevocationTaskRow, CertificateRow)
        .join(CertificateRow, col(CertificateRow.sha256) == col(RevocationTaskRow.certificate))
        .where(col(RevocationTaskRow.ended_at).is_(None))
    )
    query = query.where(where.within(RevocationTaskRow.office, EVERY))
    return [
        ToRevoke(
            office=task.office,
            holder=row.holder or SEAL,
            serial=row.serial,
            sha256=row.sha256,
            cause=task.reason,
            due_at=task.due_at,
            overdue=task.due_at < moment,
        )
        for task, row in session.exec(query.order_by(col(RevocationTaskRow.due_at)))
    ]


def devices(session: Session, where: Scope) -> list[Device]:
    """Return the devices by serial number; the keeper of the agency's is the one on record for its seal."""
    query = select(TokenRow).where(where.within(TokenRow.office, EVERY))
    seals = set(session.exec(select(CertificateRow.token_serial).where(CertificateRow.holder == "")))
    found = []
    for row in session.exec(query.order_by(col(TokenRow.serial))):
        keeper = seal_keeper(session, row.office) if row.serial in seals else None
        found.append(
            Device(
                serial=row.serial,
                label=row.label,
                model=row.model,
                office=row.office,
                keeper=keeper.keeper if keeper else row.keeper,
                place=row.place,
            )
        )
    return found


def describe(named: str, *, by: Actor) -> dict[str, Any]:
    """Return everything that is on record of one certificate, with the entries of its life."""
    with services().database.transaction() as session:
        row = find_certificate(session, named)
        acting(session, by, "certificate show", office=row.office)
        said = row.model_dump(exclude={"der", "image", "pin_refused", "key", "holder", "state"}) | {
            "holder": row.holder or SEAL,
            "state": str(row.state),
            "signs_now": signs_now(session, row),
        }
        life = [json.loads(entry.content) for entry in entries(session, f"certificate/{row.sha256}")]
    said["history"] = [
        {
            "seq": entry["seq"],
            "at": f"{local(datetime.fromisoformat(entry['at'])):%Y-%m-%d %H:%M:%S}",
            "event": entry["event"],
            "by": entry["actor"].get("post") or entry["actor"]["role"],
        }
        for entry in life
    ]
    return said
