"""
Reading hostile files in a process of its own, which can be killed.

The child comes out of a nursery (`infra.pdf.nursery`). It gets an empty environment, two anonymous files, limits
on memory, processor time, output and wall time, and, where the system allows it, no network. Nothing is left
behind when either side dies. It is not a sandbox against code execution: it runs as the same user, so keep
pikepdf, Pillow and pyHanko up to date.

A request and an answer have the same form: one line of JSON, then bytes.
"""

from __future__ import annotations

import importlib
import json
import resource
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from infra.errors import Broken, Unavailable
from infra.pdf.nursery import NURSERY
from infra.pdf.offline import leave_the_network

#: Where a lack of memory begins: what is asked for in pieces fails at the last one that does not fit.
_NEARLY = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """How much one request may cost its child."""

    #: Address space beyond what the child's own program takes before it looks at a file.
    memory_bytes: int = 2_000_000_000
    cpu_seconds: int = 60
    wall_seconds: float = 120.0
    output_bytes: int = 400_000_000


class TooCostly(Exception):
    """The child needed more than it may have, or the files broke it; the message says which."""


@contextmanager
def asking(
    module: str, header: dict[str, Any], contents: Sequence[bytes | Path], *, cost: Cost
) -> Iterator[IO[bytes]]:
    """
    Yield the answer of `main()` of a module to a request, as a file at its beginning; the child is dead by then.

    Raises `TooCostly` when the child was killed or crashed, `Unavailable` when none can be started, and
    `Broken` when it failed for a reason that is not the files'.
    """
    with tempfile.TemporaryFile() as request, tempfile.TemporaryFile() as answer:
        request.write(json.dumps({**header, "cost": asdict(cost)}).encode() + b"\n")
        for content in contents:
            if isinstance(content, Path):
                with content.open("rb") as file:
                    shutil.copyfileobj(file, request)
            else:
                request.write(content)
        request.flush()
        request.seek(0)
        _run(module, request, answer, cost)
        answer.seek(0)
        yield answer


def _run(module: str, request: IO[bytes], answer: IO[bytes], cost: Cost) -> None:
    """Let the child read the request; it is dead when this returns or raises."""
    with tempfile.TemporaryFile() as complaints:
        try:
            code = NURSERY.run(module, (request, answer, complaints), cost.wall_seconds)
        except TimeoutError as error:
            raise TooCostly(f"took longer than {cost.wall_seconds:g} s") from error
        except OSError as error:
            raise Unavailable("This machine cannot start a process to read files in") from error
        if code == 0:
            return
        if code < 0:
            # A file that crashes or starves its reader is refused, whatever it was that it did.
            cause = signal.Signals(-code).name
            raise TooCostly(f"needs too much, or breaks the reader ({cause})")
        complaints.seek(0)
        last = complaints.read(100_000).decode(errors="replace").strip().rpartition("\n")[2]
        raise Broken(f"The reader {module} failed with code {code}: {last[:300]}")


def confine(cost: dict[str, Any], *, readers: Sequence[str] = ()) -> None:
    """
    Give up, for good and before a file is looked at: memory, time, large files, core dumps, the network.

    `readers` are the modules that the file will be read with. They are imported first, so that the memory limit
    is about the file alone: a library that finds no memory while it is loaded fails in its own ways, and
    some of them look like a fault of ours.
    """
    leave_the_network()
    for name in readers:
        importlib.import_module(name)
    limits = Cost(**cost)
    for kind, most in (
        (resource.RLIMIT_AS, _status("VmSize") + limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.output_bytes + 10_000_000),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def is_starved() -> bool:
    """
    Say whether this process has come close to its memory limit.

    Libraries turn a lack of memory into complaints of their own (a damaged file, an error of the system), so whoever
    is about to pass one on asks here first.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    return most != resource.RLIM_INFINITY and _status("VmPeak") > _NEARLY * most


def _status(what: str) -> int:
    """Return one of the kernel's figures about this process's memory, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise Broken(f"The kernel does not tell {what}")
