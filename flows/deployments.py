"""
`prefect.yaml` made true: checked strictly, then brought to the server, and what is gone removed.

Prefect ignores keys that it does not know and never removes a deployment or a schedule; both would let
a typing mistake or a deleted line live on unseen.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.utilities.callables import parameter_schema

from infra.errors import Forbidden

#: The tag by which a deployment is known to be ours, and may be removed when it is gone from the file.
OURS = "managed-by:hoso"

_TOP = {"name", "prefect-version", "pull", "deployments", "definitions"}
_DEPLOYMENT = {
    "name",
    "entrypoint",
    "description",
    "tags",
    "work_pool",
    "parameters",
    "concurrency_limit",
    "schedules",
}
_SCHEDULE = {"slug", "cron", "timezone", "active"}
_LIMIT = {"limit", "collision_strategy"}
_POOL = {"name"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One deployment as the file declares it, with its flow loaded."""

    name: str
    entrypoint: str
    flow: Flow[..., Any]
    description: str
    tags: tuple[str, ...]
    pool: str
    parameters: Mapping[str, Any]
    limit: Mapping[str, Any] | None
    schedules: tuple[Mapping[str, Any], ...]


def read_deployments(path: Path) -> list[Wanted]:
    """
    Return the file's deployments, or refuse it with every mistake it has.

    Checked: unknown and missing keys at each level, names and slugs given twice, entrypoints that load,
    parameters that the flow takes, cron lines, time zones, and that no schedule is without a slug.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise _mistakes(path, [str(error)]) from error
    mistakes = [f"unknown key “{key}”" for key in content.keys() - _TOP]
    wanted = []
    for declared in content.get("deployments") or []:
        found = _check(declared)
        mistakes += [f"deployment “{declared.get('name', '?')}”: {mistake}" for mistake in found]
        if not found:
            wanted.append(_wanted(declared))
    names = [declared.get("name") for declared in content.get("deployments") or []]
    mistakes += [
        f"two deployments are called “{name}”" for name in sorted(set(names)) if names.count(name) > 1
    ]
    if mistakes:
        raise _mistakes(path, mistakes)
    return wanted


def _check(declared: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with one declared deployment."""
    found = [f"unknown key “{key}”" for key in declared.keys() - _DEPLOYMENT]
    found += [
        f"the key “{key}” is missing" for key in sorted({"name", "entrypoint", "work_pool"} - declared.keys())
    ]
    found += [f"work_pool: unknown key “{k}”" for k in (declared.get("work_pool") or {}).keys() - _POOL]
    found += [
        f"concurrency_limit: unknown key “{k}”"
        for k in (declared.get("concurrency_limit") or {}).keys() - _LIMIT
    ]
    if OURS not in (declared.get("tags") or []):
        found.append(f"the tag {OURS} is missing")
    slugs = []
    for schedule in declared.get("schedules") or []:
        found += _check_schedule(schedule)
        slugs.append(schedule.get("slug"))
    found += [f"two schedules are called “{slug}”" for slug in set(slugs) if slugs.count(slug) > 1]
    return found or _check_flow(declared)


