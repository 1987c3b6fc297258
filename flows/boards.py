"""Pages for supervisors, as Markdown: the board and the day sheet. They name dossiers by code, and no persons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

from tasks.dossier.calendar import local
from tasks.supervision.awaiting import AGES, Awaited
from tasks.supervision.board import MOST, Board
from tasks.supervision.day import Hour
from tasks.supervision.rules import Pace


def render_board(board: Board, awaited: Sequence[Awaited], *, listed: str, page: str) -> str:
    """
    Return the board; the first line says as of when. `listed` is the whole list's key in the store.

    What is late and nearly late stands on top, each dossier linked to its run; then what is waited for, by age, each
    name linked to the runs in that state; then what stands where. `page` is the address of the Prefect UI.
    """
    lines = [
        f"**As of {local(board.at):%Y-%m-%d %H:%M:%S}**: {board.open} open, {board.late} late,"
        f" {board.near} nearly late",
        "",
        *_unreadable(board),
        *_named(board, page),
        *_awaited(awaited, page),
        "## Open, by office and stage",
        "",
        "| office | stage | open | late | nearly late | oldest |",
        "|---|---|---:|---:|---:|---|",
    ]
    for count in board.counts:
        oldest = f"{local(count.oldest):%Y-%m-%d}" if count.oldest else ""
        lines.append(
            f"| {_tagged(count.office, page)} | {count.stage} | {count.open} | {count.late or ''} | {count.near or ''}"
            f" | {oldest} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"Every open dossier is in `{listed}` of the work bucket, and in `hoso board --csv FILE`.",
        ]
    )


def _unreadable(board: Board) -> list[str]:
    """Return the line that names the offices whose hours cannot be read."""
    if not board.unreadable:
        return []
    return [
        f"**The data of {', '.join(board.unreadable)} cannot be read**: what is nearly late there is reckoned by the"
        " clock, and an engineer is needed.",
        "",
    ]


def _named(board: Board, page: str) -> list[str]:
    """Return the table of what is late or nearly so, each linked to its run."""
    if not board.named:
        return ["Nothing is late or nearly late.", ""]
    shown = f" (the first {MOST})" if len(board.named) == MOST else ""
    lines = [
        f"## Late and nearly late{shown}",
        "",
        "| dossier | due | | by | waits for | office |",
        "|---|---|---|---:|---|---|",
    ]
    for one in board.named:
        code = f"[{one.code}]({page}/runs/flow-run/{one.run_id})" if one.run_id else one.code
        word = f"**{one.pace}**" if one.pace is Pace.LATE else str(one.pace)
        lines.append(
            f"| {code} | {local(one.due_at):%Y-%m-%d %H:%M} | {word} | {span(one.due_at - board.at)}"
            f" | {state_link(one.waits_for, page)} | {one.office} |"
        )
    return [*lines, ""]


def _awaited(awaited: Sequence[Awaited], page: str) -> list[str]:
    """Return the table of what is waited for, by the age of the dossiers."""
    if not awaited:
        return []
    bounds = [name if days is None else f"up to {name}" for name, days in AGES]
    lines = [
        "## Open, by what is waited for and age",
        "",
        f"| waits for | open | {' | '.join(bounds)} |",
        f"|---|---:|{'---:|' * len(bounds)}",
    ]
    for one in awaited:
        ages = " | ".join(str(n or "") for n in one.by_age)
        lines.append(f"| {state_link(one.waits_for, page)} | {one.open} | {ages} |")
    return [*lines, ""]


#: The page of runs shows a week unless it is told otherwise; dossiers wait longer, so links ask for a year.
_A_YEAR = f"type=span&seconds=-{timedelta(days=366) // timedelta(seconds=1)}"


def state_link(name: str, page: str) -> str:
    """
    Return a link to every run in a state of some name; the UI's own menu offers only Prefect's names.

    >>> state_link("AwaitingSignature", "https://ui")
    '[AwaitingSignature](https://ui/runs?state=AwaitingSignature&type=span&seconds=-31622400)'
    """
    return f"[{name}]({page}/runs?state={name}&{_A_YEAR})"


def _tagged(office: str, page: str) -> str:
    """Return a link to the runs of an office."""
    return f"[{office}]({page}/runs?tag=office:{office}&{_A_YEAR})"


def span(length: timedelta) -> str:
    """
    Return a length of time in its two largest units, without a sign.

    >>> [span(timedelta(hours=h)) for h in (-26, 3.5, 0.2)]
    ['1 d 2 h', '3 h 30 min', '12 min']
    """
    minutes = round(abs(length).total_seconds() / 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {rest} min" if hours else f"{rest} min"


def render_day(at: datetime, hours: Sequence[Hour], *, page: str) -> str:
    """Return a day's appointments by office and hour: how many of the seats are taken, and who comes, by code."""
    total = sum(len(hour.codes) for hour in hours)
    lines = [f"**{at:%Y-%m-%d}, as of {at:%H:%M}**: {total} appointments", ""]
    for office, slots in groupby(hours, key=lambda hour: hour.office):
        lines += [f"## {office}", "", "| hour | seats | dossiers |", "|---|---:|---|"]
        lines += [
            f"| {slot.starts_at:%H:%M} | {len(slot.codes)} of {slot.capacity} | {_codes(slot.codes, page)} |"
            for slot in slots
        ]
        lines.append("")
    return "\n".join(lines)


def _codes(codes: Sequence[str], page: str) -> str:
    """Return codes, each linked to the runs of that name."""
    return ", ".join(f"[{code}]({page}/runs?flow-run-search={code}&{_A_YEAR})" for code in codes)
