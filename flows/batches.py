"""
Batches as Prefect shows them: one run a batch, one run a chunk, one task a block.

The run of a batch plans chunks, starts a run for each, and watches over them by their leases in the database:
a chunk whose worker died is started again. What became of each dossier is written there too, so every run may
die and be begun again at the first dossier of which nothing is known.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from functools import partial

from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import concurrency
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed

from flows.batch_pictures import Progress, results_csv, show_results
from flows.blocks import carry_block
from flows.deploying import URGENT
from flows.errands import owner
from flows.projector import project
from flows.running import maintained, step
from infra.environment import environment
from infra.errors import Unavailable
from infra.services import services
from tasks.batches import records
from tasks.batches.faults import Fault
from tasks.batches.records import ChunkLease, Outcome
from tasks.batches.rules import Kind, Result, alike, newest_slot, night_slot, told
from tasks.batches.tables import BatchChunkRow, BatchRow
from tasks.dossier.maintenance import is_maintained
from tasks.dossier.moves import SYSTEM, Actor
from tasks.dossier.papers import store_content

#: The deployment of chunks.
CHUNK = "batch-chunk/batch-chunk"
#: Seconds within which a started run of a chunk must have taken it before another one is started.
_STARTING = 90.0
#: Seconds between two looks at the chunks of a batch.
_LOOK = 1.0

block = step(carry_block, name="block", run_name="{kind}, {codes[0]} …")


def parallel() -> int:
    """Return how many chunks run at once."""
    return services().settings.batch_parallel or os.cpu_count() or 1


# A chunk --------------------------------------------------------------------------------------------


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
                await asyncio.sleep(
                    _LOOK
                )  # Another chunk tries whether the fault is gone; or nothing is begun now.
                continue
            room = 1 if row.paused_by == number else services().settings.batch_block
            codes = await asyncio.to_thread(records.unfinished, batch, number, room)
            if not codes:
                return True
            codes = await self._worth_trying(batch, codes)
            if not codes:
                continue
            outcomes, fault = await self._carry_block(row, codes)
            if outcomes and not await asyncio.to_thread(records.keep_outcomes, self._lease, outcomes):
                return False  # Another worker has the chunk by now.
            if not await self._may_go_on(row, fault):
                return False

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


def _patience() -> Iterator[float]:
    """Return the seconds to wait before each further try."""
    return iter([float(word) for word in services().settings.batch_patience.split(",") if word.strip()])


def token_limit(office: str) -> str:
    """Return the name of the limit on the blocks that use an office's token at once."""
    return f"token-{office}"


# A batch --------------------------------------------------------------------------------------------


def plan(batch: int, kind: Kind, office: str, *, procedure: str | None, limit: int, until: datetime) -> int:
    """Divide what waits into chunks, nearest due first; return how many dossiers. What is due by `until` is urgent."""
    size = services().settings.batch_chunk
    taken = 0
    after: tuple[datetime | str, str] = ("-infinity", "")
    while limit == 0 or taken < limit:
        room = size if limit == 0 else min(size, limit - taken)
        found = records.waiting_for(kind, office, procedure=procedure, room=room, after=after)
        if not found:
            break
        first = found[0][1]
        records.add_chunk(
            batch, [code for code, _ in found], urgent=isinstance(first, datetime) and first <= until
        )
        taken, after = taken + len(found), (found[-1][1], found[-1][0])
    return taken


async def run_batch(
    kind: Kind,
    office: str,
    *,
    procedure: str | None = None,
    limit: int = 0,
    slot: datetime | None = None,
    by: Actor = SYSTEM,
    here: bool = False,
    workers: int = 1,
) -> int | None:
    """
    Carry what waits at an office through one part of its life; return the batch's number.

    `None` when the slot had its batch, or nothing waits (the slot is then left for what comes in it). With `here`
    nothing is shown in Prefect, and the chunks are carried by this process, or by so many `workers` started by it.
    """
    some = await asyncio.to_thread(records.waiting_for, kind, office, procedure=procedure, room=1)
    if not some:
        return None
    batch = await asyncio.to_thread(
        lambda: records.begin_batch(kind, office, procedure=procedure, slot=slot, by=by)
    )
    if batch is None:
        return None
    await asyncio.to_thread(records.watch_over, batch)
    every = timedelta(minutes=services().settings.batch_minutes)
    until = services().clock.now() + every
    await asyncio.to_thread(lambda: plan(batch, kind, office, procedure=procedure, limit=limit, until=until))
    await carry_batch(batch, here=here, workers=workers)
    return batch


async def carry_batch(batch: int, *, here: bool = False, workers: int = 1) -> None:
    """Carry a planned batch to its end, wherever it stands, and write its results down."""
    if here:
        more = await asyncio.to_thread(records.chunks_of, batch)
        await asyncio.to_thread(_with_workers, batch, min(workers, len(more)))
        await work_batch(batch)
    else:
        async with _watching(batch) as (client, progress):
            await _carry_chunks(client, batch, progress)
    key = await asyncio.to_thread(_keep_results, batch)
    await asyncio.to_thread(lambda: records.end_batch(batch, result_key=key))


