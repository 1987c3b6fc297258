"""Which moments can be booked: inside the hours, on the grid of slots, not over (CERT-04, DOS-18)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from infra.clock import HANOI
from infra.errors import Forbidden
from tasks.dossier.calendar import Calendar, local


def slots(day: date, calendar: Calendar, minutes: int) -> Iterator[datetime]:
    """Yield the starts of a day's slots, each of which ends within the opening hours."""
    length = timedelta(minutes=minutes)
    for span in calendar.hours(day):
        start = datetime.combine(day, span.opens, tzinfo=HANOI)
        closes = datetime.combine(day, span.closes, tzinfo=HANOI)
        while start + length <= closes:
            yield start
            start += length


def check_slot(start: datetime, *, now: datetime, calendar: Calendar, minutes: int) -> datetime:
    """
    Return the end of the slot that begins at `start`, or refuse a moment that cannot be booked.

    A slot that has begun may still be taken until it ends: the applicant may stand at the counter.

    >>> from datetime import time; from tasks.dossier.calendar import Hours
    >>> office = Calendar(weekly={1: (Hours(opens=time(8), closes=time(11)),)})
    >>> at = datetime.fromisoformat
    >>> end = check_slot(at("2026-11-23T08:30+07:00"), now=at("2026-11-20T09:00+07:00"), calendar=office, minutes=30)
    >>> end.isoformat()
    '2026-11-23T09:00:00+07:00'
    """
    start = local(start)
    end = start + timedelta(minutes=minutes)
    day = f"{start:%Y-%m-%d}"
    if end <= now:
        raise _refusal(
            f"the slot {day} {start:%H:%M} is over.", "CERT-04", "Choose a slot that is still to come."
        )
    if start.date() in calendar.holidays and start.date() not in calendar.make_up:
        raise _refusal(f"{day} is a holiday.", "DOS-20", _advice(start, calendar, minutes, now))
    if not calendar.is_working(start.date()):
        raise _refusal(f"the office is closed on {day}.", "DOS-18", _advice(start, calendar, minutes, now))
    if start not in slots(start.date(), calendar, minutes):
        raise _refusal(
            f"{day} {start:%H:%M} is not the start of a slot in the opening hours.",
            "DOS-18",
            _advice(start, calendar, minutes, now),
        )
    return end


def next_slot(moment: datetime, calendar: Calendar, minutes: int, *, now: datetime) -> datetime:
    """Return the first slot at or after a moment that has not ended yet."""
    day = local(max(moment, now)).date()
    length = timedelta(minutes=minutes)
    for _ in range(400):
        for start in slots(day, calendar, minutes):
            if start + length > now and start + length > moment:
                return start
        day += timedelta(days=1)
    raise _refusal("the calendar has no slot within a year.", "DOS-18", "Correct the opening hours.")


def _advice(start: datetime, calendar: Calendar, minutes: int, now: datetime) -> str:
    """Return the sentence that names the nearest slot."""
    nearest = next_slot(start, calendar, minutes, now=now)
    return f"The next slot is {nearest:%Y-%m-%d %H:%M}."


def _refusal(message: str, rule: str, way_out: str) -> Forbidden:
    """Return a refusal to book."""
    return Forbidden(message, rule=rule, way_out=way_out)
