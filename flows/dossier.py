"""
The whole life of a dossier, top to bottom, and the run that shows it.

`carry` takes a dossier as far as it can go without a person. It is re-entrant: every part looks at the
database and does what is left to do, so being interrupted anywhere and begun again is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from prefect import flow
from prefect.client.schemas.objects import StateDetails, StateType
from prefect.states import Completed, State

from flows.appointment import appointment
from flows.archival import archival
from flows.certification import certification
from flows.delivery import delivery, reporting
from flows.errands import Errand, begin
from flows.signing import signing
from flows.standing import Waiting, waiting
from infra.errors import Broken
from tasks.dossier import outbox

#: The life, in order. Nothing else says what follows what.
LIFE: tuple[Callable[[str], Awaitable[None]], ...] = (
    appointment,
    certification,
    signing,
    delivery,
    archival,
    reporting,
)


async def carry(code: str) -> int:
    """Take a dossier as far as it goes; return what had been asked for it when nothing was left to do."""
    while True:
        seen = await asyncio.to_thread(outbox.asked, code)
        for part in LIFE:
            await part(code)
        if await asyncio.to_thread(outbox.asked, code) == seen:
            return seen


#: The errand that the warm worker has begun for the run that it continues.
held: ContextVar[Errand | None] = ContextVar("held", default=None)


@flow(name="dossier", flow_run_name="{code}", persist_result=False)
async def process_dossier(code: str) -> State[None]:
    """
    Carry one dossier on as far as it goes without a person, and wait.

    The state's name says what the dossier waits for. Nothing is read from Prefect: pressing Resume or
    Retry looks at the database once more and is harmless. COMPLETED means that the life has ended,
    FAILED that an engineer must look.
    """
    errand = held.get() or await begin(code)
    if errand is not None:
        await errand.run(carry)
        if isinstance(errand.error, Broken):
            raise errand.error
    return state_of(await asyncio.to_thread(waiting, code))


def state_of(waits: Waiting) -> State[None]:
    """Return the state that shows where a dossier stands."""
    if waits.ended:
        return Completed(name=waits.name, message=waits.why)
    return State(
        type=StateType.PAUSED,
        name=waits.name,
        message=waits.why,
        # With this the UI's Resume schedules the run, which a worker picks up; without it a resumed run
        # would stand at Running with nobody behind it.
        state_details=StateDetails(pause_reschedule=True),
    )
