"""The automation by which Prefect marks runs as crashed that give no sign of life."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from prefect.automations import AutomationCore, EventTrigger
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import Posture

from flows.changes import MAKE, Change
from flows.errands import ALIVE
from flows.prefect_api import HEARTBEAT

#: What we call the automation that finds dead runs.
DEAD_RUNS = "hoso: a run without a sign of life has crashed"
#: For how long a run may be silent: three signs of life.
SILENCE = timedelta(seconds=3 * int(HEARTBEAT))


async def watch(client: PrefectClient, silence: timedelta) -> list[Change]:
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
        return []
    ids = [one.id for one in known]
    return [Change(MAKE, f"automation “{DEAD_RUNS}”", partial(_make_automation, client, wanted, ids))]


async def _make_automation(client: PrefectClient, wanted: AutomationCore, old: Sequence[UUID]) -> None:
    """Put an automation in the place of those that bear its name."""
    for one in old:
        await client.delete_automation(one)
    await client.create_automation(wanted)


def _essence(automation: AutomationCore) -> dict[str, Any]:
    """Return what an automation says, without what the server adds; what is a set has no order."""
    said = AutomationCore.model_validate(automation.model_dump(include=set(AutomationCore.model_fields)))
    found = said.model_dump(mode="json", exclude={"trigger": {"id"}})
    trigger = {name: sorted(v) if isinstance(v, list) else v for name, v in found["trigger"].items()}
    return found | {"trigger": trigger}
