"""A unit's rows: imported or entered, checked with a reason a row, corrected by identity (CER-13, CER-14)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import rfc8785
from sqlmodel import Session, col, select

from infra.chance import random_bytes
from infra.database import now
from infra.errors import Forbidden
from infra.history import Json, commit_to
from infra.services import services
from infra.sheets import Row
from tasks.dossier.calendar import local
from tasks.dossier.moves import Actor
from tasks.registration.form_sets import Subject
from tasks.registration.issued import holders
from tasks.registration.lifecycle import State, check_move
from tasks.registration.reasons import Reason
from tasks.registration.rounds import forms_of, hold_round, round_of, tell, unit_of
from tasks.registration.rules import Around, Checked, Known, Values, check_list
from tasks.registration.tables import EntryContentRow, EntryRow, RoundRow, UnitRow, VersionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a list: how many rows are new, corrected, as they were before, and why others are not taken."""

    new: int
    corrected: int
    unchanged: int
    reasons: tuple[Reason, ...]
    #: Whether anything was taken; a list with one bad row is refused as a whole unless its good rows may be.
    kept: bool

    @property
    def refused(self) -> int:
        """How many rows are not taken."""
        return len({reason.row for reason in self.reasons})


def take_list(
    code: str,
    unit: str,
    subject: Subject,
    rows: Sequence[Row],
    *,
    by: Actor,
    accept_good_rows: bool = False,
    late_decision: str = "",
) -> Taken:
    """
    Take a unit's rows into a round as drafts, and return what became of them.

    A row with the identity number of one that the unit has already corrects it, and makes it a draft again;
    the same row again changes nothing. With one bad row nothing is taken, unless `accept_good_rows`. After
    the deadline a decision is needed (CER-12). Raises `Forbidden` for what `check_list` refuses as a whole.
    History: `registration:rows-taken` or `registration:rows-refused`.
    """
    with services().database.transaction() as session:
        round_row = hold_round(session, code)
        unit_row = unit_of(session, round_row, unit)
        in_time(session, round_row, unit_row, late_decision, by=by)
        moment = now(session)
        around = _around(session, round_row, unit, subject, moment)
        checked = check_list(rows, forms_of(round_row), subject, around)
        if checked.reasons and not (accept_good_rows and checked.rows):
            _tell_rows(
                session, round_row, unit, subject, checked, [], event="registration:rows-refused", by=by
            )
            return Taken(new=0, corrected=0, unchanged=0, reasons=checked.reasons, kept=False)
        taken = _keep(session, round_row, unit, subject, checked.rows, moment)
        told = (unit, subject, checked, taken.commitments)
        _tell_rows(session, round_row, *told, event="registration:rows-taken", by=by)
        return Taken(
            new=taken.new,
            corrected=taken.corrected,
            unchanged=taken.unchanged,
            reasons=checked.reasons,
            kept=True,
        )


def in_time(session: Session, round_row: RoundRow, unit: UnitRow, decision: str, *, by: Actor) -> None:
    """
    Refuse what a unit does after the deadline, unless a decision lets it (CER-12).

    A decision is kept with the unit and holds for what it does next. History: `registration:late-allowed`.
    """
    if now(session) <= round_row.deadline:
        return
    if decision and decision != unit.late_decision:
        unit.late_decision = decision
        session.add(unit)
        facts: dict[str, Json] = {"unit": unit.code, "decision": decision}
        tell(session, round_row, event="registration:late-allowed", by=by, facts=facts)
    if not unit.late_decision:
        raise Forbidden(
            f"the deadline of {round_row.code} was {local(round_row.deadline):%d/%m/%Y %H:%M}; {unit.code} is late.",
            rule="CER-12",
            way_out="Name the decision that lets the unit answer late (--late-decision NUMBER).",
        )


def current_rows(
    session: Session, code: str, *, unit: str = "", subject: str = "", state: State | None = None
) -> list[tuple[EntryRow, EntryContentRow]]:
    """Return rows of a round with what they say now, by unit and in the order of entering; erased ones are left out."""
    query = (
        select(EntryRow, EntryContentRow)
        .join(UnitRow, (col(UnitRow.round) == EntryRow.round) & (col(UnitRow.code) == EntryRow.unit))
        .where(
            EntryRow.round == code,
            EntryContentRow.entry == EntryRow.id,
            EntryContentRow.version == EntryRow.version,
        )
        .order_by(col(UnitRow.place), col(EntryRow.id))
    )
    if unit:
        query = query.where(EntryRow.unit == unit)
    if subject:
        query = query.where(EntryRow.subject == subject)
    if state is not None:
        query = query.where(EntryRow.state == state)
    return list(session.exec(query))


