"""F1: a worker dies, at a named moment or whenever it happens."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.faults.runner.injectors import Fault, Scene

STEPS = (
    "confirm-booking", "reserve-number", "issue-copy", "seal", "lift", "validate", "deliver", "send-notice",
    "report-status", "archive",
)  # fmt: skip
EFFECTS = (
    "S3Store.put_first", "S3Store.put_locked", "S3Store.read_back", "SmtpMail.send", "HttpPortal.deposit",
    "HttpPortal.report", "HttpTimestamps.stamp", "commit", "outbox.take", "outbox.finish",
)  # fmt: skip
#: Every moment at which a worker is made to die: before and after each step, each effect, each commit.
MOMENTS = tuple(
    f"{what}:{when}" for what in [*(f"step:{s}" for s in STEPS), *EFFECTS] for when in ("before", "after")
)

#: Seconds to wait for a worker to come to its moment.
_PATIENCE = 12.0


def at_a_moment(moment: str) -> Callable[[Scene], str]:
    """Return what lets any worker die at a moment."""

    def inject(scene: Scene) -> str:
        worker = scene.random.choice([one for one in scene.keeper.workers if one.wanted])
        starts = worker.starts
        worker.dies_at(moment)
        died = scene.site.wait_for(lambda: worker.starts > starts, _PATIENCE)
        worker.lives_on()
        return moment if died else ""

    return inject


def whenever(scene: Scene) -> str:
    """Kill a worker at no particular moment."""
    worker = scene.random.choice([one for one in scene.keeper.workers if one.wanted])
    worker.signal(signal.SIGKILL)
    return worker.name


def both(scene: Scene) -> str:
    """Kill both at once, as a power cut does."""
    for worker in scene.keeper.workers:
        worker.signal(signal.SIGKILL)
    return "both"


FAULTS = [
    *(Fault(row="F1", name="kill-9-at-moment", inject=at_a_moment(moment)) for moment in MOMENTS),
    *[Fault(row="F1", name="kill-9-whenever", inject=whenever)] * 6,
    Fault(row="F1", name="kill-9-both", inject=both),
]
