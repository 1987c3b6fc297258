"""The axis in this process's memory: the double, with scripted failures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Literal

from infra.axis import AxisRefused, Kind, SentOn, Waits
from infra.clock import Clock, SystemClock
from infra.errors import Unavailable


class Fault(StrEnum):
    """What the next call does wrong."""

    BEFORE = "before"  # no answer, and nothing happened
    AFTER = "after"  # it happened, and the answer was lost
    TWICE = "twice"  # what is sent next arrives twice
    DAMAGE = "damage"  # what is fetched next is not what was sent
    REORDER = "reorder"  # what waits is told from the newest to the oldest


@dataclass(slots=True, kw_only=True)
class _Held:
    """One package on the axis."""

    axis_id: str
    key: str
    kind: Kind
    sender: str
    content: bytes
    sent_at: datetime
    states: dict[str, str]


@dataclass
class MemoryAxis:
    """Knows every agency but those whose code begins with `X`; keeps what it takes in plain sight."""

    clock: Clock = field(default_factory=SystemClock)
    held: list[_Held] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def fail_next(self, fault: Fault, *, times: int = 1) -> None:
        """Let the next calls that can go wrong so do it."""
        self._faults.extend([fault] * times)

    def send(self, package: Path, *, key: str, kind: Kind, sender: str, to: Sequence[str]) -> str:
        """See `Axis.send`."""
        fault = self._take(Fault.BEFORE, Fault.AFTER, Fault.TWICE)
        if any(organ.startswith("X") for organ in (sender, *to)):
            raise AxisRefused("the axis knows no such agency.", rule="EDX-12", way_out="Correct the code.")
        with self._lock:
            known = next((one for one in self.held if one.key == key), None)
            for copy in range(0 if known else 2 if fault is Fault.TWICE else 1):
                self.held.append(
                    _Held(
                        axis_id=f"memory-{len(self.held) + 1:06d}",
                        key=key if not copy else f"{key}/again",
                        kind=kind,
                        sender=sender,
                        content=package.read_bytes(),
                        sent_at=self.clock.now(),
                        states=dict.fromkeys(to, "waiting"),
                    )
                )
            axis_id = next(one.axis_id for one in self.held if one.key == key)
        if fault is Fault.AFTER:
            raise Unavailable("the axis does not answer: scripted fault, the answer was lost")
        return axis_id

    def waiting(self, organ: str) -> list[Waits]:
        """See `Axis.waiting`."""
        fault = self._take(Fault.BEFORE, Fault.REORDER)
        found = [
            Waits(
                axis_id=one.axis_id,
                kind=one.kind,
                sender=one.sender,
                sent_at=one.sent_at,
                sha256=hashlib.sha256(one.content).hexdigest(),
                size=len(one.content),
            )
            for one in self.held
            if one.states.get(organ) == "waiting"
        ]
        return found[::-1] if fault is Fault.REORDER else found

    def fetch(self, axis_id: str, organ: str, into: Path) -> str:
        """See `Axis.fetch`."""
        fault = self._take(Fault.BEFORE, Fault.DAMAGE)
        content = self._of(axis_id, organ).content
        if fault is Fault.DAMAGE:
            content = content[:-1] + bytes([content[-1] ^ 1])
        into.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def confirm(self, axis_id: str, organ: str, state: Literal["done", "fail"]) -> None:
        """See `Axis.confirm`."""
        fault = self._take(Fault.BEFORE, Fault.AFTER)
        self._of(axis_id, organ).states[organ] = state
        if fault is Fault.AFTER:
            raise Unavailable("the axis does not answer: scripted fault, the answer was lost")

    def sent(self, sender: str, since: datetime) -> list[SentOn]:
        """See `Axis.sent`."""
        self._take(Fault.BEFORE)
        return [
            SentOn(
                axis_id=one.axis_id,
                key=one.key,
                sha256=hashlib.sha256(one.content).hexdigest(),
                sent_at=one.sent_at,
                states=dict(one.states),
            )
            for one in self.held
            if one.sender == sender and one.sent_at >= since
        ]

    def _of(self, axis_id: str, organ: str) -> _Held:
        """Return a package that is for an agency."""
        for one in self.held:
            if one.axis_id == axis_id and organ in one.states:
                return one
        raise AxisRefused("the axis has no such package.", rule="EDX-12", way_out="Look what waits.")

    def _take(self, *kinds: Fault) -> Fault | None:
        """Take the next fault if it is of these kinds; one before the effect happens here."""
        with self._lock:
            if not self._faults or self._faults[0] not in kinds:
                return None
            fault = self._faults.pop(0)
        if fault is Fault.BEFORE:
            raise Unavailable("the axis does not answer: scripted fault")
        return fault
