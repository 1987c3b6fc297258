"""What the warm worker looks after for the batches: one whose run died, and runs that never begin."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from functools import partial

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled

from flows.deployments import OURS
from infra.clock import SystemClock
from tasks.batches import records

log = logging.getLogger("hoso.batches")

#: The deployment that takes up a batch whose run died.
AGAIN = "batch-again/batch-again"
#: For how long a run may be pending before it is cancelled, so that its slot is free.
STUCK = timedelta(minutes=2)
#: Seconds that the run which takes up a batch may take to start, before another one is started.
STARTING = 90.0


async def watch_batches(client: PrefectClient, *, stuck: timedelta = STUCK) -> int:
    """Take up batches that nobody watches over, and cancel runs of ours that never began; return how many of both."""
    return await _take_up(client) + await _cancel_stuck(client, stuck)


async def _take_up(client: PrefectClient) -> int:
    """Start a run for each batch whose own run died."""
    left = await asyncio.to_thread(records.unwatched)
    if not left:
        return 0
    try:
        deployment = await client.read_deployment_by_name(AGAIN)
    except ObjectNotFound:
        return 0
    for batch in left:
        await asyncio.to_thread(partial(records.watch_over, batch, seconds=STARTING))
        await client.create_flow_run_from_deployment(deployment.id, parameters={"batch": batch})
        log.info("batch %d is taken up again", batch)
    return len(left)


async def _cancel_stuck(client: PrefectClient, stuck: timedelta) -> int:
    """Cancel runs of ours that are pending for too long; those of dossiers are pending while they are booked."""
    runs = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING]))
        ),
        flow_filter=FlowFilter(name=FlowFilterName(any_=list(ENDING))),
        deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[OURS])),
    )
    cancelled = 0
    for run in runs:
        since = run.state.timestamp if run.state else None
        if isinstance(since, datetime) and SystemClock().now() - since > stuck:
            message = f"It was pending for {stuck.total_seconds() / 60:.0f} minutes; its worker must be gone."
            await client.set_flow_run_state(run.id, Cancelled(message=message), force=True)
            log.warning("run %s was pending for too long and is cancelled", run.name)
            cancelled += 1
    return cancelled


#: Flows whose runs begin at once or never: all but those of dossiers and documents, which wait as long as it takes.
ENDING = (
    "certification-batch",
    "sealing-batch",
    "delivery-batch",
    "archival",
    "batch-chunk",
    "batch-again",
    "sweep",
    "no-shows",
    "checkpoint",
    "certificates",
    "preservation",
    "register-reminder",
    "reconciliation",
    "erasure",
    "standing-list",
    "fixity",
    "board",
    "day-sheet",
    "overdue",
    "post",
    "exchange-books",
    "health",
    "reports",
)
