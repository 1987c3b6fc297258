"""One worker at one dossier: the lease around a leg, whoever runs it, with or without Prefect."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from uuid import UUID

from prefect.context import FlowRunContext
from prefect.events import emit_event

from flows.standing import BROKEN, NEEDS_ATTENTION, NO_REVOCATION, NO_TIMESTAMP
from infra.chance import random_id
from infra.errors import Forbidden, HosoError, Unavailable
from infra.revocation import NoRevocationAnswer
from infra.services import services
from infra.timestamp import NoTimestamp
from tasks.archival.covering import next_checkpoint_at, uncovered
from tasks.delivery import notices
from tasks.dossier import outbox
from tasks.dossier.outbox import Lease

log = logging.getLogger("hoso.errands")

#: The event by which Prefect knows that a run's process lives.
ALIVE = "prefect.flow-run.heartbeat"


def gravity(error: Exception) -> int:
    """Return how grave a trouble is: what time cures, what a person decides, what an engineer mends."""
    if isinstance(error, Unavailable):
        return 0
    return 1 if isinstance(error, Forbidden) else 2


def _mark(error: Unavailable) -> str:
    """Return what says in the outbox which kind of authority is waited for; nothing for any other service."""
    if isinstance(error, NoTimestamp):
        return NO_TIMESTAMP
    return NO_REVOCATION if isinstance(error, NoRevocationAnswer) else ""


def wake_at(code: str) -> datetime | None:
    """Return when something that was put off for a dossier may be tried again: a message, a leg, a checkpoint."""
    return min(
        (at for at in (notices.wake_at(code), next_checkpoint_at(code)) if at is not None), default=None
    )


def wake_all(codes: Sequence[str]) -> dict[str, datetime]:
    """Return the same for some dossiers, of those for which there is such a moment; most wait for nothing."""
    found = {code: wake_at(code) for code in notices.unfinished(codes) | set(uncovered(codes))}
    return {code: at for code, at in found.items() if at is not None}


@cache
def owner() -> str:
    """Return this process's name in leases: machine, process, and something never used before."""
    return f"{socket.gethostname()}/{os.getpid()}/{random_id().hex[:8]}"


@dataclass(slots=True, kw_only=True)
class Errand:
    """A lease on one dossier, and how carrying it ended."""

    lease: Lease
    error: Exception | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    async def run(self, carry: Callable[[str], Awaitable[int]]) -> None:
        """
        Carry the dossier and give it back: done, or put off with its cause.

        A fault of a service is tried again later; a refusal and a bug wait for a person under the name
        NeedsAttention. The lease is renewed by a thread of its own meanwhile, which also tells Prefect
        that the run is alive, if one shows this.
        """
        code = self.lease.code
        context = FlowRunContext.get()
        run = context.flow_run.id if context and context.flow_run else None
        hold_on = contextvars.copy_context().run  # Prefect's settings must be seen in the thread, too.
        threading.Thread(target=hold_on, args=(self._renew, run), name=f"lease-{code}", daemon=True).start()
        try:
            seen = await carry(code)
            wake = await asyncio.to_thread(wake_at, code)
        except Exception as error:  # noqa: BLE001  How it ended is written down, whatever it was.
            troubles = list(error.exceptions) if isinstance(error, ExceptionGroup) else [error]
            self.error = max(troubles, key=gravity)
            await asyncio.to_thread(self._put_off, troubles)
        else:
            await asyncio.to_thread(outbox.finish, self.lease, seen=seen, wake_at=wake)
        finally:
            self._ended.set()

    @property
    def ended(self) -> bool:
        """Whether the leg has run, well or badly, and the dossier was given back."""
        return self._ended.is_set()

    def _put_off(self, troubles: Sequence[Exception]) -> None:
        """
        Write down why the dossier could not be carried on, by the gravest of its troubles.

        As long as one of them is cured by time it is tried again, whatever else waits for a person.
        """
        error = max(troubles, key=gravity)
        kind = type(error).__name__
        if isinstance(error, Unavailable):
            cause, give_up = f"{_mark(error)}{error}", False
        elif isinstance(error, Forbidden):
            cause, give_up = f"{NEEDS_ATTENTION}{error}", True
        else:
            # What a bug says may hold anything; only our own words go where everybody can read them.
            said = str(error) if isinstance(error, HosoError) else "see the worker's log"
            cause, give_up = f"{BROKEN}{kind}: {said}", True
            log.error("dossier %s: %s", self.lease.code, kind, exc_info=error)
        give_up = give_up and not any(isinstance(trouble, Unavailable) for trouble in troubles)
        outbox.postpone(self.lease, cause, give_up=give_up, wake_at=wake_at(self.lease.code))

    def _renew(self, run: UUID | None) -> None:
        """Hold on to the lease until the leg has ended or somebody else has the dossier."""
        while not self._ended.wait(services().settings.lease_seconds / 3):
            try:
                if not outbox.renew(self.lease):
                    return
            except Unavailable:
                log.warning("lease on %s could not be renewed in time", self.lease.code)
            if run is not None:
                emit_event(ALIVE, resource={"prefect.resource.id": f"prefect.flow-run.{run}"})


async def begin(code: str) -> Errand | None:
    """Return an errand for a dossier, or `None` while another worker is at it."""
    lease = await asyncio.to_thread(outbox.take_one, owner(), code)
    return Errand(lease=lease) if lease else None
