"""
The release gate for the offices that are here: each one's own days, and every procedure that is loaded.

Recorded lives come from an example's office. What the rules make of them, and of every procedure, on the days of each
office of this installation is kept when a release takes over; the next one must answer alike. An office whose
settings changed meanwhile is asked anew, and so is everybody when the release accepted a change of the rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from pydantic import ValidationError
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from tasks.dossier.deadlines import due_at
from tasks.dossier.offices import OfficeData
from tasks.dossier.procedures import Procedure
from tasks.dossier.tables import OfficeRow, ProcedureRow
from tasks.lives.answers import answers
from tasks.lives.gate import refuse
from tasks.lives.rules import Days, Life, Lives, outcome
from tasks.lives.tables import ReleaseAnswersRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the rules of this program answer for one office; without a code, for the procedures that are loaded."""

    office: str
    settings: str
    answers: dict[str, str]


def days_of(office: OfficeData) -> Days:
    """Return an office's days, without the office."""
    body = office.model_dump(mode="json")
    return Days.model_validate(
        {"weekly": body["hours"], "holidays": sorted(body["holidays"]), "make_up": body["make_up"]}
    )


def answers_on(days: Days, procedures: Sequence[Procedure], lives: Lives) -> dict[str, str]:
    """Return what the rules promise on some days: for every procedure, and for every life; pure."""
    calendar = days.calendar()
    found = {}
    for one in procedures:
        for began in lives.beginnings:
            question = f"deadline, {one.code} v{one.version}, received {began.isoformat()}"
            found[question] = due_at(began, one.time_limit.rule(), calendar).isoformat()
    there = lives.model_copy(update={"days": dict.fromkeys(lives.days, days)})
    for life in lives.lives:
        found |= dict(_promised(life, there))
    return found


def _promised(life: Life, there: Lives) -> Iterator[tuple[str, str]]:
    """Yield what is promised in a life, for each of its beginnings."""
    try:
        made = outcome(life, there)
    except Forbidden as error:
        yield f"life, {life.name}", f"refused [{error.rule}]"
        return
    for began, times in made.promised.items():
        yield f"life, {life.name}, begun {began.isoformat()}", ", ".join(one.isoformat() for one in times)


def pass_offices(session: Session, lives: Lives) -> int:
    """
    Return how many offices were asked about; refuses (RELEASE-01) a program that answers otherwise for any of them.

    Reads only. Before the first release was deployed there is nothing to compare with.
    """
    known = {row.office: row for row in session.exec(select(ReleaseAnswersRow))}
    faults: list[str] = []
    asked = 0
    for here in answered_here(session, lives):
        before = known.pop(here.office, None)
        asked += bool(here.office)
        if before is None or before.reasons != len(lives.why) or before.settings != here.settings:
            continue
        said = f"at {here.office}: " if here.office else ""
        faults += [
            f"{said}{question}: {old} → {here.answers.get(question, 'not asked any more')}"
            for question, old in before.answers.items()
            if here.answers.get(question) != old
        ]
    there = set(session.exec(select(OfficeRow.code)))
    faults += [f"the data of {code} cannot be read any more" for code in sorted(set(known) & there)]
    refuse(faults)
    return asked


def keep_answers(session: Session, lives: Lives, release: str) -> None:
    """Keep what this program answers, for the next release to be compared with; doing it again changes nothing."""
    known = {row.office: row for row in session.exec(select(ReleaseAnswersRow))}
    for here in answered_here(session, lives):
        before = known.get(here.office)
        values = {
            "settings": here.settings,
            "reasons": len(lives.why),
            "answers": here.answers,
            "release": release,
        }
        if before is not None and all(getattr(before, name) == value for name, value in values.items()):
            continue
        row = insert(ReleaseAnswersRow).values(office=here.office, at=now(session), **values)
        session.connection().execute(
            row.on_conflict_do_update(index_elements=["office"], set_={**values, "at": row.excluded.at})
        )


def answered_here(session: Session, lives: Lives) -> Iterator[Answered]:
    """Yield what the rules answer for what is loaded and for each office; one that cannot be read is left out."""
    rows = session.exec(
        select(ProcedureRow).order_by(col(ProcedureRow.code), col(ProcedureRow.version))
    ).all()
    procedures = [Procedure.model_validate(row.body) for row in rows]
    loaded = [row.sha256 for row in rows]
    yield Answered(office="", settings=_digest(loaded, lives), answers=answers(procedures))
    same: dict[str, dict[str, str]] = {}
    for row in session.exec(select(OfficeRow).order_by(col(OfficeRow.code))):
        try:
            days = days_of(OfficeData.model_validate(row.body))
        except ValidationError:
            continue
        settings = _digest([*loaded, days.model_dump_json()], lives)
        if settings not in same:  # Most offices have the same days.
            same[settings] = answers_on(days, procedures, lives)
        yield Answered(office=row.code, settings=settings, answers=same[settings])


def _digest(parts: Sequence[str], lives: Lives) -> str:
    """Return a name for what is asked about; other lives or other moments make other questions."""
    asked = [*parts, *(life.name for life in lives.lives), *(one.isoformat() for one in lives.beginnings)]
    return sha256(json.dumps(asked).encode()).hexdigest()
