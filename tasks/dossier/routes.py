"""
The route of a document: which fields are signed, by whom, in which order, and whose turn it is.

A procedure names the steps; an optional one may be dropped for one original before anybody has signed it.
The frozen document says to whom each of its fields is addressed, because their names are printed on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Field, Session, SQLModel

from infra.reading import rows_of
from tasks.dossier.papers import all_of, newest
from tasks.dossier.procedures import Procedure, SignatureStep
from tasks.dossier.tables import DocumentRow, OriginalRow, moment


class DroppedStepRow(SQLModel, table=True):
    """A step that one original's route does without; rows are only added."""

    __tablename__ = "dropped_step"

    dossier: str = Field(primary_key=True, foreign_key="dossier.code")
    ordinal: int = Field(primary_key=True)
    field: str = Field(primary_key=True)
    dropped_by: str
    dropped_at: datetime = moment(nullable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whose signature a document waits for."""

    field: str
    staff: str
    number: int  # counted from 1, among the officials
    of: int


def steps_for(original: OriginalRow, procedure: Procedure) -> tuple[SignatureStep, ...]:
    """Return the steps that a procedure has for an original: the agency's alone for an attachment (SIG-06)."""
    if original.attached_to is None:
        return procedure.signature_steps
    return (procedure.attachments,) if procedure.attachments is not None else ()


def route_of(session: Session, original: OriginalRow, procedure: Procedure) -> tuple[SignatureStep, ...]:
    """Return an original's steps in order: the procedure's without those that were dropped."""
    rows = rows_of(session, DroppedStepRow, dossier=original.dossier, ordinal=original.ordinal)
    dropped = {row.field for row in rows}
    return tuple(step for step in steps_for(original, procedure) if step.field not in dropped)


def address(officials: Sequence[tuple[str, str]]) -> dict[str, object]:
    """
    Return what a frozen document's facts say of who signs which field, in order (field, staff code).

    >>> address([("official_1", "ha")])
    {'official': 'ha', 'officials': [['official_1', 'ha']]}
    """
    first = officials[0][1] if officials else ""
    return {"official": first, "officials": [list(one) for one in officials]}


def addressed_to(frozen: DocumentRow) -> tuple[tuple[str, str], ...]:
    """Return the officials' fields of a frozen document in order, each with the staff code it is addressed to."""
    return tuple((field, staff) for field, staff in frozen.facts.get("officials", []))


def frozen_of(session: Session, original: OriginalRow) -> DocumentRow | None:
    """Return the frozen document of an original's present revision."""
    frozen = newest(session, original.dossier, original.ordinal, "frozen")
    return frozen if frozen is not None and frozen.revision == original.revision else None


def approvals(session: Session, original: OriginalRow) -> list[DocumentRow]:
    """Return what the officials have signed of an original's present revision, in order."""
    signed = all_of(session, original.dossier, original.ordinal, "approved")
    return [document for document in signed if document.revision == original.revision]


def turn_of(frozen: DocumentRow, signed: int) -> Turn | None:
    """Return whose turn it is after so many officials' signatures; `None` after the last."""
    officials = addressed_to(frozen)
    if signed >= len(officials):
        return None
    field, staff = officials[signed]
    return Turn(field=field, staff=staff, number=signed + 1, of=len(officials))
