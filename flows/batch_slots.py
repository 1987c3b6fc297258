"""The day and the night: batches begin once a slot of each office's hours, or when somebody names an office."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.batch_pictures import show_results
from flows.batches import carry_batch, run_batch
from flows.chunks import token_limit
from flows.running import maintained, run_name
from infra.services import services
from tasks.batches import records
from tasks.batches.rules import Kind, newest_slot, night_slot, told
from tasks.dossier.maintenance import is_maintained


async def _by_the_clock(kind: Kind, office: str, procedure: str, limit: int, *, dry_run: bool) -> State[None]:
    """Run the batches of a kind that are due at their offices, or the one of a named office now."""
    if office:
        await asyncio.to_thread(records.must_be_readable, office)
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


@flow(name="certification-batch", flow_run_name=run_name, persist_result=False)
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


@flow(name="sealing-batch", flow_run_name=run_name, persist_result=False)
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


@flow(name="delivery-batch", flow_run_name=run_name, persist_result=False)
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


@flow(name="archival", flow_run_name=run_name, persist_result=False)
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
