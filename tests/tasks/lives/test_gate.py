"""The release gate: recorded lives are replayed, and a release that would treat one otherwise is not deployed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.environment import environment
from infra.errors import Forbidden
from infra.release import FOLDER
from tasks.dossier.lifecycle import Stage
from tasks.dossier.procedures import SHIPPED
from tasks.lives.gate import RECORDED, pass_gate, read_lives, replay, write_lives
from tasks.lives.rules import Lives, faults, relived

LIVES = read_lives(RECORDED)

#: Everything that a recorded life may hold; codes, people, offices and documents are not among it.
MEMBERS = {
    "name", "procedure", "days", "began", "extended_by", "steps", "originals", "outcome", "event", "after", "before",
    "stage", "pages", "copies", "free", "route", "signed", "standing", "promised", "kept_until", "fees", "portal",
    "stands",
}  # fmt: skip


def test_the_shipped_lives_are_lived_by_this_release_as_they_were_recorded() -> None:
    replayed = replay([RECORDED])
    assert replayed.faults == ()
    assert replayed.lives == len(LIVES.lives) >= 15


def test_the_shipped_lives_reach_every_stage_pass_every_pause_and_every_shipped_procedure() -> None:
    reached = {step.stage for life in LIVES.lives for step in life.steps}
    assert set(Stage) - reached == {Stage.BOOKED}
    assert {life.procedure["code"] for life in LIVES.lives} >= {
        path.name.split(".")[0] for path in SHIPPED.glob("*.yaml")
    }


def test_a_recorded_life_holds_no_code_no_person_and_no_document() -> None:
    for life in json.loads(RECORDED.read_text(encoding="utf-8"))["lives"]:
        flat = {
            *life,
            *(k for part in ("steps", "originals") for one in life[part] for k in one),
            *life["outcome"],
        }
        assert flat <= MEMBERS | {"days"}
    written = RECORDED.read_text(encoding="utf-8")
    assert "H49" not in written
    assert "staff" not in written


def changed(change: Callable[[dict[str, Any]], object]) -> list[str]:
    """What the rules say of lives that were recorded otherwise: as if the rules had changed the other way."""
    body = LIVES.model_dump(mode="json")
    change(body)
    return faults(Lives.model_validate(body))


def _swap_signatures(body: dict[str, Any]) -> None:
    signed = next(one for life in body["lives"] for one in life["originals"] if len(one["signed"]) == 2)
    signed["signed"].reverse()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b["moves"]["Signed"].append("Withdrawn"), "may not go from Signed to Withdrawn, and might"),
        (lambda b: b["moves"]["Signed"].remove("Returned"), "may go from Signed to Returned, and might not"),
        (lambda b: b["paused"].remove("Stopped"), "the clock stands still at Stopped, and ran"),
        (lambda b: b["paused"].append("Signed"), "the clock runs at Signed, and stood still"),
        (lambda b: b["lives"][0]["steps"][0].update(before="Archived"), "took it from Archived to Cancelled, which is refused [DOS-06]"),
        (_swap_signatures, "signatures: seal was signed after nothing, which is refused [SIG-12]"),
        (lambda b: b["lives"][4]["originals"][0].update(pages=3), "fees: 2000 → 5000"),
        (lambda b: b["lives"][4]["outcome"]["portal"].append(7), "portal: "),
        (lambda b: b["lives"][4]["outcome"].update(stands="Received"), "stands: Received → Signed"),
        (lambda b: b["lives"][4]["procedure"]["retention"].update(years=2), "kept until, begun "),
        (lambda b: b["lives"][4]["procedure"]["time_limit"].update(working_days=4), "deadline, begun "),
        (lambda b: b["lives"][4]["procedure"]["signature_steps"].reverse(), "does not end with the one signature of the agency [SIG-12]"),
        (lambda b: b["lives"][4]["procedure"].update(kind="loan"), "its procedure cannot be read any more"),
        (lambda b: b["answers"].update({"authority, seal: without a keeper": "signs as UBND"}), "authority, seal: without a keeper: signs as UBND → refused [SIG-13]"),
        (lambda b: b["answers"].update({"delivery, e-copy v2: paper wanted, without an address": "goes back by paper"}), "goes back by paper → refused [CERT-05]"),
        (lambda b: b["answers"].update({"delivery, e-copy v1: paper wanted": "goes back"}), "goes back → not asked any more"),
    ],
)  # fmt: skip
def test_a_life_that_was_lived_otherwise_is_named_with_what_differs(change: Any, said: str) -> None:
    found = changed(change)
    assert any(said in one for one in found), found


def test_an_intended_change_is_accepted_with_its_reason_and_what_cannot_be_lived_is_left_out(
    tmp_path: Path,
) -> None:
    body = LIVES.model_dump(mode="json")
    body["lives"][4]["outcome"]["fees"] = [1]
    body["lives"][0]["steps"][0]["before"] = "Archived"
    accepted, gone = relived(Lives.model_validate(body), "NĐ 1/2027")
    assert accepted.why[-1] == "NĐ 1/2027"
    assert faults(accepted) == []
    assert len(accepted.lives) == len(LIVES.lives) - 1
    assert (
        gone == [f"{LIVES.lives[0].name}: {gone[0].partition(': ')[2].partition(': ')[2]}"]
        or "Archived" in gone[0]
    )
    file = tmp_path / "lives.json"
    write_lives(file, accepted)
    assert read_lives(file) == accepted
    assert pass_gate([file]) == len(accepted.lives)


@pytest.mark.parametrize("content", [None, "", "{}", '{"why": []}'])
def test_lives_that_cannot_be_read_let_nothing_pass(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "lives.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(Forbidden) as refusal:
        pass_gate([file])
    assert refusal.value.rule == "RELEASE-02"


# Twins: this release with one line broken.

TWINS = {
    "deadline": (
        "tasks/dossier/deadlines.py",
        "moment.time() > limit.same_day_until",
        "moment.time() >= limit.same_day_until",
        "deadline, begun 2026-11-20 15:00:00+07:00: 2026-11-20 17:00:00+07:00 → 2026-11-23 17:00:00+07:00",
    ),
    "signing order": (
        "tasks/signing/rules.py",
        "missing = [step for step in route[: route.index(field)] if step not in signed]",
        "missing = [step for step in route[: route.index(field)] if step not in signed and field != 'seal']",
        "signatures: seal may be signed before official_1, and might not",
    ),
    "authority": (
        "tasks/authority/values.py",
        "(self.before is None or moment < self.before)",
        "(self.before is None or moment <= self.before)",
        "the head of the unit a second after the mandate: refused [AUTH-01] → signs as TUQ. CHỦ TỊCH / CHÁNH VĂN PHÒNG",
    ),
    "delivery": (
        "tasks/delivery/rules.py",
        "AMBIGUOUS_TRIES = 2",
        "AMBIGUOUS_TRIES = 3",
        "delivery, try 3 ambiguous: ambiguous, and falls back → ambiguous, again after 1800 s",
    ),
    "illegal move": (
        "tasks/dossier/lifecycle.py",
        "Stage.SIGNED: frozenset({Stage.RETURNED}),",
        "Stage.SIGNED: frozenset({Stage.RETURNED, Stage.WITHDRAWN}),",
        "a dossier may go from Signed to Withdrawn, and might not",
    ),
    "edited version": (
        "tasks/dossier/procedures/e-copy.v2.yaml",
        "later_price: 1000",
        "later_price: 1500",
        "the shipped e-copy v2 was edited: fee, later price: 1000 → 1500 [GEN-02]",
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_a_release_with_a_changed_rule_is_not_deployed_and_says_which(tmp_path: Path, name: str) -> None:
    file, old, new, said = TWINS[name]
    for part in ("flows", "tasks", "infra"):
        shutil.copytree(FOLDER / part, tmp_path / part)
    for one in ("prefect.yaml", "requirements.lock"):
        shutil.copy2(FOLDER / one, tmp_path / one)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (tmp_path / file).write_text(text.replace(old, new), encoding="utf-8")
    # Neither a Prefect server nor a database is there: whoever tried to touch one would say so.
    nothing = {"HOSO_ENV_FILE": str(tmp_path / "none"), "HOSO_STANDBY": "no", "HOSO_VAR_DIR": str(tmp_path)}
    words = ["deploy", "--check"] if name == "deadline" else ["lives", "check"]
    done = subprocess.run(
        [sys.executable, "-m", "flows.command", *words],
        cwd=tmp_path, env=environment(nothing), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, "[RELEASE-01]" in done.stderr) == (1, True), done.stderr
    assert said in done.stderr