def _check_schedule(schedule: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with one schedule."""
    found = [f"schedule: unknown key “{key}”" for key in schedule.keys() - _SCHEDULE]
    found += [f"schedule: the key “{key}” is missing" for key in sorted(_SCHEDULE - schedule.keys())]
    if found:
        return found
    try:
        ZoneInfo(schedule["timezone"])
        CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    except (ValueError, ZoneInfoNotFoundError) as error:
        return [f"schedule “{schedule['slug']}”: {str(error).splitlines()[0]}"]
    return []


def _check_flow(declared: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a deployment's entrypoint and parameters."""
    try:
        flow = _load(declared["entrypoint"])
    except (ImportError, AttributeError, ValueError) as error:
        return [f"entrypoint {declared['entrypoint']} does not load: {error}"]
    if not isinstance(flow, Flow):
        return [f"entrypoint {declared['entrypoint']} is not a flow"]
    taken = inspect.signature(flow.fn).parameters
    return [
        f"the flow takes no parameter “{name}”"
        for name in (declared.get("parameters") or {}).keys() - taken.keys()
    ]


def _load(entrypoint: str) -> object:
    """Return what a dotted entrypoint names."""
    module, _, name = entrypoint.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _wanted(declared: Mapping[str, Any]) -> Wanted:
    """Return one checked declaration."""
    flow = _load(declared["entrypoint"])
    assert isinstance(flow, Flow)
    return Wanted(
        name=declared["name"],
        entrypoint=declared["entrypoint"],
        flow=flow,
        description=declared.get("description", ""),
        tags=tuple(declared.get("tags") or ()),
        pool=declared["work_pool"]["name"],
        parameters=declared.get("parameters") or {},
        limit=declared.get("concurrency_limit"),
        schedules=tuple(declared.get("schedules") or ()),
    )


async def reconcile(client: PrefectClient, wanted: Sequence[Wanted], *, release: Path) -> list[str]:
    """
    Make the server's deployments what `wanted` says; return a line for everything that was done.

    Doing it again changes nothing. Deployments of ours that are no longer wanted are removed; others
    are left alone. Runs read the code of `release`, a directory.
    """
    done = [await _make_pool(client, pool) for pool in sorted({one.pool for one in wanted})]
    for one in wanted:
        done.append(await _make_deployment(client, one, release))
    done += await _remove_gone(client, {(one.flow.name, one.name) for one in wanted})
    return [line for line in done if line]


async def _make_pool(client: PrefectClient, name: str) -> str:
    """Make a process work pool unless it is there."""
    try:
        await client.read_work_pool(name)
    except ObjectNotFound:
        await client.create_work_pool(
            WorkPoolCreate(name=name, type="process", base_job_template=await _template())
        )
        return f"made work pool {name}"
    return ""


async def _template() -> dict[str, Any]:
    """Return the job template of process workers as this version of Prefect has it."""
    from prefect.workers.process import ProcessWorker

    return ProcessWorker.get_default_base_job_template()


async def _make_deployment(client: PrefectClient, one: Wanted, release: Path) -> str:
    """Create or update one deployment, schedules included; schedules that are gone are removed."""
    schedules = [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=s["cron"], timezone=s["timezone"]), active=s["active"], slug=s["slug"]
        )
        for s in one.schedules
    ]
    flow_id = await client.create_flow(one.flow)
    limit = one.limit or {}
    deployment_id = await client.create_deployment(
        flow_id=flow_id,
        name=one.name,
        entrypoint=one.entrypoint,
        description=one.description,
        tags=list(one.tags),
        work_pool_name=one.pool,
        parameters=dict(one.parameters),
        parameter_openapi_schema=parameter_schema(one.flow).model_dump_for_openapi(),
        enforce_parameter_schema=True,
        schedules=schedules,
        concurrency_limit=limit.get("limit"),
        concurrency_options=(
            ConcurrencyLimitConfig(
                limit=limit["limit"], collision_strategy=ConcurrencyLimitStrategy(limit["collision_strategy"])
            ).model_dump(include={"collision_strategy"})
            if limit
            else None
        ),
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(release)}}],
        path=None,
    )
    await _drop_schedules(client, deployment_id, {s["slug"] for s in one.schedules})
    return f"deployment {one.flow.name}/{one.name}: {len(schedules)} schedule(s)"


async def _drop_schedules(client: PrefectClient, deployment_id: Any, slugs: set[str]) -> None:
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


def _mistakes(path: Path, mistakes: Sequence[str]) -> Forbidden:
    """Return the refusal that lists what is wrong with a file."""
    return Forbidden(
        f"{path.name} is not deployed: {'; '.join(mistakes)}.",
        rule="DEPLOY",
        way_out="Correct the file; nothing was changed on the server.",
    )
