"""The file of deployments is refused with every mistake that it has, before anything is changed anywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.batch_watch import ENDING
from flows.deployments import read_deployments
from infra.errors import Forbidden
from infra.stack.layout import PROJECT

SHIPPED = PROJECT / "prefect.yaml"

Change = Callable[[dict[str, Any]], object]


def changed(folder: Path, change: Change) -> Path:
    """Return a copy of the shipped file with a change."""
    content = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    change(content)
    file = folder / "prefect.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def sweep(content: dict[str, Any]) -> dict[str, Any]:
    """Return the declaration of the sweep."""
    return next(one for one in content["deployments"] if one["name"] == "sweep")


def schedule(content: dict[str, Any]) -> dict[str, Any]:
    """Return the schedule of the sweep."""
    return sweep(content)["schedules"][0]


def test_the_shipped_file_is_well_formed() -> None:
    assert {one.name for one in read_deployments(SHIPPED)} >= {"dossier", "sweep", "no-shows", "archival"}


def test_every_flow_that_begins_at_once_or_never_is_watched_for_runs_that_do_not_begin() -> None:
    names = {one.flow.name for one in read_deployments(SHIPPED)}
    assert set(ENDING) == names - {"dossier", "document"}


def test_every_schedule_of_the_shipped_file_is_in_the_offices_time_zone() -> None:
    zones = {s["timezone"] for one in read_deployments(SHIPPED) for s in one.schedules}
    assert zones == {"Asia/Ho_Chi_Minh"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(deplyments=[]), "unknown key “deplyments”"),
        (lambda c: c.pop("deployments"), "no list “deployments”"),
        (lambda c: c.update(pull=[]), "runs must read the release"),
        (lambda c: sweep(c).update(concurency_limit=3), "deployment “sweep”: unknown key “concurency_limit”"),
        (lambda c: sweep(c).update(paramters={}), "unknown key “paramters”"),
        (lambda c: sweep(c).pop("entrypoint"), "the key “entrypoint” is missing"),
        (lambda c: sweep(c).update(work_pool={"nmae": "hoso"}), "work_pool: unknown key “nmae”"),
        (lambda c: sweep(c).update(work_pool="hoso"), "work_pool: not a mapping"),
        (lambda c: sweep(c).update(tags=[]), "the tag managed-by:hoso is missing"),
        (
            lambda c: sweep(c).update(entrypoint="flows.upkeep.sweap"),
            "entrypoint flows.upkeep.sweap does not load",
        ),
        (
            lambda c: sweep(c).update(entrypoint="flows.absent.sweep"),
            "entrypoint flows.absent.sweep does not load",
        ),
        (lambda c: sweep(c).update(entrypoint="flows.upkeep.owner"), "is not a flow"),
        (lambda c: sweep(c).update(parameters={"limt": 3}), "the flow takes no parameter “limt”"),
        (lambda c: sweep(c).update(parameters={"limit": "many"}), "parameters: "),
        (lambda c: sweep(c)["concurrency_limit"].update(limit=0), "limit is a number from 1"),
        (
            lambda c: sweep(c)["concurrency_limit"].update(collision_strategy="WAIT"),
            "collision_strategy is one of",
        ),
        (
            lambda c: sweep(c)["concurrency_limit"].pop("limit"),
            "concurrency_limit: the key “limit” is missing",
        ),
        (lambda c: schedule(c).update(cron="*/10 * * *"), "“*/10 * * *” is not a cron line"),
        (lambda c: schedule(c).update(timezone="Asia/Hanoi"), "there is no time zone “Asia/Hanoi”"),
        (lambda c: schedule(c).pop("slug"), "schedule: the key “slug” is missing"),
        (lambda c: schedule(c).update(interval=60), "schedule: unknown key “interval”"),
        (lambda c: schedule(c).update(active="yes"), "active is true or false"),
        (
            lambda c: sweep(c)["schedules"].append(dict(schedule(c))),
            "two schedules are called “every-ten-minutes”",
        ),
        (lambda c: c["deployments"].append(dict(sweep(c))), "two deployments are called “sweep”"),
    ],
)
def test_a_mistake_is_named_and_the_file_refused(tmp_path: Path, change: Change, said: str) -> None:
    with pytest.raises(Forbidden) as refusal:
        read_deployments(changed(tmp_path, change))
    assert said in refusal.value.message
    assert "nothing was changed" in refusal.value.way_out


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        schedule(content)["cron"] = "never"
        content["deployments"][0]["entrypoint"] = "flows.nowhere"

    with pytest.raises(Forbidden) as refusal:
        read_deployments(changed(tmp_path, change))
    assert "deployment “sweep”" in refusal.value.message
    assert "deployment “dossier”" in refusal.value.message


@pytest.mark.parametrize(
    "content", ["", "just words", "- a\n- list", "deployments: 3", "name: [", "deployments: [3]"]
)
def test_a_file_that_is_no_declaration_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(Forbidden):
        read_deployments(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        read_deployments(tmp_path / "absent.yaml")
