"""Locks that must not end: what is kept for ever is locked as far as the store allows, and again before that ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from infra.database import now
from infra.object_store import Stored
from infra.services import services
from tasks.archival.rules import retain_until
from tasks.archival.tables import ArchivedObjectRow, KeptObjectRow, PackageRow

#: Kept for a time only: a standing list is of use until the next one, and evidence after that.
_FOR_A_TIME = ("standing",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One object of the archive that is kept for ever and whose lock ends soon."""

    key: str
    version_id: str
    dossier: str | None


def locked_until(moment: datetime, years: int | None) -> datetime:
    """Return until when something is locked that was finished at a moment; without years as far as the store allows."""
    return retain_until(moment, services().settings.archive_lock_years if years is None else years)


def keep_in_mind(session: Session, kind: str, stored: Stored) -> None:
    """Write down a locked object that belongs to no dossier, so that it is read and its lock renewed; once."""
    if session.get(KeptObjectRow, (stored.key, stored.version_id)) is None:
        row = KeptObjectRow(
            key=stored.key,
            version_id=stored.version_id,
            kind=kind,
            sha256=stored.sha256,
            size=stored.size,
            mode=stored.mode or "",
            retain_until=stored.retain_until or now(session),
            kept_at=now(session),
        )
        session.add(row)


def keep_for_ever(kind: str, key: str, content: bytes, content_type: str) -> Stored:
    """Put something that belongs to no dossier into the archive, locked for as long as the store allows; repeatable."""
    until = locked_until(services().clock.now(), None)
    stored = services().archive.put_locked(key, content, content_type=content_type, retain_until=until)
    with services().database.transaction() as session:
        keep_in_mind(session, kind, stored)
    return stored


def renew_locks() -> int:
    """
    Lock everything that is kept for ever anew whose lock ends within `HOSO_LOCK_RENEWAL_DAYS`; return how many.

    Packages of procedures without an end, and what belongs to no dossier: checkpoints and their time-stamps,
    the root of the archive, reports, certificates of destruction. Doing it again does what is left.
    """
    ending = _ending()
    for one in ending:
        until = locked_until(services().clock.now(), None)
        stored = services().archive.lock_longer(one.key, one.version_id, until)
        with services().database.transaction() as session:
            if one.dossier is None:
                kept = session.get_one(KeptObjectRow, (one.key, one.version_id))
                kept.retain_until = stored.retain_until or kept.retain_until
                session.add(kept)
                continue
            query = select(ArchivedObjectRow).where(
                ArchivedObjectRow.dossier == one.dossier, ArchivedObjectRow.key == one.key
            )
            row = session.exec(query).one()
            row.retain_until = stored.retain_until or row.retain_until
            session.add(row)
    return len(ending)


def _ending() -> list[Ending]:
    """Return what is kept for ever and is not locked for long any more."""
    with services().database.transaction() as session:
        edge = now(session) + timedelta(days=services().settings.lock_renewal_days)
        own = (
            select(ArchivedObjectRow)
            .join(PackageRow, col(PackageRow.dossier) == col(ArchivedObjectRow.dossier))
            .where(
                col(PackageRow.permanent).is_(True),
                col(ArchivedObjectRow.destroyed_at).is_(None),
                col(ArchivedObjectRow.retain_until) < edge,
            )
        )
        other = select(KeptObjectRow).where(
            col(KeptObjectRow.retain_until) < edge, col(KeptObjectRow.kind).not_in(_FOR_A_TIME)
        )
        return [
            *(Ending(key=r.key, version_id=r.version_id, dossier=r.dossier) for r in session.exec(own)),
            *(Ending(key=r.key, version_id=r.version_id, dossier=None) for r in session.exec(other)),
        ]
