"""F4, F5: the object store is away, in trouble, slow, cut off, lies, or is killed after it said yes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from infra.stack.run import pids
from tests.faults.runner.injectors import Fault, Scene
from tests.faults.runner.proxy import Message


def failing(how: str, share: float) -> Callable[[Scene], str]:
    """Return what lets a share of the requests fail for some seconds."""

    def inject(scene: Scene) -> str:
        door, before = scene.site.store, scene.site.store.failed[how]
        chance = scene.site.random("door", how)
        door.fail(how, share=share, chance=chance.random)
        try:
            time.sleep(scene.random.uniform(4.0, 8.0))
        finally:
            door.heal()
        count = door.failed[how] - before
        return f"{count} requests" if count else ""

    return inject


def down(scene: Scene) -> str:
    """Let nobody in for some seconds."""
    away = scene.random.uniform(3.0, 8.0)
    scene.site.store.shut()
    try:
        time.sleep(away)
    finally:
        scene.site.store.heal()
    return f"away {away:.1f} s"


def lies(scene: Scene) -> str:
    """Say yes to one object of the archive and keep nothing of it: reading back has to find out."""
    door, before = scene.site.store, scene.site.store.failed["lie"]

    def fits(request: Message) -> bool:
        return request.first.startswith(b"PUT /hoso-archive/archive/") and b"/v1/" in request.first

    door.fail_once("lie", fits)
    scene.site.wait_for(lambda: door.failed["lie"] > before, 25)
    door.heal()
    return "one object" if door.failed["lie"] > before else ""


def killed(scene: Scene) -> str:
    """Kill the store; what it had said yes to must be there again."""
    for pid in pids(scene.site.root, "store"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    time.sleep(scene.random.uniform(0.2, 3.0))
    scene.site.up()
    return "killed"


FAULTS = [
    Fault(row="F4", name="store-down", inject=down),
    Fault(row="F4", name="store-500", inject=failing("500", 0.6)),
    Fault(row="F4", name="store-503", inject=failing("503", 0.6)),
    Fault(row="F4", name="store-slow", inject=failing("slow", 1.0)),
    Fault(row="F4", name="store-cut", inject=failing("cut", 0.4)),
    Fault(row="F4", name="store-answer-lost", inject=failing("lose-answer", 0.4)),
    Fault(row="F4", name="store-answer-cut", inject=failing("cut-answer", 0.4)),
    Fault(row="F4", name="store-says-yes-and-keeps-nothing", inject=lies),
    Fault(row="F5", name="store-kill-9", inject=killed),
]
