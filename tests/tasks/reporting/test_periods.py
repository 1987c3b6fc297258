"""Periods follow each other without gap or overlap, wherever they are cut off (REP-08)."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.clock import HANOI
from infra.errors import Forbidden
from tasks.reporting.periods import Kind, before, last_over, months_up_to, period_named

CUT_OFFS = st.integers(1, 31)
DAYS = st.dates(date(2021, 1, 1), date(2060, 12, 31))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(Kind), day=DAYS, cut_off=CUT_OFFS)
def test_rep_08_periods_tile_time_and_have_one_name_each(kind: Kind, day: date, cut_off: int) -> None:
    period = last_over(kind, day, cut_off)
    earlier = before(period, cut_off)
    assert earlier.last + timedelta(days=1) == period.first
    assert earlier.ends == period.begins
    assert period.first <= period.last < day
    assert period_named(period.name, cut_off) == period
    later = last_over(kind, period.last + timedelta(days=400), cut_off)
    while before(later, cut_off) != period:
        later = before(later, cut_off)
    assert later.last >= day, "the next one is not over yet"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(Kind), day=DAYS, cut_off=CUT_OFFS)
def test_the_months_of_a_plot_end_with_the_period_without_a_gap(kind: Kind, day: date, cut_off: int) -> None:
    period = last_over(kind, day, cut_off)
    months = months_up_to(period, cut_off)
    assert len(months) == 12
    assert months[-1].last == period.last
    assert months[0].first <= period.first
    assert [one.ends for one in months[:-1]] == [one.begins for one in months[1:]]


def test_rep_08_the_cut_off_of_the_decree_and_that_of_the_calendar() -> None:
    said = {name: period_named(name, 14) for name in ("2026-11", "2026-Q4", "2026-H2", "2026")}
    assert {name: (str(p.first), str(p.last)) for name, p in said.items()} == {
        "2026-11": ("2026-10-15", "2026-11-14"),
        "2026-Q4": ("2026-09-15", "2026-12-14"),
        "2026-H2": ("2026-06-15", "2026-12-14"),
        "2026": ("2025-12-15", "2026-12-14"),
    }
    assert period_named("2026-02", 31).last == date(2026, 2, 28)
    assert period_named("2026-11", 14).ends == datetime(2026, 11, 15, tzinfo=HANOI)


@pytest.mark.parametrize(
    "name", ["", "2026-13", "2026-0", "2026-Q5", "2026-H3", "26-01", "1999", "2026-11-01", "năm nay"]
)
def test_rep_08_what_names_no_period_is_refused(name: str) -> None:
    with pytest.raises(Forbidden) as refused:
        period_named(name, 14)
    assert refused.value.rule == "REP-08"


@pytest.mark.parametrize("cut_off", [0, 32])
def test_rep_08_a_cut_off_that_no_month_has_is_refused(cut_off: int) -> None:
    with pytest.raises(Forbidden, match="cut off"):
        period_named("2026", cut_off)
