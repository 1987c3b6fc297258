"""
The processes that stand by (`python -m flows.standing_by`), parts of the stack: for commands, and for the pool's runs.

Each loads everything that is needed, once, and never reads a setting: each command or run reads its own. A
command that runs long, or needs Prefect, is not taken and starts by itself.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Sequence

import flows.cli
from flows.command import CODE
from flows.pool_run import RUNS
from infra.database import load_driver
from infra.environment import settings_file
from infra.errors import Broken, HosoError
from infra.pdf.nursery import NURSERY
from infra.settings import settings
from infra.standby.asking import door_of
from infra.standby.serving import StandBy

#: What commands load only when they need it; here it is loaded before anybody waits for it.
LARGE = (
    "infra.mail.smtp",
    "infra.object_store.s3",
    "infra.pdf.signing",
    "infra.pdf.checking",
    "infra.revocation.http",
    "infra.timestamp.http",
    "rich.table",
    "tasks.certification.steps",
    "tasks.signing.steps",
    "tasks.signing.together",
)

#: Whose commands start by themselves.
BY_ITSELF = ("operating", "releasing", "backups")


def takes(words: Sequence[str]) -> bool:
    """Tell whether a command is one for the process that stands by."""
    asked = flows.cli.asked_for(words)
    return not any(asked in flows.cli.ROOMS[room] for room in BY_ITSELF)


def main() -> None:
    """Stand by for commands, or for “runs”, until asked to end; errors become one sentence and an exit code."""
    try:
        (for_runs if sys.argv[1:] == ["runs"] else for_commands)()
    except HosoError as error:
        flows.cli.say_error(error)
        raise SystemExit(flows.cli.exit_code(error)) from error


def for_commands() -> None:
    """Stand by for what somebody types; raises as `StandBy` does."""
    for room in flows.cli.ROOMS:
        importlib.import_module(f"flows.cli.{room}")
    _load()
    NURSERY.load("infra.pdf.intake_child")
    flows.cli.built()
    StandBy(door_of(settings_file()), code=CODE, takes=takes, run=flows.cli.main).serve()


def for_runs() -> None:
    """Stand by for runs of the deployments that this release declares; raises as `StandBy` does."""
    # Prefect is for this process alone: commands at the counter are forked without it.
    from flows.deployments import read_deployments  # noqa: PLC0415

    read_deployments(CODE / "prefect.yaml")
    importlib.import_module("prefect.engine")
    _load()
    importlib.import_module("flows.cli.batching")
    flows.cli.built()
    StandBy(door_of(settings_file(), RUNS), code=CODE, takes=_is_run, run=_run).serve()


def _is_run(words: Sequence[str]) -> bool:
    """Tell whether a run of a pool is wanted, or a process of a batch, which is one without Prefect's page."""
    return not words or list(words[:2]) == ["batch", "work"]


def _load() -> None:
    """Load what work loads only when it needs it; raises `Broken` if that read a setting."""
    for module in LARGE:
        importlib.import_module(module)
    load_driver()
    if settings.cache_info().currsize:
        raise Broken("a setting was read while modules were loaded: everybody would have this process's")


def _run() -> None:
    """Be the process of a batch, or the run that the environment names; Prefect read another one when it was loaded."""
    if sys.argv[1:]:
        flows.cli.main()
        return
    from prefect.context import refresh_global_settings_context  # noqa: PLC0415

    refresh_global_settings_context()
    del sys.modules["prefect.engine"]  # It becomes the program.
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
