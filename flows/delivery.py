"""From the signed result to the applicant: one leg a channel, each to its end."""

from __future__ import annotations

import asyncio

from flows.running import Aside, step
from flows.sealing import seal_paper
from tasks.delivery import legs, notices, sending, steps

deliver = step(steps.deliver, name="deliver", run_name="deliver by {channel}")
send_notice = step(sending.send_notice, name="send-notice", run_name="send notice {notice_id}")
seal_letter = step(seal_paper, name="seal-paper", run_name="seal the paper of notice {notice_id}")
report_status = step(notices.report_status, name="report-status", run_name="report status to the portal")


async def delivery(code: str) -> None:
    """Publish what is public, try every leg that is due, and close the return when all legs have ended."""
    await asyncio.to_thread(legs.open_legs, code)
    await asyncio.to_thread(steps.publish, code)
    aside = Aside()
    for channel in await asyncio.to_thread(legs.legs_due, code):
        with aside:
            await deliver(code, channel)
    await asyncio.to_thread(legs.finish_return, code)
    aside.settle()


async def reporting(code: str) -> None:
    """Send what the applicant is owed and tell the portal: last of all, because neither holds a dossier up."""
    aside = Aside()
    unsealed = set(await asyncio.to_thread(notices.papers_to_seal, code))
    for notice_id in await asyncio.to_thread(notices.notices_due, code):
        with aside:
            if notice_id not in unsealed or await seal_letter(code, notice_id):
                await send_notice(code, notice_id)
    aside.settle()
    if await asyncio.to_thread(notices.reports_due, code):
        await report_status(code)