async def work_batch(batch: int) -> int:
    """Carry chunks of a batch that nobody else has until none is left; return how many."""
    carried = 0
    for chunk in await asyncio.to_thread(records.chunks_of, batch):
        carried += await carry_chunk(batch, chunk.number) == "carried"
    return carried


def _with_workers(batch: int, workers: int) -> None:
    """Let some processes of their own carry the chunks of a batch, and wait for them; one needs none."""
    if workers < 2:
        return
    command = [sys.executable, "-c", "from flows.cli import main; main()", "batch", "work", str(batch)]
    started = [subprocess.Popen(command, env=environment()) for _ in range(workers)]
    for one in started:
        one.wait()


def _keep_results(batch: int) -> str:
    """Store the table of results and return its key."""
    return store_content(results_csv(records.results_of(batch)), "text/csv").key


@asynccontextmanager
async def _watching(batch: int) -> AsyncIterator[tuple[PrefectClient, Progress]]:
    """Yield a client, and a progress bar beside this run; the bar ends full."""
    async with get_client() as client:
        progress = await Progress.begin(client, batch)
        yield client, progress
        await progress.tell(1.0)


async def _carry_chunks(client: PrefectClient, batch: int, progress: Progress) -> None:
    """Start a run for each chunk, so many at once, and again for one whose worker died, until all have ended."""
    started: dict[int, datetime] = {}
    while True:
        await asyncio.to_thread(records.watch_over, batch)
        row = await asyncio.to_thread(records.batch_row, batch)
        chunks = await asyncio.to_thread(records.chunks_of, batch)
        open_chunks = [chunk for chunk in chunks if chunk.ended_at is None]
        moment = services().clock.now()
        busy = [chunk for chunk in open_chunks if _is_busy(chunk, moment, started)]
        if not open_chunks or (row.paused_by == 0 and not any(chunk.lease_until for chunk in open_chunks)):
            return
        await progress.tell(await asyncio.to_thread(_share_done, batch))
        if len(chunks) == 1 and not busy:
            # A run of its own would take longer to start than what there is to do.
            await carry_chunk(batch, chunks[0].number)
            continue
        if row.paused_by != 0 and not await asyncio.to_thread(is_maintained):
            idle = [chunk for chunk in open_chunks if chunk not in busy]
            for chunk in idle[: max(0, parallel() - len(busy))]:
                started[chunk.number] = moment
                await _start(client, row, chunk)
        await asyncio.sleep(_LOOK)


def _is_busy(chunk: BatchChunkRow, moment: datetime, started: dict[int, datetime]) -> bool:
    """Whether a worker has a chunk, or a run that was started for it may still be on its way."""
    if chunk.lease_until is not None and chunk.lease_until > moment:
        return True
    since = started.get(chunk.number)
    on_its_way = since is not None and moment - since < timedelta(seconds=_STARTING)
    return on_its_way and chunk.lease_until is None


def _share_done(batch: int) -> float:
    """Return which share of a batch's dossiers has a result."""
    counts = records.counts_of(batch)
    whole = sum(counts.values())
    return 1 - counts.get("open", 0) / whole if whole else 1.0


async def _start(client: PrefectClient, row: BatchRow, chunk: BatchChunkRow) -> None:
    """Start a run for a chunk, in the queue of the urgent if one of its dossiers is due before the next slot."""
    deployment = await client.read_deployment_by_name(CHUNK)
    run = await client.create_flow_run_from_deployment(
        deployment.id,
        parameters={"batch": row.id, "chunk": chunk.number},
        name=f"{row.kind} {row.office}, batch {row.id}, chunk {chunk.number}",
        tags=[f"office:{row.office}", f"batch:{row.id}"],
        work_queue_name=URGENT if chunk.urgent else None,
    )
    await asyncio.to_thread(records.show_chunk, chunk.batch, chunk.number, run.id)


# By the clock ---------------------------------------------------------------------------------------


async def _by_the_clock(kind: Kind, office: str, procedure: str, limit: int, *, dry_run: bool) -> State[None]:
    """Run the batches of a kind that are due at their offices, or the one of a named office now."""
    if dry_run:
        return await _would_do(kind, office, procedure, limit)
    if await asyncio.to_thread(is_maintained):
        return maintained()
    numbers = []
    for data in await asyncio.to_thread(records.offices):
        if office and data.code != office:
            continue
        slot = None if office else await asyncio.to_thread(slot_due, kind, data.code)
        if slot is None and not office:
            continue
        await _limit_token(data.code)
        number = await run_batch(kind, data.code, procedure=procedure or None, limit=limit, slot=slot)
        if number is not None:
            numbers.append(number)
    return await _end(numbers)


def slot_due(kind: Kind, office: str) -> datetime | None:
    """Return the slot that an office's batch of a kind is due for; several that were missed are one."""
    data = next(one for one in records.offices() if one.code == office)
    chosen, moment = services().settings, services().clock.now()
    if kind is Kind.ARCHIVAL:
        slot: datetime | None = night_slot(moment, datetime.strptime(chosen.batch_night, "%H:%M").time())
    else:
        slot = newest_slot(data.calendar(), moment, timedelta(minutes=chosen.batch_minutes))
    last = records.last_slot(kind, office)
    return slot if slot is not None and (last is None or last < slot) else None


