"""
`prefect.yaml` made true on a Prefect server: what is new is made, what differs changed, what is gone removed.

Prefect's own command never removes a deployment or a schedule, and knows no dry run. Here the file was
checked as a whole before (`flows.deployments`), everything is compared before anything is touched, and
what is as it should be is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker

from flows.changes import CHANGE, MAKE, REMOVE, RESUME, Change
from flows.dead_runs import SILENCE, watch
from flows.deployments import OURS, Wanted
from flows.prefect_api import HEARTBEAT
from infra.release import release_name
from infra.services import services

#: The queue of chunks with something in them that is due before the next slot.
URGENT = "urgent"

#: For the processes of pool workers, wherever they run: a run's log may hold what a library says.
_ENVIRONMENT = {
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": HEARTBEAT,
}

#: What the process of a run may be told by a deployment: what ours say, and no more. For each run that is made, Prefect
#: checks this against the schema of schemas; that of its own, longer one was a third of what making a run cost it.
_TEMPLATE = {
    "job_configuration": {"env": "{{ env }}", "command": "{{ command }}"},
    "variables": {
        "type": "object",
        "properties": {
            "env": {"type": "object", "additionalProperties": {"type": "string"}},
            "command": {"type": "string"},
        },
    },
}

#: How many deployments are asked for in one request; Prefect answers 200 at most.
_PAGE = 200


async def plan(
    client: PrefectClient,
    wanted: Sequence[Wanted],
    *,
    release: Path,
    version: str = "",
    silence: timedelta = SILENCE,
) -> list[Change]:
    """
    Return what is to be done so that the server's deployments are what `wanted` says; changes nothing.

    Deployments of ours that are no longer wanted are removed; others are left alone. Runs read the code of
    `release`, a directory, whose name is `version`. A run that gives no sign of life for `silence` is to be
    marked as crashed.
    """
    found = [one for pool in sorted({one.pool for one in wanted}) for one in await _pool(client, pool)]
    for one in wanted:
        found += await _deployment(client, one, _fields(one, release, version))
    found += await _gone(client, {(one.flow.name, one.name) for one in wanted})
    found += await watch(client, silence)
    return found


async def carry_out(changes: Sequence[Change]) -> list[str]:
    """Do what a plan says, in its order; return a line for everything that was done."""
    for change in changes:
        await change.make()
    return [change.over for change in changes]


async def reconcile(
    client: PrefectClient, wanted: Sequence[Wanted], *, release: Path, silence: timedelta = SILENCE
) -> list[str]:
    """Plan and do it at once; return a line for everything that was done. Doing it again changes nothing."""
    changes = await plan(client, wanted, release=release, version=release_name(), silence=silence)
    return await carry_out(changes)


# Pools ----------------------------------------------------------------------------------------------


async def _pool(client: PrefectClient, name: str) -> list[Change]:
    """
    Return what a process work pool needs: to be there, to go on if it was paused, its queue of the urgent.

    A worker that came first made it with Prefect's template, which is replaced; one that somebody wrote is left.
    """
    try:
        pool = await client.read_work_pool(name)
    except ObjectNotFound:
        what = f"work pool {name} with the queue {URGENT}"
        return [Change(MAKE, what, partial(_make_pool, client, name))]
    found = []
    try:
        await client.read_work_queue_by_name(URGENT, work_pool_name=name)
    except ObjectNotFound:
        found.append(Change(MAKE, f"queue {URGENT}", partial(_make_queue, client, name)))
    if pool.base_job_template == ProcessWorker.get_default_base_job_template():
        tell = partial(client.update_work_pool, name, WorkPoolUpdate(base_job_template=_TEMPLATE))
        found.append(Change(CHANGE, f"work pool {name}; template", tell))
    if pool.is_paused:
        go_on = partial(client.update_work_pool, name, WorkPoolUpdate(is_paused=False))
        found.append(Change(RESUME, f"work pool {name}", go_on))
    return found


async def _make_pool(client: PrefectClient, name: str) -> None:
    """Make a process work pool."""
    await client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=_TEMPLATE))
    await _make_queue(client, name)


async def _make_queue(client: PrefectClient, pool: str) -> None:
    """Make the queue of the urgent, and let what is in it come before everything else."""
    await client.create_work_queue(URGENT, priority=1, work_pool_name=pool)
    usual = await client.read_work_queue_by_name("default", work_pool_name=pool)
    await client.update_work_queue(usual.id, priority=2)


# Deployments ----------------------------------------------------------------------------------------


async def _deployment(client: PrefectClient, one: Wanted, fields: dict[str, Any]) -> list[Change]:
    """Return what a deployment needs, its schedules included."""
    name = f"{one.flow.name}/{one.name}"
    make = partial(_make_deployment, client, one, fields)
    what = f"deployment {name}: {len(one.schedules)} schedule(s)"
    try:
        known = await client.read_deployment_by_name(name)
    except ObjectNotFound:
        return [Change(MAKE, what, make)]
    wrong = _differs(known, one, fields)
    return [Change(CHANGE, f"{what}; {', '.join(wrong)}", make)] if wrong else []


async def _make_deployment(client: PrefectClient, one: Wanted, fields: dict[str, Any]) -> None:
    """Create or update one deployment; schedules that the file does not have go."""
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


def _fields(one: Wanted, release: Path, version: str) -> dict[str, Any]:
    """Return what a deployment says besides its schedules and its limit."""
    return {
        "entrypoint": one.entrypoint,
        "version": version or None,
        "description": one.description,
        "tags": list(one.tags),
        "work_pool_name": one.pool,
        "parameters": dict(one.parameters),
        "parameter_openapi_schema": parameter_schema(one.flow).model_dump_for_openapi(),
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(release)}}],
        "job_variables": _job(release),
    }


def _job(release: Path) -> dict[str, Any]:
    """Return what a pool's worker is told about the process of a run."""
    # The step changes the folder, and Python looks for modules where it began: this says where instead.
    said: dict[str, Any] = {"env": {**_ENVIRONMENT, "PYTHONPATH": str(release)}}
    command = services().settings.run_command
    return said | ({"command": command} if command else {})


