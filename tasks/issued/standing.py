"""How a result stops standing: its row, what the public may look up, and what is still on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from tasks.delivery.legs import legs_of, valid_originals
from tasks.delivery.tables import PublicationRow
from tasks.dossier.lifecycle import ISSUED, Standing
from tasks.dossier.tables import CounterTaskRow, DossierRow, OriginalRow
from tasks.issued.tables import StandingChangeRow


def must_be_issued(session: Session, dossier: DossierRow, original: OriginalRow, what: str) -> None:
    """Refuse what can only be done to a result that was issued and stands."""
    if dossier.stage not in ISSUED or original.standing == Standing.DECLINED:
        raise Forbidden(
            f"original {original.ordinal} of {dossier.code} ({original.standing}, dossier at {dossier.stage})"
            f" has no issued result that could be {what}.",
            rule="DOS-06",
            way_out="Before the last signature it is corrected with “hoso correct”, declined, or left out.",
        )
    if original.standing != Standing.VALID:
        change = change_of(session, dossier.code, original.ordinal)
        instead = (
            f"; dossier {change.replaced_by} has what stands in its place"
            if change and change.replaced_by
            else ""
        )
        raise Forbidden(
            f"the result of original {original.ordinal} of {dossier.code} is {original.standing} already{instead}.",
            rule="CERT-23",
            way_out="A result stops standing once; act on what stands in its place.",
        )


def end_standing(
    session: Session,
    dossier: DossierRow,
    original: OriginalRow,
    standing: Standing,
    *,
    by: str,
    decision: Mapping[str, Any],
    replaced_by: str | None = None,
) -> None:
    """
    Let a result stand no more, in the caller's transaction, which writes the history entry.

    Both results are kept; what the public may look up says the new standing, and what has not reached
    anybody yet is not sent any more.
    """
    moment = now(session)
    original.standing = standing
    session.add(original)
    session.add(
        StandingChangeRow(
            dossier=dossier.code,
            ordinal=original.ordinal,
            standing=str(standing),
            at=moment,
            by=by,
            decision=dict(decision),
            replaced_by=replaced_by,
        )
    )
    publication = session.get(PublicationRow, (dossier.code, original.ordinal))
    if publication is not None:
        publication.standing = str(standing)
        session.add(publication)
    session.flush()
    if not valid_originals(session, dossier.code):
        _call_off(session, dossier, by)


def change_of(session: Session, code: str, ordinal: int) -> StandingChangeRow | None:
    """Return how and when a result stopped standing, if it did."""
    query = select(StandingChangeRow).where(
        StandingChangeRow.dossier == code, StandingChangeRow.ordinal == ordinal
    )
    return session.exec(query).one_or_none()


def _call_off(session: Session, dossier: DossierRow, by: str) -> None:
    """End the legs that have nothing left to bring, and what a clerk should have done for them."""
    moment = now(session)
    for leg in legs_of(session, dossier.code):
        if leg.ended_at is None:
            leg.state, leg.ended_at, leg.next_try_at = "withdrawn", moment, None
            session.add(leg)
    tasks = select(CounterTaskRow).where(
        CounterTaskRow.dossier == dossier.code, col(CounterTaskRow.ended_at).is_(None)
    )
    for task in session.exec(tasks):
        if task.kind == "hand-over" or task.kind.startswith("undelivered-"):
            task.ended_at, task.ended_by = moment, by
            session.add(task)
