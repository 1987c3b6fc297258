"""What happens to a unit's rows: submitted, confirmed, rejected; and who has answered (CER-15, REP-09)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from sqlmodel import Session, col, func, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.moves import Actor
from tasks.registration.entries import in_time
from tasks.registration.lifecycle import State, check_move
from tasks.registration.lists import take_off
from tasks.registration.rounds import hold_round, look_round, round_of, tell, unit_of, units_of
from tasks.registration.tables import EntryContentRow, EntryRow, IssuedRow, RoundRow, UnitRow

#: How a unit stands in a round: in time, late by decision, still open, overdue.
Answer = Literal["answered", "late", "open", "overdue"]


def submit(
    code: str, unit: str, document: str, *, by: Actor, nothing: bool = False, late_decision: str = ""
) -> int:
    """
    Say that a unit's list is complete, by the number of its letter, and return how many rows were submitted.

    `nothing` answers that the unit has nobody to register. A list without drafts is refused, and so is
    `nothing` from a unit that has rows. Submitting corrections later is a further letter; the first one
    counts as the answer. History: `registration:submitted`.
    """
    with services().database.transaction() as session:
        round_row = hold_round(session, code)
        unit_row = unit_of(session, round_row, unit)
        in_time(session, round_row, unit_row, late_decision, by=by)
        drafts = _in_state(session, code, unit, State.DRAFT)
        if nothing and _counting(session, code, unit):
            raise Forbidden(
                f"{unit} has rows in {code}, so it does not answer that there is nobody.",
                rule="CER-12",
                way_out="Reject its rows first, or submit them.",
            )
        if not drafts and not nothing:
            raise Forbidden(
                f"{unit} has no draft in {code} to submit.",
                rule="CER-15",
                way_out="Import its list first, or answer with --nothing that there is nobody.",
            )
        _move(session, drafts, State.SUBMITTED)
        unit_row.answered_at = unit_row.answered_at or now(session)
        unit_row.answer, unit_row.nothing = document, nothing
        session.add(unit_row)
        facts: dict[str, Json] = {"unit": unit, "document": document, "rows": len(drafts)}
        tell(session, round_row, event="registration:submitted", by=by, facts=facts)
        return len(drafts)


def confirm(code: str, unit: str, document: str, day: date, *, by: Actor) -> int:
    """
    Write down that the managing agency confirmed a unit's submitted rows, by number and date of its document (CER-15).

    Returns how many rows were confirmed; refuses when none was submitted. History: `registration:confirmed`.
    """
    with services().database.transaction() as session:
        round_row = hold_round(session, code)
        unit_row = unit_of(session, round_row, unit)
        rows = _in_state(session, code, unit, State.SUBMITTED)
        if not rows:
            raise Forbidden(
                f"{unit} has no submitted row in {code}.",
                rule="CER-15",
                way_out="“hoso registration status” says how each unit stands.",
            )
        if day > local(now(session)).date():
            raise Forbidden(
                f"the confirmation is dated {day:%d/%m/%Y}, in the future.",
                rule="CER-15",
                way_out="Give the date of the document.",
            )
        _move(session, rows, State.CONFIRMED)
        unit_row.confirmed_at, unit_row.confirmation = now(session), document
        session.add(unit_row)
        facts: dict[str, Json] = {
            "unit": unit,
            "managed_by": unit_row.managed_by or unit,
            "document": document,
            "day": day.isoformat(),
            "rows": len(rows),
        }
        tell(session, round_row, event="registration:confirmed", by=by, facts=facts)
        return len(rows)


def reject(code: str, entry_id: int, reason: str, *, by: Actor) -> State:
    """
    Take a row out with a reason and return where it stood; rejecting it twice changes nothing.

    A row that has its certificate cannot be rejected any more, nor one on a list that is signed and not sent
    yet. The unit may bring it again, corrected.
    History: `registration:row-rejected`, the words of the reason only as a commitment.
    """
    with services().database.transaction() as session:
        round_row = hold_round(session, code)
        entry = session.get(EntryRow, entry_id)
        if entry is None or entry.round != code:
            raise Forbidden(
                f"the round {code} has no row {entry_id}.",
                rule="CER-15",
                way_out="“hoso registration rows” lists them.",
            )
        before = State(entry.state)
        if before == State.REJECTED:
            return before
        check_move(before, State.REJECTED)
        if before == State.CONSOLIDATED:
            take_off(session, entry)
        entry.state, entry.changed_at = State.REJECTED, now(session)
        session.add(entry)
        person = session.get(EntryContentRow, (entry_id, entry.version))
        if person is not None:
            person.live, person.remark = False, reason
            session.add(person)
        facts: dict[str, Json] = {"unit": entry.unit, "entry": entry_id, "from": str(before)}
        private: dict[str, Json] = {"reason": reason}
        tell(session, round_row, event="registration:row-rejected", by=by, facts=facts, private=private)
        return before


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """How one unit stands: its answer, and its rows by state."""

    code: str
    name: str
    mailbox: str
    answer: Answer
    answered_at: datetime | None
    nothing: bool
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStatus:
    """How a round stands at a moment (REP-09)."""

    code: str
    name: str
    office: str
    at: datetime
    deadline: datetime
    #: Units by their answer.
    answers: Mapping[str, int]
    #: Rows that count, by subject; certificates issued and, of these, expiring within 90 days.
    asked: Mapping[str, int]
    issued: Mapping[str, int]
    expiring: Mapping[str, int]
    units: tuple[UnitStatus, ...]


def status_of(code: str) -> RoundStatus:
    """Return who has answered, late or not at all, and what was asked for and issued; no personal data."""
    with services().database.transaction() as session:
        round_row = look_round(session, code)
        moment = now(session)
        counts: dict[str, Counter[str]] = {}
        asked: Counter[str] = Counter()
        query = (
            select(EntryRow.unit, EntryRow.subject, EntryRow.state, func.count())
            .where(EntryRow.round == code)
            .group_by(EntryRow.unit, EntryRow.subject, col(EntryRow.state))
        )
        for unit, subject, state, count in session.exec(query):
            counts.setdefault(unit, Counter())[str(state)] += count
            if state != State.REJECTED:
                asked[subject] += count
        units = tuple(
            UnitStatus(
                code=unit.code,
                name=unit.name,
                mailbox=unit.mailbox,
                answer=_answer(unit, round_row, moment),
                answered_at=unit.answered_at,
                nothing=unit.nothing,
                rows={str(s): counts[unit.code][s] for s in State if counts.get(unit.code, Counter())[s]},
            )
            for unit in units_of(session, code)
        )
        return RoundStatus(
            code=code,
            name=round_of(round_row).name,
            office=round_row.office,
            at=moment,
            deadline=round_row.deadline,
            answers={
                name: sum(u.answer == name for u in units) for name in ("answered", "late", "open", "overdue")
            },
            asked=dict(asked),
            issued=_issued(session, code, datetime.max.replace(tzinfo=moment.tzinfo)),
            expiring=_issued(session, code, moment + timedelta(days=90)),
            units=units,
        )


def _answer(unit: UnitRow, round_row: RoundRow, moment: datetime) -> Answer:
    """Return how a unit stands."""
    if unit.answered_at is None:
        return "overdue" if moment > round_row.deadline else "open"
    return "late" if unit.answered_at > round_row.deadline else "answered"


def _issued(session: Session, code: str, until: datetime) -> dict[str, int]:
    """Return how many certificates of a round end before a moment, by subject."""
    query = (
        select(EntryRow.subject, func.count())
        .where(EntryRow.round == code, IssuedRow.entry == EntryRow.id, IssuedRow.not_after <= until)
        .group_by(EntryRow.subject)
    )
    return dict(session.exec(query).all())


def _in_state(session: Session, code: str, unit: str, state: State) -> list[EntryRow]:
    """Return a unit's rows of one state."""
    query = select(EntryRow).where(EntryRow.round == code, EntryRow.unit == unit, EntryRow.state == state)
    return list(session.exec(query.order_by(col(EntryRow.id))))


def _counting(session: Session, code: str, unit: str) -> bool:
    """Tell whether a unit has rows that were not rejected."""
    query = select(func.count()).where(
        EntryRow.round == code, EntryRow.unit == unit, EntryRow.state != State.REJECTED
    )
    return session.exec(query).one() > 0


def _move(session: Session, rows: Sequence[EntryRow], after: State) -> None:
    """Move rows by the table of moves."""
    moment = now(session)
    for row in rows:
        check_move(State(row.state), after)
        row.state, row.changed_at = after, moment
        session.add(row)
