"""
One life as it is kept, and what the rules of this program make of it.

Everything is asked of the very functions that dossiers are handled by; nothing is computed a second way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.errors import Forbidden
from tasks.archival.rules import retain_until
from tasks.certification.rules import fee
from tasks.dossier.calendar import Calendar, Hours
from tasks.dossier.deadlines import due_at, postponed_due, resumed_due
from tasks.dossier.lifecycle import MOVES, PAUSED, Stage, Standing, move, portal_path, stage_of
from tasks.dossier.procedures import Procedure, route_fault
from tasks.lives.answers import answers
from tasks.signing.rules import order_holds


class _Data(BaseModel):
    """Checked data: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Span(_Data):
    """One span of opening hours."""

    opens: time
    closes: time


Spans = tuple[Span, ...]


class Days(_Data):
    """An office's days, without the office."""

    weekly: dict[int, Spans]
    holidays: tuple[date, ...] = ()
    make_up: dict[date, Spans] = {}

    def calendar(self) -> Calendar:
        """Return them as the rules take them."""
        return Calendar(
            weekly={day: _hours(spans) for day, spans in self.weekly.items()},
            holidays=frozenset(self.holidays),
            make_up={day: _hours(spans) for day, spans in self.make_up.items()},
        )


def _hours(spans: Spans) -> tuple[Hours, ...]:
    """Return opening hours as the rules take them."""
    return tuple(Hours(opens=one.opens, closes=one.closes) for one in spans)


class Step(_Data):
    """One thing that happened to the dossier and changed its stage or its promised time."""

    event: str
    after: int  # seconds since the originals were received, or since the dossier was opened
    before: Stage
    stage: Stage
    days: int = 0  # working days by which the promised time was moved with an apology


class Original(_Data):
    """One original: what it costs rests on, and who signed it in which order."""

    pages: int
    copies: int
    free: bool
    route: tuple[str, ...] = ()
    signed: tuple[str, ...] = ()  # fields, in the order in which their signatures were kept
    standing: Standing


class Outcome(_Data):
    """What the rules make of a life."""

    #: For each beginning: the promised time after everything that changed it.
    promised: dict[datetime, tuple[datetime, ...]]
    #: For each beginning: until when the archive keeps the package; empty for what was not archived.
    kept_until: dict[datetime, datetime]
    fees: tuple[int, ...]
    portal: tuple[int, ...]
    stands: Stage | None


class Life(_Data):
    """One recorded life."""

    name: str
    procedure: dict[str, Any]
    days: str
    began: datetime  # when its originals were received, or when it was opened
    extended_by: int = 0
    steps: tuple[Step, ...]
    originals: tuple[Original, ...]
    outcome: Outcome


class Lives(_Data):
    """A file of lives: what they share, and why it was recorded anew each time."""

    why: tuple[str, ...]
    #: Moments at which every life is replayed as if it had begun then, besides its own.
    beginnings: tuple[datetime, ...]
    moves: dict[Stage, tuple[Stage, ...]]
    paused: tuple[Stage, ...]
    days: dict[str, Days]
    lives: tuple[Life, ...]
    #: What the rules about signing and returning answered (`tasks.lives.answers`); empty: it was not recorded.
    answers: dict[str, str] = {}


def allowed_moves() -> dict[Stage, tuple[Stage, ...]]:
    """Return from which stage a dossier may go to which by this program's rules, in the order of life."""
    return {stage: tuple(one for one in Stage if one in MOVES[stage]) for stage in Stage}


def stages_of_rest() -> tuple[Stage, ...]:
    """Return the stages in which the clock stands still by this program's rules."""
    return tuple(stage for stage in Stage if stage in PAUSED)


def answered(lives: Sequence[Life]) -> dict[str, str]:
    """Return what this program's rules answer about the procedures that lives were lived under."""
    procedures = {}
    for life in lives:
        try:
            one = Procedure.model_validate(life.procedure)
        except ValidationError:
            continue  # That it cannot be read is said of its life.
        procedures[one.code, one.version] = one
    return answers(list(procedures.values()))


