"""From the returned result to the archive, where nobody can delete it."""

from __future__ import annotations

import asyncio

from flows.running import step
from tasks.archival import steps

archive = step(steps.archive, name="archive", run_name="archive")


async def archival(code: str) -> None:
    """Archive a returned dossier once it is asked for, by the night or by a person."""
    if await asyncio.to_thread(steps.is_due, code):
        await archive(code)
