"""The look at every part by the clock, and as Prefect shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.schemas.objects import State as RunState
from prefect.states import Completed, Failed

from flows.running import run_name
from tasks.health.doctor import examine, keep
from tasks.health.rules import Check, State


@flow(name="health", flow_run_name=run_name, persist_result=False)
async def health() -> RunState[None]:
    """Look at every part, keep what was found, and show it as the artifact `health`; FAILED names what is failing."""
    checks = await asyncio.to_thread(examine)
    await asyncio.to_thread(keep, checks)
    await acreate_markdown_artifact(
        key="health", markdown=render_checks(checks), description="Every part, with cause and remedy."
    )
    counted = ", ".join(f"{sum(one.state is state for one in checks)} {state}" for state in State)
    failing = [one.name for one in checks if one.state is State.FAILING]
    if failing:
        return Failed(name="Failing", message=f"failing: {', '.join(failing)}; {counted}")
    return Completed(message=counted)


def render_checks(checks: Sequence[Check]) -> str:
    """Return what was found as a table for the Prefect UI, the gravest first."""
    order = [State.FAILING, State.WARNING, State.SKIPPED, State.OK]
    lines = [
        f"| {one.state} | {one.name} | {_cell(one.cause)} | {_cell(one.remedy)} |"
        for one in sorted(checks, key=lambda one: order.index(one.state))
    ]
    return "\n".join(["| state | part | what was found | what to do |", "|---|---|---|---|", *lines])


def _cell(said: str) -> str:
    """Return a text that stays in its cell."""
    return said.replace("|", "¦").replace("\n", " ")
