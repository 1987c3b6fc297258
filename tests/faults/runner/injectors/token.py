"""F6: the token is pulled out, slow, hangs, is used by a process that dies, or gets the wrong PIN."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.runner.injectors import Fault, Scene


def told(fault: str, value: str | int = "", *, seconds: float = 6.0) -> Callable[[Scene], str]:
    """Return what lets the token misbehave for some seconds."""

    def inject(scene: Scene) -> str:
        scene.site.shim.tell(fault, value)
        try:
            time.sleep(scene.random.uniform(seconds / 2, seconds))
        finally:
            scene.site.shim.let_be(fault)
        return f"{fault} {value}".strip()

    return inject


def dies(moment: str) -> Callable[[Scene], str]:
    """Return what kills whoever signs next, and the process that holds the token, around the call."""

    def inject(scene: Scene) -> str:
        shim = scene.site.shim
        shim.tell("kill-parent")
        shim.tell(moment)
        died = scene.site.wait_for(lambda: not shim.is_told(moment), 20)
        shim.let_be(moment, "kill-parent")
        return moment if died else ""

    return inject


def wrong_pin(scene: Scene) -> str:
    """Give the machine of the seal a wrong PIN: it is tried once, and again only when the file changes (SIG-13)."""
    file = scene.site.settings.seal_pin_file
    assert file is not None
    right, before = file.read_text(), scene.site.shim.count("login")
    file.write_text("000000\n")
    try:
        time.sleep(scene.random.uniform(8, 12))
    finally:
        file.write_text(right)
    return f"{scene.site.shim.count('login') - before} logins meanwhile"


FAULTS = [
    Fault(row="F6", name="token-pulled-out", inject=told("absent")),
    Fault(row="F6", name="token-session-lost", inject=told("absent", 3, seconds=8.0)),
    Fault(row="F6", name="token-slow", inject=told("slow", 1500)),
    Fault(row="F6", name="token-hangs", inject=told("hang", seconds=16.0)),
    *(
        Fault(row="F6", name=f"token-{moment}", inject=dies(moment))
        for moment in ("die-before", "die-during", "die-after")
    ),
    Fault(row="F6", name="token-wrong-pin", inject=wrong_pin),
]
