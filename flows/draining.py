"""What of the work that Prefect starts is still being done, and how nothing new of it is started."""

from __future__ import annotations

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType

from flows.deployments import OURS

_OURS = DeploymentFilter(tags=DeploymentFilterTags(all_=[OURS]))

#: Runs that show a life; who is at one of those holds a lease in our database.
_LIVES = ("dossier", "document")


async def pause_pools(client: PrefectClient) -> None:
    """Let the work pools of our deployments start no run; “hoso deploy” lets them go on."""
    deployments = await client.read_deployments(deployment_filter=_OURS)
    for name in sorted({one.work_pool_name for one in deployments if one.work_pool_name}):
        await client.update_work_pool(name, WorkPoolUpdate(is_paused=True))


async def runs_at_work(client: PrefectClient) -> int:
    """Return how many runs that a pool has started are being carried out."""
    deployments = await client.read_deployments(deployment_filter=_OURS)
    started = [one.id for one in deployments if one.name not in _LIVES]
    if not started:
        return 0
    running = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=started),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING])),
    )
    return len(await client.read_flow_runs(flow_run_filter=running))