def outcome(life: Life, lives: Lives) -> Outcome:
    """Return what this program's rules make of a life; raises `Forbidden` where they do not let it be lived."""
    procedure = Procedure.model_validate(life.procedure)
    calendar = lives.days[life.days].calendar()
    beginnings = sorted({life.began, *lives.beginnings})
    archived = any(step.stage == Stage.ARCHIVED for step in life.steps)
    return Outcome(
        promised={began: tuple(_promises(life, procedure, calendar, began)) for began in beginnings},
        kept_until={
            began: retain_until(_at(began, life.steps[-1]), procedure.retention.years)
            for began in beginnings
            if archived
        },
        fees=tuple(_fee(original, procedure) for original in life.originals),
        portal=tuple(_portal(life)),
        stands=stage_of([original.standing for original in life.originals]),
    )


def _at(began: datetime, step: Step) -> datetime:
    """Return when a step happens in a life that begins at a moment."""
    return began + timedelta(seconds=step.after)


def _promises(life: Life, procedure: Procedure, calendar: Calendar, began: datetime) -> Iterator[datetime]:
    """Yield the promised time after everything that changed it."""
    limit = procedure.time_limit.rule()
    due: datetime | None = None
    paused: datetime | None = None
    for step in life.steps:
        moment, before = _at(began, step), due
        if step.event == "dossier:received":
            due = due_at(moment, limit, calendar, extended_by=life.extended_by)
        if step.stage in PAUSED:
            paused = paused or moment
        elif paused is not None and due is not None and step.stage != step.before:
            due, paused = (
                resumed_due(due, paused=paused, resumed=moment, limit=limit, calendar=calendar),
                None,
            )
        if step.days and due is not None:
            due = postponed_due(due, moment, step.days, calendar)
        if due is not None and due != before:
            yield due


def _fee(original: Original, procedure: Procedure) -> int:
    """Return what an original costs."""
    owed = procedure.fee is not None and not original.free
    return fee(original.pages, original.copies, procedure.fee) if owed and procedure.fee else 0


def _portal(life: Life) -> Iterator[int]:
    """Yield the status codes that the portal hears, in order (DOS-06)."""
    last = 1
    yield last
    for step in life.steps:
        if step.before != step.stage:
            codes = portal_path(last, step.stage)
            yield from codes
            last = codes[-1] if codes else last


def faults(lives: Lives) -> list[str]:
    """Return every way in which this program's rules are not those that the lives were lived under."""
    found = [*_moves_differ(lives), *_answers_differ(lives)]
    for life in lives.lives:
        found += [f"{life.name}: {fault}" for fault in dict.fromkeys(_faults(life, lives))]
    return found


def _moves_differ(lives: Lives) -> Iterator[str]:
    """Yield which moves are allowed and were not, or the other way round, and where the clock rests otherwise."""
    for stage, now in allowed_moves().items():
        before = lives.moves.get(stage, ())
        yield from (
            f"a dossier may go from {stage} to {one}, and might not" for one in now if one not in before
        )
        yield from (
            f"a dossier may not go from {stage} to {one}, and might" for one in before if one not in now
        )
    rest = stages_of_rest()
    yield from (f"the clock stands still at {one}, and ran" for one in rest if one not in lives.paused)
    yield from (f"the clock runs at {one}, and stood still" for one in lives.paused if one not in rest)


def _answers_differ(lives: Lives) -> Iterator[str]:
    """Yield the questions about signing and returning that the rules answer otherwise."""
    now = answered(lives.lives) if lives.answers else {}
    for question, before in lives.answers.items():
        if now.get(question) != before:
            yield f"{question}: {before} → {now.get(question, 'not asked any more')}"


