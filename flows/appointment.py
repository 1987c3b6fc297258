"""From the booking to the counter: what was promised is confirmed, who came is noted."""

from __future__ import annotations

import asyncio

from flows.running import step
from tasks.appointment import steps
from tasks.delivery import notices, sending

confirm_booking = step(sending.send_notice, name="confirm-booking", run_name="confirm booking")


async def appointment(code: str) -> None:
    """Confirm the slot to the applicant, and note that the seat was kept once somebody came."""
    await asyncio.to_thread(steps.keep_seat, code)
    for notice_id in await asyncio.to_thread(notices.notices_due, code, only="booked"):
        await confirm_booking(code, notice_id)
