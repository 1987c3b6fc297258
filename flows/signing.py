"""From the official's signature to the released document: the seal, the evidence, then everything is checked."""

from __future__ import annotations

import asyncio

from flows.running import Aside, step
from flows.sealing import seal_original
from infra.services import services
from tasks.dossier.lifecycle import Standing
from tasks.dossier.waiting import originals_at
from tasks.evidence.steps import lift_for_release
from tasks.signing import steps, tries


def standing_at(code: str, standing: Standing) -> list[int]:
    """Return a dossier's originals of one standing; none while the dossier stands still."""
    with services().database.transaction() as session:
        return [ordinal for _, ordinal in originals_at(session, [code], standing)]


seal = step(seal_original, name="seal", run_name="seal original {ordinal}")
explain = step(
    tries.explain_interrupted,
    name="explain",
    run_name="explain an interrupted signature of original {ordinal}",
)
lift = step(lift_for_release, name="lift", run_name="lift original {ordinal}")
validate = step(steps.validate, name="validate", run_name="validate original {ordinal}")


async def signing(code: str) -> None:
    """Seal what the officials have signed, add the evidence that release needs, and release what stands up to it."""
    aside = Aside()
    for ordinal in await asyncio.to_thread(tries.interrupted, code):
        with aside:
            await explain(code, ordinal)
    for ordinal in await asyncio.to_thread(standing_at, code, Standing.APPROVED):
        with aside:
            await seal(code, ordinal)
    for ordinal in await asyncio.to_thread(standing_at, code, Standing.SEALED):
        with aside:
            await lift(code, ordinal)
            await validate(code, ordinal)
    aside.settle()
