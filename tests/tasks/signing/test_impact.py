"""What rests on a certificate that was revoked as of a moment, and what becomes of what is under way (CER-08)."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Forbidden
from tasks.evidence.steps import lift_for_release
from tasks.signing.steps import sign_original, validate
from tests.world import Said, World

MOMENT = "2026-11-20T12:00"


def typed(world: World, office: str, *words: object, staff: str = "an") -> Said:
    with world.as_(office, staff):
        return world.type("certificate", *words)


def did(world: World, office: str, *words: object) -> Any:
    said = typed(world, office, *words, "--json")
    assert said.code == 0, said.err
    return said.json


def certificate_of(world: World, office: str, holder: str) -> str:
    return str(
        world.ask("select sha256 from certificate where office = :o and holder = :h", o=office, h=holder)[0][
            0
        ]
    )


def revoke(world: World, office: str, sha256: str, as_of: str = "") -> None:
    more = ("--as-of", as_of) if as_of else ()
    did(world, office, "revoke", sha256, "--cause", "compromised", "--document", "9", *more)


def signed_on(world: World, code: str, moment: str) -> None:
    """Let an official have signed a dossier at a moment of Hà Nội."""
    world.put(
        "update signature set signed_at = cast(:m as timestamptz) where dossier = :c and field <> 'seal'",
        c=code, m=f"{moment}+07:00",
    )  # fmt: skip


def stamped_on(world: World, code: str, moment: str) -> None:
    """Let the time-stamps of a dossier's document be from a moment of Hà Nội."""
    world.put(
        "update lift set stamped_at = cast(:m as timestamptz) where dossier = :c", c=code, m=f"{moment}+07:00"
    )


def test_each_result_is_after_proven_or_claimed(world: World, tmp_path: Path) -> None:
    office = world.office()
    after, proven, late, claimed = (world.signed(office) for _ in range(4))
    signed_on(world, after, "2026-11-20T12:00:00")
    for code, stamp in ((proven, "2026-11-20T11:59:59"), (late, "2026-11-20T12:00:00")):
        signed_on(world, code, "2026-11-19T09:00:00")
        stamped_on(world, code, stamp)
    signed_on(world, claimed, "2026-11-19T09:00:00")
    world.put("update lift set stamped_at = null where dossier = :c", c=claimed)
    sha256 = certificate_of(world, office, "ha")
    file = tmp_path / "impact.csv"
    drawn = did(world, office, "impact", sha256, "--revoked-at", MOMENT, "--csv", file)
    assert {r["dossier"]: r["rests"] for r in drawn["results"]} == {
        after: "signed-after",
        proven: "proven-before",
        late: "claimed-before",
        claimed: "claimed-before",
    }
    assert drawn["counts"] == {"signed-after": 1, "proven-before": 1, "claimed-before": 2, "open": 0}
    assert {r["standing"] for r in drawn["results"]} == {"valid"}
    assert all(r["number"] and r["office"] == office for r in drawn["results"])
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(r["kind"], r["rests"]) for r in rows].count(("result", "claimed-before")) == 2
    assert {r["dossier"] for r in rows} == {after, proven, late, claimed}
    (entry,) = [e for e in world.told(f"certificate/{sha256}") if e["event"] == "certificate:impact-drawn"]
    assert (entry["counts"], entry["list"]) == (drawn["counts"], drawn["list"])
    assert "Sen" not in json.dumps([drawn, rows], ensure_ascii=False)


def test_the_agencys_certificate_has_an_impact_too(world: World) -> None:
    office = world.office()
    code = world.signed(office)
    drawn = did(world, office, "impact", certificate_of(world, office, ""), "--revoked-at", MOMENT)
    assert [(r["dossier"], r["field"]) for r in drawn["results"]] == [(code, "seal")]


def test_without_a_recorded_revocation_it_is_only_what_if(world: World) -> None:
    office = world.office()
    sha256 = certificate_of(world, office, "ha")
    said = typed(world, office, "impact", sha256)
    assert (said.code, "[CER-08]" in said.err) == (1, True)
    said = typed(world, office, "impact", sha256, "--revoked-at", MOMENT, "--reroute")
    assert (said.code, "Record its revocation first" in said.err) == (1, True)
    said = typed(world, office, "impact", sha256, "--revoked-at", MOMENT, staff="mai")
    assert (said.code, "[AUTH-06]" in said.err) == (1, True)


def test_what_waits_for_the_holder_is_put_before_another_official_under_its_number(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    sha256 = certificate_of(world, office, "ha")
    number = world.ask("select number from register_entry where dossier = :c", c=code)
    revoke(world, office, sha256)
    drawn = did(world, office, "impact", sha256, "--reroute")
    assert [(w["dossier"], w["because"]) for w in drawn["open"]] == [(code, "addressed")]
    assert [m["result"] for m in drawn["rerouted"]] == ["rerouted"]
    with world.as_(office, "mai"):
        listed = world.type("list", "--json").json
    assert {row["whom"] for row in listed if row["code"] == code} == {"lam"}
    assert world.ask("select number from register_entry where dossier = :c", c=code) == number
    again = did(world, office, "impact", sha256, "--reroute")
    assert (again["open"], again["rerouted"]) == ([], [])
    assert sign_original(code, 1, world.signer(office, "lam"))


def test_what_was_signed_after_the_revocation_is_not_sealed_and_goes_to_somebody_else(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    assert sign_original(code, 1, world.signer(office))
    assert world.stage(code) == "AwaitingSeal"
    sha256 = certificate_of(world, office, "ha")
    number = world.ask("select number from register_entry where dossier = :c", c=code)
    revoke(world, office, sha256, "2026-01-01T00:00")
    with pytest.raises(Forbidden) as refusal:
        sign_original(code, 1, world.signer(office, "seal"))
    assert refusal.value.rule == "CER-08"
    drawn = did(world, office, "impact", sha256, "--reroute")
    assert [(w["because"], m["result"]) for w, m in zip(drawn["open"], drawn["rerouted"], strict=True)] == [
        ("signed-after", "rerouted")
    ]
    assert drawn["results"][0]["rests"] == "signed-after"
    assert world.stage(code) == "AwaitingSignature"
    assert "original:rerouted" in world.events(code)
    assert world.ask("select number from register_entry where dossier = :c", c=code) == number
    assert sign_original(code, 1, world.signer(office, "lam"))
    assert sign_original(code, 1, world.signer(office, "seal"))
    lift_for_release(code, 1)
    assert validate(code, 1)


def test_where_nobody_else_may_sign_the_list_says_so(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    for holder in ("lam", "ha"):
        revoke(world, office, certificate_of(world, office, holder))
    drawn = did(world, office, "impact", certificate_of(world, office, "ha"), "--reroute")
    assert [m["result"] for m in drawn["rerouted"]] == ["nobody"]
    assert "CERT-08" in drawn["rerouted"][0]["why"]
    assert world.stage(code) == "AwaitingSignature"
