"""
What is written to the Prefect server about dossiers: runs made, states set and timelines laid beside them.

Many at a time: the server reads the deployment, and we wait, once for all that are made or set together. What it
refuses of one dossier keeps no other from being shown.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentFlowRunCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Pending, to_state_create

from flows.pictures import Shown, picture_of, state_of
from flows.standing import Waiting
from flows.timeline import artifact_key, render
from infra.errors import Unavailable
from tasks.dossier.lifecycle import Stage

log = logging.getLogger("hoso.projector")

#: The deployment that every dossier's run belongs to.
DEPLOYMENT = "dossier/dossier"

#: How many timelines are sent at once: while the server writes one, the next is made ready here.
_AT_ONCE = 4

#: What the server says to something that it does not do; another dossier's may go well.
REFUSED = (PrefectHTTPStatusError, ObjectNotFound)


class NotDeployed(Unavailable):
    """The Prefect server does not know the deployment of dossiers, so that no run can be made."""


@dataclass(slots=True)
class Deployed:
    """The deployment of dossiers, asked for once while some are shown."""

    client: PrefectClient
    #: How many could not be shown because the server does not know the deployment.
    missed: int = 0
    _id: UUID | None = None

    async def id(self, wanted: int = 1) -> UUID:
        """Return the deployment's id for so many dossiers; raises `NotDeployed`, the second time without asking."""
        if self._id is None and not self.missed:
            try:
                self._id = (await self.client.read_deployment_by_name(DEPLOYMENT)).id
            except ObjectNotFound:
                log.warning("Prefect does not know the deployment “dossier”; run “hoso deploy”")
        if self._id is None:
            self.missed += wanted
            raise NotDeployed("Prefect does not know the deployment “dossier”; run “hoso deploy”")
        return self._id


async def read_runs(client: PrefectClient, ids: Sequence[UUID]) -> dict[UUID, FlowRun]:
    """Return those of some runs, 200 at most, that Prefect still has."""
    if not ids:
        return {}
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=list(ids)))
    return {run.id: run for run in await client.read_flow_runs(flow_run_filter=chosen, limit=len(ids))}


async def make_runs(client: PrefectClient, deployed: Deployed, some: Sequence[Shown]) -> dict[str, FlowRun]:
    """
    Make the runs of dossiers, 100 at most, that have none, each in the state that is true now; return them by code.

    The code is the run's key, so that two who make it at once make one; whose run was there before finds it here in
    the state in which it was. A dossier that is refused is not among them.
    """
    try:
        deployment = await deployed.id(len(some))
    except NotDeployed:
        return {}  # They are counted, and that is said once for all.
    found = await _made_together(client, deployment, some)
    for shown in some:
        if (code := shown.waits.code) not in found:
            try:
                found[code] = await _made_alone(client, deployment, shown.waits)
            except REFUSED as error:
                log.warning("dossier %s cannot be shown: %s", code, error)
    return found


async def _made_together(
    client: PrefectClient, deployment: UUID, some: Sequence[Shown]
) -> dict[str, FlowRun]:
    """Return, by code, the runs that were made, or found, in one request."""
    wanted = [_as_asked(shown.waits).model_dump(mode="json", exclude_unset=True) for shown in some]
    try:
        answer = await client.request(
            "POST",
            "/deployments/{id}/create_flow_run/bulk",  # type: ignore[arg-type]  # The client knows no name for it.
            path_params={"id": deployment},
            json=wanted,
        )
    except REFUSED:
        return {}  # Which of them is refused is seen when each is made alone.
    said = [UUID(one["flow_run_id"]) for one in answer.json()["results"] if one["flow_run_id"]]
    # They share a transaction: one that the database refuses takes with it others that are said to be made.
    return {run.name: run for run in (await read_runs(client, said)).values()}


async def make_run(client: PrefectClient, shown: Shown) -> FlowRun:
    """Make the run of one dossier that has none, or find it; in the state that is true now. Raises `NotDeployed`."""
    run = await _made_alone(client, await Deployed(client).id(), shown.waits)
    wanted = first_state(shown.waits)
    if run.state is None or (run.state.type, run.state.name) != (wanted.type, wanted.name):
        await client.set_flow_run_state(run.id, state_of(shown.waits), force=True)
    return run


