"""F13: a release on a working day: deployments are reconciled and the workers replaced, one after the other."""

from __future__ import annotations

from tests.faults.runner.injectors import Fault, Scene


def inject(scene: Scene) -> str:
    """Deploy, and let each worker finish what it has begun before its successor starts."""
    said = scene.site.hoso("deploy", by="nobody")
    for worker in scene.keeper.workers:
        worker.stop(patience=60)
        worker.start()
        worker.wanted = True
    return f"deploy ended with {said.code}; {len(scene.keeper.workers)} workers replaced"


FAULTS = [Fault(row="F13", name="redeploy", inject=inject)]
