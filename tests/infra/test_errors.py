"""Errors are decisions, also after a journey between processes."""

from __future__ import annotations

import pickle

import pytest

from infra.errors import Broken, Forbidden, HosoError, Unavailable
from infra.token import WrongPin


@pytest.mark.parametrize("kind", [Forbidden, WrongPin])
def test_a_refusal_keeps_its_three_parts_on_its_way_between_processes(kind: type[Forbidden]) -> None:
    error = kind("it is full.", rule="CERT-04", way_out="Choose another slot.")
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is kind
    assert (arrived.message, arrived.rule, arrived.way_out) == (
        "it is full.",
        "CERT-04",
        "Choose another slot.",
    )
    assert str(arrived) == "it is full. [CERT-04] Choose another slot."


def test_only_time_is_a_reason_to_try_again() -> None:
    assert Unavailable("x").worth_retrying
    assert not Broken("x").worth_retrying
    assert not Forbidden("x", rule="y", way_out="z").worth_retrying
    assert all(issubclass(kind, HosoError) for kind in (Unavailable, Broken, Forbidden))
