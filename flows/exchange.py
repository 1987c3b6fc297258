"""
Documents between agencies: the post goes out and comes in, and each document is one run in Prefect for its whole way.

The post is carried in rounds and not in a run for each document, because a round of many packages costs little
more than one. What each document waits for is shown by `project_documents`, which reads our database alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, StateDetails, StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Completed
from sqlmodel import col, or_, select

from flows.running import Aside, by_the_clock, step
from flows.showing import NotDeployed
from infra.database import now
from infra.errors import HosoError
from infra.services import services
from tasks.dossier.maintenance import is_maintained
from tasks.exchange import books, looking, results_out
from tasks.exchange.post import carry_post
from tasks.exchange.reconciling import Compared, compare_books
from tasks.exchange.tables import ExchangeDocumentRow

log = logging.getLogger("hoso.exchange")

send_result = step(
    results_out.send_released, name="send-result", run_name="send original {ordinal} to other agencies"
)


async def exchanging(code: str) -> None:
    """Send a dossier's released results to the agencies that its procedure names."""
    aside = Aside()
    for ordinal in await asyncio.to_thread(results_out.results_to_send, code):
        with aside:
            await send_result(code, ordinal)
    aside.settle()


#: The deployment that every document's run belongs to.
DEPLOYMENT = "document/document"

#: Seconds between two comparisons with Prefect, and the share of its time that they may take.
_COMPARE = 15.0
_COMPARE_SHARE = 0.05
#: How many runs are asked for in one request; Prefect answers 200 at most.
_PAGE = 200


class Postman:
    """Carries the post for as long as the worker works: when it is woken, and every few seconds besides."""

    def __init__(self) -> None:
        """Prepare; nothing is carried before `run`."""
        self.woken = asyncio.Event()
        self._compared_at = 0.0

    async def run(self, client: PrefectClient) -> None:
        """Carry the post until cancelled."""
        while True:
            self.woken.clear()
            try:
                while not await asyncio.to_thread(is_maintained):
                    done = await asyncio.to_thread(carry_post)
                    if not done.sent and not done.taken:
                        break
                await self._show(client)
            except HosoError as error:
                log.warning("the post: %s", error)
            except Exception:
                log.exception("the post")
            with suppress(TimeoutError):
                await asyncio.wait_for(self.woken.wait(), services().settings.axis_look_seconds)

    async def _show(self, client: PrefectClient) -> None:
        """Compare the documents with their runs, not too often."""
        began = time.monotonic()
        if began < self._compared_at:
            return
        try:
            await project_documents(client)
        except Exception as error:  # noqa: BLE001  Prefect is a picture: the post goes on without it.
            log.warning("documents are not shown now (%s)", type(error).__name__)
        spent = time.monotonic() - began
        self._compared_at = time.monotonic() + max(_COMPARE, spent / _COMPARE_SHARE)


@flow(name="document", persist_result=False)
async def show_document(code: str) -> State[None]:
    """
    Carry the post once and say where a document stands.

    Nothing is read from Prefect: pressing Resume or Retry looks at the database and is harmless.
    """
    await asyncio.to_thread(carry_post)
    return _state((await asyncio.to_thread(_pictures, [code]))[0])


@by_the_clock("post")
async def second_look() -> State[None]:
    """Send and take in what no warm worker did, and set every document's run right."""
    done = await asyncio.to_thread(carry_post)
    async with get_client() as client:
        wrong = await project_documents(client)
    return Completed(message=f"{done.sent} packages sent, {done.taken} taken in, {wrong} runs set right")


