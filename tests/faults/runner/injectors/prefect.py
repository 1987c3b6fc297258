"""F14: the Prefect server dies, and loses its database."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from infra.stack.run import pids
from tests.faults.runner.injectors import Fault, Scene


def _kill(scene: Scene) -> None:
    for pid in pids(scene.site.root, "prefect"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def restarted(scene: Scene) -> str:
    """Kill the server and bring it back."""
    _kill(scene)
    time.sleep(scene.random.uniform(1, 6))
    scene.site.up()
    return "killed and started"


def wiped(scene: Scene) -> str:
    """Kill it, drop its database, bring it back empty, and deploy anew."""
    _kill(scene)
    with scene.site.owner("postgres") as connection:
        connection.execute("drop database prefect with (force)")
        connection.execute("create database prefect owner prefect")
    scene.site.up()
    said = scene.site.hoso("deploy", by="nobody")
    return f"empty; deploy ended with {said.code}"


FAULTS = [
    Fault(row="F14", name="prefect-kill-9", inject=restarted),
    Fault(row="F14", name="prefect-database-wiped", inject=wiped),
]
