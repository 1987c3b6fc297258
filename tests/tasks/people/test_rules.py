"""The table of acts, held against an expectation that was written by hand; deny by default (AUTH-06)."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.dossier.offices import Role
from tasks.people.rules import ACTS, EVERY, Held, covers, delay_after, fitting, role_for

#: Who may do what, written down apart from the code: a change of the table that nobody meant is seen here.
EXPECTED: dict[str, dict[str, str]] = yaml.safe_load(
    (Path(__file__).resolve().parents[2] / "vectors" / "acts.yaml").read_text(encoding="utf-8")
)
ROLES = get_args(Role)
OURS, THEIRS = "H49.21", "H49.22"


def test_the_expectation_speaks_of_every_act_and_of_no_other() -> None:
    assert set(EXPECTED) == set(ACTS)


CASES = list(product(ROLES, (OURS, EVERY), ("e-copy", EVERY), (OURS, THEIRS), ("e-copy", "return-of-result")))


@pytest.mark.parametrize("act", EXPECTED)
def test_auth_06_each_act_is_allowed_to_exactly_the_roles_that_are_expected(act: str) -> None:
    expected = EXPECTED[act]
    about_a_dossier = expected["about"] == "dossier"
    for role, held_at, held_for, office, procedure in CASES:
        named = role in expected["roles"].split()
        there = held_at == EVERY or office == OURS
        fits = held_for == EVERY or (about_a_dossier and procedure == "e-copy")
        held = [Held(role=role, office=held_at, procedure=held_for)]
        found = role_for(act, held, office=office, procedure=procedure if about_a_dossier else EVERY)
        assert found == (role if named and there and fits else None), (role, held_at, held_for, office)


@given(st.text(), st.sampled_from(ROLES))
def test_an_act_that_is_not_in_the_table_is_refused_to_everybody(act: str, role: str) -> None:
    held = [Held(role=role)]
    assert (role_for(act, held, office=OURS) is not None) <= (act in ACTS)


def test_a_role_that_nobody_knows_allows_nothing() -> None:
    held = [Held(role="king")]
    assert not [act for act in ACTS if fitting(act, held)]


def test_nobody_without_roles_may_do_anything() -> None:
    assert not [act for act in ACTS if fitting(act, [])]


def test_a_restricted_role_does_not_cover_every_procedure() -> None:
    assert not covers(Held(role="clerk", office=OURS, procedure="e-copy"), OURS, EVERY)


@given(st.integers(0, 1000))
def test_the_delay_never_shrinks_and_is_never_longer_than_a_minute(failures: int) -> None:
    assert 0 <= delay_after(failures) <= delay_after(failures + 1) <= 60
