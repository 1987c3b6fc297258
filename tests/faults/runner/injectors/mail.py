"""F7: the mail server puts off, refuses, loses its answers, or is away; the portal too."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from infra.stack.run import pids
from infra.stack.scripted import script_faults
from tests.faults.runner.injectors import Fault, Scene


def scripted(part: str, *faults: str) -> Callable[[Scene], str]:
    """Return what lets the next requests of a server fail so."""

    def inject(scene: Scene) -> str:
        folder = scene.site.root / part
        script = folder / "faults"
        script_faults(folder, *faults)
        try:
            scene.site.wait_for(lambda: not script.read_text().strip(), 15)
            left = len(script.read_text().split())
        finally:
            script_faults(folder)
        return ", ".join(faults[: len(faults) - left])

    return inject


def killed(part: str) -> Callable[[Scene], str]:
    """Return what kills a server and brings it back."""

    def inject(scene: Scene) -> str:
        for pid in pids(scene.site.root, part):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(scene.random.uniform(1, 5))
        scene.site.up()
        return part

    return inject


FAULTS = [
    *(
        Fault(row="F7", name=f"mail-{kind}", inject=scripted("mail", kind))
        for kind in (
            "421-at-connect",
            "451",
            "452",
            "550",
            "552",
            "data-451",
            "deliver-but-450",
            "close-before-250",
            "close-and-lose",
            "hang-after-data",
        )
    ),
    Fault(row="F7", name="mail-server-kill-9", inject=killed("mail")),
    Fault(row="F7", name="portal-503", inject=scripted("portal", "503", "500")),
    Fault(row="F7", name="portal-request-lost", inject=scripted("portal", "lose-request")),
    Fault(row="F7", name="portal-answer-lost", inject=scripted("portal", "lose-answer")),
    Fault(row="F7", name="portal-kill-9", inject=killed("portal")),
]
