"""`hoso deploy` makes the server what the file says, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.workers.process import ProcessWorker

from infra.stack.layout import PROJECT
from tests.flows.live import Live

pytestmark = pytest.mark.long


def declared(folder: Path, *more: dict[str, Any]) -> Path:
    """Return a copy of the shipped file with more deployments, and a second schedule of the sweep."""
    content = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))
    sweep = next(one for one in content["deployments"] if one["name"] == "sweep")
    sweep["schedules"].append({**sweep["schedules"][0], "slug": "at-noon", "cron": "0 12 * * *"})
    content["deployments"] += more
    file = folder / "prefect.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def on_server(office: Live) -> dict[str, Any]:
    """Return all deployments and automations as the server has them, with the times of their last change."""
    deployments = office.api("POST", "/deployments/filter")
    automations = office.api("POST", "/automations/filter")
    # When a worker looked last is no change.
    unstable = ("last_polled", "status")
    told = {one["name"]: {k: v for k, v in one.items() if k not in unstable} for one in deployments}
    return told | {one["name"]: one for one in automations}


@pytest.fixture
def foreign(office: Live) -> Any:
    """Somebody else's deployment on the same server."""
    flow = office.api("POST", "/flows/", name="foreign")
    made = office.api(
        "POST", "/deployments/", name="foreign", flow_id=flow["id"], entrypoint="theirs.py:flow"
    )
    yield made
    office.api("DELETE", f"/deployments/{made['id']}")


def test_deploying_again_changes_nothing(office: Live) -> None:
    before = on_server(office)
    said = office.deploy("--json")
    assert (said.code, said.json) == (0, [])
    assert on_server(office) == before


def test_what_is_gone_from_the_file_is_removed_and_a_foreign_deployment_stays(
    office: Live, foreign: dict[str, Any], tmp_path: Path
) -> None:
    assert office.deploy().code == 0, "what other tests left on this server is set right"
    before = on_server(office)
    extra = {
        "name": "second-look",
        "entrypoint": "flows.upkeep.sweep",
        "tags": ["managed-by:hoso"],
        "work_pool": {"name": "hoso"},
    }
    file = declared(tmp_path, extra)
    planned = office.deploy("--plan", "--file", file, "--json")
    assert planned.json == [
        "change deployment sweep/sweep: 2 schedule(s); schedules",
        "make deployment sweep/second-look: 0 schedule(s)",
    ]
    assert on_server(office) == before, "a plan changes nothing"
    made = office.deploy("--file", file, "--json")
    assert made.code == 0, made.err
    assert made.json == [
        "changed deployment sweep/sweep: 2 schedule(s); schedules",
        "made deployment sweep/second-look: 0 schedule(s)",
    ]
    slugs = {s["slug"] for s in on_server(office)["sweep"]["schedules"]}
    assert slugs == {"every-ten-minutes", "at-noon"}
    said = office.deploy("--json")
    assert said.json == [
        "changed deployment sweep/sweep: 1 schedule(s); schedules",
        "removed deployment sweep/second-look",
    ]
    after = on_server(office)
    assert {s["slug"] for s in after["sweep"]["schedules"]} == {"every-ten-minutes"}
    assert after.keys() == before.keys()
    assert after["foreign"] == before["foreign"]


def test_a_file_with_a_mistake_changes_nothing_on_the_server(office: Live, tmp_path: Path) -> None:
    before = on_server(office)
    wrong = {
        "name": "wrong",
        "entrypoint": "flows.upkeep.sweap",
        "tags": ["managed-by:hoso"],
        "work_pool": {"name": "hoso"},
    }
    said = office.deploy("--file", declared(tmp_path, wrong))
    assert said.code == 1
    assert "flows.upkeep.sweap does not load" in said.err
    assert on_server(office) == before


def test_what_somebody_changed_in_the_ui_is_as_declared_again(office: Live) -> None:
    sweep = office.api("GET", "/deployments/name/sweep/sweep")
    schedule = sweep["schedules"][0]
    office.api("PATCH", f"/deployments/{sweep['id']}/schedules/{schedule['id']}", active=False)
    office.api("PATCH", f"/deployments/{sweep['id']}", paused=True)
    said = office.deploy("--json")
    assert said.json == ["changed deployment sweep/sweep: 1 schedule(s); it was paused, schedules"]
    after = office.api("GET", "/deployments/name/sweep/sweep")
    assert not after["paused"]
    assert [s["active"] for s in after["schedules"]] == [True]


def test_a_pool_with_prefects_template_gets_ours_and_one_that_somebody_wrote_is_left(office: Live) -> None:
    made = ProcessWorker.get_default_base_job_template()
    office.api("PATCH", "/work_pools/hoso", base_job_template=made)
    assert "changed work pool hoso; template" in office.deploy("--json").json
    ours = office.api("GET", "/work_pools/hoso")["base_job_template"]
    assert set(ours["variables"]["properties"]) == {"env", "command"}
    written = {**ours, "variables": {**ours["variables"], "description": "ours"}}
    office.api("PATCH", "/work_pools/hoso", base_job_template=written)
    office.deploy()
    assert office.api("GET", "/work_pools/hoso")["base_job_template"] == written
    office.api("PATCH", "/work_pools/hoso", base_job_template=ours)
