"""Procedure definitions: data that is checked before an office offers it (GEN-02)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.errors import Forbidden
from tasks.dossier.procedures import SHIPPED, Procedure, check_channels, read_procedure

E_COPY = read_procedure(SHIPPED / "e-copy.v1.yaml")
RETURN = read_procedure(SHIPPED / "return-of-result.v1.yaml")


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write the e-copy definition with something changed, and return its path."""
    body = yaml.safe_load((SHIPPED / "e-copy.v1.yaml").read_text(encoding="utf-8"))
    change(body)
    path = folder / "changed.v1.yaml"
    path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_definition_is_sound_and_named_as_its_file(path: Path) -> None:
    procedure = read_procedure(path)
    assert path.stem == f"{procedure.code}.v{procedure.version}"
    assert set(procedure.channels.refused).isdisjoint(procedure.channels.offered)
    if procedure.kind == "certification":
        assert procedure.register_ is not None
        assert procedure.signature_steps[0].role == "official"


def test_the_schema_beside_the_definitions_is_that_of_the_classes() -> None:
    written = json.loads((SHIPPED / "schema.json").read_text(encoding="utf-8"))
    assert written == Procedure.model_json_schema(by_alias=True), "run python -m tasks.dossier.procedures"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda body: body.update(colour="red"), "colour"),
        (lambda body: body.pop("fee"), "fee"),
        (lambda body: body.update(version=0), "version"),
        (lambda body: body["channels"].update(offered=["pigeon"]), "pigeon"),
        (lambda body: body["time_limit"].update(working_days=-1), "working_days"),
        (lambda body: body["time_limit"].update(same_day_until="25:00"), "same_day_until"),
        (lambda body: body["retention"].update(years=0), "years"),
        (lambda body: body["evidence"].update(release="A"), "release"),
    ],
)
def test_a_broken_definition_is_refused_with_the_file_and_what_is_wrong(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    with pytest.raises(Forbidden) as refusal:
        read_procedure(changed(tmp_path, change))
    assert refusal.value.rule == "GEN-02"
    assert "changed.v1.yaml" in refusal.value.message
    assert named in refusal.value.message


def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "torn.v1.yaml"
    path.write_text("code: [e-copy\n", encoding="utf-8")
    with pytest.raises(Forbidden) as refusal:
        read_procedure(path)
    assert refusal.value.rule == "GEN-02"


@pytest.mark.parametrize(
    "steps",
    [
        [{"field": "seal", "role": "agency"}, {"field": "official_1", "role": "official"}],
        [{"field": "official_1", "role": "official"}],
        [{"field": "one", "role": "agency"}, {"field": "two", "role": "agency"}],
    ],
)
def test_sig_12_a_route_that_does_not_end_with_the_agency_is_refused(
    tmp_path: Path, steps: list[dict[str, str]]
) -> None:
    with pytest.raises(Forbidden) as refusal:
        read_procedure(changed(tmp_path, lambda body: body.update(signature_steps=steps)))
    assert refusal.value.rule == "SIG-12"


OFFICIAL = {"field": "official_1", "role": "official", "capacities": ["own"]}
SEAL = {"field": "seal", "role": "agency"}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"signature_steps": [SEAL]}, "SIG-16"),
        ({"signature_steps": [{**OFFICIAL, "optional": True}, SEAL]}, "SIG-16"),
        ({"signature_steps": [OFFICIAL, SEAL], "no_signatory": True}, "SIG-16"),
        ({"signature_steps": [OFFICIAL, {**SEAL, "purpose": "result"}]}, "SIG-12"),
        ({"signature_steps": [OFFICIAL, {**SEAL, "purpose": "approve"}]}, "SIG-12"),
        ({"signature_steps": [{**OFFICIAL, "purpose": "copy"}, SEAL]}, "SIG-12"),
        ({"signature_steps": [OFFICIAL, {**SEAL, "optional": True}]}, "SIG-12"),
        ({"signature_steps": [OFFICIAL, OFFICIAL, SEAL]}, "PKI-08"),
        (
            {"signature_steps": [*({**OFFICIAL, "field": f"official_{n}"} for n in range(1, 5)), SEAL]},
            "SIG-12",
        ),
        ({"kind": "return", "register": None, "signature_steps": [OFFICIAL, SEAL]}, "SIG-10"),
    ],
)
def test_a_route_that_breaks_a_rule_is_refused_when_it_is_checked(
    tmp_path: Path, changes: dict[str, Any], rule: str
) -> None:
    with pytest.raises(Forbidden) as refusal:
        read_procedure(changed(tmp_path, lambda body: body.update(changes)))
    assert refusal.value.rule == rule


@pytest.mark.parametrize(
    "changes",
    [
        {"signature_steps": [SEAL], "no_signatory": True},
        {"signature_steps": [{**SEAL, "purpose": "copy"}]},
        {"signature_steps": [OFFICIAL, {**OFFICIAL, "field": "official_2", "optional": True}, SEAL]},
    ],
)
def test_sig_16_the_agency_signs_alone_where_there_is_no_signatory_and_on_copies(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    assert read_procedure(changed(tmp_path, lambda body: body.update(changes)))


class TestChannels:
    """By which way a result goes back (CERT-05, DOS-22, DOS-23)."""

    @pytest.mark.parametrize(
        ("email", "account", "chosen"),
        [("a@b.vn", None, "email"), (None, "A-1", "portal"), ("a@b.vn", "A-1", "portal")],
    )
    def test_dos_23_a_portal_account_goes_before_e_mail(
        self, email: str | None, account: str | None, chosen: str
    ) -> None:
        assert check_channels(E_COPY, [], email=email, account=account) == (chosen,)

    def test_dos_23_the_applicant_s_own_choice_goes_before_both(self) -> None:
        assert check_channels(E_COPY, ["email"], email="a@b.vn", account="A-1") == ("email",)

    @pytest.mark.parametrize(
        ("wanted", "email", "account", "rule"),
        [
            (["paper"], "a@b.vn", None, "CERT-05"),
            (["paper", "email"], "a@b.vn", None, "CERT-05"),
            (["email"], None, "A-1", "DOS-22"),
            (["portal"], "a@b.vn", None, "DOS-22"),
            (["email", "portal"], "a@b.vn", "A-1", "DOS-22"),
            (["pigeon"], "a@b.vn", None, "DOS-22"),
            ([], None, None, "DOS-22"),
            ([], "", "", "DOS-22"),
        ],
    )
    def test_an_e_copy_goes_back_by_one_channel_that_reaches_the_applicant(
        self, wanted: list[str], email: str | None, account: str | None, rule: str
    ) -> None:
        with pytest.raises(Forbidden) as refusal:
            check_channels(E_COPY, wanted, email=email, account=account)
        assert refusal.value.rule == rule
        assert refusal.value.way_out

    def test_dos_22_a_result_goes_back_by_several_channels_each_once(self) -> None:
        wanted = ["portal", "paper", "email", "paper"]
        found = check_channels(RETURN, wanted, email="a@b.vn", account="A-1")
        assert sorted(found) == ["email", "paper", "portal"]

    def test_dos_22_a_result_on_paper_needs_no_address(self) -> None:
        assert check_channels(RETURN, ["paper"], email=None, account=None) == ("paper",)
