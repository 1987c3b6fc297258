"""Who may sign what, in which order (SIG-12, CERT-08, CERT-10, AUTH-01, AUTH-06)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from infra.errors import Forbidden
from tasks.dossier.offices import OfficeData
from tasks.signing.rules import capacity_fits, four_eyes, kept_key, may_certify, order_holds
from tests.world import VECTORS

ROUTE = ["official_1", "official_2", "seal"]


def office(**changes: Any) -> OfficeData:
    """Return the tests' office."""
    body = yaml.safe_load((VECTORS / "office.yaml").read_text(encoding="utf-8"))
    return OfficeData.model_validate({**body, **changes})


HA = office().officer("ha", "official")


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


def test_cert_10_nobody_certifies_papers_of_their_own() -> None:
    may_certify(HA, identity="022000000099", kin_of=["lam"])
    with pytest.raises(Forbidden) as refusal:
        may_certify(HA, identity=HA.identity, kin_of=[])
    assert refusal.value.rule == "CERT-10"


def test_cert_10_nobody_certifies_for_a_declared_relative() -> None:
    with pytest.raises(Forbidden) as refusal:
        may_certify(HA, identity="022000000099", kin_of=["ha"])
    assert refusal.value.rule == "CERT-10"


def test_an_official_without_a_known_identity_is_not_everybody_s_double() -> None:
    unknown = HA.model_copy(update={"identity": ""})
    may_certify(unknown, identity="", kin_of=[])


def test_the_examiner_does_not_sign_unless_the_office_decided_so() -> None:
    four_eyes(office(), HA, "mai")
    four_eyes(office(examiner_may_sign=True), HA, "ha")
    with pytest.raises(Forbidden) as refusal:
        four_eyes(office(), HA, "ha")
    assert refusal.value.rule == "AUTH-06"


def test_auth_01_a_capacity_that_the_step_does_not_know_is_refused() -> None:
    capacity_fits(HA, ["own", "KT."])
    with pytest.raises(Forbidden) as refusal:
        capacity_fits(HA, ["own", "TUQ."])
    assert refusal.value.rule == "AUTH-01"


def test_the_name_of_a_kept_signature_follows_from_its_intent_alone() -> None:
    key = kept_key("ab" * 32, "seal", "cd" * 32)
    assert key == kept_key("ab" * 32, "seal", "cd" * 32)
    others = {
        kept_key("ac" * 32, "seal", "cd" * 32),
        kept_key("ab" * 32, "official_1", "cd" * 32),
        kept_key("ab" * 32, "seal", "ce" * 32),
    }
    assert key not in others
    assert len(others) == 3
