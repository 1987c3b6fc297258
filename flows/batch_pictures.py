"""What supervisors see of a batch: how far it is, and what became of each dossier."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import FlowRunContext

from tasks.batches.rules import by_reason
from tasks.batches.tables import BatchDossierRow, BatchRow

#: A table artifact names at most so many dossiers that are not done; the CSV file names every one.
_NAMED = 200


class Progress:
    """A progress bar beside a run; written when it has moved by a hundredth, not for each dossier."""

    def __init__(self, client: PrefectClient, artifact: UUID) -> None:
        """Begin at nothing."""
        self._client, self._artifact, self._told = client, artifact, 0.0

    @classmethod
    async def begin(cls, client: PrefectClient, batch: int) -> Progress:
        """Put an empty bar beside the run that this is called in."""
        made = await client.create_artifact(
            ArtifactCreate(
                key=f"batch-{batch}-progress",
                type="progress",
                description=f"Batch {batch}: dossiers with a result",
                data=0.0,
                flow_run_id=_run_id(),
            )
        )
        return cls(client, made.id)

    async def tell(self, share: float) -> None:
        """Show a share of the whole, between 0 and 1."""
        if share - self._told >= 0.01:
            self._told = share
            await self._client.update_artifact(self._artifact, ArtifactUpdate(data=round(100 * share, 1)))


async def show_results(client: PrefectClient, row: BatchRow, results: Sequence[BatchDossierRow]) -> None:
    """Put a batch's results beside its run: how many by reason, and which dossiers are not done."""
    reasons = by_reason([(one.result or "open", one.cause) for one in results])
    rows = [{"result": r, "reason": cause, "dossiers": n, "dossier": ""} for r, cause, n in reasons]
    rows += [
        {"result": one.result or "open", "reason": one.cause, "dossiers": 1, "dossier": one.dossier}
        for one in [one for one in results if one.result != "done"][:_NAMED]
    ]
    await client.create_artifact(
        ArtifactCreate(
            key=f"batch-{row.id}",
            type="table",
            description=f"Batch {row.id}: {row.kind} at {row.office}; every dossier: work store, {row.result_key}",
            data=json.dumps(rows, ensure_ascii=False),
            flow_run_id=_run_id(),
        )
    )


def results_csv(results: Sequence[BatchDossierRow]) -> bytes:
    """Return every dossier of a batch with its result, as CSV (UTF-8, RFC 4180)."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["dossier", "result", "reason", "at"])
    for one in results:
        writer.writerow([one.dossier, one.result or "open", one.cause, one.at.isoformat() if one.at else ""])
    return out.getvalue().encode()


def _run_id() -> UUID | None:
    """Return the run that this is called in."""
    context = FlowRunContext.get()
    return context.flow_run.id if context and context.flow_run else None
