"""
The personal data of a round is erased when nobody needs it any more; that the round was, and who did what, stays.

What a row said of a person lies in one table, and reasons lie beside the history; both go. What stays are salted
hashes, of which the salt is gone, so that every proof still holds and nobody can guess from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CursorResult, Delete, delete
from sqlmodel import Session, col, func, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import subject_hash
from infra.history.tables import HistoryPayload
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.moves import Actor
from tasks.people.acting import acting
from tasks.registration.lifecycle import State
from tasks.registration.rounds import forms_of, hold_round_to_erase, subject_of_round, tell
from tasks.registration.rules import months_after
from tasks.registration.tables import EntryContentRow, EntryRow, IssuedRow, ListRow, RoundRow

#: What stays of a round, and why.
STAYS = (
    ("its letter, units, answers and the states of its rows", "CER-12"),
    ("the numbered lists, page and workbook, as they were signed and sent", "SIG-12"),
    ("serial number, dates and hash of each certificate that was issued", "CER-10"),
    ("every entry of the history, with salted hashes of what was said", "CER-15"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What went, and what stays under which rule."""

    rows: int
    remarks: int
    stays: tuple[tuple[str, str], ...] = STAYS


def erase(code: str, *, by: Actor) -> Erased:
    """
    Erase what a round knows of people, and return how much that was; the round takes nothing in afterwards.

    Refused before the time of its forms is over (`keep_months`, counted from the last thing that happened in the
    round), and while a row stands on a list that waits for its signature or for the provider. Erasing again
    erases nothing and tells nothing. Row and history change in one transaction. History: `registration:erased`.
    """
    with services().database.transaction() as session:
        round_row = hold_round_to_erase(session, code)
        by = acting(session, by, "registration erase", office=round_row.office)
        if round_row.erased_at is not None:
            return Erased(rows=0, remarks=0)
        _must_be_time(session, round_row)
        _must_not_wait(session, code)
        said = _count(session, delete(EntryContentRow).where(col(EntryContentRow.round) == code))
        beside = delete(HistoryPayload).where(
            col(HistoryPayload.subject) == subject_hash(subject_of_round(round_row))
        )
        remarks = _count(session, beside)
        round_row.erased_at = now(session)
        session.add(round_row)
        tell(session, round_row, event="registration:erased", by=by, facts={"rows": said, "remarks": remarks})
        return Erased(rows=said, remarks=remarks)


def _must_be_time(session: Session, round_row: RoundRow) -> None:
    """Refuse to erase before the months that the forms of a round say are over."""
    months = forms_of(round_row).keep_months
    ended = _ended(session, round_row)
    until = months_after(local(ended).date(), months)
    if local(now(session)).date() < until:
        raise Forbidden(
            f"the data of {round_row.code} is needed until {until:%Y-%m-%d}: {months} months after the last that"
            " happened in it.",
            rule="PRIVATE-02",
            way_out="Erase it then.",
        )


def _ended(session: Session, round_row: RoundRow) -> datetime:
    """Return when the last thing happened in a round: its deadline, a row, a list that was sent, a certificate."""
    of_rows = select(EntryRow.id).where(EntryRow.round == round_row.code)
    last = (
        select(func.max(EntryRow.changed_at)).where(EntryRow.round == round_row.code),
        select(func.max(ListRow.sent_at)).where(ListRow.round == round_row.code),
        select(func.max(IssuedRow.matched_at)).where(col(IssuedRow.entry).in_(of_rows)),
    )
    moments = [session.exec(query).one() for query in last]
    return max([round_row.deadline, *(moment for moment in moments if moment is not None)])


def _must_not_wait(session: Session, code: str) -> None:
    """Refuse to erase while a row of a list waits for its signature or for the provider."""
    query = select(func.count(col(EntryRow.id))).where(
        EntryRow.round == code, col(EntryRow.state).in_([State.CONSOLIDATED, State.SENT])
    )
    waiting = session.exec(query).one()
    if waiting:
        raise Forbidden(
            f"{waiting} rows of {code} stand on a list and have neither a certificate nor a rejection.",
            rule="CER-15",
            way_out="Take in what the provider issued (“hoso registration issued”), or reject them first.",
        )


def _count(session: Session, statement: Delete) -> int:
    """Run a deletion and return how many rows went."""
    done = session.execute(statement)
    assert isinstance(done, CursorResult)
    return done.rowcount
