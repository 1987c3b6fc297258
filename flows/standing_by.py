"""
The process that stands by for commands (`python -m flows.standing_by`), a part of the stack.

It loads everything that a command at the counter needs, once, and never reads a setting: each command
reads its own. What runs long, or needs Prefect, is not taken and starts by itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import flows.cli
from flows.command import CODE
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
)

#: Whose commands start by themselves.
BY_ITSELF = ("operating", "releasing", "backups")


def takes(words: Sequence[str]) -> bool:
    """Tell whether a command is one for the process that stands by."""
    asked = flows.cli.asked_for(words)
    return not any(asked in flows.cli.ROOMS[room] for room in BY_ITSELF)


def main() -> None:
    """Stand by until asked to end; errors become one sentence and an exit code."""
    for room in flows.cli.ROOMS:
        importlib.import_module(f"flows.cli.{room}")
    for module in LARGE:
        importlib.import_module(module)
    load_driver()
    NURSERY.load("infra.pdf.intake_child")
    if settings.cache_info().currsize:
        raise Broken("a setting was read while modules were loaded: every command would have this process's")
    flows.cli.built()
    try:
        StandBy(door_of(settings_file()), code=CODE, takes=takes, run=flows.cli.main).serve()
    except HosoError as error:
        flows.cli.say_error(error)
        raise SystemExit(flows.cli.exit_code(error)) from error


if __name__ == "__main__":
    main()
