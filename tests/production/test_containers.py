"""The whole office in containers, really started: the images built from their files, compose.yaml up, a dossier booked in it."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.production.containers import (
    JOBS,
    LOGINS,
    NotRun,
    Office,
    build,
    engine,
    fetch,
    must,
    office,
)

SERVERS = (
    "database",
    "store",
    "redis",
    "prefect-server",
    "prefect-services",
    "worker",
    "warm-worker",
    "backup",
    "proxy",
)
SAMPLE = "/opt/hoso/release/infra/stack/sample_office"
#: How the portal logs in: a password set with the code that an engineer hands over.
LOG_IN = """umask 077
printf '%s\\ncorrect-horse-battery\\n' "$CODE" >/tmp/code && hoso password H49.21/cong --secret-file /tmp/code
echo correct-horse-battery >/tmp/word && hoso login H49.21/cong --password-file /tmp/word"""


@pytest.fixture(scope="module")
def running(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """compose.yaml, up, with the sample office in it and its portal logged in."""
    try:
        name = engine()
        fetch(name)
    except NotRun as why:
        pytest.skip(f"not run: {why}")
    build(name)
    # The program itself: the one beside it, which calls it, loses its status.
    (compose,) = tools.parent.glob("lib/python*/site-packages/compose/docker-compose")
    with office(name, compose, tmp_path_factory.mktemp("office")) as made:
        made.once("deployed", "hoso", "procedure", "load")
        made.once("deployed", "hoso", "office", "load", f"{SAMPLE}/office.yaml")
        code = json.loads(made.once("deployed", "hoso", "person", "enrol", "H49.21/cong", "--json"))["code"]
        made.within("warm-worker", "env", f"CODE={code}", "sh", "-c", LOG_IN)
        yield made


def ask(running: Office, method: str, path: str, who: str = "", body: object = None) -> tuple[int, Any]:
    """Ask the proxy as a browser would, and return the status and what came."""
    trust = ssl.create_default_context(cafile=str(Path(running.settings["SECRETS"]) / "proxy_certificate"))
    door = http.client.HTTPSConnection("localhost", int(running.settings["HTTPS_PORT"]), context=trust)
    headers = {"Content-Type": "application/json"}
    if who:
        word = base64.b64encode(f"{who}:{LOGINS[who]}".encode()).decode()
        headers["Authorization"] = f"Basic {word}"
    door.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
    answer = door.getresponse()
    content = answer.read()
    door.close()
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    return answer.status, json.loads(content) if is_json and content else content


def until(true: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(1)


def book(running: Office) -> str:
    """Book as the portal does, until it is done, and return the dossier's code."""
    words = ["hoso", "book", "--office", "H49.21", "--applicant", f"{SAMPLE}/applicant.yaml", "--json"]
    said: list[str] = []

    def is_done() -> bool:
        done = running.do("exec", "-T", "warm-worker", *words)
        said.append(done.stdout)
        return done.returncode == 0

    until(is_done)
    return str(json.loads(said[-1])["code"])


def states_of(running: Office, code: str) -> list[str]:
    """Return the states of a dossier's runs, as a reader sees them through the proxy."""
    wanted = {"flow_runs": {"name": {"any_": [code]}}}
    status, runs = ask(running, "POST", "/api/flow_runs/filter", "reader", wanted)
    return [run["state"]["name"] for run in runs] if status == 200 else []


def deployment(running: Office, name: str) -> str:
    """Return the id of a deployment, as a reader finds it."""
    wanted = {"deployments": {"name": {"any_": [name]}}}
    status, found = ask(running, "POST", "/api/deployments/filter", "reader", wanted)
    assert status == 200
    return str(found[0]["id"])


def test_every_job_has_ended_and_every_server_runs(running: Office) -> None:
    states = running.states()
    assert {job: states[job] for job in JOBS} == dict.fromkeys(JOBS, ("exited", 0))
    assert {name: states[name][0] for name in SERVERS} == dict.fromkeys(SERVERS, "running")


def test_the_page_of_prefect_is_there_for_whoever_has_a_login(running: Office) -> None:
    assert ask(running, "GET", "/api/health") == (200, True)
    assert ask(running, "GET", "/")[0] == 401
    status, page = ask(running, "GET", "/", "reader")
    assert status == 200
    assert b"<!DOCTYPE html>" in page


def test_a_dossier_that_is_booked_is_carried_on_and_shown(running: Office) -> None:
    code = book(running)
    until(lambda: states_of(running, code) == ["Booked"])


def test_a_run_that_an_engineer_starts_is_carried_out_and_a_reader_starts_none(running: Office) -> None:
    start = f"/api/deployments/{deployment(running, 'sweep')}/create_flow_run"
    assert ask(running, "POST", start, "reader", {})[0] == 403
    status, run = ask(running, "POST", start, "engineer", {})
    assert status == 201

    def is_over() -> bool:
        return bool(
            ask(running, "GET", f"/api/flow_runs/{run['id']}", "reader")[1]["state_type"] == "COMPLETED"
        )

    until(is_over)


def test_the_office_goes_on_after_its_database_was_killed(running: Office) -> None:
    before = book(running)
    own = f"label=com.docker.compose.project={running.settings['COMPOSE_PROJECT_NAME']}"
    words = ["ps", "-q", "--filter", own, "--filter", "label=com.docker.compose.service=database"]
    (found,) = must(running.engine, *words).split()
    must(running.engine, "kill", "--signal", "KILL", found)
    running.do("up", "-d", "database")
    after = book(running)
    until(lambda: states_of(running, before) == states_of(running, after) == ["Booked"])


def test_a_base_copy_is_made_beside_the_changes(running: Office) -> None:
    assert "whole and verified" in running.within("backup", "hoso", "backup")
