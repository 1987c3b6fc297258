"""A dossier, looked at or held: its row, its originals, and the office and procedure that it is judged by."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from sqlmodel import Session, col, select

from infra.errors import Forbidden
from infra.reading import ask_together, forget, read_once, rows_of
from tasks.dossier.codes import check_code
from tasks.dossier.offices import OfficeData
from tasks.dossier.procedures import Procedure
from tasks.dossier.tables import DossierRow, OfficeRow, OriginalRow, ProcedureRow

#: Where a session keeps the dossiers that it has locked together, by code.
_HELD = "held"


def no_such_dossier(code: str) -> Forbidden:
    """Return the refusal for a code that no dossier has."""
    return Forbidden(
        f"there is no dossier {code}.",
        rule="DOS-01",
        way_out="Copy the code from the receipt or the confirmation, or look it up with “hoso list”.",
    )


def hold(session: Session, code: str) -> DossierRow:
    """Return a dossier locked until the transaction ends; refuses a code that no dossier has."""
    held: dict[str, DossierRow] = session.info.get(_HELD, {})
    if code in held:
        return held[code]
    check_code(code)
    query = select(DossierRow).where(DossierRow.code == code).with_for_update()
    dossier = session.exec(query, execution_options={"populate_existing": True}).one_or_none()
    # What was read of it before it was locked may have changed; what it is judged by stays.
    forget(session, but=(OfficeRow, ProcedureRow))
    if dossier is None:
        raise no_such_dossier(code)
    return dossier


def hold_these(session: Session, codes: Collection[str]) -> None:
    """
    Lock dossiers until the transaction ends, before anything else is done in it, and ask for their rows together.

    They are locked in the order of their codes, so that whoever wants many of them never waits crosswise.
    """
    ask_together(session, codes)
    query = select(DossierRow).where(col(DossierRow.code).in_(codes)).order_by(col(DossierRow.code))
    held = {dossier.code: dossier for dossier in session.exec(query.with_for_update())}
    session.info[_HELD] = held


def look(session: Session, code: str) -> DossierRow:
    """Return a dossier without locking it; refuses a code that no dossier has."""
    held: dict[str, DossierRow] = session.info.get(_HELD, {})
    dossier = held.get(code) or next(iter(rows_of(session, DossierRow, code=check_code(code))), None)
    if dossier is None:
        raise no_such_dossier(code)
    return dossier


def office_of(session: Session, code: str) -> OfficeData:
    """Return an office's data; refuses a code that no office has."""
    return read_once(session, (OfficeRow,), code, lambda: _office(session, code))


def _office(session: Session, code: str) -> OfficeData:
    """Read an office's data."""
    row = session.get(OfficeRow, code)
    if row is None:
        known = ", ".join(session.exec(select(OfficeRow.code).order_by(OfficeRow.code))) or "none is loaded"
        raise Forbidden(f"there is no office {code}.", rule="ORG-05", way_out=f"Known offices: {known}.")
    return OfficeData.model_validate(row.body)


def procedure_of(session: Session, dossier: DossierRow) -> Procedure:
    """Return the procedure as it was when the dossier was opened (GEN-02)."""
    which = dossier.procedure, dossier.procedure_version
    return read_once(
        session,
        (ProcedureRow,),
        which,
        lambda: Procedure.model_validate(session.get_one(ProcedureRow, which).body),
    )


def procedure_on(session: Session, code: str, day: date) -> Procedure:
    """Return the version of a procedure that is in force on a day."""
    return read_once(session, (ProcedureRow,), (code, day), lambda: _procedure_on(session, code, day))


def _procedure_on(session: Session, code: str, day: date) -> Procedure:
    """Read the version of a procedure that is in force on a day."""
    row = session.exec(
        select(ProcedureRow)
        .where(ProcedureRow.code == code, ProcedureRow.effective_from <= day)
        .order_by(col(ProcedureRow.effective_from).desc(), col(ProcedureRow.version).desc())
    ).first()
    if row is None:
        known = sorted(set(session.exec(select(ProcedureRow.code)))) or ["none is loaded"]
        raise Forbidden(
            f"no version of the procedure “{code}” is in force on {day}.",
            rule="GEN-02",
            way_out=f"Known procedures: {', '.join(known)}.",
        )
    return Procedure.model_validate(row.body)


def originals_of(session: Session, code: str) -> list[OriginalRow]:
    """Return a dossier's originals in order."""
    return sorted(rows_of(session, OriginalRow, dossier=code), key=lambda original: original.ordinal)


def original_of(session: Session, code: str, ordinal: int) -> OriginalRow:
    """Return one original; refuses an ordinal that the dossier does not have."""
    originals = originals_of(session, code)
    original = next((one for one in originals if one.ordinal == ordinal), None)
    if original is None:
        count = len(originals)
        raise Forbidden(
            f"dossier {code} has no original {ordinal}.",
            rule="CERT-23",
            way_out=f"It has {count}: count from 1.",
        )
    return original