def _differs(known: DeploymentResponse, one: Wanted, fields: Mapping[str, Any]) -> list[str]:
    """Return in what a deployment on the server is not what the file says, schedules and limit included."""
    wrong = [_SAID.get(name, name) for name, value in fields.items() if getattr(known, name) != value]
    wrong += ["it was paused"] if known.paused else []
    limit, options = known.global_concurrency_limit, known.concurrency_options
    found = (limit.limit, options.collision_strategy.value) if limit and options else None
    wanted = (one.limit["limit"], one.limit["collision_strategy"]) if one.limit else None
    wrong += ["limit"] if found != wanted else []
    schedules = sorted((s["slug"], s["cron"], s["timezone"], s["active"]) for s in one.schedules)
    wrong += ["schedules"] if _schedules(known) != schedules else []
    return sorted(set(wrong))


#: What people call what Prefect calls otherwise.
_SAID = {
    "version": "release",
    "pull_steps": "release",
    "job_variables": "release",
    "parameter_openapi_schema": "parameters",
    "work_pool_name": "work pool",
}


def _schedules(known: DeploymentResponse) -> list[tuple[Any, ...]]:
    """Return the schedules of a deployment on the server; one that is no cron line is like none of ours."""
    return sorted(
        (s.slug, s.schedule.cron, s.schedule.timezone, s.active)
        if isinstance(s.schedule, CronSchedule)
        else ("", "", "", False)
        for s in known.schedules
    )


def _cron(declared: Mapping[str, Any]) -> CronSchedule:
    """Return a declared schedule's times."""
    return CronSchedule(cron=declared["cron"], timezone=declared["timezone"])


async def _drop_schedules(client: PrefectClient, deployment_id: UUID, slugs: set[str]) -> None:
    """Remove the schedules of a deployment that the file no longer has; Prefect keeps them otherwise."""
    for schedule in await client.read_deployment_schedules(deployment_id):
        if schedule.slug not in slugs:
            await client.delete_deployment_schedule(deployment_id, schedule.id)


async def _gone(client: PrefectClient, kept: set[tuple[str, str]]) -> list[Change]:
    """Return deployments of ours that the file no longer has."""
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[OURS]))
    found = []
    for deployment in await client.read_deployments(deployment_filter=ours, limit=_PAGE):
        flow = await client.read_flow(deployment.flow_id)
        if (flow.name, deployment.name) not in kept:
            remove = partial(client.delete_deployment, deployment.id)
            found.append(Change(REMOVE, f"deployment {flow.name}/{deployment.name}", remove))
    return found
