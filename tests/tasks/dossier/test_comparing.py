"""What a new version of a procedure changes is said in words, and nothing is left out."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.dossier.procedures import SHIPPED, Procedure
from tasks.dossier.procedures.comparing import differences

BODY: dict[str, Any] = yaml.safe_load((SHIPPED / "e-copy.v2.yaml").read_text(encoding="utf-8"))
SECOND = {"field": "official_2", "role": "official", "capacities": ["own"], "optional": True}
FIRST, SEAL = BODY["signature_steps"]


def procedure(**changes: Any) -> Procedure:
    return Procedure.model_validate(BODY | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"version": 7, "effective_from": "2030-01-01"}, []),
        ({"time_limit": {**BODY["time_limit"], "working_days": 2}}, ["time limit, working days: 0 → 2"]),
        ({"time_limit": {**BODY["time_limit"], "same_day_until": None}}, ["time limit, same day until: 15:00:00 → none"]),
        ({"fee": {**BODY["fee"], "cap": 9}}, ["fee, cap: 200000 → 9"]),
        ({"retention": {"years": None, "rule": "ARC-02"}}, ["retention, years: 20 → none"]),
        ({"channels": {**BODY["channels"], "refused": {}}},
         ["channels, refused, paper: rule CERT-05, reason a certified e-copy has value in electronic form only → none"]),
        ({"publication": "unless-confidential"}, ["publication: never → unless-confidential"]),
        ({"checklist": BODY["checklist"][:1]}, ["the checklist does not ask for “Giấy tờ tùy thân của người yêu cầu (xuất trình)” any more"]),
        ({"checklist": [*BODY["checklist"], {"id": "x", "name": "Ảnh", "required": False}]}, ["the checklist asks for “Ảnh” (optional)"]),
        ({"signature_steps": [FIRST, SECOND, SEAL]}, ["official_2 is signed too, by the official (own), if it is not dropped"]),
        ({"signature_steps": [SEAL], "no_signatory": True}, ["official_1 is not signed any more", "no signatory: no → yes"]),
        ({"signature_steps": [SEAL, FIRST]}, ["the order of signatures: official_1, seal → seal, official_1"]),
        ({"signature_steps": [{**FIRST, "capacities": ["own"]}, SEAL]}, ["signature official_1, capacities: own, KT., TUQ. → own"]),
    ],
)  # fmt: skip
def test_each_change_has_its_sentence(changes: dict[str, Any], said: list[str]) -> None:
    assert differences(procedure(), procedure(**changes)) == said


@given(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["A", BODY["name"]]),
            "supplements": st.integers(0, 2),
            "erasure": st.sampled_from([{}, {"after_days": 3}]),
            "weak_signatures": st.sampled_from(["refuse", "flag"]),
            "exchanged_with": st.sampled_from([[], ["H49.31"]]),
            "fee": st.sampled_from([None, BODY["fee"], BODY["fee"] | {"cap": 0}]),
            "signature_steps": st.permutations([FIRST, SECOND, SEAL]),
        }
    )
)
def test_there_is_nothing_to_say_exactly_when_nothing_differs(changes: dict[str, Any]) -> None:
    old, new = procedure(), procedure(**changes)
    assert (differences(old, new) == []) == (old == new)
