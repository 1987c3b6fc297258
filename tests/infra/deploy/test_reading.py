"""What readers may ask of Prefect: only what the installed Prefect has, only what reads, and nothing overlooked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.deploy.proxy.reading import LISTED, WRITTEN, operations, pattern, render
from infra.environment import environment

#: Prefect describes itself in a process of its own: it would change this one's settings.
DESCRIBE = """
from prefect.server.api.server import create_api_app
for path, methods in create_api_app().openapi()["paths"].items():
    for method in methods:
        print(method.upper(), path)
"""

#: How the addresses end by which Prefect reads although the method is POST; `get_…` hands out work.
READS = re.compile(
    r"/(filter|count|paginate|history|lateness|counts|next-runs|get_\w+|count-[\w-]+|concurrency_status)$"
)


@pytest.fixture(scope="module")
def prefects(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Every operation that the installed Prefect has."""
    home = tmp_path_factory.mktemp("prefect")
    said = subprocess.run(
        [sys.executable, "-c", DESCRIBE], env=environment({"PREFECT_HOME": str(home)}), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {tuple(line.split()) for line in said.stdout.splitlines() if line.count("/")}
    assert len(found) > 150
    return found  # type: ignore[return-value]


def refused() -> set[tuple[str, str]]:
    """The operations that read, or look so, and are refused all the same."""
    listed = yaml.safe_load(Path(LISTED).read_text(encoding="utf-8"))["refused"]
    assert all(one["why"] for one in listed)
    return {(one["method"], one["path"]) for one in listed}


def filled(path: str) -> str:
    """An address as a request has it."""
    return "/api" + re.sub(r"\{[^}]*\}", "H49.21-261122-0001", path)


def test_what_is_allowed_or_refused_by_name_is_there(prefects: set[tuple[str, str]]) -> None:
    assert set(operations()) <= prefects
    assert refused() <= prefects
    assert not refused() & set(operations())


def test_whatever_reads_was_decided_about(prefects: set[tuple[str, str]]) -> None:
    reading = {(method, path) for method, path in prefects if method == "GET" or READS.search(path)}
    assert reading - set(operations()) - refused() == set()


def test_whatever_is_allowed_is_a_get_or_ends_as_prefects_reads_do() -> None:
    others = {path for method, path in operations() if method != "GET" and not READS.search(path)}
    assert others == {"/events/count-by/{countable}", "/ui/schemas/validate"}


def test_the_rules_let_pass_exactly_what_is_allowed(prefects: set[tuple[str, str]]) -> None:
    rules = [re.compile(pattern(*one)) for one in operations()]
    passed = {
        (m, p)
        for m, p in prefects
        for suffix in ("", "?limit=1")
        if any(r.search(f"{m} {filled(p)}{suffix}") for r in rules)
    }
    assert passed == set(operations())


@pytest.mark.parametrize(
    "sent",
    ["POST /api/flow_runs/filter/../H/set_state", "POST /api/flow_runs/H%2Fset_state", "POST /api//flow_runs/filter", "post /api/flow_runs/filter",
     "DELETE /api/flow_runs/H", "POST /x/api/flow_runs/filter", "GET /api/flow_runs/H%3F/graph", "POST /api/flow_runs/filter/", "PATCH /api/flow_runs/H"],
)  # fmt: skip
def test_an_address_that_hides_something_is_not_let_pass(sent: str) -> None:
    assert not any(re.search(pattern(*one), sent) for one in operations())


def test_the_file_that_the_proxy_includes_is_made_from_the_list() -> None:
    assert WRITTEN.read_text(encoding="utf-8") == render()
