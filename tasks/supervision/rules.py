"""When a dossier is near its time, late, or not counted; pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from tasks.dossier.calendar import Calendar, local
from tasks.dossier.lifecycle import Stage

#: While a dossier stands here the office owes work on it, and its time runs (DOS-06: 2, 4).
COUNTED = (
    Stage.RECEIVED,
    Stage.CERTIFIED,
    Stage.AWAITING_SIGNATURE,
    Stage.RETURNED_TO_EXAMINER,
    Stage.AWAITING_SEAL,
)


class Pace(StrEnum):
    """How a dossier stands to its promised time."""

    LATE = "late"
    NEAR = "nearly late"
    IN_TIME = "in time"


def ahead(moment: datetime, working: timedelta, calendar: Calendar) -> datetime:
    """
    Return the moment when an office has been open for so long after `moment` (DOS-18).

    >>> from datetime import time; from tasks.dossier.calendar import Hours
    >>> office = Calendar(weekly={d: (Hours(opens=time(8), closes=time(17)),) for d in range(1, 6)})
    >>> friday = datetime.fromisoformat("2026-11-20T16:00:00+07:00")
    >>> ahead(friday, timedelta(hours=2), office).isoformat()
    '2026-11-23T09:00:00+07:00'
    """
    moment, left = local(moment), working
    day = moment.date()
    if not calendar.is_working(day):
        day = calendar.next_working(day)
    while True:
        for span in calendar.hours(day):
            opens = datetime.combine(day, span.opens, tzinfo=moment.tzinfo)
            closes = datetime.combine(day, span.closes, tzinfo=moment.tzinfo)
            begins = max(moment, opens)
            if closes <= begins:
                continue
            if closes - begins >= left:
                return begins + left
            left -= closes - begins
        day = calendar.next_working(day)


def pace(due: datetime, at: datetime, horizon: datetime) -> Pace:
    """
    Return how a dossier stands whose time runs; `horizon` is `ahead` of now by what counts as near.

    The last second of the promised time is in time still (CERT-21).

    >>> due = datetime.fromisoformat("2026-11-23T17:00:00+07:00")
    >>> [str(pace(due, due + timedelta(seconds=n), due + timedelta(hours=4))) for n in (0, 1)]
    ['nearly late', 'late']
    """
    if at > due:
        return Pace.LATE
    return Pace.NEAR if due <= horizon else Pace.IN_TIME
