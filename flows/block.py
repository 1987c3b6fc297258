"""A block of dossiers in somebody's hands: which of them are sound, and what stands in the way of the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from infra.errors import HosoError
from infra.reading import ask_together
from infra.services import services
from tasks.batches.faults import Fault, fault_of
from tasks.batches.rules import Kind
from tasks.dossier.looking import hold_these
from tasks.dossier.outbox import Lease

log = logging.getLogger("hoso.blocks")


class Stopped(Exception):
    """Something that every dossier needs is at fault; what is left of the block is left as it is."""

    def __init__(self, fault: Fault) -> None:
        """Say whose fault it is."""
        super().__init__(str(fault))
        self.fault = fault


@dataclass(slots=True, kw_only=True)
class Block:
    """The dossiers of a block that are ours, and what stands in the way of each."""

    kind: Kind
    leases: Mapping[str, Lease]
    errors: dict[str, Exception] = field(default_factory=dict)
    fault: Fault | None = None
    #: Those that wait for somebody outside, who asked for patience or did not answer.
    waiting: set[str] = field(default_factory=set)

    @property
    def sound(self) -> list[str]:
        """The dossiers that nothing stands in the way of, in order."""
        return [code for code in self.leases if code not in self.errors]

    def each(self, work: Callable[[str], object], *, of: Sequence[str] | None = None) -> None:
        """Do something with each sound dossier; an error of its own sets it aside, any other stops the block."""
        for code in self.sound if of is None else of:
            if code not in self.errors:
                with self.judged(code):
                    work(code)

    def together(
        self, work: Callable[[str], object], *, of: Sequence[str] | None = None, held: bool = False
    ) -> None:
        """Do the same for what concerns the database alone, in one transaction; `held`: all are locked first."""

        def all_of_them() -> None:
            codes = self.sound if of is None else of
            with services().database.transaction() as session:
                (hold_these if held else ask_together)(session, codes)
            self.each(work, of=of)

        services().database.as_one(all_of_them)

    @contextmanager
    def judged(self, code: str) -> Iterator[None]:
        """Set a dossier's own error aside; raise `Stopped` for a fault that concerns all."""
        try:
            yield
        except Exception as error:
            self.errors[code] = error
            fault = fault_of(error)
            if fault is not None:
                raise Stopped(fault) from error
            if not isinstance(error, HosoError):
                log.exception("dossier %s", code)
