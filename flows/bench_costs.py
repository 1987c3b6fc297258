"""What a piece of work costs: processor time and peak memory of every process that takes part, by name."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.services import services
from infra.stack.run import PARTS, pids

_TICK = os.sysconf("SC_CLK_TCK")
#: The parts whose processes are gone when what they did is measured, and the seconds between two looks at them.
_FORKING, _LOOK = ("runs", "standby"), 5.0
#: The most memory in MB that a process of each part was seen to hold.
_held: dict[str, int] = {}


@dataclass(slots=True, kw_only=True)
class Cost:
    """What one piece of work cost."""

    wall: float = 0.0
    cpu: Counter[str] = field(default_factory=Counter)  # seconds
    #: The share of the machine's processors that was busy meanwhile, with whatever; 0 to 1.
    busy: float = 0.0


@contextmanager
def measured() -> Iterator[Cost]:
    """Yield a cost that is filled in at the end: this process, those it started and waited for, and the stack's."""
    cost = Cost()
    before, began = _cpu(), time.perf_counter()
    busy, all_of_it = _machine()
    with _watched():
        yield cost
    cost.wall = time.perf_counter() - began
    later, all_of_it_later = _machine()
    cost.busy = (later - busy) / max(all_of_it_later - all_of_it, 1)
    cost.cpu = _cpu()
    cost.cpu.subtract(before)


def _cpu() -> Counter[str]:
    """Return the processor seconds that each part has used so far."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    found: Counter[str] = Counter()
    found["hoso"] = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime  # type: ignore[assignment]
    for part in PARTS:
        for pid in pids(_root(), part.name):
            found[part.name] += _seconds_of(pid)  # type: ignore[assignment]
    return found


def _machine() -> tuple[int, int]:
    """Return the ticks that the machine's processors have been busy, and all of them (proc(5), the line `cpu`)."""
    ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=9)[1:9]]
    everything = sum(ticks)
    return everything - ticks[3] - ticks[4], everything


def _seconds_of(pid: int) -> float:
    """Return the processor seconds of a process with those of its children that have ended; 0 if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(word) for word in stat[11:15]) / _TICK


@contextmanager
def _watched() -> Iterator[None]:
    """Look at what every process holds while a `with` block goes on: one that carries a chunk is gone afterwards."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK):
            _look(_FORKING)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _look([part.name for part in PARTS])


def _look(parts: Sequence[str]) -> None:
    """Remember the most that a process of some parts has held by now."""
    for part in parts:
        most = max((_peak_of(pid) for pid in pids(_root(), part)), default=0)
        _held[part] = max(most, _held.get(part, 0))


def peaks() -> dict[str, int]:
    """Return the most memory in MB that a process of each part was seen to hold in what was measured."""
    ours = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
    )
    return {"hoso": max(ours) // 1000} | {name: held for name, held in _held.items() if held}


def _peak_of(pid: int) -> int:
    """Return the most memory in MB that a process has held; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) // 1000 if "VmHWM:" in status else 0


def _root() -> Path:
    """Return the folder of the stack that this process belongs to."""
    return services().settings.trust_anchors.absolute().parent.parent
