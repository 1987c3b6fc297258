"""
Where a dossier is counted in a report, and what must add up (REP-02, REP-03); pure.

Received is what the counter took in; what was refused before (status code 3) never was. *Processed* is a result that
is ready (9), returned (10), or a dossier that was withdrawn (7). Codes 5, 6 and 8 are *paused*. A dossier that was
stopped for good, because every original was declined, is neither: it leaves the count in a column of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import NamedTuple

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


class Alike(NamedTuple):
    """
    Dossiers that a report counts alike, as they were at the end of a period.

    Each is judged by the moment when its result was ready or its clock stopped, or else by the end of the period:
    `in_time` says that this was not after the moment that was promised by then, `day_before` that it was on an earlier
    day of the office's calendar.
    """

    unit: str
    procedure: str
    channel: str
    #: Received before the period.
    brought_over: bool
    #: The last status code by then.
    code: int
    #: Stopped for good: every original was declined.
    stopped: bool
    in_time: bool
    day_before: bool
    #: In which of the months of a plot it was done, counted from 1.
    month: int
    #: Whether they belong to the period, and not only to a month before it.
    counted: bool
    number: int
    dossiers: Sequence[str] | None

    @property
    def place(self) -> Place:
        """Where they are counted."""
        return place_of(self.code, stopped=self.stopped, in_time=self.in_time, day_before=self.day_before)


def place_of(code: int, *, stopped: bool = False, in_time: bool, day_before: bool = False) -> Place:
    """
    Return where a dossier is counted whose last status code is this one.

    Early is before the promised day, on time up to the promised moment itself, late after it (CERT-21).

    >>> place_of(9, in_time=True, day_before=True), place_of(10, in_time=True), place_of(7, in_time=False)
    (<Place.EARLY: 'early'>, <Place.ON_TIME: 'on_time'>, <Place.LATE: 'late'>)
    """
    if stopped:
        return Place.STOPPED
    if code in PROCESSED:
        return (Place.EARLY if day_before else Place.ON_TIME) if in_time else Place.LATE
    if code in PAUSED:
        return Place.PAUSED if in_time else Place.PAUSED_LATE
    return Place.RUNNING if in_time else Place.RUNNING_LATE


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

    def add(self, alike: Alike) -> None:
        """Count dossiers at their place, and by how they came."""
        came = "carried_over" if alike.brought_over else alike.channel
        for column in (came, alike.place):
            setattr(self, column, getattr(self, column) + alike.number)

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
