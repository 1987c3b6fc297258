"""
Shows the truth in Prefect: for each dossier one run, in the state that says where it stands.

Prefect is a picture. Whatever happened to it (runs deleted, cancelled, retried, the database wiped), the
projector compares it with our database and sets it right; nothing is ever read the other way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound

from flows.pictures import Shown, known, picture_of, pictures, remember, state_of
from flows.showing import DEPLOYMENT, Deployed, make_run, make_runs, read_runs, set_states, show_timelines
from infra.clock import SystemClock
from tasks.dossier.lifecycle import Stage

log = logging.getLogger("hoso.projector")

#: A run that a button has set going may take so long to reach its worker before it is set right.
_STARTING = timedelta(seconds=60)

_GOING = (StateType.RUNNING, StateType.SCHEDULED, StateType.PENDING)

#: How many runs are asked for in one request; Prefect answers 200 at most.
_PAGE = 200

#: How many runs are set right together. The truth is read right before, so that it is not old when it is written, and
#: the server holds what it makes in one transaction.
_TOGETHER = 50

#: A dossier, and its run if Prefect has it.
_Looked: TypeAlias = tuple[Shown, FlowRun | None]


async def run_for(client: PrefectClient, code: str) -> FlowRun:
    """Return the run that shows a dossier's life, made now if there is none; raises `NotDeployed`."""
    shown = (await asyncio.to_thread(pictures, [code]))[0]
    if shown.run_id is not None:
        try:
            return await client.read_flow_run(shown.run_id)
        except ObjectNotFound:
            log.info("dossier %s: its run is gone and is made anew", code)
    run = await make_run(client, shown)
    await asyncio.to_thread(remember, [(run.id, shown.waits)])
    return run


async def project(client: PrefectClient, codes: Sequence[str] | None = None) -> int:
    """
    Set right the runs of some dossiers, or of every open or freshly ended one; return how many were wrong.

    A run that a worker is at is left alone, and one that a button has just set going is given a minute.
    A dossier that cannot be shown does not keep the others from it. Of a bulk order's dossiers that wait for a batch
    none gets a run of its own unless it is asked for: the batch's run tells of them, and each has one as soon as it
    waits for a person, met a fault, or has ended.
    """
    found = await asyncio.to_thread(pictures, codes)
    if codes is None:
        found = [shown for shown in found if shown.run_id is not None or not shown.in_batch]
    wrong = 0
    deployed = Deployed(client)
    for start in range(0, len(found), _PAGE):
        left = await _to_set_right(client, found[start : start + _PAGE])
        for first in range(0, len(left), _TOGETHER):
            wrong += await _set_right(client, deployed, left[first : first + _TOGETHER])
    if deployed.missed:
        log.warning("%d dossiers have no run and get none before that", deployed.missed)
    if codes is None and (strays := await _strays(client, {shown.waits.code for shown in found})):
        wrong += await project(client, strays)
    return wrong


async def _to_set_right(client: PrefectClient, page: Sequence[Shown]) -> list[_Looked]:
    """Return the dossiers of a page that are not shown as they should be and that nobody is at."""
    runs = await read_runs(client, [shown.run_id for shown in page if shown.run_id is not None])
    looked = [(shown, runs.get(shown.run_id) if shown.run_id else None) for shown in page if not shown.leased]
    right = [(run.id, shown) for shown, run in looked if run is not None and _is_right(shown, run)]
    untold = [(run, shown.waits) for run, shown in right if shown.told != picture_of(shown.waits)]
    await asyncio.to_thread(remember, untold)
    kept = {shown.waits.code for _, shown in right}
    left = [one for one in looked if one[0].waits.code not in kept]
    return [(shown, run) for shown, run in left if run is None or not _is_starting(run)]


async def _set_right(client: PrefectClient, deployed: Deployed, some: Sequence[_Looked]) -> int:
    """Make or correct some runs; return how many are right now that were not."""
    made = await _make(client, deployed, [shown for shown, run in some if run is None])
    done = [(run.id, shown) for shown, run in made if _is_right(shown, run)]
    wrong = [(shown, run) for shown, run in some if run is not None]
    # Who made them before may be at them by now.
    wrong += [(shown, run) for shown, run in made if not _is_right(shown, run) and not _is_starting(run)]
    done += await _correct(client, wrong)
    refused = await show_timelines(client, [(run, shown.waits) for run, shown in done if not shown.in_batch])
    # Last: a run that was made before an interruption is found by its key, and its timeline shown, the next time.
    await asyncio.to_thread(remember, [(run, shown.waits) for run, shown in done])
    return len(done) - len(refused)


async def _make(
    client: PrefectClient, deployed: Deployed, some: Sequence[Shown]
) -> list[tuple[Shown, FlowRun]]:
    """Return the runs of dossiers that had none, made now as the truth is now."""
    fresh = await _truth(some)
    runs = await make_runs(client, deployed, fresh) if fresh else {}
    return [(shown, runs[shown.waits.code]) for shown in fresh if shown.waits.code in runs]


async def _correct(client: PrefectClient, wrong: Sequence[tuple[Shown, FlowRun]]) -> list[tuple[UUID, Shown]]:
    """Set runs to the truth as it is now; return those for which it was done."""
    runs = {shown.waits.code: run for shown, run in wrong}
    fresh = await _truth([shown for shown, _ in wrong])
    return await set_states(client, [(shown, runs[shown.waits.code]) for shown in fresh])


async def _truth(some: Sequence[Shown]) -> list[Shown]:
    """
    Return what should be shown of dossiers now, without those that a worker is at by now.

    Between the first look and now a worker may have carried them on; only the newest truth is written.
    """
    if not some:
        return []
    fresh = await asyncio.to_thread(pictures, [shown.waits.code for shown in some])
    return [shown for shown in fresh if not shown.leased]


async def _strays(client: PrefectClient, looked_at: set[str]) -> list[str]:
    """Return the ended dossiers whose run somebody has set going, cancelled or failed since its end was shown."""
    try:
        deployment = await client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound:
        return []
    types = [t for t in StateType if t not in (StateType.COMPLETED, StateType.PAUSED)]
    chosen = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]),
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=types),
            name=FlowRunFilterStateName(not_any_=[Stage.BOOKED.value]),
        ),
    )
    runs = await client.read_flow_runs(flow_run_filter=chosen, limit=_PAGE)
    names = sorted({run.name for run in runs} - looked_at)
    return await asyncio.to_thread(known, names) if names else []


def _is_right(shown: Shown, run: FlowRun) -> bool:
    """Whether a run says what it should, by type, name and sentence."""
    state: State[object] | None = run.state
    wanted = state_of(shown.waits)
    if state is None or state.name != wanted.name:
        return False
    if shown.waits.stage == Stage.BOOKED and state.type is StateType.PENDING:
        return True
    return state.type is wanted.type and state.message == wanted.message


def _is_starting(run: FlowRun) -> bool:
    """Whether a button or a worker set a run going so recently that its leg may be about to begin."""
    state = run.state
    if state is None or state.type not in _GOING or state.name == Stage.BOOKED:
        return False
    since = state.timestamp if isinstance(state.timestamp, datetime) else None
    return since is not None and SystemClock().now() - since.astimezone(UTC) < _STARTING
