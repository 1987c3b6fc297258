"""The process that stands by for commands, so that a clerk does not wait for libraries."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping

from infra.stack.layout import PROJECT, Place
from infra.stack.parts import Part
from infra.stack.process import Command
from infra.standby.asking import connect, door_of


class StandBy(Part):
    """Stands by behind a socket in the stack's folder; `infra.standby` tells how."""

    name = "standby"
    words: tuple[str, ...] = ()

    def command(self, place: Place) -> Command:
        """Run it; it reads no settings, and starts itself anew when the code changes."""
        return Command(
            argv=(sys.executable, "-m", "flows.standing_by", *self.words),
            environment={"HOSO_ENV_FILE": str(place.settings_file)},
            folder=PROJECT,
        )

    def ready(self, place: Place) -> bool:
        """Tell whether somebody opens the door; who knocks and leaves asks for nothing."""
        with socket.socket(socket.AF_UNIX) as line:
            try:
                connect(line, door_of(place.settings_file, self.name))
            except OSError:
                return False
        return True

    def tidy(self, place: Place) -> None:
        """Take the door away."""
        door_of(place.settings_file, self.name).unlink(missing_ok=True)


class RunsStandBy(StandBy):
    """Stands by for the runs that the pool's worker starts, with Prefect and every flow loaded."""

    name = "runs"
    words = ("runs",)

    def settings(self, place: Place) -> Mapping[str, str]:
        """Let runs be forked from it."""
        return {"HOSO_RUN_COMMAND": f'"{sys.executable}" -m flows.pool_run'}
