"""What a piece of work costs: processor time and peak memory of every process that takes part, by name."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.services import services
from infra.stack.run import PARTS, pids

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True, kw_only=True)
class Cost:
    """What one piece of work cost."""

    wall: float = 0.0
    cpu: Counter[str] = field(default_factory=Counter)  # seconds


@contextmanager
def measured() -> Iterator[Cost]:
    """Yield a cost that is filled in at the end: this process, those it started and waited for, and the stack's."""
    cost = Cost()
    before, began = _cpu(), time.perf_counter()
    yield cost
    cost.wall = time.perf_counter() - began
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


def _seconds_of(pid: int) -> float:
    """Return the processor seconds of a process with those of its children that have ended; 0 if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(word) for word in stat[11:15]) / _TICK


def peaks() -> dict[str, int]:
    """Return the most memory in MB that a process of each part has held so far; `hoso` is the largest worker."""
    found = {"hoso": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1000}
    for part in PARTS:
        sizes = [_peak_of(pid) for pid in pids(_root(), part.name)]
        if any(sizes):
            found[part.name] = max(sizes)
    return found


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
