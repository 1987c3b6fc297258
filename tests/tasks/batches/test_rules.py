"""When batches are due, and how they are told (CERT-17, DOS-18, DOS-20)."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest

from tasks.batches.rules import alike, by_reason, newest_slot, night_slot, pulled_at, told
from tasks.dossier.calendar import Calendar, Hours

MORNING = Hours(opens=time(7, 30), closes=time(11, 30))
AFTERNOON = Hours(opens=time(13, 30), closes=time(17))
HALF = timedelta(minutes=30)
#: Tết of 2027: days off from 5 to 11 February, and a Saturday that is worked for it.
OFFICE = Calendar(
    weekly=dict.fromkeys(range(1, 6), (MORNING, AFTERNOON)),
    holidays=frozenset(date(2027, 2, day) for day in range(5, 12)),
    make_up={date(2027, 2, 13): (MORNING,)},
)


def at(text: str) -> datetime:
    """Return a moment of the office's clock."""
    return datetime.fromisoformat(f"{text}+07:00")


@pytest.mark.parametrize(
    ("moment", "slot"),
    [
        ("2026-11-23T07:29:59", "2026-11-20T16:30:00"),  # Monday before opening: Friday's last
        ("2026-11-23T07:30:00", "2026-11-23T07:30:00"),
        ("2026-11-23T08:14:00", "2026-11-23T08:00:00"),
        ("2026-11-23T12:45:00", "2026-11-23T11:00:00"),  # over noon
        ("2026-11-23T13:30:00", "2026-11-23T13:30:00"),
        ("2026-11-23T23:59:00", "2026-11-23T16:30:00"),
        ("2027-02-09T10:00:00", "2027-02-04T16:30:00"),  # Tết
        ("2027-02-13T09:05:00", "2027-02-13T09:00:00"),  # a Saturday that is worked for it
        ("2027-02-14T09:05:00", "2027-02-13T11:00:00"),
    ],
)
def test_slots_keep_to_the_offices_hours_and_days_dos_18_dos_20(moment: str, slot: str) -> None:
    assert newest_slot(OFFICE, at(moment), HALF) == at(slot)


def test_an_office_that_never_opens_has_no_slot() -> None:
    assert newest_slot(Calendar(weekly={}), at("2026-11-23T10:00:00"), HALF) is None


def test_a_night_begins_at_its_hour_and_lasts_until_the_next() -> None:
    assert night_slot(at("2026-11-23T21:29:59"), time(21, 30)) == at("2026-11-22T21:30:00")
    assert night_slot(at("2026-11-23T21:30:00"), time(21, 30)) == at("2026-11-23T21:30:00")


@pytest.mark.parametrize(
    ("due", "pulled"),
    [
        ("2026-11-23T17:00:00", "2026-11-23T16:30:00"),
        ("2026-11-23T16:45:00", "2026-11-23T16:30:00"),
        ("2026-11-23T16:30:00", "2026-11-23T16:00:00"),  # the slot at 16:30 would be too late
        ("2026-11-23T07:30:00", "2026-11-20T16:30:00"),
    ],
)
def test_what_would_be_due_before_the_next_slot_does_not_wait_for_it_cert_17(due: str, pulled: str) -> None:
    assert pulled_at(OFFICE, at(due), HALF) == at(pulled)


def test_the_end_is_named_by_its_counts_in_order_of_gravity() -> None:
    assert told({"set aside": 3, "done": 497}) == "497 done, 3 set aside"
    assert told({"open": 2, "waiting": 1, "done": 0}) == "1 waiting"
    assert told({}) == "nothing to do"


def test_the_same_trouble_of_different_dossiers_is_one_reason_and_a_rule_keeps_its_id() -> None:
    rows = [
        ("set aside", "original 1 of H49.21-261122-0001 is received. [CERT-26]"),
        ("set aside", "original 12 of H49.21-261122-0417 is received. [CERT-26]"),
        ("done", ""),
    ]
    assert by_reason(rows) == [("set aside", "… of … is received. [CERT-26]", 2), ("done", "", 1)]
    assert alike("list 3f2a8b1c44e09d77 is away [SIG-12]") == "list … is away [SIG-12]"
