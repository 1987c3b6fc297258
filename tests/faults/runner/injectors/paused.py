"""F12: a worker stands still for longer than its lease, another takes its dossier, and then it wakes up."""

from __future__ import annotations

import signal

from tests.faults.runner.injectors import Fault, Scene


def inject(scene: Scene) -> str:
    """Stop a worker that holds something until its lease has ended and somebody else has it, and let it go on."""
    site = scene.site
    worker = scene.random.choice([one for one in scene.keeper.workers if one.wanted])
    if not site.wait_for(worker.held, 10):
        return ""
    worker.signal(signal.SIGSTOP)
    try:
        held = worker.held()

        def passed_on() -> bool:
            codes = [code for code, _ in held]
            rows = dict(site.ask("select dossier, fence from outbox where dossier = any(%s)", codes))  # type: ignore[arg-type]
            return all(rows[code] > fence for code, fence in held)

        taken = bool(held) and site.wait_for(passed_on, site.settings.lease_seconds + 20)
    finally:
        worker.signal(signal.SIGCONT)
    return f"{len(held)} dossiers taken over from a sleeper" if taken else ""


FAULTS = [Fault(row="F12", name="worker-paused-beyond-its-lease", inject=inject)]
