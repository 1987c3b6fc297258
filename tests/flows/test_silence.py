"""
“Prefect shows a dead run as crashed within two minutes” adds up from settings that lie far apart.

The live test of it shortens the silence to ten seconds, so that nobody waits; here stands what an office runs with.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from infra.settings import Settings
from infra.stack import prefect_server
from infra.stack.layout import PROJECT

PROMISED = timedelta(minutes=2)
DEPLOY = PROJECT / "infra" / "deploy"
FREQUENCY = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """What the program and the installed Prefect say, in seconds, where no settings of the tests reach them."""
    program = """
from datetime import timedelta
from prefect.settings import get_current_settings
from flows import batch_watch, dead_runs, prefect_api, work
server = get_current_settings().server
print({
    "sign": float(prefect_api.HEARTBEAT),
    "silence": dead_runs.SILENCE.total_seconds(),
    "looks": server.events.proactive_granularity.total_seconds(),
    "watched": float(server.services.triggers.enabled),
    "stuck": batch_watch.STUCK.total_seconds(),
    "compared": work.COMPARE,
    "takes": work.LOOK,
})
"""
    home = str(tmp_path_factory.mktemp("prefect"))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT,
        env={**clean, "PREFECT_HOME": home},
    )  # fmt: skip
    found = yaml.safe_load(done.stdout.splitlines()[-1])
    return {name: float(value) for name, value in found.items()}


def test_a_run_that_died_is_shown_as_crashed_within_two_minutes(told: dict[str, float]) -> None:
    # It died right after a sign of life: the whole silence passes, then the server's next look finds it.
    assert told["watched"]
    assert told["silence"] + 2 * told["looks"] <= PROMISED.total_seconds()


def test_one_sign_of_life_that_got_lost_kills_nobody(told: dict[str, float]) -> None:
    assert told["silence"] >= 2 * told["sign"] + 2 * told["looks"]


def test_a_run_that_never_began_is_cancelled_within_a_quarter_of_a_minute_after_two(
    told: dict[str, float],
) -> None:
    assert told["stuck"] + told["compared"] <= PROMISED.total_seconds() + 15


def test_every_way_to_install_it_has_the_same_signs_of_life(told: dict[str, float]) -> None:
    places: dict[Path, str] = {
        file: file.read_text(encoding="utf-8")
        for file in (*DEPLOY.rglob("*"), Path(prefect_server.__file__), PROJECT / "flows" / "deploying.py")
        if file.suffix in (".yaml", ".env", ".service", ".py")
        and FREQUENCY in file.read_text(encoding="utf-8")
    }
    said = {
        file.name: set(re.findall(rf'{FREQUENCY}"?\s*[=:]\s*"?(HEARTBEAT|\d+)', text))
        for file, text in places.items()
    }
    assert {"compose.yaml", "hoso.env", "hoso-prefect-worker.service", "prefect_server.py"} <= set(said)
    for name, values in said.items():
        assert values, f"{name} says nothing"
        assert values <= {"HEARTBEAT", f"{told['sign']:.0f}"}, f"{name} says {values}"


def test_no_installation_slows_the_servers_looks_for_silence() -> None:
    # Whether events are kept in a table does not matter: the looks are told of them, and the live test is without.
    for file in (*DEPLOY.rglob("*"), Path(prefect_server.__file__)):
        if file.suffix in (".yaml", ".env", ".service", ".py"):
            text = file.read_text(encoding="utf-8")
            for name in ("PROACTIVE_GRANULARITY", "TRIGGERS_ENABLED"):
                assert name not in text, f"{file.name} sets {name}: reckon anew in this file"


def test_a_dossier_of_a_killed_worker_is_taken_over_within_a_minute(told: dict[str, float]) -> None:
    # The lease ends, and every other worker looks by itself.
    assert Settings.model_fields["lease_seconds"].default + told["takes"] <= 60
