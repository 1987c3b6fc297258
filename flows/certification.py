"""From the counter to the official's list: number first, then the page that carries it."""

from __future__ import annotations

import asyncio

from flows.running import Aside, step
from tasks.certification import results, steps

reserve_number = step(
    steps.reserve_number, name="reserve-number", run_name="reserve number of original {ordinal}"
)
issue_copy = step(steps.issue_copy, name="issue-copy", run_name="issue copy of original {ordinal}")
issue_anew = step(steps.issue_copy, name="issue-copy", run_name="issue copy of original {ordinal} anew")
accept_result = step(results.accept_result, name="accept-result", run_name="accept result {ordinal}")


async def certification(code: str) -> None:
    """Give every received original its number and its frozen copy; take in other agencies' results."""
    aside = Aside()
    for ordinal in await asyncio.to_thread(steps.originals_to_number, code):
        with aside:
            if await reserve_number(code, ordinal):
                await issue_copy(code, ordinal)
    for ordinal in await asyncio.to_thread(steps.copies_to_issue_anew, code):
        with aside:
            await issue_anew(code, ordinal)
    for ordinal in await asyncio.to_thread(results.results_to_accept, code):
        with aside:
            await accept_result(code, ordinal)
    aside.settle()
