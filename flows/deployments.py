"""
`prefect.yaml`, read and checked strictly.

Prefect ignores keys that it does not know, and notices a wrong entrypoint or parameter at the first run;
both would let a typing mistake live on unseen.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate
from prefect.utilities.schema_tools.validation import ValidationError

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
_NEEDED = {"name", "entrypoint", "work_pool", "tags"}
_SCHEDULE = {"slug", "cron", "timezone", "active"}
_LIMIT = {"limit", "collision_strategy"}
_POOL = {"name"}

#: The one way in which runs find their code: the directory of a release, never a moving checkout.
_PULL = [{"prefect.deployments.steps.set_working_directory": {"directory": "{{ $HOSO_RELEASE }}"}}]


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
    parameters that the flow takes, cron lines, time zones, that no schedule is without a slug, and that
    runs read a release.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise _mistakes(path, [str(error)]) from error
    if not isinstance(content, dict) or not isinstance(content.get("deployments"), list):
        raise _mistakes(path, ["it has no list “deployments”"])
    mistakes = _keys("", content, _TOP, needed={"deployments", "pull"})
    if content.get("pull") != _PULL:
        mistakes.append("pull: runs must read the release, by set_working_directory to {{ $HOSO_RELEASE }}")
    wanted = []
    for declared in content["deployments"]:
        found = _check(declared) if isinstance(declared, dict) else ["it is not a mapping"]
        name = declared.get("name", "?") if isinstance(declared, dict) else "?"
        mistakes += [f"deployment “{name}”: {mistake}" for mistake in found]
        if not found:
            wanted.append(_wanted(declared))
    mistakes += _twice("deployments", [one.name for one in wanted])
    if mistakes:
        raise _mistakes(path, mistakes)
    return wanted


def _keys(where: str, given: object, known: set[str], *, needed: set[str]) -> list[str]:
    """Return which keys of a mapping are unknown and which are missing."""
    if not isinstance(given, dict):
        return [f"{where}not a mapping"]
    found = [f"{where}unknown key “{key}”" for key in sorted(given.keys() - known, key=str)]
    return found + [f"{where}the key “{key}” is missing" for key in sorted(needed - given.keys())]


def _twice(what: str, names: Sequence[str]) -> list[str]:
    """Return which names are given more than once."""
    return [f"two {what} are called “{name}”" for name in sorted(set(names)) if names.count(name) > 1]


def _check(declared: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with one declared deployment."""
    found = _keys("", declared, _DEPLOYMENT, needed=_NEEDED)
    if "work_pool" in declared:
        found += _keys("work_pool: ", declared["work_pool"], _POOL, needed=_POOL)
    if "concurrency_limit" in declared:
        found += _check_limit(declared["concurrency_limit"])
    if OURS not in (declared.get("tags") or []):
        found.append(f"the tag {OURS} is missing")
    schedules = declared.get("schedules") or []
    found += [mistake for schedule in schedules for mistake in _check_schedule(schedule)]
    slugs = [str(schedule.get("slug")) for schedule in schedules if isinstance(schedule, dict)]
    found += _twice("schedules", slugs)
    return found or _check_flow(declared)


def _check_limit(limit: Any) -> list[str]:
    """Return what is wrong with a deployment's limit of runs at a time."""
    found = _keys("concurrency_limit: ", limit, _LIMIT, needed=_LIMIT)
    if found:
        return found
    strategies = [strategy.value for strategy in ConcurrencyLimitStrategy]
    if limit["collision_strategy"] not in strategies:
        found.append(f"concurrency_limit: collision_strategy is one of {', '.join(strategies)}")
    if not isinstance(limit["limit"], int) or limit["limit"] < 1:
        found.append("concurrency_limit: limit is a number from 1")
    return found


def _check_schedule(schedule: Any) -> list[str]:
    """Return what is wrong with one schedule."""
    found = _keys("schedule: ", schedule, _SCHEDULE, needed=_SCHEDULE)
    if found:
        return found
    where = f"schedule “{schedule['slug']}”"
    try:
        ZoneInfo(str(schedule["timezone"]))
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return [f"{where}: there is no time zone “{schedule['timezone']}”"]
    try:
        CronSchedule(cron=str(schedule["cron"]), timezone=schedule["timezone"])
    except ValueError:
        return [f"{where}: “{schedule['cron']}” is not a cron line"]
    return [] if isinstance(schedule["active"], bool) else [f"{where}: active is true or false"]


def _check_flow(declared: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a deployment's entrypoint and parameters."""
    try:
        flow = _load(str(declared["entrypoint"]))
    except (ImportError, AttributeError, ValueError) as error:
        return [f"entrypoint {declared['entrypoint']} does not load: {error}"]
    if not isinstance(flow, Flow):
        return [f"entrypoint {declared['entrypoint']} is not a flow"]
    given = declared.get("parameters") or {}
    schema = parameter_schema(flow).model_dump_for_openapi()
    unknown = given.keys() - schema["properties"].keys()
    if unknown:
        return [f"the flow takes no parameter “{name}”" for name in sorted(unknown)]
    try:
        validate(given, schema, raise_on_error=True, ignore_required=True)
    except ValidationError as error:
        return [f"parameters: {error}"]
    return []


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


def _mistakes(path: Path, mistakes: Sequence[str]) -> Forbidden:
    """Return the refusal that lists what is wrong with a file."""
    return Forbidden(
        f"{path.name} is not deployed: {'; '.join(mistakes)}.",
        rule="DEPLOY",
        way_out="Correct the file; nothing was changed on the server.",
    )
