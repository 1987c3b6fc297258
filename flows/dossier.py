"""
The whole life of a dossier, top to bottom, and the run that shows it.

`carry` takes a dossier as far as it can go without a person. It is re-entrant: every part looks at the
database and does what is left to do, so being interrupted anywhere and begun again is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed

from flows.appointment import appointment
from flows.archival import archival
from flows.certification import certification
from flows.delivery import delivery, reporting
from flows.errands import Errand, begin
from flows.exchange import exchanging
from flows.issued import issued
from flows.pictures import state_of
from flows.prefect_api import silence_waiting
from flows.running import Aside, StepAhead, only_looking
from flows.showing import show_timelines
from flows.signing import signing
from flows.standing import waiting
from infra.services import services
from tasks.dossier import outbox
from tasks.dossier.looking import look

#: The life, in order. Nothing else says what follows what.
LIFE: tuple[Callable[[str], Awaitable[None]], ...] = (
    appointment,
    certification,
    signing,
    issued,
    delivery,
    exchanging,
    archival,
    reporting,
)


async def carry(code: str) -> int:
    """
    Take a dossier as far as it goes; return what had been asked for it when nothing was left to do.

    A part that fails does not keep the later ones from doing what is theirs; its trouble is raised at the
    end, several of them as an `ExceptionGroup`.
    """
    while True:
        seen = await asyncio.to_thread(outbox.asked, code)
        aside = Aside()
        for part in LIFE:
            with aside:
                await part(code)
        aside.settle()
        if await asyncio.to_thread(outbox.asked, code) == seen:
            return seen


async def is_at_rest(code: str) -> bool:
    """
    Whether a dossier has no step ahead of it, so that nothing need be shown being done.

    What the parts write down besides their steps is written; a fault met while looking is left to
    whoever carries the dossier.
    """
    with only_looking():
        try:
            for part in LIFE:
                await part(code)
        except StepAhead:
            return False
        except Exception:  # noqa: BLE001  It comes again where it is written down.
            return False
    return True


#: The errand that the warm worker has begun for the run that it continues.
held: ContextVar[Errand | None] = ContextVar("held", default=None)


@flow(name="dossier", persist_result=False)
async def process_dossier(code: str) -> State[None]:
    """
    Carry one dossier on as far as it goes without a person, and wait.

    The state's name says what the dossier waits for. Nothing is read from Prefect: pressing Resume or
    Retry looks at the database once more and is harmless. COMPLETED means that the life has ended,
    FAILED that an engineer must look. A second run for the same dossier does the same and steps aside.
    """
    silence_waiting()
    errand = held.get() or await begin(code)
    if errand is not None:
        await errand.run(carry)
    waits = await asyncio.to_thread(waiting, code)
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        own = await asyncio.to_thread(_run_of, code)
        if own is not None and own != context.flow_run.id:
            return Completed(name="ShownElsewhere", message=f"the life of {code} is shown by run {own}")
        async with get_client() as client:
            await show_timelines(client, [(context.flow_run.id, waits)])
    return state_of(waits)


def _run_of(code: str) -> UUID | None:
    """Return the run that shows a dossier's life, as we know it."""
    with services().database.transaction() as session:
        return look(session, code).run_id
