"""When a dossier is due: the vectors of the law's working time (CERT-17 to CERT-21, DOS-18 to DOS-20)."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest

from infra.clock import HANOI
from infra.errors import Forbidden
from tasks.dossier.calendar import Calendar, Hours
from tasks.dossier.deadlines import TimeLimit, check_extension, due_at, resumed_due

DESK = (Hours(opens=time(7, 30), closes=time(11, 30)), Hours(opens=time(13, 30), closes=time(17)))
SAME_DAY = TimeLimit(working_days=0, same_day_until=time(15), extension_days=2)
ONE_DAY = TimeLimit(working_days=1, same_day_until=None, extension_days=0)
TET = ("2026-02-16", "2026-02-17", "2026-02-18", "2026-02-19", "2026-02-20")
SPRING = ("2026-04-27", "2026-04-30", "2026-05-01")


def office(*holidays: str, **more: object) -> Calendar:
    """Return a Monday-to-Friday office with these days off."""
    days = frozenset(date.fromisoformat(day) for day in holidays)
    return Calendar(weekly=dict.fromkeys(range(1, 6), DESK), holidays=days, **more)  # type: ignore[arg-type]


def at(moment: str) -> datetime:
    """Return a moment of the office's clock."""
    return datetime.fromisoformat(moment).replace(tzinfo=HANOI)


@pytest.mark.parametrize(
    ("received", "holidays", "due"),
    [
        ("2026-11-23T14:59:00", (), "2026-11-23"),  # Monday
        ("2026-11-23T15:00:00", (), "2026-11-23"),  # CERT-21: still the same day
        ("2026-11-23T15:00:00.000001", (), "2026-11-24"),
        ("2026-11-23T15:00:01", (), "2026-11-24"),
        ("2026-11-20T15:30:00", (), "2026-11-23"),  # Friday → Monday
        ("2026-04-29T16:00:00", SPRING, "2026-05-04"),  # over Thursday, Friday and the weekend
        ("2026-08-31T15:30:00", ("2026-09-01", "2026-09-02"), "2026-09-03"),
        ("2026-08-31T15:30:00", ("2026-09-02", "2026-09-03"), "2026-09-01"),
        ("2026-09-01T15:30:00", ("2026-09-02", "2026-09-03"), "2026-09-04"),
        ("2026-11-21T09:00:00", (), "2026-11-23"),  # Saturday counts as after hours
        ("2026-04-30T09:00:00", SPRING, "2026-05-04"),
        ("2026-02-13T15:30:00", TET, "2026-02-23"),  # over the week of Tết
        ("2026-02-18T09:00:00", TET, "2026-02-23"),
        ("2026-11-23T06:00:00", (), "2026-11-23"),  # before the doors open
        ("2026-12-31T16:00:00", ("2027-01-01",), "2027-01-04"),
    ],
)
def test_cert_17_due_the_same_day_or_the_next_working_day_after_15_00(
    received: str, holidays: tuple[str, ...], due: str
) -> None:
    assert due_at(at(received), SAME_DAY, office(*holidays)) == at(f"{due}T17:00:00")


def test_cert_18_two_more_days_are_working_days() -> None:
    assert due_at(at("2026-11-20T15:30:00"), SAME_DAY, office(), extended_by=2) == at("2026-11-25T17:00:00")
    assert due_at(at("2026-11-20T09:00:00"), SAME_DAY, office(), extended_by=1) == at("2026-11-23T17:00:00")


def test_cert_18_more_than_two_days_need_the_applicant_s_written_agreement() -> None:
    check_extension(2, SAME_DAY, agreed_in_writing=False)
    check_extension(10, SAME_DAY, agreed_in_writing=True)
    with pytest.raises(Forbidden) as refusal:
        check_extension(3, SAME_DAY, agreed_in_writing=False)
    assert refusal.value.rule == "CERT-18"


def test_dos_19_a_limit_of_days_starts_the_next_working_day() -> None:
    assert due_at(at("2026-11-20T09:00:00"), ONE_DAY, office()) == at("2026-11-23T17:00:00")
    assert due_at(at("2026-04-29T09:00:00"), ONE_DAY, office(*SPRING)) == at("2026-05-04T17:00:00")


def test_dos_19_a_limit_that_would_end_on_a_day_off_ends_on_the_next_working_day() -> None:
    no_days = TimeLimit(working_days=0, same_day_until=None, extension_days=0)
    assert due_at(at("2026-11-21T09:00:00"), no_days, office()) == at("2026-11-23T17:00:00")


def test_dos_18_a_made_up_saturday_counts_even_if_it_is_a_holiday() -> None:
    saturday = date(2026, 11, 21)
    calendar = office("2026-11-21", make_up={saturday: (Hours(opens=time(8), closes=time(11)),)})
    assert due_at(at("2026-11-20T15:30:00"), SAME_DAY, calendar) == at("2026-11-21T11:00:00")


def test_the_moment_is_read_by_the_office_s_clock_whatever_its_own_zone() -> None:
    utc = datetime.fromisoformat("2026-11-23T08:00:01+00:00")  # 15:00:01 in Hà Nội
    assert due_at(utc, SAME_DAY, office()) == at("2026-11-24T17:00:00")


def test_dos_20_a_calendar_without_a_working_day_is_refused_instead_of_searched_for_ever() -> None:
    with pytest.raises(Forbidden) as refusal:
        due_at(at("2026-11-23T16:00:00"), SAME_DAY, Calendar(weekly={}))
    assert refusal.value.rule == "DOS-18"


class TestThePause:
    """The clock that stood still (CERT-20, DOS-06)."""

    def resumed(self, paused: str, resumed: str, limit: TimeLimit = SAME_DAY) -> datetime:
        due = due_at(at("2026-11-23T09:00:00"), limit, office())
        return resumed_due(due, paused=at(paused), resumed=at(resumed), limit=limit, calendar=office())

    def test_cert_20_a_same_day_limit_begins_anew_when_the_dossier_is_complete(self) -> None:
        assert self.resumed("2026-11-23T10:00:00", "2026-11-25T14:00:00") == at("2026-11-25T17:00:00")
        assert self.resumed("2026-11-23T10:00:00", "2026-11-25T15:30:00") == at("2026-11-26T17:00:00")

    def test_a_limit_of_days_moves_on_by_the_working_days_that_passed(self) -> None:
        assert self.resumed("2026-11-23T10:00:00", "2026-11-26T10:00:00", ONE_DAY) == at(
            "2026-11-27T17:00:00"
        )
        assert self.resumed("2026-11-20T10:00:00", "2026-11-22T10:00:00", ONE_DAY) == at(
            "2026-11-24T17:00:00"
        )

    @pytest.mark.parametrize("limit", [SAME_DAY, ONE_DAY])
    def test_a_pause_never_brings_the_due_time_nearer(self, limit: TimeLimit) -> None:
        due = due_at(at("2026-11-23T09:00:00"), limit, office(), extended_by=2)
        for hours in range(0, 200, 7):
            later = at("2026-11-23T10:00:00") + timedelta(hours=hours)
            moved = resumed_due(
                due, paused=at("2026-11-23T10:00:00"), resumed=later, limit=limit, calendar=office()
            )
            assert moved >= due
