"""The one door through which time comes in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

#: Every rule of the office is written in this time zone; every stored time is UTC.
HANOI = ZoneInfo("Asia/Ho_Chi_Minh")


class Clock(Protocol):
    """Tells the time that decisions are made by, as an aware datetime in UTC."""

    def now(self) -> datetime:
        """Return the present moment; raises `Unavailable` if nobody can tell it."""
        ...


class SystemClock:
    """This machine's clock: for logs and waiting, not for legal moments."""

    def now(self) -> datetime:
        """Return what this machine believes."""
        return datetime.now(UTC)


def elapsed() -> float:
    """Return seconds since some moment, for lengths of time: they pass while the machine sleeps, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class FixedClock:
    """A clock that stands still until it is told to move: the double for tests of rules."""

    moment: datetime

    def now(self) -> datetime:
        """Return the moment that was set."""
        return self.moment.astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        """Move on by a span of time."""
        self.moment += by
