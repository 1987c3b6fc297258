"""Where a dossier is counted, and that everything adds up (REP-02, REP-03)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.errors import Broken
from tasks.reporting.printing import scale
from tasks.reporting.rules import CHANNELS, Alike, Place, Tally, place_of, share_permille, tally_of, total


@pytest.mark.parametrize(
    ("code", "in_time", "day_before", "place"),
    [
        (9, True, True, Place.EARLY),
        (9, True, False, Place.ON_TIME),
        (10, False, False, Place.LATE),
        (7, True, False, Place.ON_TIME),
        (7, False, False, Place.LATE),
        (5, True, True, Place.PAUSED),
        (6, True, False, Place.PAUSED),
        (8, False, False, Place.PAUSED_LATE),
        (4, True, True, Place.RUNNING),
        (2, False, False, Place.RUNNING_LATE),
    ],
)
def test_rep_02_a_dossier_is_counted_by_its_status_code_and_its_promised_time(
    code: int, in_time: bool, day_before: bool, place: Place
) -> None:
    assert place_of(code, in_time=in_time, day_before=day_before) is place
    assert place_of(code, stopped=True, in_time=in_time, day_before=day_before) is Place.STOPPED


ALIKE = st.builds(
    Alike,
    unit=st.just("H49"),
    procedure=st.just("e-copy"),
    channel=st.sampled_from(CHANNELS),
    brought_over=st.booleans(),
    code=st.sampled_from([2, 4, 5, 6, 7, 8, 9, 10]),
    stopped=st.booleans(),
    in_time=st.booleans(),
    day_before=st.booleans(),
    month=st.just(1),
    counted=st.just(True),
    number=st.integers(0, 1000),
    dossiers=st.none(),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ALIKE))
def test_rep_03_whatever_is_counted_adds_up(groups: list[Alike]) -> None:
    tallies = [Tally() for _ in range(3)]
    for place, one in enumerate(groups):
        tallies[place % 3].add(one)
    whole = total(tallies)
    whole.check()
    assert whole.received == whole.carried_over + whole.in_period == sum(one.number for one in groups)
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
