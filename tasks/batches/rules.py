"""When a batch is due, which stage it takes dossiers from, and how its end is told; pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from enum import StrEnum

from infra.clock import HANOI
from tasks.dossier.calendar import Calendar, local
from tasks.dossier.lifecycle import Stage


class Kind(StrEnum):
    """The parts of a dossier's life that are done in batches."""

    CERTIFICATION = "certification"
    SEALING = "sealing"
    DELIVERY = "delivery"
    ARCHIVAL = "archival"


#: The stage from which each kind takes dossiers.
FROM: Mapping[Kind, Stage] = {
    Kind.CERTIFICATION: Stage.RECEIVED,
    Kind.SEALING: Stage.AWAITING_SEAL,
    Kind.DELIVERY: Stage.SIGNED,
    Kind.ARCHIVAL: Stage.RETURNED,
}


class Result(StrEnum):
    """What became of one dossier in a batch."""

    DONE = "done"  # it really moved on
    SET_ASIDE = "set aside"  # something is wrong with it: a rule said no, or it is damaged
    WAITING = "waiting"  # for somebody outside: a mail server that asks for patience, a counter
    ELSEWHERE = "elsewhere"  # another worker has it


#: The order in which results are told, and which count as unfinished business for a retry.
_ORDER = (Result.DONE, Result.SET_ASIDE, Result.WAITING, Result.ELSEWHERE)
MAY_BE_RETRIED = (Result.SET_ASIDE, Result.WAITING, Result.ELSEWHERE)

#: What is particular to one dossier in a sentence: its code, an original's number, dates, hashes.
_PARTICULAR = re.compile(
    r"[0-9A-Z.]+-\d{6,8}-\d{4,7}(/\d+)?|\boriginal \d+|\d{4}-\d\d-\d\d|\b[0-9a-f]{12,}…?"
)

#: How far back the last slot may lie: the longest stretch of days off is Tết.
_BACK = 21


def newest_slot(calendar: Calendar, moment: datetime, every: timedelta) -> datetime | None:
    """
    Return the start of the newest slot that has begun by a moment, within the office's hours (DOS-18, DOS-20).

    Slots begin at the opening of each span of hours and every `every` after it. On a day off it is the last
    one of the working day before, so that what was missed is caught up once. `None`: the office never opens.

    >>> from tasks.dossier.calendar import Hours
    >>> office = Calendar(weekly={d: (Hours(opens=time(8), closes=time(17)),) for d in range(1, 6)})
    >>> half = timedelta(minutes=30)
    >>> newest_slot(office, datetime.fromisoformat("2026-11-23T10:47:00+07:00"), half).isoformat()
    '2026-11-23T10:30:00+07:00'
    >>> newest_slot(office, datetime.fromisoformat("2026-11-22T10:47:00+07:00"), half).isoformat()
    '2026-11-20T16:30:00+07:00'
    """
    here = local(moment)
    for back in range(_BACK):
        day = here.date() - timedelta(days=back)
        for hours in reversed(calendar.hours(day)):
            opens = datetime.combine(day, hours.opens, tzinfo=HANOI)
            closes = datetime.combine(day, hours.closes, tzinfo=HANOI)
            if opens > here or opens >= closes:
                continue
            last = closes - timedelta(microseconds=1)
            return opens + (min(here, last) - opens) // every * every
    return None


def night_slot(moment: datetime, at: time) -> datetime:
    """
    Return the newest night that has begun by a moment: each day at a time of the office's clock.

    >>> night_slot(datetime.fromisoformat("2026-11-23T02:00:00+07:00"), time(21, 30)).isoformat()
    '2026-11-22T21:30:00+07:00'
    """
    here = local(moment)
    tonight = datetime.combine(here.date(), at, tzinfo=HANOI)
    return tonight if tonight <= here else tonight - timedelta(days=1)


def pulled_at(calendar: Calendar, due: datetime, every: timedelta) -> datetime:
    """
    Return from when on a dossier does not wait for a batch any more: its due time would pass before the next slot.

    That is the last slot that begins before it is due (CERT-17); without one it never waits.
    """
    return newest_slot(calendar, due - timedelta(microseconds=1), every) or datetime.min.replace(tzinfo=HANOI)


def alike(cause: str) -> str:
    """
    Return a cause without what differs from dossier to dossier, so that the same trouble reads the same.

    >>> alike("the page of H49.21-261122-0001/2 is dated 2026-11-21. [CERT-26]")
    'the page of … is dated …. [CERT-26]'
    """
    return _PARTICULAR.sub("…", cause)


def told(results: Mapping[str, int]) -> str:
    """
    Return the name of a batch's end.

    >>> told({"done": 497, "set aside": 3}), told({})
    ('497 done, 3 set aside', 'nothing to do')
    """
    return ", ".join(f"{results[r]} {r}" for r in _ORDER if results.get(r)) or "nothing to do"


def by_reason(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """Return (result, cause, how many), most frequent first, from each dossier's result and cause."""
    counted = Counter((result, alike(cause)) for result, cause in rows)
    return [(result, cause, n) for (result, cause), n in sorted(counted.items(), key=lambda i: (-i[1], i[0]))]
