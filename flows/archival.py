"""From the returned result to the archive, where nobody can delete it."""

from __future__ import annotations

import asyncio

from flows.running import Aside, step
from tasks.archival import steps
from tasks.archival.checkpoints import cover as cover_entries
from tasks.archival.covering import is_covered, may_ask
from tasks.archival.holding import is_unsettled, settle_hold
from tasks.evidence.steps import is_wanting, lift_for_archive

lift = step(lift_for_archive, name="lift", run_name="lift original {ordinal} for the archive")
begin = step(steps.begin_package, name="begin-package", run_name="begin the package")
cover = step(cover_entries, name="checkpoint", run_name="sign the history")
archive = step(steps.archive, name="archive", run_name="archive")

settle = step(settle_hold, name="hold", run_name="tell the archive of the hold")


async def archival(code: str) -> None:
    """
    Archive a returned dossier once it is asked for, its documents at the level that the archive needs.

    Between the two it waits for a checkpoint that covers its history; many dossiers share one.
    """
    if await asyncio.to_thread(is_unsettled, code):
        await settle(code)
    if not await asyncio.to_thread(steps.is_due, code):
        return
    aside = Aside()
    for ordinal in await asyncio.to_thread(is_wanting, code):
        with aside:
            await lift(code, ordinal)
    # What lacks its evidence is not locked away: it could not be mended there.
    aside.settle()
    if not await asyncio.to_thread(steps.is_begun, code):
        await begin(code)
    if not await asyncio.to_thread(is_covered, code):
        if not await asyncio.to_thread(may_ask, code):
            return
        if not await cover(code):
            return
    await archive(code)
