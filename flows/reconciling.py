"""The nightly comparison as a flow: what it finds is a page of the Prefect UI, and a failed run."""

from __future__ import annotations

import asyncio

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.running import run_name
from infra.services import services
from tasks.dossier.calendar import local
from tasks.reconciliation.comparing import open_findings, reconcile
from tasks.reconciliation.rules import FINDINGS
from tasks.reconciliation.tables import FindingRow

#: More findings than a page shows are for the command.
_SHOWN = 200


@flow(name="reconciliation", flow_run_name=run_name, persist_result=False)
async def reconciliation() -> State[None]:
    """Compare what must be the same, show the open findings as the artifact `findings`; FAILED when there are any."""
    compared = await asyncio.to_thread(reconcile)
    found = await asyncio.to_thread(_open)
    await acreate_markdown_artifact(
        key="findings", markdown=render(found), description="Codes and hashes only; `hoso repair` mends."
    )
    said = f"{compared.dossiers} dossiers: {compared.new} new findings, {compared.open} open, {compared.ended} gone"
    return Failed(message=said) if compared.open else Completed(message=said)


def _open() -> list[FindingRow]:
    """Return the open findings."""
    with services().database.transaction() as session:
        return open_findings(session)


def render(found: list[FindingRow]) -> str:
    """Return the open findings as a table; it names codes, never persons."""
    if not found:
        return "Registered, signed, validated, archived, published, returned and logged are the same.\n"
    rows = ["| finding | dossier | original | what | repair | since |", "|---|---|---|---|---|---|"]
    for one in found[:_SHOWN]:
        gap = FINDINGS[one.code]
        since = f"{local(one.found_at):%Y-%m-%d %H:%M}"
        rows.append(
            f"| {one.id} | {one.subject} | {one.ordinal or ''} | {gap.sentence} | {gap.repair} | {since} |"
        )
    if len(found) > _SHOWN:
        rows.append(f"\n… and {len(found) - _SHOWN} more: `hoso findings`")
    return "\n".join(rows) + "\n"
