"""
`prefect.yaml` made true on a Prefect server: what is new is made, what differs changed, what is gone removed.

Prefect's own command never removes a deployment or a schedule, and knows no dry run. Here the file was
checked as a whole before (`flows.deployments`), and what is as it should be is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.automations import AutomationCore, EventTrigger
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import Posture
from prefect.exceptions import ObjectNotFound
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker

from flows.deployments import OURS, Wanted
from flows.errands import ALIVE
from flows.prefect_api import HEARTBEAT

#: The queue of chunks with something in them that is due before the next slot.
URGENT = "urgent"

#: What we call the automation that finds dead runs.
DEAD_RUNS = "hoso: a run without a sign of life has crashed"
#: For how long a run may be silent: three signs of life.
SILENCE = timedelta(seconds=3 * int(HEARTBEAT))

#: For the processes of pool workers, wherever they run: a run's log may hold what a library says.
_ENVIRONMENT = {
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": HEARTBEAT,
}


async def reconcile(
    client: PrefectClient, wanted: Sequence[Wanted], *, release: Path, silence: timedelta = SILENCE
) -> list[str]:
    """
    Make the server's deployments what `wanted` says; return a line for everything that was changed.

    Doing it again changes nothing. Deployments of ours that are no longer wanted are removed; others
    are left alone. Runs read the code of `release`, a directory. A run that gives no sign of life for
    `silence` is marked as crashed.
    """
    done = [await _make_pool(client, pool) for pool in sorted({one.pool for one in wanted})]
    done += [await _make_deployment(client, one, release) for one in wanted]
    done += await _remove_gone(client, {(one.flow.name, one.name) for one in wanted})
    done.append(await _watch_runs(client, silence))
    return [line for line in done if line]


async def _make_pool(client: PrefectClient, name: str) -> str:
    """Make a process work pool unless it is there."""
    try:
        await client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        await client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
        return f"made work pool {name}; {await _make_queue(client, name)}"
    return await _make_queue(client, name)


async def _make_queue(client: PrefectClient, pool: str) -> str:
    """Make the queue of the urgent, and let what is in it come before everything else."""
    try:
        await client.read_work_queue_by_name(URGENT, work_pool_name=pool)
    except ObjectNotFound:
        await client.create_work_queue(URGENT, priority=1, work_pool_name=pool)
        usual = await client.read_work_queue_by_name("default", work_pool_name=pool)
        await client.update_work_queue(usual.id, priority=2)
        return f"made queue {URGENT}"
    return ""


async def _make_deployment(client: PrefectClient, one: Wanted, release: Path) -> str:
    """Create or update one deployment, schedules included, unless it is as it should be."""
    name = f"{one.flow.name}/{one.name}"
    fields = _fields(one, release)
    try:
        known = await client.read_deployment_by_name(name)
    except ObjectNotFound:
        known = None
    if known is not None and _as_wanted(known, one, fields):
        return ""
    limit = one.limit or {}
    deployment_id = await client.create_deployment(
        flow_id=await client.create_flow(one.flow),
        name=one.name,
        enforce_parameter_schema=True,
        paused=False,
        schedules=[
            DeploymentScheduleCreate(schedule=_cron(s), active=s["active"], slug=s["slug"])
            for s in one.schedules
        ],
        concurrency_options=(
            ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy(limit["collision_strategy"]))
            if limit
            else None
        ),
        concurrency_limit=limit.get("limit"),
        **fields,
    )
    await _drop_schedules(client, deployment_id, {s["slug"] for s in one.schedules})
    return f"{'changed' if known else 'made'} deployment {name}: {len(one.schedules)} schedule(s)"


def _fields(one: Wanted, release: Path) -> dict[str, Any]:
    """Return what a deployment says besides its schedules and its limit."""
    return {
        "entrypoint": one.entrypoint,
        "description": one.description,
        "tags": list(one.tags),
        "work_pool_name": one.pool,
        "parameters": dict(one.parameters),
        "parameter_openapi_schema": parameter_schema(one.flow).model_dump_for_openapi(),
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(release)}}],
        "job_variables": {"env": dict(_ENVIRONMENT)},
    }


def _as_wanted(known: DeploymentResponse, one: Wanted, fields: Mapping[str, Any]) -> bool:
    """Whether a deployment on the server is what the file says, schedules and limit included."""
    if known.paused or any(getattr(known, name) != value for name, value in fields.items()):
        return False
    limit = known.global_concurrency_limit
    options = known.concurrency_options
    found = (limit.limit, options.collision_strategy.value) if limit and options else None
    wanted = (one.limit["limit"], one.limit["collision_strategy"]) if one.limit else None
    return found == wanted and sorted(
        (s.slug, s.schedule.cron, s.schedule.timezone, s.active)
        if isinstance(s.schedule, CronSchedule)
        else ()
        for s in known.schedules
    ) == sorted((s["slug"], s["cron"], s["timezone"], s["active"]) for s in one.schedules)


def _cron(declared: Mapping[str, Any]) -> CronSchedule:
    """Return a declared schedule's times."""
    return CronSchedule(cron=declared["cron"], timezone=declared["timezone"])


async def _drop_schedules(client: PrefectClient, deployment_id: UUID, slugs: set[str]) -> None:
    """Remove the schedules of a deployment that the file no longer has; Prefect keeps them otherwise."""
    for schedule in await client.read_deployment_schedules(deployment_id):
        if schedule.slug not in slugs:
            await client.delete_deployment_schedule(deployment_id, schedule.id)


async def _remove_gone(client: PrefectClient, kept: set[tuple[str, str]]) -> list[str]:
    """Remove deployments of ours that the file no longer has."""
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[OURS]))
    done = []
    for deployment in await client.read_deployments(deployment_filter=ours):
        flow = await client.read_flow(deployment.flow_id)
        if (flow.name, deployment.name) not in kept:
            await client.delete_deployment(deployment.id)
            done.append(f"removed deployment {flow.name}/{deployment.name}")
    return done


async def _watch_runs(client: PrefectClient, silence: timedelta) -> str:
    """Let the server mark runs as crashed whose process died with everybody who could have said so."""
    wanted = AutomationCore(
        name=DEAD_RUNS,
        description="Made by “hoso deploy”. A worker that was killed cannot say so; its silence does.",
        enabled=True,
        trigger=EventTrigger(
            posture=Posture.Proactive,
            match={"prefect.resource.id": "prefect.flow-run.*"},
            for_each={"prefect.resource.id"},
            after={"prefect.flow-run.Running", ALIVE},
            # Any word of the run will do: its states bear names of ours.
            expect={"prefect.flow-run.*"},
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message="The run gave no sign of life; its process must be dead."
            )
        ],
    )
    known = await client.read_automations_by_name(DEAD_RUNS)
    if [_essence(one) for one in known] == [_essence(wanted)]:
        return ""
    for one in known:
        await client.delete_automation(one.id)
    await client.create_automation(wanted)
    return f"made automation “{DEAD_RUNS}”"


def _essence(automation: AutomationCore) -> dict[str, Any]:
    """Return what an automation says, without what the server adds."""
    said = AutomationCore.model_validate(automation.model_dump(include=set(AutomationCore.model_fields)))
    return said.model_dump(mode="json", exclude={"trigger": {"id"}})
