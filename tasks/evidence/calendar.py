"""The preservation calendar: until when each document's evidence lasts, and which ones are near their end."""

from __future__ import annotations

from sqlmodel import Session, col, select

from infra.certificates import ends_of
from infra.database import now
from infra.pdf.levels import Evidence
from infra.services import services
from tasks.dossier.tables import DocumentRow, DossierRow
from tasks.evidence.rules import Holding, algorithm_ends, is_due, margin_of, reaches
from tasks.evidence.tables import PreservationRow


def enter(session: Session, document: DocumentRow, reached: Evidence, *, before: str | None = None) -> None:
    """
    Write until when a document's evidence lasts; entering it again computes it anew.

    `before` is the document whose place it takes: that one needs no care any more, because its bytes are the
    beginning of this one.
    """
    moment = now(session)
    margin = margin_of(
        _resting(reached),
        begins=max((one.time for one in reached.timestamps), default=moment),
        known_until=reached.timestamps[-1].known_until if reached.timestamps else None,
        algorithm_ends=algorithm_ends(services().settings.algorithm_ends),
    )
    row = PreservationRow(
        document_sha256=document.sha256,
        dossier=document.dossier,
        ordinal=document.ordinal,
        level=reached.level,
        may_extend_from=margin.may_extend_from,
        must_extend_before=margin.must_extend_before,
        cause=margin.cause,
        computed_at=moment,
    )
    with session.no_autoflush:  # Nothing that waits to be written says anything about it.
        session.merge(row)
    old = session.get(PreservationRow, before) if before is not None else None
    if old is not None and old.document_sha256 != document.sha256:
        old.superseded_at, old.superseded_by = moment, document.sha256
        session.add(old)


def _resting(reached: Evidence) -> list[Holding]:
    """Return what a document's evidence rests on: its newest time-stamp, and its signers until they are proved."""
    resting = []
    if reached.timestamps:
        last = reached.timestamps[-1]
        resting.append(
            Holding(what=last.authority, ends=ends_of(last.certificate), algorithms=last.algorithms)
        )
    if not reaches(reached.level, "LT"):
        resting += [
            Holding(what=f"the signer in {one.field}", ends=ends_of(one.certificate), algorithms=())
            for one in reached.signatures
        ]
    return resting


def calendar(
    session: Session, *, days: int | None = None, office: str | None = None
) -> list[PreservationRow]:
    """Return what is kept, nearest end first: everything, or what has fewer than `days` days left."""
    query = select(PreservationRow).where(col(PreservationRow.superseded_at).is_(None))
    if office is not None:
        query = query.join(DossierRow, col(DossierRow.code) == col(PreservationRow.dossier))
        query = query.where(DossierRow.office == office)
    rows = session.exec(query.order_by(col(PreservationRow.must_extend_before)))
    moment = now(session)
    return [row for row in rows if days is None or is_due(row.must_extend_before, at=moment, days=days)]


def due() -> list[tuple[str, int]]:
    """
    Return dossier and original of each document that must be renewed now: its margin falls under the limit.

    A document that rests on its signers' certificates alone asks for no more than its procedure does (level
    B), so it is not renewed, and stays in the calendar until its end.
    """
    parts = services()
    with parts.database.transaction() as session:
        rows = calendar(session, days=parts.settings.preservation_days)
        return [(row.dossier, row.ordinal) for row in rows if reaches(row.level, "T")]
