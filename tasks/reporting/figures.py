"""The figures of a report: counted from the rows, checked, and written in one canonical form (REP-02 to REP-10)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785
from sqlmodel import Session

from tasks.reporting.periods import Period, months_up_to
from tasks.reporting.reading import (
    Span,
    certified_copies,
    dossiers_done,
    dossiers_open,
    fees_taken,
    prepare,
    registrations,
    results_returned,
    signatures_kept,
)
from tasks.reporting.rules import RULES, Alike, Place, Tally

#: Kinds of papers that are named; what is rarer is counted together. They are what clerks write, in any number.
KINDS = 40
OTHERS = "Giấy tờ khác"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted: the figures, and every dossier that is in them with its unit, procedure and column."""

    figures: Mapping[str, Any]
    dossiers: bytes

    @property
    def canonical(self) -> bytes:
        """The figures as they are kept and compared (RFC 8785)."""
        return rfc8785.dumps(dict(self.figures))


def count(
    session: Session, about: str, period: Period, cut_off: int, *, so_far: datetime | None = None
) -> Counted:
    """
    Return the figures of a period as it was at its end, or at a moment within it.

    The same period gives the same bytes whenever it is asked for. Raises `Broken` when they do not add up (REP-03).
    """
    prepare(session)
    months = months_up_to(period, cut_off)
    ends = min(period.ends, so_far) if so_far is not None else period.ends
    span = Span(about, period.begins, ends)
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    listed: list[str] = []
    done: Counter[tuple[str, bool]] = Counter()
    for alike in dossiers_done(session, span, months):
        if alike.month:
            done[months[alike.month - 1].name, alike.place is Place.LATE] += alike.number
        if alike.counted:
            tallies[alike.unit, alike.procedure].add(alike)
            listed += _listed(alike)
    for alike in dossiers_open(session, span):
        tallies[alike.unit, alike.procedure].add(alike)
        listed += _listed(alike)
    lines = []
    for (unit, procedure), tally in sorted(tallies.items()):
        tally.check()
        lines.append({"unit": unit, "procedure": procedure, **tally.figures()})
    figures = {
        "rules": RULES,
        "about": about,
        "period": {
            "kind": str(period.kind),
            "name": period.name,
            "first": period.first.isoformat(),
            "last": period.last.isoformat(),
        },
        "as_of": ends.isoformat(),
        "lines": lines,
        "results": _by_unit(results_returned(session, span)),
        "certified": _certified(certified_copies(session, span)),
        "fees": _by_unit(fees_taken(session, span)),
        "signatures": _by_unit(signatures_kept(session, span)),
        "registration": registrations(session, span),
        "months": [
            {"name": m.name, "in_time": done[m.name, False], "late": done[m.name, True]} for m in months
        ],
    }
    return Counted(figures=figures, dossiers=_as_csv(listed))


def _by_unit(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was found in the order of units."""
    return {unit: found[unit] for unit in sorted(found)}


def _certified(found: Mapping[str, Mapping[str, tuple[int, int, int]]]) -> list[dict[str, Any]]:
    """Return what was certified, by unit and by kind of paper, the most frequent first, the rare ones together."""
    lines = []
    for unit in sorted(found):
        kinds = sorted(found[unit].items(), key=lambda one: (-one[1][0], one[0]))
        rare = [figures for _, figures in kinds[KINDS:]]
        named = [*kinds[:KINDS], *([(OTHERS, tuple(map(sum, zip(*rare, strict=True))))] if rare else [])]
        lines += [
            {"unit": unit, "kind": kind, "cases": cases, "copies": copies, "fee": fee}
            for kind, (cases, copies, fee) in named
        ]
    return lines


def _listed(alike: Alike) -> list[str]:
    """Return a line for each of some dossiers that are counted alike; codes need no quotes."""
    tail = f",{alike.unit},{alike.procedure},{alike.place}\r\n"
    return [code + tail for code in alike.dossiers or ()]


def _as_csv(listed: list[str]) -> bytes:
    """Return every dossier that was counted, in the order of codes."""
    return ("dossier,unit,procedure,counted as\r\n" + "".join(sorted(listed))).encode()