@by_the_clock("exchange-books")
async def compare_with_axis() -> State[None]:
    """Compare what we sent with what the axis has, and send again what it does not know."""
    found: Compared = await asyncio.to_thread(compare_books)
    return Completed(
        message=f"{found.agreed} packages agree, {found.missing} are sent again, {found.unknown} are unknown here"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """What one document should look like in Prefect, and what we know of its run."""

    code: str
    office: str
    direction: str
    name: str
    why: str
    ended: bool
    run_id: UUID | None
    told: str | None

    @property
    def wanted(self) -> str:
        """Return what a run that is right was told."""
        return f"{StateType.COMPLETED.value if self.ended else StateType.PAUSED.value}|{self.name}|{self.why}"


def _state(shown: _Picture) -> State[None]:
    """Return the state that shows where a document stands."""
    if shown.ended:
        return Completed(name=shown.name, message=shown.why)
    return State(
        type=StateType.PAUSED,
        name=shown.name,
        message=shown.why,
        state_details=StateDetails(pause_reschedule=True),
    )


def _pictures(codes: Sequence[str] | None) -> list[_Picture]:
    """Return what Prefect should show of some documents, or of every one that may have changed."""
    with services().database.transaction() as session:
        query = select(ExchangeDocumentRow)
        if codes is not None:
            query = query.where(col(ExchangeDocumentRow.code).in_(list(codes)))
        else:
            shown = col(ExchangeDocumentRow.shown)
            end_not_shown = or_(shown.is_(None), ~shown.startswith(StateType.COMPLETED.value))
            query = query.where(or_(col(ExchangeDocumentRow.ended_at).is_(None), end_not_shown))
        moment = now(session)
        found = []
        for row in session.exec(query.order_by(col(ExchangeDocumentRow.code))).all():
            name, why = looking.waits_for(session, row, moment)
            found.append(
                _Picture(
                    code=row.code,
                    office=row.office,
                    direction=row.direction,
                    name=name,
                    why=why,
                    ended=row.ended_at is not None,
                    run_id=row.run_id,
                    told=row.shown,
                )
            )
        return found


async def project_documents(client: PrefectClient, codes: Sequence[str] | None = None) -> int:
    """Set right the runs of some documents, or of every open or freshly ended one; return how many were wrong."""
    pictures = await asyncio.to_thread(_pictures, codes)
    wrong = 0
    for start in range(0, len(pictures), _PAGE):
        page = pictures[start : start + _PAGE]
        ids = [one.run_id for one in page if one.run_id is not None]
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=ids))
        runs = (
            {run.id: run for run in await client.read_flow_runs(flow_run_filter=chosen, limit=_PAGE)}
            if ids
            else {}
        )
        for one in page:
            try:
                wrong += await _set_right(client, one, runs.get(one.run_id) if one.run_id else None)
            except PrefectHTTPStatusError as error:
                log.warning("document %s cannot be shown: %s", one.code, error)
    return wrong


async def _set_right(client: PrefectClient, shown: _Picture, run: FlowRun | None) -> bool:
    """Make or correct one run; return whether that was needed."""
    wanted = _state(shown)
    if run is not None:
        state: State[object] | None = run.state
        said = (state.type, state.name, state.message) if state is not None else None
        if said == (wanted.type, wanted.name, wanted.message):
            return False
        await client.set_flow_run_state(run.id, wanted, force=True)
        await asyncio.to_thread(_remember, shown, run.id)
        return True
    try:
        deployment = await client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound as error:
        raise NotDeployed("Prefect does not know the deployment “document”; run “hoso deploy”") from error
    run = await client.create_flow_run_from_deployment(
        deployment.id,
        parameters={"code": shown.code},
        name=shown.code,
        tags=[f"office:{shown.office}", f"exchange:{shown.direction}"],
        state=wanted,
        idempotency_key=shown.code,
    )
    if run.state is None or (run.state.type, run.state.name) != (wanted.type, wanted.name):
        await client.set_flow_run_state(run.id, wanted, force=True)
    await asyncio.to_thread(_remember, shown, run.id)
    return True


def _remember(shown: _Picture, run_id: UUID) -> None:
    """Keep which run shows a document, and what it was told."""
    with services().database.transaction() as session:
        row = books.hold(session, shown.code)
        row.run_id, row.shown = run_id, shown.wanted
        session.add(row)
