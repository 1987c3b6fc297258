"""Record what dossiers lived: from the history and the rows, without code, person, office or document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from infra.errors import Broken
from infra.history.recording import entries
from tasks.dossier.lifecycle import Stage
from tasks.dossier.looking import look, office_of, originals_of, procedure_of
from tasks.dossier.offices import OfficeData
from tasks.dossier.procedures import Procedure
from tasks.dossier.routes import route_of
from tasks.dossier.tables import DossierRow, StatusReportRow
from tasks.lives.offices import days_of
from tasks.lives.rules import Life, Lives, Original, Outcome, Step, answered, outcome

#: What changes the promised time although the dossier may stay where it stands.
_CLOCK = ("dossier:received", "deadline:postponed")

_NOTHING = Outcome(promised={}, kept_until={}, fees=(), portal=(), stands=None)


def record_lives(session: Session, codes: Sequence[str], lives: Lives) -> tuple[Lives, list[str]]:
    """
    Return lives with those of some dossiers added, and the names of what is new.

    A life of the same shape as one that is there adds nothing. Raises `Broken` when the rules of this
    program do not make of a life what really became of it: then the difference is to be explained first.
    """
    known, new = {life.name for life in lives.lives}, []
    for code in codes:
        life, lives = _life(session, code, lives)
        if life.name not in known:
            known.add(life.name)
            new.append(life.name)
            lives = lives.model_copy(update={"lives": (*lives.lives, life)})
    # What was recorded before stays; a procedure that is new among them is asked about now.
    asked = {**answered(lives.lives), **lives.answers}
    return lives.model_copy(update={"answers": dict(sorted(asked.items()))}), new


def _life(session: Session, code: str, lives: Lives) -> tuple[Life, Lives]:
    """Return what a dossier lived, and the lives with its office's days among their calendars."""
    dossier = look(session, code)
    procedure = procedure_of(session, dossier)
    told = [json.loads(entry.content) for entry in entries(session, code)]
    told = [one for one in told if "from" in one and "to" in one]
    began = (dossier.received_at or dossier.opened_at).replace(microsecond=0)
    steps = tuple(_step(one, began) for one in told if one["from"] != one["to"] or one["event"] in _CLOCK)
    originals = tuple(_originals(session, code, procedure, told))
    days, lives = _days(office_of(session, dossier.resolving_office), lives)
    life = Life(
        name=_name(dossier, steps, originals),
        procedure=procedure.model_dump(mode="json", by_alias=True),
        days=days,
        began=began,
        extended_by=dossier.extended_by - sum(step.days for step in steps),
        steps=steps,
        originals=originals,
        outcome=_NOTHING,
    )
    life = life.model_copy(update={"outcome": outcome(life, lives)})
    _must_have_come_so(session, dossier, life)
    return life, lives


def _step(told: Mapping[str, Any], began: datetime) -> Step:
    """Return one step as the history tells it."""
    after = datetime.fromisoformat(told["at"]) - began
    return Step(
        event=told["event"],
        after=int(after.total_seconds()),
        before=Stage(told["from"]),
        stage=Stage(told["to"]),
        days=told["days"] if told["event"] == "deadline:postponed" else 0,
    )


def _originals(
    session: Session, code: str, procedure: Procedure, told: Sequence[Mapping[str, Any]]
) -> list[Original]:
    """Return the originals, each with the order in which its last revision was signed."""
    found = []
    for row in originals_of(session, code):
        done = [e["field"] for e in told if e["event"] == "signature:done" and e["original"] == row.ordinal]
        found.append(
            Original(
                pages=row.pages,
                copies=row.copies,
                free=row.fee == 0,
                route=tuple(step.field for step in route_of(session, row, procedure)),
                # A page that was made anew was signed anew; what counts came last.
                signed=tuple(reversed(dict.fromkeys(reversed(done)))),
                standing=row.standing,
            )
        )
    return found


def _days(office: OfficeData, lives: Lives) -> tuple[str, Lives]:
    """Return how the calendar of an office is called among the lives, added if none is the same."""
    days = days_of(office)
    for name, known in lives.days.items():
        if known == days:
            return name, lives
    name = f"days {len(lives.days) + 1}"
    return name, lives.model_copy(update={"days": {**lives.days, name: days}})


def _name(dossier: DossierRow, steps: Sequence[Step], originals: Sequence[Original]) -> str:
    """Return what a life is called: its procedure and the stages it went through."""
    stages = [Stage.BOOKED, *(step.stage for step in steps if step.stage != step.before)]
    more = [f"{len(originals)} originals"] if len(originals) > 1 else []
    more += ["a new promised time"] if any(step.days for step in steps) else []
    head = ", ".join([f"{dossier.procedure} v{dossier.procedure_version}", *more])
    return f"{head}: {' → '.join(stages)}"


def _must_have_come_so(session: Session, dossier: DossierRow, life: Life) -> None:
    """Refuse a life of which the rules make something else than became of it."""
    said = life.outcome
    promised = said.promised[life.began]
    query = select(StatusReportRow.code).where(StatusReportRow.dossier == dossier.code)
    portal = tuple(session.exec(query.order_by(col(StatusReportRow.sequence))))
    wrong = [
        what
        for what, same in (
            ("promised time", (promised[-1] if promised else None) == dossier.due_at),
            ("portal", said.portal == portal),
        )
        if not same
    ]
    if wrong:
        raise Broken(
            f"{dossier.code} is not recorded: its {' and '.join(wrong)} came otherwise than the rules say now"
        )
