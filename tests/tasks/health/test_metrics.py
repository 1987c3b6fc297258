"""The figures, the dashboard and the alerts speak of the same things, and nothing in them is personal."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from infra.database import Database, connection_url
from infra.errors import Forbidden, Unavailable
from infra.stack.layout import PROJECT
from tasks.health.metrics import NAMES, count_leg, exposition, serve_figures
from tests.world import World, somebody

DASHBOARD = PROJECT / "infra" / "deploy" / "grafana" / "hoso.json"
RULES = PROJECT / "infra" / "deploy" / "prometheus" / "hoso.rules.yaml"


def read(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every figure of an exposition by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def panels() -> Iterator[dict[str, Any]]:
    """Yield the dashboard's panels."""
    yield from json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]


def alerts() -> list[dict[str, Any]]:
    """Return the alerts."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def named(expression: str) -> set[str]:
    """Return the figures that an expression names."""
    return set(re.findall(r"\bhoso_[a-z_]+", expression))


def test_every_figure_is_on_the_dashboard_and_the_dashboard_shows_no_other() -> None:
    shown = set().union(*(named(target["expr"]) for panel in panels() for target in panel["targets"]))
    assert shown == set(NAMES)


def test_panels_have_places_of_their_own() -> None:
    cells = [
        (x, y)
        for panel in panels()
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_every_alert_is_about_figures_that_exist_and_says_what_to_do_here_and_in_the_documentation() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    for alert in alerts():
        assert named(alert["expr"]) <= set(NAMES), alert["alert"]
        assert named(alert["expr"]), alert["alert"]
        assert alert["annotations"]["remedy"], alert["alert"]
        assert f"| `{alert['alert']}` |" in page, alert["alert"]
        assert alert["labels"]["severity"] in ("warning", "critical")


def test_the_command_gives_figures_that_a_monitoring_system_reads_and_that_are_true(
    world: World, tmp_path: Path
) -> None:
    office = world.office()
    before = read(exposition())
    person = somebody(name="Quách Thị Hoàng Yến", telephone="0987 600 613")
    for _ in range(3):
        world.received(office, applicant=person)
    world.booked(office, applicant=somebody(name="Quách Thị Hoàng Yến"))
    file = tmp_path / "hoso.prom"
    assert world.type("metrics", "--file", file, by=None).code == 0
    after = read(file.read_bytes())
    at = lambda stage: ("hoso_dossiers_open", (("office", office), ("stage", stage)))  # noqa: E731
    assert (after[at("Received")], after[at("Booked")]) == (3, 1)
    assert after["hoso_up", ()] == 1
    assert after["hoso_history_entries", ()] > before["hoso_history_entries", ()]
    assert after["hoso_maintenance", ()] == 0
    assert {name for name, _ in after} <= set(NAMES)
    assert [one.name for one in tmp_path.iterdir()] == ["hoso.prom"], "nothing half written is left"
    said = world.type("metrics", by=None).out
    for canary in ("Quách", "Hoàng Yến", "0987", person.identity, person.email):
        assert canary not in said


def test_without_the_database_there_is_one_figure_that_says_so(world: World) -> None:
    url = connection_url(world.settings.database_url, world.settings.database_password_file)
    with world.having(database=Database(url.set(port=9), pooled=False)):
        assert read(exposition()) == {("hoso_up", ()): 0.0}


def test_a_worker_gives_the_figures_and_its_own_over_http(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        serve_figures(place)()  # Somebody else's place: said in the log, and nothing more.
    end = serve_figures(place)
    try:
        legs = lambda outcome: read(httpx.get(f"http://{place}/metrics", trust_env=False).content).get(  # noqa: E731
            ("hoso_worker_legs_total", (("outcome", outcome),)), 0.0
        )
        ends = {
            "done": None,
            "put off": Unavailable("x"),
            "for a person": Forbidden("x", rule="X-01", way_out="y"),
            "broken": ValueError("x"),
        }
        for outcome, error in ends.items():
            before = legs(outcome)
            count_leg(error)
            assert legs(outcome) == before + 1
    finally:
        end()
