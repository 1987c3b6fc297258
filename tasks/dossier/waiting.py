"""What waits for whom: the lists that clerks and officials begin their day with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlmodel import Session, col, select

from tasks.dossier.lifecycle import PAUSED, Standing
from tasks.dossier.looking import look, originals_of, procedure_of
from tasks.dossier.papers import newest
from tasks.dossier.routes import Turn, turn_of
from tasks.dossier.tables import DocumentRow, DossierRow, OriginalRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """One certified copy that waits for an official: the bytes to be signed next, and whose turn it is."""

    dossier: str
    procedure: str
    ordinal: int
    kind: str
    pages: int
    sha256: str
    key: str
    #: The day that the page says it is signed on; `None` once the first official has signed it.
    for_day: date | None
    due_at: datetime | None
    turn: Turn
    facts: dict[str, Any]

    @property
    def official(self) -> str:
        """Return the staff code of the official whose turn it is."""
        return self.turn.staff


def originals_at(session: Session, codes: Collection[str], standing: Standing) -> list[tuple[str, int]]:
    """Return the originals of some dossiers that have this standing, without dossiers that stand still."""
    query = (
        select(OriginalRow.dossier, OriginalRow.ordinal)
        .join(DossierRow, col(DossierRow.code) == col(OriginalRow.dossier))
        .where(
            col(OriginalRow.dossier).in_(codes),
            OriginalRow.standing == standing,
            col(DossierRow.stage).not_in(PAUSED),
        )
        .order_by(col(OriginalRow.dossier), col(OriginalRow.ordinal))
    )
    return list(session.exec(query))


def frozen_at(
    session: Session, office: str, *, code: str | None = None, codes: Collection[str] | None = None
) -> list[Frozen]:
    """
    Return an office's (or one or some dossiers') copies that wait for a person's signature, nearest due first.

    Each appears once, with what its next official signs: who comes later in the route does not see it.
    """
    query = (
        select(OriginalRow, DocumentRow, DossierRow)
        .join(DossierRow, col(DossierRow.code) == col(OriginalRow.dossier))
        .join(
            DocumentRow,
            (col(DocumentRow.dossier) == col(OriginalRow.dossier))
            & (col(DocumentRow.ordinal) == col(OriginalRow.ordinal))
            & (col(DocumentRow.revision) == col(OriginalRow.revision)),
        )
        .where(
            DossierRow.office == office,
            col(DossierRow.stage).not_in([str(stage) for stage in PAUSED]),
            OriginalRow.standing == Standing.CERTIFIED,
            col(DocumentRow.kind).in_(["frozen", "approved"]),
        )
        .order_by(
            col(DossierRow.due_at),
            col(DossierRow.code),
            col(OriginalRow.ordinal),
            col(DocumentRow.kind).desc(),  # The frozen one first, then what was signed of it, in order.
            col(DocumentRow.position),
        )
    )
    if code is not None:
        query = query.where(DossierRow.code == code)
    if codes is not None:
        query = query.where(col(DossierRow.code).in_(list(codes)))
    waits: list[Frozen] = []
    rows = list(session.exec(query))
    while rows:
        original, frozen, dossier = rows.pop(0)
        last, signed = frozen, 0
        while rows and rows[0][1].kind == "approved" and rows[0][0] is original:
            last, signed = rows.pop(0)[1], signed + 1
        turn = turn_of(frozen, signed)
        if turn is not None:
            waits.append(_waiting(original, dossier, frozen, last, turn))
    return waits


def _waiting(
    original: OriginalRow, dossier: DossierRow, frozen: DocumentRow, last: DocumentRow, turn: Turn
) -> Frozen:
    """Return one line of a list."""
    return Frozen(
        dossier=original.dossier,
        procedure=dossier.procedure,
        ordinal=original.ordinal,
        kind=original.kind,
        pages=original.pages,
        sha256=last.sha256,
        key=last.key,
        for_day=last.for_day,
        due_at=dossier.due_at,
        turn=turn,
        facts=frozen.facts,
    )


def open_dossiers(session: Session, office: str | None = None) -> list[DossierRow]:
    """Return the dossiers whose life has not ended, nearest due first."""
    query = select(DossierRow).where(col(DossierRow.ended_at).is_(None))
    if office is not None:
        query = query.where(DossierRow.office == office)
    return list(session.exec(query.order_by(col(DossierRow.due_at), col(DossierRow.code))))


def results_awaited(session: Session, code: str) -> list[int]:
    """Return the originals whose result another agency has still to send, or has to send anew (DOS-27)."""
    dossier = look(session, code)
    if dossier.ended_at is not None or procedure_of(session, dossier).kind != "return":
        return []
    return [
        o.ordinal
        for o in originals_of(session, code)
        if o.standing == Standing.LEFT_OUT
        or (o.standing == Standing.RECEIVED and newest(session, code, o.ordinal, "result") is None)
    ]
