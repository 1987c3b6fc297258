"""F2, F3: PostgreSQL dies, is restarted in the middle of everything, or stands still without a word."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from infra.stack.run import pids
from tests.faults.runner.injectors import Fault, Scene


def _signal(scene: Scene, number: signal.Signals, *, first_only: bool = False) -> None:
    """Send a signal to the server and its sessions."""
    for pid in pids(scene.site.root, "database")[: 1 if first_only else None]:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def gone(number: signal.Signals, *, first_only: bool) -> Callable[[Scene], str]:
    """Return what ends the server by a signal and starts it again after a moment."""

    def inject(scene: Scene) -> str:
        _signal(scene, number, first_only=first_only)
        away = scene.random.uniform(0.2, 4.0)
        time.sleep(away)
        scene.site.wait_for(lambda: not pids(scene.site.root, "database"), 60)
        scene.site.up()
        return f"away {away:.1f} s"

    return inject


def still(scene: Scene) -> str:
    """Let every process of the server stand still: connections stay open and nothing answers."""
    for_ = scene.random.uniform(6.0, 12.0)
    _signal(scene, signal.SIGSTOP)
    try:
        time.sleep(for_)
    finally:
        _signal(scene, signal.SIGCONT)
    return f"still for {for_:.1f} s"


FAULTS = [
    Fault(row="F2", name="postgres-kill-9", inject=gone(signal.SIGKILL, first_only=False)),
    Fault(row="F2", name="postgres-stopped-at-once", inject=gone(signal.SIGQUIT, first_only=True)),
    Fault(row="F2", name="postgres-restarted", inject=gone(signal.SIGINT, first_only=True)),
    Fault(row="F3", name="postgres-stands-still", inject=still),
]
