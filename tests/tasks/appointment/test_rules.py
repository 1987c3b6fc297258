"""Which moments can be booked (CERT-04, DOS-18, DOS-20)."""

from __future__ import annotations

from datetime import date, datetime, time

import pytest

from infra.clock import HANOI
from infra.errors import Forbidden
from tasks.appointment.rules import check_slot, next_slot, slots
from tasks.dossier.calendar import Calendar, Hours

DESK = (Hours(opens=time(7, 30), closes=time(11, 30)), Hours(opens=time(13, 30), closes=time(17)))
OFFICE = Calendar(
    weekly=dict.fromkeys(range(1, 6), DESK), holidays=frozenset({date(2026, 11, 25), date(2026, 11, 26)})
)
FRIDAY_NOON = datetime(2026, 11, 20, 12, 0, tzinfo=HANOI)


def at(moment: str) -> datetime:
    """Return a moment of the office's clock."""
    return datetime.fromisoformat(moment).replace(tzinfo=HANOI)


def check(moment: str, now: datetime = FRIDAY_NOON) -> datetime:
    """Ask for a slot of half an hour."""
    return check_slot(at(moment), now=now, calendar=OFFICE, minutes=30)


@pytest.mark.parametrize(
    "moment", ["2026-11-23T07:30", "2026-11-23T11:00", "2026-11-23T13:30", "2026-11-23T16:30"]
)
def test_a_slot_within_the_hours_can_be_booked(moment: str) -> None:
    assert (check(moment) - at(moment)).total_seconds() == 1800


@pytest.mark.parametrize(
    ("moment", "rule", "way_out"),
    [
        ("2026-11-20T11:00", "CERT-04", "still to come"),  # over
        ("2026-11-25T08:00", "DOS-20", "2026-11-27 07:30"),  # a holiday, and the next day too
        ("2026-11-21T08:00", "DOS-18", "2026-11-23 07:30"),  # Saturday
        ("2026-11-23T07:00", "DOS-18", "2026-11-23 07:30"),  # before the doors open
        ("2026-11-23T11:30", "DOS-18", "2026-11-23 13:30"),  # at noon
        ("2026-11-23T17:00", "DOS-18", "2026-11-24 07:30"),  # the doors have closed
        ("2026-11-23T07:45", "DOS-18", "2026-11-23 07:30"),  # off the grid: in the middle of the first slot
        ("2026-11-23T07:30:01", "DOS-18", "2026-11-23 07:30"),
    ],
)
def test_a_moment_that_is_no_slot_is_refused_with_the_rule_and_the_nearest_slot(
    moment: str, rule: str, way_out: str
) -> None:
    with pytest.raises(Forbidden) as refusal:
        check(moment)
    assert refusal.value.rule == rule
    assert way_out in refusal.value.way_out


def test_a_slot_that_has_begun_can_be_taken_until_it_ends() -> None:
    assert check("2026-11-20T13:30", at("2026-11-20T13:59:59"))
    with pytest.raises(Forbidden):
        check("2026-11-20T13:30", at("2026-11-20T14:00:00"))


def test_a_slot_ends_within_the_hours_that_it_begins_in() -> None:
    starts = [f"{start:%H:%M}" for start in slots(date(2026, 11, 23), OFFICE, 45)]
    assert starts == ["07:30", "08:15", "09:00", "09:45", "10:30", "13:30", "14:15", "15:00", "15:45"]


def test_a_made_up_day_can_be_booked_although_it_is_a_holiday() -> None:
    saturday = date(2026, 11, 21)
    calendar = Calendar(weekly={}, holidays=frozenset({saturday}), make_up={saturday: DESK})
    assert check_slot(at("2026-11-21T08:00"), now=FRIDAY_NOON, calendar=calendar, minutes=30)


def test_the_next_slot_is_the_one_that_has_not_ended() -> None:
    now = at("2026-11-20T16:45")
    assert next_slot(now, OFFICE, 30, now=now) == at("2026-11-20T16:30")
    now = at("2026-11-20T17:00")
    assert next_slot(now, OFFICE, 30, now=now) == at("2026-11-23T07:30")


def test_a_calendar_that_never_opens_has_no_next_slot() -> None:
    with pytest.raises(Forbidden) as refusal:
        next_slot(FRIDAY_NOON, Calendar(weekly={}), 30, now=FRIDAY_NOON)
    assert refusal.value.rule == "DOS-18"
