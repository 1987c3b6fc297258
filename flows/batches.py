"""
A batch: many dossiers of one office through one part of their lives.

It plans chunks, starts a run for each, and watches over them by their leases in the database: a chunk whose worker
died is started again. Its own run may die too and be begun again.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeAlias

from prefect.client.orchestration import PrefectClient, get_client

from flows.batch_pictures import Progress, results_csv
from flows.chunks import carry_chunk
from flows.deploying import URGENT
from infra.environment import ONE_HEAP, environment
from infra.services import services
from tasks.batches import records
from tasks.batches.rules import Kind
from tasks.batches.tables import BatchChunkRow, BatchRow
from tasks.dossier.maintenance import is_maintained
from tasks.dossier.moves import SYSTEM, Actor
from tasks.dossier.papers import store_content

#: A dossier that waits, and since when or until when it does.
_Waiting: TypeAlias = tuple[str, datetime | str]

#: The deployment of chunks.
CHUNK = "batch-chunk/batch-chunk"
#: Seconds within which a started run of a chunk must have taken it before another one is started.
_STARTING = 90.0
#: Seconds between two looks at the chunks of a batch.
_LOOK = 1.0


def parallel() -> int:
    """Return how many chunks run at once."""
    return services().settings.batch_parallel or os.cpu_count() or 1


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
        for part in _parts(found, size):
            first = part[0][1]
            urgent = isinstance(first, datetime) and first <= until
            records.add_chunk(batch, [code for code, _ in part], urgent=urgent)
        taken, after = taken + len(found), (found[-1][1], found[-1][0])
    return taken


def _parts(found: Sequence[_Waiting], size: int) -> list[Sequence[_Waiting]]:
    """Return what waits as one chunk, or, where it does not fill one, as some that are carried at once."""
    least = 2 * services().settings.batch_block
    parts = 1 if len(found) >= size else max(1, min(parallel(), len(found) // least))
    each = -(-len(found) // parts)
    return [found[start : start + each] for start in range(0, len(found), each)]


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
    command = [sys.executable, "-m", "flows.pool_run", "batch", "work", str(batch)]
    started = [subprocess.Popen(command, env=environment(ONE_HEAP)) for _ in range(workers)]
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
    if since is None or moment - since > timedelta(seconds=_STARTING):
        return False
    # A lease that ended before the run was started is a dead worker's; a later one is the run's own, which has died.
    return chunk.lease_until is None or chunk.lease_until <= since


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
