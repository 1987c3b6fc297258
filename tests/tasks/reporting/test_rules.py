"""Where a dossier is counted, and that everything adds up (REP-02, REP-03)."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.clock import HANOI
from infra.errors import Broken
from tasks.reporting.printing import scale
from tasks.reporting.rules import CHANNELS, Life, Place, Tally, place_of, share_permille, tally_of, total

BEGINS = datetime(2026, 10, 15, tzinfo=HANOI)
ENDS = datetime(2026, 11, 15, tzinfo=HANOI)
DUE = datetime(2026, 11, 10, 17, tzinfo=HANOI)


def life(code: int, still: datetime, *, due: datetime | None = DUE, stopped: bool = False) -> Life:
    return Life("H49", "e-copy", "counter", BEGINS, due, code, still, stopped, "H49-1")


@pytest.mark.parametrize(
    ("code", "still", "place"),
    [
        (9, DUE - timedelta(days=1), Place.EARLY),
        (9, DUE.replace(hour=0, minute=0), Place.ON_TIME),
        (9, DUE, Place.ON_TIME),
        (9, DUE + timedelta(microseconds=1), Place.LATE),
        (10, DUE, Place.ON_TIME),
        (7, DUE, Place.ON_TIME),
        (7, DUE + timedelta(days=1), Place.LATE),
        (5, DUE - timedelta(hours=1), Place.PAUSED),
        (6, DUE, Place.PAUSED),
        (8, DUE + timedelta(hours=1), Place.PAUSED_LATE),
        (4, BEGINS, Place.RUNNING_LATE),
        (2, BEGINS, Place.RUNNING_LATE),
    ],
)
def test_rep_02_a_dossier_is_counted_by_its_status_code_and_its_promised_time(
    code: int, still: datetime, place: Place
) -> None:
    assert place_of(life(code, still), ENDS) is place


def test_cert_21_the_promised_moment_itself_is_in_time_also_for_what_is_not_done() -> None:
    assert place_of(life(4, BEGINS, due=ENDS), ENDS) is Place.RUNNING
    assert place_of(life(4, BEGINS, due=ENDS - timedelta(microseconds=1)), ENDS) is Place.RUNNING_LATE


def test_the_day_is_the_one_of_the_offices_clock_not_that_of_greenwich() -> None:
    due = datetime(2026, 11, 10, 23, 59, tzinfo=HANOI)
    assert place_of(life(9, datetime(2026, 11, 10, 0, 30, tzinfo=HANOI), due=due), ENDS) is Place.ON_TIME
    assert place_of(life(9, datetime(2026, 11, 9, 23, 30, tzinfo=HANOI), due=due), ENDS) is Place.EARLY


def test_what_was_stopped_for_good_is_counted_apart_and_what_has_no_time_is_never_late() -> None:
    assert place_of(life(8, DUE, stopped=True), ENDS) is Place.STOPPED
    places = [place_of(life(code, ENDS, due=None), ENDS) for code in (9, 5, 4)]
    assert places == [Place.ON_TIME, Place.PAUSED, Place.RUNNING]


MOMENTS = st.datetimes(datetime(2026, 8, 1), datetime(2026, 11, 14)).map(lambda at: at.replace(tzinfo=HANOI))
LIVES = st.builds(
    Life,
    unit=st.just("H49"),
    procedure=st.just("e-copy"),
    channel=st.sampled_from(CHANNELS),
    received_at=MOMENTS,
    due_at=st.none() | MOMENTS,
    code=st.sampled_from([2, 4, 5, 6, 7, 8, 9, 10]),
    still_at=MOMENTS,
    stopped=st.booleans(),
    dossier=st.text(max_size=3),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LIVES))
def test_rep_03_whatever_is_counted_adds_up(lives: list[Life]) -> None:
    tallies = [Tally() for _ in range(3)]
    for number, one in enumerate(lives):
        tallies[number % 3].add(one, place_of(one, ENDS), BEGINS)
    whole = total(tallies)
    whole.check()
    assert whole.received == whole.carried_over + whole.in_period == len(lives)
    assert whole.processed == whole.early + whole.on_time + whole.late
    assert whole.received == whole.processed + whole.in_progress + whole.standing_still + whole.stopped
    assert tally_of(whole.figures()) == whole
    if whole.processed == 0:
        assert whole.in_time_permille is None, "nothing of nothing is no rate"


def test_rep_03_columns_that_do_not_add_up_are_broken() -> None:
    with pytest.raises(Broken, match="add up"):
        Tally(portal=2, early=1).check()


@given(st.integers(0, 10**7))
def test_the_marks_of_an_axis_reach_the_highest_bar_and_are_few(most: int) -> None:
    marks = scale(most)
    assert marks[0] == 0
    assert marks[-1] >= max(most, 1)
    assert len(marks) <= 6
    assert len({b - a for a, b in itertools.pairwise(marks)}) == 1


def test_shares_are_rounded_down() -> None:
    assert (share_permille(999, 1000), share_permille(1999, 2000), share_permille(0, 0)) == (999, 999, None)