async def _would_do(kind: Kind, office: str, procedure: str, limit: int) -> State[None]:
    """Say what a batch would take, and change nothing."""
    said = []
    for data in await asyncio.to_thread(records.offices):
        if office in ("", data.code):
            found = await asyncio.to_thread(
                partial(
                    records.waiting_for, kind, data.code, procedure=procedure or None, room=limit or 1_000_000
                )
            )
            said.append(f"{data.code}: {len(found)}" + (f", first {found[0][0]}" if found else ""))
    return Completed(name="DryRun", message=f"{kind} would take {'; '.join(said)}")


async def _limit_token(office: str) -> None:
    """Make the limit on the use of an office's token, or set it to what the settings say now."""
    async with get_client() as client:
        await client.upsert_global_concurrency_limit_by_name(
            token_limit(office), services().settings.batch_token_parallel
        )


async def _follow(deployment: str, office: str, procedure: str) -> None:
    """Start what follows on a batch, at the same offices."""
    offices = [office] if office else [data.code for data in await asyncio.to_thread(records.offices)]
    async with get_client() as client:
        known = await client.read_deployment_by_name(deployment)
        for one in offices:
            if await asyncio.to_thread(partial(records.waiting_for, Kind.DELIVERY, one, room=1)):
                parameters = {"office": one, "procedure": procedure}
                await client.create_flow_run_from_deployment(known.id, parameters=parameters)


async def _end(numbers: Sequence[int]) -> State[None]:
    """Show the results of batches beside this run, and return its last state, named by how they ended."""
    whole: dict[str, int] = {}
    stopped = []
    async with get_client() as client:
        for number in numbers:
            row = await asyncio.to_thread(records.batch_row, number)
            await show_results(client, row, await asyncio.to_thread(records.results_of, number))
            for result, count in (await asyncio.to_thread(records.counts_of, number)).items():
                whole[result] = whole.get(result, 0) + count
            if row.cause is not None:
                stopped.append(row.cause)
    if stopped:
        return Failed(
            name=f"stopped by {stopped[0].partition(':')[0]}", message=f"{told(whole)}; {stopped[0]}"
        )
    return Completed(name=told(whole), message=json.dumps({"batches": list(numbers)}))


@flow(name="certification-batch", persist_result=False)
async def certification_batch(
    office: str = "", procedure: str = "", limit: int = 0, dry_run: bool = False
) -> State[None]:
    """
    Certify what was received (number and frozen copy): at every office whose slot has come, or at one now.

    Args:
        office: Code of one office, to run now; empty: every office whose slot has come.
        procedure: Only this procedure; empty: every one.
        limit: At most so many dossiers of an office; 0: all that wait.
        dry_run: Only say what would happen.
    """
    return await _by_the_clock(Kind.CERTIFICATION, office, procedure, limit, dry_run=dry_run)


@flow(name="sealing-batch", persist_result=False)
async def sealing_batch(
    office: str = "", procedure: str = "", limit: int = 0, dry_run: bool = False
) -> State[None]:
    """
    Seal, validate and release what the officials have signed, then return it.

    Args:
        office: Code of one office, to run now; empty: every office whose slot has come.
        procedure: Only this procedure; empty: every one.
        limit: At most so many dossiers of an office; 0: all that wait.
        dry_run: Only say what would happen.
    """
    ended = await _by_the_clock(Kind.SEALING, office, procedure, limit, dry_run=dry_run)
    if not dry_run and ended.name != told({}):
        await _follow("delivery-batch/delivery-batch", office, procedure)
    return ended


@flow(name="delivery-batch", persist_result=False)
async def delivery_batch(
    office: str = "", procedure: str = "", limit: int = 0, dry_run: bool = False
) -> State[None]:
    """
    Return released results by their channels.

    Args:
        office: Code of one office, to run now; empty: every office whose slot has come.
        procedure: Only this procedure; empty: every one.
        limit: At most so many dossiers of an office; 0: all that wait.
        dry_run: Only say what would happen.
    """
    return await _by_the_clock(Kind.DELIVERY, office, procedure, limit, dry_run=dry_run)


@flow(name="archival", persist_result=False)
async def archival_batch(
    office: str = "", procedure: str = "", limit: int = 0, dry_run: bool = False
) -> State[None]:
    """
    Archive what was returned, its documents at the level that the archive needs.

    Args:
        office: Code of one office, to run now; empty: every office whose night has come.
        procedure: Only this procedure; empty: every one.
        limit: At most so many dossiers of an office; 0: all that wait.
        dry_run: Only say what would happen.
    """
    return await _by_the_clock(Kind.ARCHIVAL, office, procedure, limit, dry_run=dry_run)


@flow(name="batch-again", persist_result=False)
async def batch_again(batch: int) -> State[None]:
    """Take up a batch again whose run died, or that somebody retries, at the first dossier without a result."""
    await carry_batch(batch)
    return await _end([batch])
