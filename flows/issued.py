"""After issue: a corrected result takes its predecessor's place, and the standing list says what stands."""

from __future__ import annotations

import asyncio

from flows.running import Aside, step
from tasks.issued import correcting, lists

settle = step(
    correcting.settle_correction, name="settle-correction", run_name="put the corrected result in place"
)
list_change = step(lists.list_change, name="standing-list", run_name="make the standing list anew")


async def issued(code: str) -> None:
    """Let a released correction replace what it corrects; say in the standing list what stands no more."""
    aside = Aside()
    with aside:
        if await asyncio.to_thread(correcting.is_to_settle, code):
            await settle(code)
    with aside:
        if await asyncio.to_thread(lists.is_behind, code):
            await list_change(code)
    aside.settle()
