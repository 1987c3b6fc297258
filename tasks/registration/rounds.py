"""Opening a round: what its letter says, the forms that hold, the units that must answer, and until when (CER-12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor
from tasks.registration.form_sets import FormSet, form_set_on
from tasks.registration.round_data import RoundData, UnitData
from tasks.registration.tables import RoundRow, UnitRow
from tasks.registration.values import Unfit, official_mailbox, printable


def open_round(data: RoundData, *, by: Actor) -> FormSet:
    """
    Open a round with its units, and return the forms that hold for it from now on.

    Opening the same code again is refused: what changes later is the list of units and the deadline, each
    by an act of its own. So is a deadline that is over. History: `registration:opened`.
    """
    forms = form_set_on(data.letter.date, data.forms)
    with services().database.transaction() as session:
        office_of(session, data.office)
        if session.get(RoundRow, data.code) is not None:
            raise Forbidden(
                f"the round {data.code} is open already.",
                rule="CER-12",
                way_out="Add units with “hoso registration units”, move the deadline with “hoso registration extend”.",
            )
        moment = now(session)
        if data.deadline <= moment:
            raise Forbidden(
                f"the deadline {local(data.deadline):%d/%m/%Y %H:%M} is over.",
                rule="CER-12",
                way_out="Give the units a deadline that they can keep.",
            )
        row = RoundRow(
            code=data.code,
            office=data.office,
            body=data.model_dump(mode="json", exclude={"units"}),
            forms=forms.model_dump(mode="json"),
            deadline=data.deadline,
            opened_at=moment,
        )
        session.add(row)
        session.flush()
        _add(session, row, data.units)
        tell(
            session,
            row,
            event="registration:opened",
            by=by,
            facts={
                "letter": data.letter.number,
                "forms": forms.code,
                "deadline": data.deadline.isoformat(),
                "units": len(data.units),
            },
        )
    return forms


def extend_round(code: str, deadline: datetime, decision: str, *, by: Actor) -> None:
    """
    Give all units of a round more time, by a decision.

    A deadline never moves back. History: `registration:extended`.
    """
    with services().database.transaction() as session:
        row = hold_round(session, code)
        if deadline <= row.deadline:
            raise Forbidden(
                f"the deadline of {code} is {local(row.deadline):%d/%m/%Y %H:%M} already.",
                rule="CER-12",
                way_out="A deadline moves on only; what the units were told stays true.",
            )
        row.deadline = deadline
        session.add(row)
        tell(
            session,
            row,
            event="registration:extended",
            by=by,
            facts={"deadline": deadline.isoformat(), "decision": decision},
        )


def add_units(code: str, units: Sequence[UnitData], *, by: Actor) -> int:
    """
    Add units that must answer, or correct their names and mailboxes; return how many are new.

    Nobody is taken off: a unit that has nobody answers so. History: `registration:units`.
    """
    with services().database.transaction() as session:
        row = hold_round(session, code)
        new = _add(session, row, units)
        tell(session, row, event="registration:units", by=by, facts={"named": len(units), "new": new})
        return new


def _add(session: Session, row: RoundRow, units: Sequence[UnitData]) -> int:
    """Write units into the rows of a round; returns how many are new."""
    domains = round_of(row).official_domains
    there = {unit.code: unit for unit in units_of(session, row.code)}
    new = 0
    for unit in units:
        try:
            mailbox = official_mailbox(unit.mailbox, domains) if unit.mailbox else ""
            printable(unit.name)
        except Unfit as wrong:
            raise Forbidden(
                f"unit {unit.code}: name or mailbox “{unit.mailbox}” cannot be taken ({wrong.code}).",
                rule="CER-14",
                way_out=f"Official mailboxes are at: {', '.join(domains)}.",
            ) from wrong
        found = there.get(unit.code)
        if found is None:
            new += 1
            found = UnitRow(round=row.code, code=unit.code, place=len(there) + 1, name=unit.name)
            there[unit.code] = found
        found.name, found.mailbox, found.managed_by = unit.name, mailbox, unit.managed_by
        session.add(found)
    session.flush()
    return new


def hold_round(session: Session, code: str) -> RoundRow:
    """
    Return a round locked until the transaction ends; refuses a code that no round has, and an erased round.

    Every act on a round waits here for the one before it, so that two imports see each other's rows.
    """
    row = hold_round_to_erase(session, code)
    if row.erased_at is not None:
        raise Forbidden(
            f"the personal data of {code} was erased on {local(row.erased_at):%Y-%m-%d}; the round is closed.",
            rule="PRIVATE-02",
            way_out="Open a new round.",
        )
    return row


def hold_round_to_erase(session: Session, code: str) -> RoundRow:
    """Return a round locked until the transaction ends, erased or not; refuses a code that no round has."""
    row = session.exec(select(RoundRow).where(RoundRow.code == code).with_for_update()).one_or_none()
    return row or _no_such(session, code)


def look_round(session: Session, code: str) -> RoundRow:
    """Return a round without locking it; refuses a code that no round has."""
    return session.get(RoundRow, code) or _no_such(session, code)


def _no_such(session: Session, code: str) -> RoundRow:
    """Refuse a code that no round has."""
    known = ", ".join(session.exec(select(RoundRow.code).order_by(RoundRow.code))) or "none is open"
    raise Forbidden(f"there is no round {code}.", rule="CER-12", way_out=f"Known rounds: {known}.")


def round_of(row: RoundRow) -> RoundData:
    """Return a round's data as it was opened."""
    return RoundData.model_validate(row.body)


def forms_of(row: RoundRow) -> FormSet:
    """Return the forms that a round was opened under (GEN-02)."""
    return FormSet.model_validate(row.forms)


def units_of(session: Session, code: str) -> list[UnitRow]:
    """Return the units of a round in their order."""
    query = select(UnitRow).where(UnitRow.round == code).order_by(col(UnitRow.place))
    return list(session.exec(query))


def unit_of(session: Session, row: RoundRow, unit: str) -> UnitRow:
    """Return one unit of a round; refuses a code that none has."""
    found = session.get(UnitRow, (row.code, unit))
    if found is None:
        known = [one.code for one in units_of(session, row.code)]
        raise Forbidden(
            f"{unit} is no unit of the round {row.code}.",
            rule="CER-12",
            way_out=f"It asks {len(known)} units: {', '.join(known[:12])}{' …' if len(known) > 12 else ''}.",
        )
    return found


def tell(
    session: Session,
    row: RoundRow,
    *,
    event: str,
    by: Actor,
    facts: Mapping[str, Json],
    private: Mapping[str, Json] | None = None,
) -> None:
    """Write a history entry about a round, in the caller's transaction."""
    said: dict[str, Json] = {
        "event": event,
        "actor": by.facts(),
        "office": row.office,
        "round": row.code,
        **facts,
    }
    record(session, subject_of_round(row), said, private=private)


def subject_of_round(row: RoundRow) -> str:
    """Return whom the history's entries about a round are about."""
    return f"registration/{row.code}"