def _around(session: Session, round_row: RoundRow, unit: str, subject: Subject, moment: datetime) -> Around:
    """Return what the rows of a unit are checked against."""
    rows = current_rows(session, round_row.code)
    known: dict[str, Known] = {}
    # Rejected rows are put first, so that a row that counts, of whatever unit, has the last word.
    for entry, person in sorted(rows, key=lambda pair: pair[1].live):
        if entry.subject == subject and (person.live or entry.unit == unit):
            known[person.identity] = Known(unit=entry.unit, state=State(entry.state), email=person.email)
    return Around(
        unit=unit,
        today=local(moment).date(),
        domains=round_of(round_row).official_domains,
        known=known,
        mailboxes={person.email: person.identity for _, person in rows if person.live},
        holders=holders(session, subject, moment),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What was written of a list."""

    new: int
    corrected: int
    unchanged: int
    commitments: list[list[Json]]


def _keep(
    session: Session,
    round_row: RoundRow,
    unit: str,
    subject: Subject,
    rows: Sequence[tuple[int, Values]],
    moment: datetime,
) -> _Kept:
    """Write the good rows of a list: new entries, and new versions of those that say something else now."""
    there = {
        person.identity: (entry, person)
        for entry, person in current_rows(session, round_row.code, unit=unit, subject=subject)
    }
    written: list[tuple[EntryRow, Values]] = []
    unchanged = corrected = 0
    for _, values in rows:
        entry, person = there.get(values["identity"], (None, None))
        if entry is None or person is None:
            entry = EntryRow(
                round=round_row.code, unit=unit, subject=subject, state=State.DRAFT, changed_at=moment
            )
        elif person.live and person.content == dict(values):
            unchanged += 1
            continue
        else:
            corrected += 1
            check_move(State(entry.state), State.DRAFT)
            entry.state, entry.version, entry.changed_at = State.DRAFT, entry.version + 1, moment
            person.live = False
            session.add(person)
        session.add(entry)
        written.append((entry, values))
    session.flush()  # Old versions must have left the unique indexes before new ones come.
    commitments: list[list[Json]] = []
    for entry, values in written:
        commitment = _keep_version(session, entry, values, moment)
        commitments.append([entry.id or 0, entry.version, commitment.hex()])
    session.flush()
    return _Kept(
        new=len(written) - corrected, corrected=corrected, unchanged=unchanged, commitments=commitments
    )


def _keep_version(session: Session, entry: EntryRow, values: Values, moment: datetime) -> bytes:
    """Write what an entry says now into the erasable table, and its salted hash into the one that stays."""
    salt, content = random_bytes(32), dict(values)
    commitment = commit_to(rfc8785.dumps(content), salt)
    session.add(
        EntryContentRow(
            entry=entry.id or 0,
            version=entry.version,
            round=entry.round,
            subject=entry.subject,
            identity=content["identity"],
            email=content["email"],
            salt=salt,
            content=content,
        )
    )
    session.add(VersionRow(entry=entry.id or 0, version=entry.version, commitment=commitment, at=moment))
    return commitment


def rows_digest(commitments: Sequence[Sequence[Json]]) -> str:
    """Return the hash by which a history entry names rows: of entry, version and salted hash of each (RFC 8785)."""
    return hashlib.sha256(rfc8785.dumps([list(one) for one in commitments])).hexdigest()


def _tell_rows(
    session: Session,
    round_row: RoundRow,
    unit: str,
    subject: Subject,
    checked: Checked,
    commitments: list[list[Json]],
    *,
    event: str,
    by: Actor,
) -> None:
    """Say in the history what became of a list, without a word of what stands in it."""
    rules: dict[str, Json] = {}
    for reason in checked.reasons:
        rules[reason.rule] = int(rules.get(reason.rule, 0)) + 1  # type: ignore[arg-type]
    facts: Mapping[str, Json] = {
        "unit": unit,
        "subject": subject,
        "good": len(checked.rows),
        "bad": checked.refused,
        "rules": rules,
        "rows_sha256": rows_digest(commitments),
    }
    tell(session, round_row, event=event, by=by, facts=facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryShown:
    """A row as somebody who may read it sees it."""

    id: int
    unit: str
    subject: str
    state: str
    version: int
    list: int | None
    number: int | None
    values: Mapping[str, str]
    remark: str


def read_rows_of(code: str, *, unit: str = "", state: State | None = None, by: Actor) -> list[EntryShown]:
    """Return rows of a round with the personal data in them. History: `registration:rows-read`, who and how many."""
    with services().database.transaction() as session:
        round_row = hold_round(session, code)
        if unit:
            unit_of(session, round_row, unit)
        rows = current_rows(session, code, unit=unit, state=state)
        facts: dict[str, Json] = {"unit": unit or "all", "rows": len(rows)}
        tell(session, round_row, event="registration:rows-read", by=by, facts=facts)
        return [
            EntryShown(
                id=entry.id or 0,
                unit=entry.unit,
                subject=entry.subject,
                state=str(entry.state),
                version=entry.version,
                list=entry.list_ordinal,
                number=entry.number,
                values=person.content,
                remark=person.remark,
            )
            for entry, person in rows
        ]
