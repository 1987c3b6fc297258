"""
One chunk of a batch, as Prefect shows it: one run a chunk, one task a block.

A chunk is had by a lease in the database. What became of each dossier is written there too, so a run may die and be
begun again at the first dossier of which nothing is known.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import concurrency
from prefect.context import FlowRunContext
from prefect.states import Completed

from flows.blocks import carry_block
from flows.errands import owner
from flows.projector import project
from flows.running import step
from infra.errors import Unavailable
from infra.services import services
from tasks.batches import records
from tasks.batches.faults import Fault
from tasks.batches.records import ChunkLease, Outcome
from tasks.batches.rules import Kind, Result, alike
from tasks.batches.tables import BatchRow
from tasks.dossier import outbox
from tasks.dossier.maintenance import is_maintained

#: Objects that are made before garbage is looked for among them; a dossier makes some ten thousand.
_YOUNG = 10_000
#: Seconds between two looks at a batch that another chunk has paused, and at dossiers that others are at.
_LOOK = 1.0
#: For how many lengths of a lease others are waited for.
_OTHERS = 2

block = step(carry_block, name="block", run_name="{kind}, {codes[0]} …")


@flow(name="batch-chunk", persist_result=False)
async def batch_chunk(batch: int, chunk: int) -> State[None]:
    """Carry one chunk of a batch, block by block, from the first dossier of which nothing is known."""
    said = await carry_chunk(batch, chunk)
    codes = [row.dossier for row in await asyncio.to_thread(records.results_of, batch) if row.chunk == chunk]
    async with get_client() as client:
        await project(client, codes)
    return Completed(name=said)


async def carry_chunk(batch: int, number: int) -> str:
    """
    Carry a chunk as far as it goes and return a name for how that ended.

    A fault of something that every dossier needs is tried again after a while, with one dossier first; after the
    last try the whole batch stops. Being killed anywhere and carried again is harmless.
    """
    lease = await asyncio.to_thread(records.take_chunk, batch, number, owner())
    if lease is None:
        return "carried elsewhere"
    _leave_what_is_loaded()
    with _holding(lease):
        ended = await _Chunk(lease).carry()
    await asyncio.to_thread(records.leave_chunk, lease, ended=ended)
    return "carried" if ended else "stopped"


@contextmanager
def _holding(lease: ChunkLease) -> Iterator[None]:
    """Renew a chunk's lease in a thread of its own."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(services().settings.lease_seconds / 3):
            try:
                if not records.renew_chunk(lease):
                    return
            except Unavailable:
                continue  # It is tried again before the lease ends.

    thread = threading.Thread(target=renew, daemon=True, name=f"chunk-{lease.batch}-{lease.number}")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _Chunk:
    """One chunk being carried: what was tried of a fault, and of causes that set dossiers aside before."""

    def __init__(self, lease: ChunkLease) -> None:
        """Begin; nothing was tried yet."""
        self._lease = lease
        self._waits = _patience()
        #: Those that another worker was at: they are looked at once more when the rest is done.
        self._later: set[str] = set()
        self._looked_again: set[str] = set()
        self._gone: set[str] = set()
        self._still_there: set[str] = set()

    async def carry(self) -> bool:
        """Carry blocks until nothing is left; return whether that is so, or the batch was stopped."""
        batch, number = self._lease.batch, self._lease.number
        while True:
            row = await asyncio.to_thread(records.batch_row, batch)
            if row.paused_by == 0:
                return False
            if row.paused_by not in (None, number) or await asyncio.to_thread(is_maintained):
                # Another chunk tries whether the fault is gone; or nothing is begun now.
                await asyncio.sleep(_LOOK)
                continue
            room = 1 if row.paused_by == number else services().settings.batch_block
            codes = await asyncio.to_thread(
                partial(records.unfinished, batch, number, room, besides=self._later)
            )
            if not codes and self._later:
                await self._wait_for_others()
                continue
            if not codes:
                return True
            codes = await self._worth_trying(batch, codes)
            if not codes:
                continue
            carried, fault = await self._carry_block(row, codes)
            gc.collect()  # What reads documents refers to itself, and would hold them for hundreds of dossiers.
            outcomes = self._put_off(carried)
            if outcomes and not await asyncio.to_thread(records.keep_outcomes, self._lease, outcomes):
                return False  # Another worker has the chunk by now.
            if not await self._may_go_on(row, fault):
                return False

    def _put_off(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """
        Leave those that another worker is at for later, and return the other outcomes.

        Who is at them may be dead: a chunk that was killed holds the dossiers of its last block for a while.
        """
        elsewhere = {one.code for one in outcomes if one.result is Result.ELSEWHERE} - self._looked_again
        self._later |= elsewhere
        return [one for one in outcomes if one.code not in elsewhere]

    async def _wait_for_others(self) -> None:
        """Wait until nobody is at those that were left for later, or was there for longer than a dead one's lease."""
        codes, self._later = sorted(self._later), set()
        self._looked_again.update(codes)
        for _ in range(int(_OTHERS * services().settings.lease_seconds / _LOOK)):
            if not await asyncio.to_thread(outbox.held_by_others, codes):
                break
            await asyncio.sleep(_LOOK)

    async def _carry_block(self, row: BatchRow, codes: Sequence[str]) -> tuple[list[Outcome], Fault | None]:
        """Carry one block, within the limit of the token where one is used."""
        kind = Kind(row.kind)
        if kind is Kind.SEALING and FlowRunContext.get() is not None:
            async with concurrency(token_limit(row.office), occupy=1, lease_duration=60):
                return await block(kind, row.office, codes)
        return await block(kind, row.office, codes)

    async def _may_go_on(self, row: BatchRow, fault: Fault | None) -> bool:
        """Say in the database what keeps the batch from going on, wait, or stop; return whether to go on."""
        if fault is None:
            if row.paused_by is not None:
                await asyncio.to_thread(records.go_on, self._lease)
                self._waits = _patience()
            return True
        await asyncio.to_thread(records.pause, self._lease, fault)
        wait = next(self._waits, None) if fault.curable else None
        if wait is None:
            await asyncio.to_thread(records.give_up, self._lease)
            return False
        await asyncio.sleep(wait)
        return True

    async def _worth_trying(self, batch: int, codes: Sequence[str]) -> list[str]:
        """
        Return what to try next of dossiers; after a retry, of those that one cause set aside only the first.

        If that one meets the same cause again the others are left as they were: the cause is not gone.
        """
        causes = await asyncio.to_thread(records.causes_before, batch, codes)
        if not causes:
            return list(codes)
        left = [
            Outcome(code=c, result=Result.SET_ASIDE, cause=causes[c])
            for c in codes
            if alike(causes.get(c, "")) in self._still_there
        ]
        if left:
            await asyncio.to_thread(records.keep_outcomes, self._lease, left)
            return []
        fresh = [c for c in codes if c not in causes or alike(causes[c]) in self._gone]
        if fresh:
            return fresh
        first = codes[0]
        row = await asyncio.to_thread(records.batch_row, batch)
        outcomes, fault = await self._carry_block(row, [first])
        await asyncio.to_thread(records.keep_outcomes, self._lease, outcomes)
        same = any(alike(one.cause) == alike(causes[first]) for one in outcomes)
        if fault is None:
            (self._still_there if same else self._gone).add(alike(causes[first]))
        await self._may_go_on(row, fault)
        return []


@cache
def _leave_what_is_loaded() -> None:
    """Let the search for garbage look at what dossiers leave, and not again and again at all that is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)


def _patience() -> Iterator[float]:
    """Return the seconds to wait before each further try."""
    return iter([float(word) for word in services().settings.batch_patience.split(",") if word.strip()])


def token_limit(office: str) -> str:
    """Return the name of the limit on the blocks that use an office's token at once."""
    return f"token-{office}"
