"""The shipped proxy before a real Prefect server: nobody without a login, supervisors read, engineers act."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infra.deploy.proxy.reading import operations
from tests.browser.chromium import Page, browser
from tests.browser.door import ENGINEER, READER, Door, door, program
from tests.browser.morning import Morning
from tests.flows.live import Live

pytestmark = pytest.mark.skipif(program() is None, reason="not run: there is no nginx on this machine")


@pytest.fixture(scope="module")
def proxy(office: Live, morning: Morning, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The proxy before the office's Prefect server."""
    upstream = office.settings.prefect_ui_url.removeprefix("http://")
    with door(tmp_path_factory.mktemp("door"), upstream) as made:
        yield made


@pytest.fixture(scope="module")
def everything(office: Live) -> list[tuple[str, str]]:
    """Every operation that the running Prefect server describes, below `/api`."""
    described = httpx.get(f"{office.settings.prefect_ui_url}/api/openapi.json", timeout=60).json()["paths"]
    found = [(m.upper(), p.removeprefix("/api")) for p, methods in described.items() for m in methods]
    assert len(found) > 150
    return found


@pytest.fixture(scope="module")
def real(office: Live, morning: Morning) -> dict[str, str]:
    """Something that exists for each name in an address."""
    run = office.run_of(morning.archived)
    chosen = {"id": {"any_": [run["id"]]}}
    task = office.api("POST", "/task_runs/filter", flow_runs=chosen, limit=1)[0]
    return {
        "/flow_runs/": run["id"], "/flows/": run["flow_id"], "/deployments/": run["deployment_id"], "/task_runs/": task["id"],
        "/ui/task_runs/": task["id"], "/flow_run_states/": run["state_id"], "/task_run_states/": task["state_id"],
        "/work_queues/": run["work_queue_id"], "{work_pool_name}": "hoso", "{key}": "board", "{countable}": "event",
        "/work_pools/": "hoso",
    }  # fmt: skip


def address(path: str, real: dict[str, str]) -> str:
    """Return the address of an operation on something that exists, as far as there is such a thing."""
    for said, there in real.items():
        if said.startswith("{"):
            path = path.replace(said, there)
        elif path.startswith(said):
            path = re.sub(r"\{(id|name)\}", there, path, count=1)
    path = re.sub(r"\{\w*name\}", "default", path)
    return "/api" + re.sub(r"\{\w+\}", "5e0e7a3c-0000-4000-8000-000000000001", path)


def test_nobody_comes_in_without_the_right_password_and_nothing_goes_without_tls(proxy: Door) -> None:
    for by in (None, (READER[0], "guess"), ("nobody", READER[1])):
        assert proxy.ask("GET", "/", by=by).status_code == 401
        assert proxy.ask("GET", "/runs", by=by).status_code == 401
        assert proxy.ask("POST", "/api/flow_runs/filter", by=by, json={}).status_code == 401
    assert proxy.ask("POST", "/api/flows/", by=(ENGINEER[0], "guess"), json={"name": "x"}).status_code == 401
    plain = httpx.get(f"{proxy.plain}/runs?state=Late", follow_redirects=False)
    assert (plain.status_code, plain.headers["location"][:8]) == (301, "https://")


def test_a_supervisor_is_let_pass_where_the_list_says_and_nowhere_else(
    proxy: Door, everything: list[tuple[str, str]], real: dict[str, str]
) -> None:
    allowed = set(operations())
    refused = 0
    for method, path in everything:
        if (method, path) in allowed:
            continue
        answer = proxy.ask(method, address(path, real), by=READER, json={})
        assert (answer.status_code, "nginx" in answer.text) == (403, True), f"{method} {path}"
        refused += 1
    assert refused > 100