async def _made_alone(client: PrefectClient, deployment: UUID, waits: Waiting) -> FlowRun:
    """Return the run that was made, or found, in a request of its own."""
    asked = _as_asked(waits)
    return await client.create_flow_run_from_deployment(
        deployment,
        parameters=asked.parameters,
        name=asked.name,
        tags=asked.tags,
        state=first_state(waits),
        idempotency_key=asked.idempotency_key,
    )


def first_state(waits: Waiting) -> State[None]:
    """Return the state in which a dossier's run is made."""
    return Pending(name=waits.name, message=waits.why) if waits.name == Stage.BOOKED else state_of(waits)


def _as_asked(waits: Waiting) -> DeploymentFlowRunCreate:
    """Return a dossier's run as the server is asked for it."""
    return DeploymentFlowRunCreate(
        parameters={"code": waits.code},
        name=waits.code,
        tags=[f"office:{waits.office}", f"procedure:{waits.procedure}"],
        state=to_state_create(first_state(waits)),
        idempotency_key=waits.code,
    )


async def set_states(
    client: PrefectClient, wrong: Sequence[tuple[Shown, FlowRun]]
) -> list[tuple[UUID, Shown]]:
    """
    Set runs, 200 at most, to the states that are true now; return those of which the server says that it was done.

    A run whose state is no longer one of those that were seen is not touched: a worker may have begun.
    """
    alike: dict[str, list[tuple[Shown, FlowRun]]] = defaultdict(list)
    for shown, run in wrong:
        alike[picture_of(shown.waits)].append((shown, run))
    done: list[tuple[UUID, Shown]] = []
    for group in alike.values():
        said = await _set_alike(client, state_of(group[0][0].waits), [run for _, run in group])
        done += [(run.id, shown) for shown, run in group if said.get(run.id) == ""]
        for shown, run in group:
            if said.get(run.id):
                log.warning("dossier %s cannot be shown: %s", shown.waits.code, said[run.id])
    return done


async def _set_alike(client: PrefectClient, state: State[None], runs: Sequence[FlowRun]) -> dict[UUID, str]:
    """Set runs to one state; return what the server says against it for each, "" for what was done."""
    seen = sorted({run.state.name or "" for run in runs if run.state})
    chosen = FlowRunFilter(
        id=FlowRunFilterId(any_=[run.id for run in runs]),
        state=FlowRunFilterState(name=FlowRunFilterStateName(any_=seen)),
    )
    asked = {
        "flow_runs": chosen.model_dump(mode="json", exclude_unset=True),
        "state": to_state_create(state).model_dump(mode="json", exclude_unset=True),
        "force": True,
    }
    try:
        answer = await client.request("POST", "/flow_runs/bulk_set_state", json=asked)  # type: ignore[arg-type]
    except REFUSED as error:
        return {run.id: str(error) for run in runs}
    return {UUID(one["flow_run_id"]): _objection(one) for one in answer.json()["results"]}


def _objection(result: Mapping[str, Any]) -> str:
    """Return what the server says against setting one run; "" if it was set."""
    if result["status"] == "ACCEPT":
        return ""
    return str((result.get("details") or {}).get("reason") or result["status"])


async def show_timelines(client: PrefectClient, runs: Sequence[tuple[UUID, Waiting]]) -> set[str]:
    """Put timelines beside dossiers' runs, as the newest versions of their artifacts; return whose were refused."""
    pages = await asyncio.to_thread(render, [waits for _, waits in runs])
    left = iter(runs)
    refused: set[str] = set()
    await asyncio.gather(*(_send_timelines(client, left, pages, refused) for _ in range(_AT_ONCE)))
    return refused


async def _send_timelines(
    client: PrefectClient, left: Iterator[tuple[UUID, Waiting]], pages: Mapping[str, str], refused: set[str]
) -> None:
    """Send one timeline after the other until none is left."""
    for run, waits in left:
        # Without the client's own method, which tells the server of it once more as an event that nobody hears.
        artifact = {
            "key": artifact_key(waits.code),
            "type": "markdown",
            "description": f"The life of {waits.code}",
            "data": pages[waits.code],
            "flow_run_id": str(run),
        }
        try:
            await client.request("POST", "/artifacts/", json=artifact)
        except REFUSED as error:
            log.warning("the timeline of dossier %s cannot be shown: %s", waits.code, error)
            refused.add(waits.code)
