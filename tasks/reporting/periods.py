"""
Periods of reports: months, quarters, half-years and years, each from one cut-off to the next (REP-08); pure.

NĐ 09/2019 Art. 12 is said to let regular reports end on the 14th of a period's last month [M], so the cut-off is
a setting. Periods of one kind follow each other without gap or overlap, whatever the cut-off is.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from infra.clock import HANOI
from infra.errors import Forbidden


class Kind(StrEnum):
    """How long a period is."""

    MONTH = "month"
    QUARTER = "quarter"
    HALF_YEAR = "half-year"
    YEAR = "year"

    @property
    def months(self) -> int:
        """How many months a period of this kind has."""
        return _MONTHS[self]


_MONTHS = {Kind.MONTH: 1, Kind.QUARTER: 3, Kind.HALF_YEAR: 6, Kind.YEAR: 12}
_NAME = re.compile(r"(?P<year>\d{4})(?:-(?:(?P<month>0[1-9]|1[0-2])|Q(?P<quarter>[1-4])|H(?P<half>[12])))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One period, both days included; `place` counts the periods of its kind in the year from 1."""

    kind: Kind
    year: int
    place: int
    first: date
    last: date

    @property
    def name(self) -> str:
        """What the period is called: `2026-10`, `2026-Q4`, `2026-H2`, `2026`."""
        tail = {
            Kind.MONTH: f"-{self.place:02}",
            Kind.QUARTER: f"-Q{self.place}",
            Kind.HALF_YEAR: f"-H{self.place}",
        }
        return f"{self.year}{tail.get(self.kind, '')}"

    @property
    def begins(self) -> datetime:
        """The first moment that belongs to it."""
        return datetime.combine(self.first, time(), HANOI)

    @property
    def ends(self) -> datetime:
        """The first moment that belongs to it no more; its figures are those of just before."""
        return datetime.combine(self.last + timedelta(days=1), time(), HANOI)


def period_of(kind: Kind, year: int, place: int, cut_off: int) -> Period:
    """
    Return a period; `cut_off` is the last day that counts of its last month, 31 the month's end.

    >>> p = period_of(Kind.QUARTER, 2026, 4, 14); p.name, str(p.first), str(p.last)
    ('2026-Q4', '2026-09-15', '2026-12-14')
    >>> p = period_of(Kind.MONTH, 2028, 2, 31); str(p.first), str(p.last)
    ('2028-02-01', '2028-02-29')
    """
    if not 1 <= cut_off <= 31:
        raise Forbidden(
            f"no month is cut off after its day {cut_off}.",
            rule="REP-08",
            way_out="Set HOSO_REPORT_CUT_OFF to a day from 1 to 31; 31 is the month's end.",
        )
    last_month = year * 12 + place * kind.months - 1
    first = _cut(last_month - kind.months, cut_off) + timedelta(days=1)
    return Period(kind=kind, year=year, place=place, first=first, last=_cut(last_month, cut_off))


def period_named(name: str, cut_off: int) -> Period:
    """Return the period that a name means; refuses a name that means none (REP-08)."""
    found = _NAME.fullmatch(name)
    if found is None or int(found["year"]) < 2000:
        raise Forbidden(
            f"“{name}” is no period.",
            rule="REP-08",
            way_out="Write a month as 2026-10, a quarter as 2026-Q4, a half-year as 2026-H2, a year as 2026.",
        )
    kinds = {"month": Kind.MONTH, "quarter": Kind.QUARTER, "half": Kind.HALF_YEAR}
    said = next((part for part in kinds if found[part]), None)
    kind, place = (kinds[said], int(found[said])) if said else (Kind.YEAR, 1)
    return period_of(kind, int(found["year"]), place, cut_off)


def last_over(kind: Kind, day: date, cut_off: int) -> Period:
    """
    Return the newest period of a kind that is over on a day.

    >>> last_over(Kind.MONTH, date(2026, 11, 14), 14).name, last_over(Kind.MONTH, date(2026, 11, 15), 14).name
    ('2026-10', '2026-11')
    """
    place = 12 // kind.months
    found = period_of(kind, day.year, place, cut_off)
    while found.last >= day:
        found = before(found, cut_off)
    return found


def before(period: Period, cut_off: int) -> Period:
    """Return the period of the same kind before one."""
    if period.place > 1:
        return period_of(period.kind, period.year, period.place - 1, cut_off)
    return period_of(period.kind, period.year - 1, 12 // period.kind.months, cut_off)


def months_up_to(period: Period, cut_off: int, count: int = 12) -> list[Period]:
    """Return the last months up to a period's end, oldest first; a plot shows them."""
    month = period.place * period.kind.months
    found = [period_of(Kind.MONTH, period.year, month, cut_off)]
    while len(found) < count:
        found.append(before(found[-1], cut_off))
    return found[::-1]


def _cut(month: int, cut_off: int) -> date:
    """Return the last day that counts of a month; months are counted through from year 0."""
    year, place = divmod(month, 12)
    return date(year, place + 1, min(cut_off, monthrange(year, place + 1)[1]))
