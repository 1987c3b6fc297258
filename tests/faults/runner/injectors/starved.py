"""F16: lack of memory and of processor: a document that takes all of it, and neighbours that leave a worker nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress

from tests.faults.runner.front import MEMORY
from tests.faults.runner.injectors import Fault, Scene
from tests.faults.runner.people import Life
from tests.faults.runner.site import Site

#: Seconds within which a poisonous dossier is given up: its deaths, each with a lease that has to end.
_PATIENCE = 300.0
_PARKED = "needs attention: %% workers running died%%"


def poison(scene: Scene) -> str:
    """
    Let the kernel end every worker that comes to one dossier, until that dossier waits for a person by name.

    Others go on meanwhile. Then there is memory enough, an engineer tries it again, and it comes to its end.
    """
    site = scene.site
    if not os.access(MEMORY, os.W_OK):
        site.journal.tell("not-run", what="poison-document", why="only root can give a process less memory")
        return ""
    life = scene.somebody("poison")
    if not life.book():
        return ""
    parked, moved = given_up(site, life)
    life.end()
    return f"given up by name, {moved} entries of others meanwhile" if parked else "never given up"


def given_up(site: Site, life: Life, patience: float = _PATIENCE) -> tuple[bool, int]:
    """Let a dossier be poison until it is given up; return whether it was, and how many entries others wrote meanwhile."""
    file = site.folder / "poison"
    file.write_text(life.code, encoding="utf-8")
    moved, parked = _entries_of_others(site, life.code), False
    try:
        life.act("receive", life.code, *life.paid(), *life.originals(), done=("Received", "Certified"))
        query = f"select 1 from outbox where dossier = %s and last_error like '{_PARKED}'"
        parked = site.wait_for(lambda: site.ask(query, life.code), patience)
    finally:
        file.unlink()
        _forget_groups()
    moved = _entries_of_others(site, life.code) - moved
    site.journal.tell("poison", codes=[life.code], parked=parked, others=moved)
    return parked, moved


def crowded(scene: Scene) -> str:
    """Let a worker have what is left over by processes that take every processor, for some seconds."""
    worker = scene.random.choice([one for one in scene.keeper.workers if one.wanted])
    crowd = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))
    ]
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, worker.pid, 19)
    try:
        time.sleep(scene.random.uniform(5.0, 9.0))
    finally:
        for one in crowd:
            one.kill()
            one.wait()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, worker.pid, 0)
    return f"{worker.name} beside {len(crowd)} that never rest"


def _entries_of_others(site: Site, code: str) -> int:
    """Return how many entries the history has of other dossiers."""
    query = "select count(*) from history_entry where subject <> sha256(convert_to(%s, 'UTF8'))"
    return int(site.ask(query, code)[0][0])


def _forget_groups() -> None:
    """Remove what dead workers were confined in."""
    for group in MEMORY.glob("hoso-faults-*"):
        with suppress(OSError):
            group.rmdir()


FAULTS = [
    Fault(row="F16", name="poison-document", inject=poison, slow=True),
    Fault(row="F16", name="processor-taken", inject=crowded),
]
