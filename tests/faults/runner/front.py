"""
What stands in front of a worker that is to be killed or broken: `python -m tests.faults.runner.front`.

The product has no switch for faults. Here, in the worker's own process only, its functions are wrapped before
it begins: at each named moment the process looks whether it is its turn to die (`kill -9`) or to wait. With
`--twin NAME` one protection is taken away (`tests/faults/runner/twins.py`), so that the checker can be seen to fail.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

#: Calls that leave the process, by module, class and method: each has a moment before and one after it.
EFFECTS = (
    ("infra.object_store.s3", "S3Store", "put_first"),
    ("infra.object_store.s3", "S3Store", "put_locked"),
    ("infra.object_store.s3", "S3Store", "read_back"),
    ("infra.mail.smtp", "SmtpMail", "send"),
    ("infra.portal.http", "HttpPortal", "deposit"),
    ("infra.portal.http", "HttpPortal", "report"),
    ("infra.timestamp.http", "HttpTimestamps", "stamp"),
)

#: Where processes are given only so much memory (cgroups of the first version; root only).
MEMORY = Path("/sys/fs/cgroup/memory")


class Moments:
    """Where a worker may die: it looks for a file that names the moment, and takes it with it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._die = folder / f"die-{name}"
        self._hold = folder / f"hold-{name}"
        self._garble = folder / f"garble-{name}"
        self._told = folder / f"died-{name}"
        self._poison = folder / "poison"
        self._lock = threading.Lock()

    def at(self, moment: str) -> None:
        """Die here, or wait here for as long as it is said."""
        with suppress(FileNotFoundError), self._lock:
            if self._die.read_text(encoding="utf-8") == moment:
                self._die.rename(self._told)
                os.kill(os.getpid(), signal.SIGKILL)
        with suppress(FileNotFoundError):
            if self._hold.read_text(encoding="utf-8") == moment:
                self._hold.with_name(f"held-{self._hold.name}").write_text(moment, encoding="utf-8")
                while self._hold.exists():
                    time.sleep(0.02)

    def poisoned(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return a step that asks for memory without end when it comes to the dossier whose document is poison."""

        @wraps(work)
        def step(*words: Any, **named: Any) -> Any:
            with suppress(FileNotFoundError):
                if words[:1] == (self._poison.read_text(encoding="utf-8"),):
                    eat()
            return work(*words, **named)

        return step

    def garbled(self, sign: Callable[..., bytes]) -> Callable[..., bytes]:
        """Return what flips one bit of the next signature on its way back from the token, if it is told to."""

        @wraps(sign)
        def signed(*words: Any, **named: Any) -> bytes:
            done = sign(*words, **named)
            with suppress(FileNotFoundError):
                self._garble.unlink()
                return done[:-1] + bytes([done[-1] ^ 1])
            return done

        return signed

    def around(self, what: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work` with its two moments."""

        @wraps(work)
        def watched(*words: Any, **named: Any) -> Any:
            self.at(f"{what}:before")
            done = work(*words, **named)
            self.at(f"{what}:after")
            return done

        return watched


def eat() -> None:
    """Take memory until the kernel ends this process, which from now on may have 128 MB more and nothing besides."""
    group = MEMORY / f"hoso-faults-{os.getpid()}"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(128 << 20))
    (group / "cgroup.procs").write_text(str(os.getpid()))
    kept = []
    while len(kept) < 128:
        kept.append(os.urandom(8 << 20))
    raise RuntimeError("the kernel gave a gigabyte to whoever may have 128 MB")


def watch(moments: Moments) -> None:
    """Put the moments into every step, every effect, every commit and the end of every leg."""
    from importlib import import_module

    import infra.database
    import tasks.dossier.outbox as outbox
    from flows import running

    plain_step = running.step

    def step(work: Callable[..., Any], *, name: str, run_name: str) -> Any:
        return plain_step(
            moments.poisoned(moments.around(f"step:{name}", work)), name=name, run_name=run_name
        )

    running.step = step  # type: ignore[assignment]
    for module, class_name, method in EFFECTS:
        found = getattr(import_module(module), class_name)
        setattr(found, method, moments.around(f"{class_name}.{method}", getattr(found, method)))
    distant = import_module("infra.token.process").DistantToken
    distant.sign = moments.garbled(distant.sign)
    for name in ("take", "finish", "postpone", "renew"):
        setattr(outbox, name, moments.around(f"outbox.{name}", getattr(outbox, name)))
    plain = infra.database.Database.transaction

    @contextmanager
    def transaction(self: infra.database.Database) -> Iterator[Any]:
        with plain(self) as session:
            yield session
            moments.at("commit:before")
        moments.at("commit:after")

    infra.database.Database.transaction = transaction  # type: ignore[method-assign]


def sign_connections() -> None:
    """Let every connection to the database say which process it belongs to, for the watch over the leases."""
    import infra.database

    plain = infra.database.create_engine

    def create_engine(*words: Any, **named: Any) -> Any:
        if "connect_args" in named:
            named["connect_args"] = {**named["connect_args"], "application_name": f"hoso/{os.getpid()}"}
        return plain(*words, **named)

    infra.database.create_engine = create_engine


def main() -> None:
    """Wrap, and become the warm worker."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True, help="where it is said who dies when")
    parser.add_argument("--name", required=True)
    parser.add_argument("--twin", default="", help="the protection that is taken away")
    chosen = parser.parse_args()
    sign_connections()
    watch(Moments(chosen.folder, chosen.name))
    if chosen.twin:
        from tests.faults.runner.twins import TWINS

        TWINS[chosen.twin]()
    sys.argv = ["hoso", "work"]
    from flows.cli import main as command

    command()


if __name__ == "__main__":
    main()
