"""What follows an answer of a mail server, and what never changes between two tries."""

from __future__ import annotations

from datetime import timedelta

import pytest

from infra.mail import Outcome
from tasks.delivery.rules import AMBIGUOUS_TRIES, PATIENCE, after, message_id


def test_what_was_accepted_is_over() -> None:
    following = after(Outcome.ACCEPTED, attempts=3, ambiguous=1)
    assert (following.state, following.wait, following.fall_back) == ("accepted", None, False)


def test_what_was_put_off_waits_longer_each_time_and_ends_at_the_counter_after_days() -> None:
    waits = [after(Outcome.DEFERRED, attempts=n, ambiguous=0).wait for n in range(1, len(PATIENCE) + 1)]
    assert None not in waits
    assert waits == sorted(w for w in waits if w is not None)
    assert sum((w for w in waits if w is not None), timedelta()) >= timedelta(days=3)
    last = after(Outcome.DEFERRED, attempts=len(PATIENCE) + 1, ambiguous=0)
    assert (last.wait, last.fall_back) == (None, True)


def test_what_was_refused_is_never_sent_again() -> None:
    following = after(Outcome.REFUSED, attempts=1, ambiguous=0)
    assert (following.wait, following.fall_back) == (None, True)


@pytest.mark.parametrize("lost", range(1, AMBIGUOUS_TRIES + 1))
def test_a_lost_answer_is_asked_for_again_a_few_times(lost: int) -> None:
    following = after(Outcome.AMBIGUOUS, attempts=lost, ambiguous=lost)
    assert following.state == "ambiguous"
    assert following.wait is not None


def test_after_too_many_lost_answers_a_person_asks_the_applicant() -> None:
    following = after(Outcome.AMBIGUOUS, attempts=9, ambiguous=AMBIGUOUS_TRIES + 1)
    assert (following.wait, following.fall_back) == (None, True)


def test_the_message_id_is_the_errand_s_own_and_tells_nothing_of_it() -> None:
    first = message_id("H49.21-261123-0001/email", "motcua@example.gov.vn")
    assert first == message_id("H49.21-261123-0001/email", "motcua@example.gov.vn")
    assert first != message_id("H49.21-261123-0002/email", "motcua@example.gov.vn")
    assert first.endswith("@example.gov.vn>")
    assert "H49" not in first
