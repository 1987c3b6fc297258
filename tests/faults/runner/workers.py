"""Two warm workers, a keeper that starts a dead one again, and how long a dead one's dossiers waited for another."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from infra.stack import process
from infra.stack.layout import PROJECT
from infra.stack.process import Command, Identity
from tests.faults.runner.site import Site

#: Seconds after which a dossier that a dead worker held has to be with another (design §9).
TAKEN_OVER = 60.0


@dataclass(kw_only=True)
class Worker:
    """One warm worker, behind the front that lets it die at a named moment."""

    site: Site
    name: str
    twin: str = ""
    identity: Identity | None = None
    #: Whether it is to run: a dead one that is wanted is started again.
    wanted: bool = True
    starts: int = 0

    def start(self) -> None:
        """Start it."""
        front = ("--folder", str(self.site.folder), "--name", self.name)
        twin = ("--twin", self.twin) if self.twin else ()
        command = Command(
            argv=(sys.executable, "-m", "tests.faults.runner.front", *front, *twin),
            environment=self.site.environment(),
            folder=PROJECT,
        )
        self.identity = process.start(
            command, pid_file=self._place("pid"), log=self.site.place.log(self.name), mark=self._mark
        )
        self.starts += 1

    @property
    def alive(self) -> bool:
        """Whether it runs (or stands still)."""
        if self.identity is not None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.identity.pid, os.WNOHANG)
        return process.alive(self.identity)

    @property
    def pid(self) -> int:
        """Its number."""
        return self.identity.pid if self.identity else 0

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stop(self, patience: float = 30.0) -> None:
        """Ask it to end, as a redeployment does, and wait."""
        self.wanted = False
        process.stop(self.identity, self._mark, by=signal.SIGTERM, patience=patience)

    def dies_at(self, moment: str) -> None:
        """Let it die at the next such moment."""
        file = self._place("die")
        file.with_name(file.name + ".draft").write_text(moment, encoding="utf-8")
        file.with_name(file.name + ".draft").rename(file)

    def has_died_at(self) -> str | None:
        """Return the moment that it died at as it was told, once."""
        told = self._place("died")
        if not told.exists():
            return None
        moment = told.read_text(encoding="utf-8")
        told.unlink()
        return moment

    def lives_on(self) -> None:
        """Take back what `dies_at` said."""
        self._place("die").unlink(missing_ok=True)

    def held(self) -> list[tuple[str, int]]:
        """Return the dossiers that it has a lease on, with their fences."""
        query = "select dossier, fence from outbox where lease_owner like %s"
        return [(row[0], row[1]) for row in self.site.ask(query, f"%/{self.pid}/%")]

    def _place(self, what: str) -> Path:
        return self.site.folder / f"{what}-{self.name}"

    @property
    def _mark(self) -> str:
        return process.mark_of(self.name, self.site.root)


@dataclass(kw_only=True)
class Keeper:
    """Starts dead workers again, as an office's service manager does, and measures who takes over from them."""

    site: Site
    workers: list[Worker]
    #: Seconds until another worker had it, and whether a further worker died meanwhile.
    recovered: list[tuple[float, bool]] = field(default_factory=list)
    _waiting: list[tuple[str, int, float, bool]] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Keeper:
        for worker in self.workers:
            worker.start()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(60)
        for worker in self.workers:
            worker.stop()

    @property
    def is_quiet(self) -> bool:
        """Whether nobody waits to be taken over."""
        return not self._waiting

    def _keep(self) -> None:
        """Look again and again."""
        chance = self.site.random("keeper")
        while not self._stopping.wait(0.2):
            try:
                for worker in self.workers:
                    if worker.wanted and not worker.alive:
                        self._bury(worker)
                        time.sleep(chance.uniform(0.2, 1.5))
                        worker.start()
                self._look()
            except Exception as error:  # The keeper must outlive whatever is broken meanwhile.
                self.site.journal.tell("note", what=f"keeper: {type(error).__name__}: {error}")

    def _bury(self, worker: Worker) -> None:
        """Write down that a worker died, and what it held."""
        moment, now = worker.has_died_at(), time.monotonic()
        held = worker.held()
        self.site.journal.tell(
            "died", worker=worker.name, pid=worker.pid, moment=moment, held=[c for c, _ in held]
        )
        self._waiting = [(code, fence, since, True) for code, fence, since, _ in self._waiting]
        self._waiting += [(code, fence, now, False) for code, fence in held]

    def _look(self) -> None:
        """See which dossiers of dead workers are with somebody else by now."""
        if not self._waiting:
            return
        codes = [code for code, *_ in self._waiting]
        now = time.monotonic()
        rows = self.site.ask("select dossier, fence, lease_owner from outbox where dossier = any(%s)", codes)
        fences = {row[0]: (row[1], row[2]) for row in rows}
        left = []
        for code, fence, since, further in self._waiting:
            is_now, owner = fences.get(code, (fence, None))
            if is_now > fence or owner is None:
                self.recovered.append((now - since, further))
                self.site.journal.tell(
                    "taken-over", dossier=code, seconds=round(now - since, 2), further_death=further
                )
                if now - since > TAKEN_OVER and not further:
                    self.site.journal.tell(
                        "finding", what="a dead worker's dossier waited too long", codes=[code]
                    )
            else:
                left.append((code, fence, since, further))
        self._waiting = left
