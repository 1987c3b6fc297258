"""How a part is judged by what was measured of it; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class State(StrEnum):
    """How one part is."""

    OK = "ok"
    WARNING = "warning"  # it works, and will not for ever
    FAILING = "failing"  # work stops, or has stopped
    SKIPPED = "skipped"  # it could not be looked at, or this installation has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found of a part: its state, the cause in a sentence, and what to do."""

    state: State
    cause: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One part and what was found of it."""

    name: str
    state: State
    cause: str
    remedy: str


#: Seconds of difference between clocks from which on somebody should look, and from which on work is wrong.
SKEW_WARNING, SKEW_FAILING = 2.0, 30.0
#: Minutes for which something may be due and nobody take it.
UNTAKEN = timedelta(minutes=5)
#: Days before a certificate's end from which on its renewal is urgent.
SOON = timedelta(days=30)


def ok(cause: str) -> Found:
    """Return that a part works."""
    return Found(state=State.OK, cause=cause)


def skipped(cause: str) -> Found:
    """Return that a part was not looked at."""
    return Found(state=State.SKIPPED, cause=cause)


def worst(checks: Sequence[Check]) -> State:
    """
    Return the gravest state among checks.

    >>> one = Check(name="disk", state=State.WARNING, cause="", remedy="")
    >>> str(worst([one])), str(worst([]))
    ('warning', 'ok')
    """
    order = [State.OK, State.SKIPPED, State.WARNING, State.FAILING]
    return max((one.state for one in checks), key=order.index, default=State.OK)


def judge_clocks(differences: Mapping[str, float]) -> Found:
    """
    Judge how far clocks are from the database's, in seconds by whose clock.

    >>> str(judge_clocks({"store": 1.2, "this machine": -40.0}).state)
    'failing'
    >>> judge_clocks({"store": 0.4}).cause
    'store +0.4 s from the database'
    """
    said = ", ".join(f"{whose} {seconds:+.1f} s" for whose, seconds in sorted(differences.items()))
    most = max((abs(seconds) for seconds in differences.values()), default=0.0)
    cause = f"{said} from the database" if said else "no other clock could be read"
    if most < SKEW_WARNING:
        return ok(cause) if said else skipped(cause)
    state = State.FAILING if most >= SKEW_FAILING else State.WARNING
    return Found(
        state=state, cause=cause, remedy="Set the clocks by one time server (chrony, NTP) on every machine."
    )


def judge_disk(free: float, whole: float, place: str, percent: float) -> Found:
    """
    Judge the bytes that are free at a place; fewer than `percent` of them are too few, a third of that stops work.

    >>> [str(judge_disk(free, 100.0, "var", 9.0).state) for free in (50.0, 8.0, 2.0)]
    ['ok', 'warning', 'failing']
    """
    share = 100.0 * free / whole
    cause = f"{free / 1e9:.1f} GB ({share:.0f} %) are free at {place}"
    if share >= percent:
        return ok(cause)
    state = State.FAILING if share < percent / 3 else State.WARNING
    return Found(
        state=state,
        cause=cause,
        remedy="Make room there: old logs, copies of backups that lie elsewhere too.",
    )


def judge_age(what: str, age: timedelta | None, limit: timedelta, remedy: str) -> Found:
    """
    Judge how old something is; older than `limit` is a warning, than twice that a failure; `None`: there is none.

    >>> day = timedelta(hours=24)
    >>> [str(judge_age("the newest copy", age, day, "").state) for age in (day, 1.5 * day, 3 * day, None)]
    ['ok', 'warning', 'failing', 'warning']
    """
    if age is None:
        return Found(state=State.WARNING, cause=f"{what}: there is none", remedy=remedy)
    cause = f"{what} is {said_of(age)} old"
    if age <= limit:
        return ok(cause)
    return Found(state=State.FAILING if age > 2 * limit else State.WARNING, cause=cause, remedy=remedy)


def judge_certificates(ends: Mapping[str, datetime | None], moment: datetime) -> Found:
    """
    Judge when certificates end, by whose they are; `None` says that somebody who signs has none that may.

    >>> now = datetime.fromisoformat("2026-11-23T08:00:00+07:00")
    >>> judge_certificates({"ha of H49.21": now + timedelta(days=9), "lam of H49.21": None}, now).cause
    'lam of H49.21 has none that may sign; that of ha of H49.21 ends in 9 days'
    """
    none = sorted(whose for whose, end in ends.items() if end is None or end <= moment)
    soon = sorted((end, whose) for whose, end in ends.items() if end and moment < end <= moment + SOON)
    said = [f"{whose} has none that may sign" for whose in none[:3]]
    said += [f"that of {whose} ends in {(end - moment).days} days" for end, whose in soon[:3]]
    if not said:
        return ok(f"{len(ends)} may sign") if ends else skipped("no certificate is registered")
    more = len(none) + len(soon) - len(said)
    return Found(
        state=State.FAILING if none else State.WARNING,
        cause="; ".join(said) + (f"; and {more} more" if more else ""),
        remedy="Ask for a renewal (“hoso certificate renew”), or register the new one; see “hoso certificate list”.",
    )


def said_of(span: timedelta) -> str:
    """
    Return a span as people say it.

    >>> [said_of(timedelta(seconds=s)) for s in (40, 300, 7200, 200_000)]
    ['40 s', '5 min', '2 h', '2 days']
    """
    seconds = int(span.total_seconds())
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit != "days" and seconds >= size):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
