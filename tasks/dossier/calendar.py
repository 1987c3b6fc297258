"""Working days and office hours: which days count, and which hours of them (DOS-18, DOS-19, DOS-20)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from infra.clock import HANOI
from infra.errors import Forbidden


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """One span of opening hours, local time, end not included."""

    opens: time
    closes: time


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """
    One office's days. Holidays are yearly decisions, so they are data and never computed (DOS-20).

    `make_up` are days that count although they would be days off (hoán đổi ngày làm việc).
    """

    weekly: Mapping[int, tuple[Hours, ...]]  # ISO weekday 1–7 → opening hours
    holidays: frozenset[date] = frozenset()
    make_up: Mapping[date, tuple[Hours, ...]] = field(default_factory=dict)

    def hours(self, day: date) -> tuple[Hours, ...]:
        """Return a day's opening hours; none on a day off."""
        if day in self.make_up:
            return self.make_up[day]
        if day in self.holidays:
            return ()
        return self.weekly.get(day.isoweekday(), ())

    def is_working(self, day: date) -> bool:
        """Whether the office works on that day."""
        return bool(self.hours(day))

    def next_working(self, day: date) -> date:
        """Return the first working day after `day`; refuses a calendar with a year of days off."""
        for ahead in range(1, 400):
            if self.is_working(day + timedelta(days=ahead)):
                return day + timedelta(days=ahead)
        raise Forbidden(
            f"the calendar has no working day within a year after {day}.",
            rule="DOS-18",
            way_out="Correct the office's opening hours and load them again.",
        )

    def add_working_days(self, day: date, count: int) -> date:
        """Return the day `count` working days after `day`, which itself does not count (DOS-19)."""
        for _ in range(count):
            day = self.next_working(day)
        return day

    def working_days_between(self, first: date, last: date) -> int:
        """Return how many working days lie after `first` up to and including `last`."""
        days = (last - first).days
        return sum(self.is_working(first + timedelta(days=n)) for n in range(1, days + 1))

    def closing(self, day: date) -> datetime:
        """Return the moment the office closes on a working day."""
        return datetime.combine(day, self.hours(day)[-1].closes, tzinfo=HANOI)


def local(moment: datetime) -> datetime:
    """Return a moment as the office's clocks on the wall show it."""
    return moment.astimezone(HANOI)
