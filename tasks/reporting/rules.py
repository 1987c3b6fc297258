"""
Where a dossier is counted in a report, and what must add up (REP-02, REP-03); pure.

Received is what the counter took in; what was refused before (status code 3) never was. *Processed* is a result that
is ready (9), returned (10), or a dossier that was withdrawn (7). Codes 5, 6 and 8 are *paused*. A dossier that was
stopped for good, because every original was declined, is neither: it leaves the count in a column of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from infra.clock import HANOI
from infra.errors import Broken

#: Counts as the rule set of a report; a change of what is counted where is a new number (REP-10).
RULES = 1

PROCESSED = frozenset({7, 9, 10})
PAUSED = frozenset({5, 6, 8})

#: How a dossier came: over the portal, to the counter, by post.
CHANNELS = ("portal", "counter", "post")


class Place(StrEnum):
    """Where one dossier is counted at the end of a period."""

    EARLY = "early"
    ON_TIME = "on_time"
    LATE = "late"
    RUNNING = "running"
    RUNNING_LATE = "running_late"
    PAUSED = "paused"
    PAUSED_LATE = "paused_late"
    STOPPED = "stopped"


class Life(NamedTuple):
    """What a report must know of a dossier, as it was at the end of a period."""

    unit: str
    procedure: str
    channel: str
    received_at: datetime
    #: What was promised by then.
    due_at: datetime | None
    #: The last status code by then.
    code: int
    #: Since when the time does not run any more: the result was ready, or a pause began.
    still_at: datetime
    #: Whether it was stopped for good.
    stopped: bool
    dossier: str


def place_of(life: Life, end: datetime) -> Place:
    """
    Return where a dossier is counted that was received before `end`.

    Early is before the promised day, on time up to the promised moment itself, late after it (CERT-21). What is not
    done is late when its time was over at `end`, or when its clock stopped.
    """
    if life.stopped:
        return Place.STOPPED
    due = life.due_at
    if life.code in PROCESSED:
        if due is None or life.still_at <= due:
            early = due is not None and _day(life.still_at) < _day(due)
            return Place.EARLY if early else Place.ON_TIME
        return Place.LATE
    if life.code in PAUSED:
        return Place.PAUSED_LATE if due is not None and due < life.still_at else Place.PAUSED
    return Place.RUNNING_LATE if due is not None and due < end else Place.RUNNING


def _day(moment: datetime) -> int:
    """Return the day on the office's calendar, as a number."""
    return moment.astimezone(HANOI).toordinal()


@dataclass(slots=True, kw_only=True)
class Tally:
    """The columns of REP-02 for one unit and procedure: how dossiers came, and where they are."""

    carried_over: int = 0
    portal: int = 0
    counter: int = 0
    post: int = 0
    early: int = 0
    on_time: int = 0
    late: int = 0
    running: int = 0
    running_late: int = 0
    paused: int = 0
    paused_late: int = 0
    stopped: int = 0

    @property
    def in_period(self) -> int:
        """How many came in the period."""
        return self.portal + self.counter + self.post

    @property
    def received(self) -> int:
        """All that there was to do: brought over and received."""
        return self.carried_over + self.in_period

    @property
    def processed(self) -> int:
        """How many were done."""
        return self.early + self.on_time + self.late

    @property
    def in_progress(self) -> int:
        """How many are being worked on at the end."""
        return self.running + self.running_late

    @property
    def standing_still(self) -> int:
        """How many wait for the applicant, or for a decision, at the end."""
        return self.paused + self.paused_late

    @property
    def in_time_permille(self) -> int | None:
        """How many of a thousand that were done were done in time, rounded down; nothing of nothing is no rate."""
        return (self.early + self.on_time) * 1000 // self.processed if self.processed else None

    def add(self, life: Life, place: Place, begins: datetime) -> None:
        """Count one dossier at its place; one that was received before the period was brought over."""
        came = "carried_over" if life.received_at < begins else life.channel
        setattr(self, came, getattr(self, came) + 1)
        setattr(self, place, getattr(self, place) + 1)

    def check(self) -> None:
        """Raise `Broken` when the columns do not add up (REP-03)."""
        there = self.processed + self.in_progress + self.standing_still + self.stopped
        if self.received != there:
            raise Broken(f"a report does not add up: {self.received} were received, {there} are somewhere")

    def figures(self) -> dict[str, int]:
        """Return the columns by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def total(tallies: Iterable[Tally]) -> Tally:
    """
    Return the sum of some lines.

    >>> total([Tally(portal=1, late=1), Tally(post=2, early=2)]).received
    3
    """
    summed = Tally()
    for one in tallies:
        for name, value in one.figures().items():
            setattr(summed, name, getattr(summed, name) + value)
    return summed


def tally_of(figures: Mapping[str, int]) -> Tally:
    """Return the line whose columns are kept by name."""
    return Tally(**figures)


def share_permille(part: int, whole: int) -> int | None:
    """
    Return a share in thousandths, rounded down; nothing of nothing is no share (REP-03).

    >>> share_permille(2, 3), share_permille(0, 0)
    (666, None)
    """
    return part * 1000 // whole if whole else None