def _faults(life: Life, lives: Lives) -> Iterator[str]:
    """Yield in what the rules would treat one life otherwise."""
    try:
        procedure = Procedure.model_validate(life.procedure)
    except ValidationError as error:
        yield f"its procedure cannot be read any more: {error.errors()[0]['msg']}"
        return
    if fault := route_fault(procedure):
        yield f"its procedure {fault[1]} [{fault[0]}]"
    yield from _refused_moves(life)
    for number, original in enumerate(life.originals, start=1):
        yield from (f"original {number}, {one}" for one in _order(original, procedure))
    try:
        now = outcome(life, lives)
    except Forbidden as error:
        yield f"{error.message} [{error.rule}]"
    else:
        yield from _compared(life.outcome, now)


def _refused_moves(life: Life) -> Iterator[str]:
    """Yield the moves that it made and might not make now."""
    for step in life.steps:
        try:
            move(step.before, step.stage)
        except Forbidden as error:
            yield f"{step.event} took it from {step.before} to {step.stage}, which is refused [{error.rule}]"


def _order(original: Original, procedure: Procedure) -> Iterator[str]:
    """Yield where the order of signatures is another one: one that is refused now, or one too early that is not."""
    fields = [step.field for step in (*procedure.signature_steps, procedure.attachments) if step is not None]
    route = [field for field in fields if field in original.route]
    if tuple(route) != original.route:
        yield f"signatures: {', '.join(original.route)} → {', '.join(route)}"
    for number, field in enumerate(original.signed):
        if (rule := _refusal(route, original.signed[:number], field)) is not None:
            before = ", ".join(original.signed[:number]) or "nothing"
            yield f"signatures: {field} was signed after {before}, which is refused [{rule}]"
    for field in original.signed[1:]:
        if _refusal(route, [], field) is None:
            yield f"signatures: {field} may be signed before {original.signed[0]}, and might not"


def _refusal(route: Sequence[str], signed: Sequence[str], field: str) -> str | None:
    """Return the rule that refuses a signature at this point, or `None`: it is allowed."""
    try:
        order_holds(route, signed, field)
    except (Forbidden, ValueError) as error:
        return error.rule if isinstance(error, Forbidden) else "SIG-12"
    return None


def _compared(before: Outcome, now: Outcome) -> Iterator[str]:
    """Yield what the rules make of the life now, and what they made of it."""
    yield from _by_beginning("deadline", before.promised, now.promised)
    yield from _by_beginning("kept until", before.kept_until, now.kept_until)
    for what in ("fees", "portal", "stands"):
        old, new = getattr(before, what), getattr(now, what)
        if old != new:
            yield f"{what}: {_said(old)} → {_said(new)}"


def _by_beginning(what: str, before: Mapping[datetime, Any], now: Mapping[datetime, Any]) -> Iterator[str]:
    """Yield the first beginning at which something is otherwise, and at how many more."""
    wrong = [began for began in before if before[began] != now.get(began)]
    if wrong:
        more = f" (and at {len(wrong) - 1} other beginnings)" if wrong[1:] else ""
        first = wrong[0]
        yield f"{what}, begun {first}: {_said(before[first])} → {_said(now.get(first))}{more}"


def _said(value: object) -> str:
    """Return a value as a person reads it."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def relived(lives: Lives, why: str) -> tuple[Lives, list[str]]:
    """
    Return lives with what this program's rules make of them, and what could not be lived any more and is left out.

    This is how an intended change is accepted; `why` stays in the file.
    """
    shared = lives.model_copy(
        update={"why": (*lives.why, why), "moves": allowed_moves(), "paused": stages_of_rest()}
    )
    kept, gone = [], []
    for life in lives.lives:
        refusals = [*_refused_moves(life)]
        try:
            made = life.model_copy(update={"outcome": outcome(life, shared)})
        except (Forbidden, ValidationError) as error:
            refusals.append(str(error))
        else:
            refusals += _faults(made, shared)
        if refusals:
            gone.append(f"{life.name}: {refusals[0]}")
        else:
            kept.append(made)
    return shared.model_copy(update={"lives": tuple(kept), "answers": answered(kept)}), gone
