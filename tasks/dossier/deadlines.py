"""When a dossier is due, in the office's working time (CERT-17 to CERT-21, DOS-19)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time

from infra.errors import Forbidden
from tasks.dossier.calendar import Calendar, local


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimit:
    """
    How long a procedure may take.

    With `working_days` 0 the result is due on the day of receipt, or on the next working day when the
    dossier came in after `same_day_until` (CERT-17). `extension_days` is the most that may be added
    without the applicant's written agreement (CERT-18).
    """

    working_days: int
    same_day_until: time | None
    extension_days: int


def due_at(received: datetime, limit: TimeLimit, calendar: Calendar, *, extended_by: int = 0) -> datetime:
    """
    Return the moment the result is due: closing time of the last day.

    Exactly at `same_day_until` still counts as the same day (CERT-21); a dossier that came in on a day
    off counts as received after hours.

    >>> from datetime import time; from tasks.dossier.calendar import Hours
    >>> office = Calendar(weekly={d: (Hours(opens=time(8), closes=time(17)),) for d in range(1, 6)})
    >>> same_day = TimeLimit(working_days=0, same_day_until=time(15), extension_days=2)
    >>> due_at(datetime.fromisoformat("2026-11-23T15:00:00+07:00"), same_day, office).isoformat()
    '2026-11-23T17:00:00+07:00'
    >>> due_at(datetime.fromisoformat("2026-11-23T15:00:01+07:00"), same_day, office).isoformat()
    '2026-11-24T17:00:00+07:00'
    """
    moment = local(received)
    day = moment.date()
    if limit.same_day_until is not None:
        late = not calendar.is_working(day) or moment.time() > limit.same_day_until
        day = calendar.next_working(day) if late else day
    day = calendar.add_working_days(day, limit.working_days + extended_by)
    return calendar.closing(day if calendar.is_working(day) else calendar.next_working(day))


def resumed_due(
    due: datetime, *, paused: datetime, resumed: datetime, limit: TimeLimit, calendar: Calendar
) -> datetime:
    """
    Return when a dossier is due whose clock stood still from `paused` to `resumed`.

    A same-day limit begins anew when the dossier is complete (CERT-20); a limit of days is moved on by
    the working days that passed. Never earlier than before.
    """
    if limit.working_days == 0:
        return max(due, due_at(resumed, limit, calendar))
    lost = calendar.working_days_between(local(paused).date(), local(resumed).date())
    return calendar.closing(calendar.add_working_days(local(due).date(), lost))


def postponed_due(due: datetime, moment: datetime, days: int, calendar: Calendar) -> datetime:
    """Return a new promised time (DOS-17): `days` working days after the promised one, or after today if it is over."""
    start = max(local(due).date(), local(moment).date())
    return calendar.closing(calendar.add_working_days(start, days))


def check_extension(days: int, limit: TimeLimit, *, agreed_in_writing: bool) -> None:
    """Refuse more extra days than CERT-18 allows without the applicant's written agreement."""
    if days > limit.extension_days and not agreed_in_writing:
        raise Forbidden(
            f"{days} extra working days are more than the {limit.extension_days} that the law allows.",
            rule="CERT-18",
            way_out="Ask the applicant to agree in writing and say so with --agreed, or take fewer days.",
        )
