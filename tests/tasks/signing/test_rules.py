"""Who may sign what, in which order (SIG-12, AUTH-01)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.errors import Forbidden
from tasks.authority.examples import asked
from tasks.authority.rules import decide
from tasks.signing.rules import agrees_with_page, kept_key, order_holds

ROUTE = ["official_1", "official_2", "seal"]


@pytest.mark.parametrize(
    ("signed", "field", "missing"),
    [
        ([], "official_1", None),
        (["official_1"], "official_2", None),
        (["official_1", "official_2"], "seal", None),
        (["official_2", "official_1"], "seal", None),
        ([], "official_2", "official_1"),
        ([], "seal", "official_1"),
        (["official_1"], "seal", "official_2"),
        (["official_2"], "seal", "official_1"),
    ],
)
def test_sig_12_persons_first_and_the_agency_last(signed: list[str], field: str, missing: str | None) -> None:
    if missing is None:
        order_holds(ROUTE, signed, field)
        return
    with pytest.raises(Forbidden) as refusal:
        order_holds(ROUTE, signed, field)
    assert refusal.value.rule == "SIG-12"
    assert missing in refusal.value.message


def test_a_page_that_names_another_capacity_than_the_signer_has_is_not_signed() -> None:
    decision = decide(asked("ha"))
    agrees_with_page({"lines": {"official_1": ["KT. CHỦ TỊCH", "PHÓ CHỦ TỊCH"]}}, "official_1", decision)
    with pytest.raises(Forbidden) as refusal:
        agrees_with_page({"lines": {"official_1": ["CHỦ TỊCH"]}}, "official_1", decision)
    assert refusal.value.rule == "AUTH-01"
    assert "the page says “CHỦ TỊCH”" in refusal.value.message


def test_the_name_of_a_kept_signature_follows_from_its_intent_alone() -> None:
    ha = decide(asked("ha"))
    key = kept_key("ab" * 32, "official_1", "cd" * 32, ha.rests_on)
    later = decide(asked("ha", at="2026-05-05 10:00:00"))
    assert key == kept_key("ab" * 32, "official_1", "cd" * 32, later.rests_on)
    others = {
        kept_key("ac" * 32, "official_1", "cd" * 32, ha.rests_on),
        kept_key("ab" * 32, "official_2", "cd" * 32, ha.rests_on),
        kept_key("ab" * 32, "official_1", "ce" * 32, ha.rests_on),
        kept_key("ab" * 32, "official_1", "cd" * 32, decide(asked("lam")).rests_on),
        kept_key("ab" * 32, "official_1", "cd" * 32, replace(ha, mandates=(9,)).rests_on),
    }
    assert key not in others
    assert len(others) == 5
