"""What waits for whom: the lists that clerks and officials begin their day with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlmodel import Session, col, select

from tasks.dossier.lifecycle import PAUSED, Standing
from tasks.dossier.tables import DocumentRow, DossierRow, OriginalRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """One frozen copy that nobody has signed yet."""

    dossier: str
    ordinal: int
    kind: str
    pages: int
    sha256: str
    key: str
    for_day: date | None
    due_at: datetime | None
    facts: dict[str, Any]


def frozen_at(session: Session, office: str, *, code: str | None = None) -> list[Frozen]:
    """Return an office's (or one dossier's) frozen copies that wait for a person's signature, nearest due first."""
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
            DocumentRow.kind == "frozen",
        )
        .order_by(col(DossierRow.due_at), col(DossierRow.code), col(OriginalRow.ordinal))
    )
    if code is not None:
        query = query.where(DossierRow.code == code)
    return [
        Frozen(
            dossier=original.dossier,
            ordinal=original.ordinal,
            kind=original.kind,
            pages=original.pages,
            sha256=document.sha256,
            key=document.key,
            for_day=document.for_day,
            due_at=dossier.due_at,
            facts=document.facts,
        )
        for original, document, dossier in session.exec(query)
    ]


def open_dossiers(session: Session, office: str | None = None) -> list[DossierRow]:
    """Return the dossiers whose life has not ended, nearest due first."""
    query = select(DossierRow).where(col(DossierRow.ended_at).is_(None))
    if office is not None:
        query = query.where(DossierRow.office == office)
    return list(session.exec(query.order_by(col(DossierRow.due_at), col(DossierRow.code))))