def test_what_a_supervisor_may_ask_writes_nothing(
    office: Live, proxy: Door, everything: list[tuple[str, str]], real: dict[str, str]
) -> None:
    office.prefect("alter role prefect set default_transaction_read_only = on")
    try:
        _begin_anew(office)
        wrote = proxy.ask("POST", "/api/flows/", by=ENGINEER, json={"name": "written"})
        assert wrote.status_code >= 500, "the database must refuse to write, or this shows nothing"
        answered = {}
        for method, path in operations():
            body = {"values": {}, "schema": {}} if path.endswith("validate") else {}
            body |= (
                {
                    "history_start": "2026-01-01T00:00:00Z",
                    "history_end": "2026-01-02T00:00:00Z",
                    "history_interval_seconds": 3600,
                }
                if path.endswith("history") and "ui" not in path
                else {}
            )
            more: dict[str, Any] = {"json": body} if method == "POST" else {}
            answered[f"{method} {path}"] = proxy.ask(
                method, address(path, real), by=READER, **more
            ).status_code
        assert {what: code for what, code in answered.items() if code >= 500 or code in (401, 403, 405)} == {}
        assert sum(code == 200 for code in answered.values()) > 45, answered
    finally:
        office.prefect("alter role prefect reset default_transaction_read_only")
        _begin_anew(office)


def _begin_anew(office: Live) -> None:
    """End Prefect's connections to its database; it makes new ones."""
    office.prefect("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'prefect'")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/flow_runs/filter/../{run}/set_state"),
        ("POST", "/api/flow_runs/{run}%2fset_state"),
        ("POST", "/api/flow_runs/{run}/set_state/..%2f..%2ffilter"),
        ("POST", "/api//flow_runs/{run}/set_state"),
        ("POST", "//api/flow_runs/{run}/set_state"),
        ("POST", "/x/../api/flow_runs/{run}/set_state"),
        ("POST", "/api/flow_runs/{run}/set_state?/filter"),
        ("POST", "/%61pi/flow_runs/{run}/set_state"),
        ("POST", "/runs"),
        ("DELETE", "/api/flow_runs/{run}"),
    ],
)
def test_no_way_of_writing_an_address_leads_a_supervisor_to_a_button(
    office: Live, morning: Morning, proxy: Door, method: str, path: str
) -> None:
    run = office.run_of(morning.near)
    body = {"state": {"type": "CANCELLED", "name": "Cancelled"}, "force": True}
    headers = {"X-HTTP-Method-Override": "GET", "Content-Type": "application/json"}
    answer = proxy.ask(
        method, path.format(run=run["id"]), by=READER, headers=headers, content=json.dumps(body)
    )
    assert answer.status_code in (403, 404)
    assert office.run_of(morning.near)["state_id"] == run["state_id"]


def test_an_engineer_acts_but_not_from_another_sites_page(proxy: Door) -> None:
    made = proxy.ask("POST", "/api/flows/", by=ENGINEER, json={"name": "made-by-an-engineer"})
    assert made.status_code in (200, 201)
    own = {"Origin": proxy.address}
    assert proxy.ask("POST", "/api/flows/filter", by=READER, json={}, headers=own).status_code == 200
    for by in (READER, ENGINEER):
        elsewhere = {"Origin": "https://elsewhere.example"}
        assert proxy.ask("POST", "/api/flows/filter", by=by, json={}, headers=elsewhere).status_code == 403
    assert proxy.ask("DELETE", f"/api/flows/{made.json()['id']}", by=READER).status_code == 403
    assert proxy.ask("DELETE", f"/api/flows/{made.json()['id']}", by=ENGINEER).status_code == 204


def test_a_supervisor_reads_every_page_through_the_proxy_and_no_button_does_anything(
    office: Live, morning: Morning, proxy: Door
) -> None:
    run = office.run_of(morning.stopped)
    with browser(ignore_certificates=True) as page:
        page.log_in(*READER)
        page.open(f"{proxy.address}/runs?flow-run-search={morning.stopped}", morning.stopped, "Stopped")
        page.open(f"{proxy.address}{_path(office, 'board')}", "As of", "late")
        page.open(f"{proxy.address}/runs/flow-run/{run['id']}", morning.stopped, "Task runs")
        _press(page, "Resume")
    assert office.run_of(morning.stopped)["state_id"] == run["state_id"]


def _path(office: Live, key: str) -> str:
    """Return where a page lies on its server."""
    return office.page_of(key).removeprefix(office.settings.prefect_ui_url)


def _press(page: Page, button: str) -> None:
    """Press a button and whatever asks whether that is meant."""
    page.click(button)
    page.reads("Resume")
    page.run(
        "[...document.querySelectorAll('[role=dialog] button, .p-modal button')].filter(b => b.innerText.trim() === 'Resume')"
        ".forEach(b => b.click())"
    )
