"""F8: who stamps time and who knows about revocation is away, slow, or says something that cannot be believed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from infra.stack.pki_control import behaving
from infra.stack.run import pids
from tests.faults.runner.injectors import Fault, Scene


def misbehaving(**services: str) -> Callable[[Scene], str]:
    """Return what lets authorities misbehave for some seconds."""

    def inject(scene: Scene) -> str:
        with behaving(scene.site.root / "pki" / "served", **services):
            time.sleep(scene.random.uniform(4, 8))
        return ", ".join(f"{name} {how}" for name, how in services.items())

    return inject


def killed(scene: Scene) -> str:
    """Kill the server of all of them."""
    for pid in pids(scene.site.root, "pki"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    time.sleep(scene.random.uniform(1, 4))
    scene.site.up()
    return "all authorities"


FAULTS = [
    Fault(row="F8", name="tsa-primary-down", inject=misbehaving(tsa_primary="down")),
    Fault(row="F8", name="tsa-both-down", inject=misbehaving(tsa_primary="503", tsa_secondary="down")),
    Fault(
        row="F8",
        name="tsa-wrong-nonce",
        inject=misbehaving(tsa_primary="wrong-nonce", tsa_secondary="wrong-nonce"),
    ),
    Fault(row="F8", name="tsa-slow", inject=misbehaving(tsa_primary="slow:3")),
    Fault(row="F8", name="ocsp-and-crl-down", inject=misbehaving(ocsp="down", crl="down")),
    Fault(row="F8", name="ocsp-stale", inject=misbehaving(ocsp="stale", crl="stale")),
    Fault(row="F8", name="ocsp-stranger", inject=misbehaving(ocsp="stranger")),
    Fault(row="F8", name="authorities-kill-9", inject=killed),
]
