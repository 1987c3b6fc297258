"""Pages for supervisors, as Markdown: the board and the day sheet. They name dossiers by code, and no persons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from tasks.dossier.calendar import local
from tasks.supervision.board import MOST, Board, Named
from tasks.supervision.day import Hour


def render_board(board: Board, *, listed: str, page: str) -> str:
    """Return the board; the first line says as of when. `listed` is the whole list's key in the store."""
    lines = [
        f"**As of {local(board.at):%Y-%m-%d %H:%M:%S}**: {board.open} open, {board.late} late,"
        f" {board.near} nearly late",
        "",
        *_named(board.named, page),
        "## Open, by office and stage",
        "",
        "| office | stage | open | late | nearly late | oldest |",
        "|---|---|---:|---:|---:|---|",
    ]
    for count in board.counts:
        oldest = f"{local(count.oldest):%Y-%m-%d}" if count.oldest else ""
        lines.append(
            f"| {count.office} | {count.stage} | {count.open} | {count.late or ''} | {count.near or ''} | {oldest} |"
        )
    return "\n".join([*lines, "", f"Every open dossier is in `{listed}` of the work bucket."])


def _named(named: Sequence[Named], page: str) -> list[str]:
    """Return the table of what is late or nearly so, each linked to its run."""
    if not named:
        return []
    shown = f" (the first {MOST})" if len(named) == MOST else ""
    lines = [
        f"## Late and nearly late{shown}",
        "",
        "| dossier | due | | waits for | office |",
        "|---|---|---|---|---|",
    ]
    for one in named:
        code = f"[{one.code}]({page}/runs/flow-run/{one.run_id})" if one.run_id else one.code
        lines.append(
            f"| {code} | {local(one.due_at):%Y-%m-%d %H:%M} | {one.pace} | {one.waits_for} | {one.office} |"
        )
    return [*lines, ""]


def render_day(at: datetime, hours: Sequence[Hour]) -> str:
    """Return a day's appointments by office and hour."""
    total = sum(len(hour.codes) for hour in hours)
    lines = [f"**{at:%Y-%m-%d}, as of {at:%H:%M}**: {total} appointments", ""]
    for office, slots in groupby(hours, key=lambda hour: hour.office):
        lines += [f"## {office}", "", "| hour | seats | dossiers |", "|---|---:|---|"]
        lines += [
            f"| {slot.starts_at:%H:%M} | {len(slot.codes)} of {slot.capacity} | {', '.join(slot.codes)} |"
            for slot in slots
        ]
        lines.append("")
    return "\n".join(lines)
