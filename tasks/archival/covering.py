"""
The checkpoint that a package waits for: the first one, time-stamped and in the archive, that covers its entries.

One checkpoint serves every dossier that waits, so they are made at most once in `HOSO_CHECKPOINT_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, select

from infra.database import now
from infra.history.tables import HistoryCheckpoint
from infra.services import services
from tasks.archival.tables import PackageRow
from tasks.dossier.lifecycle import Stage
from tasks.dossier.moves import ask_these_to_continue
from tasks.dossier.tables import DossierRow

_KEPT = (col(HistoryCheckpoint.token).is_not(None), col(HistoryCheckpoint.version_id).is_not(None))


def covering(session: Session, position: int) -> HistoryCheckpoint | None:
    """Return the first stamped checkpoint in the archive that covers the entry at a position, if there is one yet."""
    query = select(HistoryCheckpoint).where(HistoryCheckpoint.size > position, *_KEPT)
    return session.exec(query.order_by(col(HistoryCheckpoint.size))).first()


def covered_size(session: Session) -> int:
    """Return how many entries the newest stamped checkpoint in the archive covers."""
    return session.exec(select(func.max(HistoryCheckpoint.size)).where(*_KEPT)).one() or 0


def awaits_checkpoint(session: Session, code: str) -> bool:
    """Whether a package was begun whose entries no stamped checkpoint in the archive covers."""
    plan = session.get(PackageRow, code)
    return plan is not None and covered_size(session) <= plan.history_position


def is_covered(code: str) -> bool:
    """Whether a dossier's package was begun and waits for no checkpoint."""
    with services().database.transaction() as session:
        return session.get(PackageRow, code) is not None and not awaits_checkpoint(session, code)


def uncovered(codes: Sequence[str]) -> list[str]:
    """Return those of some dossiers whose packages wait for a checkpoint, the latest begun last."""
    with services().database.transaction() as session:
        query = select(PackageRow.dossier).where(
            col(PackageRow.dossier).in_(list(codes)),
            col(PackageRow.history_position) >= covered_size(session),
        )
        return list(session.exec(query.order_by(col(PackageRow.history_position))))


def next_checkpoint_at(code: str) -> datetime | None:
    """Return when a checkpoint may be asked for that a dossier waits for; `None` when it waits for none."""
    with services().database.transaction() as session:
        if session.get_one(DossierRow, code).stage != Stage.RETURNED or not awaits_checkpoint(session, code):
            return None
        last = session.exec(select(func.max(HistoryCheckpoint.signed_at))).one()
        moment = now(session)
        gap = timedelta(seconds=services().settings.checkpoint_seconds)
        # Never at once: somebody else may be making it, and wakes this dossier when it is made.
        return max(last + gap if last else moment, moment + timedelta(seconds=1))


def may_ask(code: str) -> bool:
    """Whether a checkpoint may be made now for a dossier: the last one is old enough, or lacks its copies only."""
    with services().database.transaction() as session:
        plan = session.get(PackageRow, code)
        query = select(HistoryCheckpoint).order_by(col(HistoryCheckpoint.size).desc())
        last = session.exec(query).first()
        if plan is None or last is None or last.size > plan.history_position:
            return True
        gap = timedelta(seconds=services().settings.checkpoint_seconds)
        return now(session) >= last.signed_at + gap


def wake_covered(session: Session, before: int) -> int:
    """Let every dossier go on that waited for a checkpoint and is covered since `before`; return how many."""
    waited = (
        select(PackageRow.dossier)
        .join(DossierRow, col(DossierRow.code) == col(PackageRow.dossier))
        .where(
            DossierRow.stage == Stage.RETURNED,
            col(PackageRow.history_position) >= before,
            col(PackageRow.history_position) < covered_size(session),
        )
    )
    codes = list(session.exec(waited.order_by(col(PackageRow.dossier))))
    if codes:
        ask_these_to_continue(session, codes)
    return len(codes)
