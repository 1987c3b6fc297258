"""No attack passes: each is called not valid or unreadable, and the documents that it was made from are valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.pdf.verifying.findings import Verdict
from tests.attacks import ATTACKS, Attack, Target

if TYPE_CHECKING:
    from tests.conftest import Authority

LEVELS = {
    "once": "B",
    "twice": "B",
    "approved": "B",
    "other": "B",
    "stamped": "T",
    "with_evidence": "B",
    "lta": "LTA",
}


@pytest.fixture(scope="session")
def target(authority: Authority, form: bytes, picture: bytes) -> Target:
    return Target(authority, form, picture)


@pytest.mark.parametrize("which", LEVELS)
def test_what_is_attacked_is_valid_before_the_attack(target: Target, which: str) -> None:
    report = target.examined(getattr(target, which))
    assert report.verdict is Verdict.VALID, report.everything()
    assert {one.level for one in report.signatures if one.kind != "time-stamp"} == {LEVELS[which]}


@pytest.mark.parametrize("one", ATTACKS, ids=lambda one: one.name)
def test_an_attack_is_not_valid(target: Target, one: Attack) -> None:
    report = target.examined(one.mutate(target))
    assert report.verdict in (Verdict.NOT_VALID, Verdict.UNREADABLE), report.everything()


def test_every_attack_changes_something_and_has_a_name_of_its_own(target: Target) -> None:
    assert len({one.name for one in ATTACKS}) == len(ATTACKS)
    originals = {getattr(target, which) for which in LEVELS}
    assert not any(one.mutate(target) in originals for one in ATTACKS)
