"""
Shows the truth in Prefect: for each dossier one run, in the state that says where it stands.

Prefect is a picture. Whatever happened to it (runs deleted, cancelled, retried, the database wiped), the
projector compares it with our database and sets it right; nothing is ever read the other way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateDetails, StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Completed, Failed, Pending
from sqlmodel import Session, col, or_, select

from flows.standing import Waiting, waiting_of
from flows.timeline import artifact_key, render
from infra.clock import SystemClock
from infra.errors import Unavailable
from infra.services import services
from tasks.dossier.lifecycle import Stage
from tasks.dossier.tables import DossierRow, OutboxRow

log = logging.getLogger("hoso.projector")

#: The deployment that every dossier's run belongs to.
DEPLOYMENT = "dossier/dossier"

#: A run that a button has set going may take so long to reach its worker before it is set right.
_STARTING = timedelta(seconds=60)

_GOING = (StateType.RUNNING, StateType.SCHEDULED, StateType.PENDING)

#: The names of what waits for nothing but the next batch.
_BATCH_NEXT = (Stage.RECEIVED, Stage.AWAITING_SEAL, Stage.SIGNED)

#: How many runs are asked for in one request; Prefect answers 200 at most.
_PAGE = 200

#: How many runs are set right at once.
_AT_ONCE = 4


class NotDeployed(Unavailable):
    """The Prefect server does not know the deployment of dossiers, so that no run can be made."""


@dataclass(slots=True)
class _Deployed:
    """The deployment of dossiers, asked for once while some are shown."""

    client: PrefectClient
    #: How many could not be shown because the server does not know the deployment.
    missed: int = 0
    _id: UUID | None = None

    async def id(self) -> UUID:
        """Return the deployment's id; raises `NotDeployed`, the second time without asking."""
        if self._id is None and not self.missed:
            try:
                self._id = (await self.client.read_deployment_by_name(DEPLOYMENT)).id
            except ObjectNotFound:
                log.warning("Prefect does not know the deployment “dossier”; run “hoso deploy”")
        if self._id is None:
            self.missed += 1
            raise NotDeployed("Prefect does not know the deployment “dossier”; run “hoso deploy”")
        return self._id


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one dossier should look like in Prefect, and what we know of its run."""

    waits: Waiting
    run_id: UUID | None
    told: str | None
    leased: bool
    #: Whether only a batch's turn is waited for, so that the batch's own run tells how far it is.
    in_batch: bool = False


def picture_of(waits: Waiting) -> str:
    """Return what a run that is right was told; compared with what it was told last."""
    return f"{state_of(waits).type.value}|{waits.name}|{waits.why}"


def state_of(waits: Waiting) -> State[None]:
    """Return the state that shows where a dossier stands: ended, stopped by a bug, or waiting under a name."""
    if waits.ended:
        return Completed(name=waits.name, message=waits.why)
    if waits.broken:
        return Failed(name=waits.name, message=waits.why)
    return State(
        type=StateType.PAUSED,
        name=waits.name,
        message=waits.why,
        # With this the UI's Resume schedules the run, which a worker picks up; without it a resumed run
        # would stand at Running with nobody behind it.
        state_details=StateDetails(pause_reschedule=True),
    )


async def run_for(client: PrefectClient, code: str) -> FlowRun:
    """Return the run that shows a dossier's life, made now if there is none; raises `NotDeployed`."""
    shown = (await asyncio.to_thread(_pictures, [code]))[0]
    if shown.run_id is not None:
        try:
            return await client.read_flow_run(shown.run_id)
        except ObjectNotFound:
            log.info("dossier %s: its run is gone and is made anew", code)
    return await _make_run(client, _Deployed(client), shown)


async def project(client: PrefectClient, codes: Sequence[str] | None = None) -> int:
    """
    Set right the runs of some dossiers, or of every open or freshly ended one; return how many were wrong.

    A run that a worker is at is left alone, and one that a button has just set going is given a minute.
    A dossier that cannot be shown does not keep the others from it. Of a bulk order's dossiers that wait for a batch
    none gets a run of its own unless it is asked for: the batch's run tells of them, and each has one as soon as it
    waits for a person, met a fault, or has ended.
    """
    pictures = await asyncio.to_thread(_pictures, codes)
    if codes is None:
        pictures = [shown for shown in pictures if shown.run_id is not None or not shown.in_batch]
    wrong = 0
    deployed = _Deployed(client)
    for start in range(0, len(pictures), _PAGE):
        page = pictures[start : start + _PAGE]
        runs = await _runs(client, [shown.run_id for shown in page if shown.run_id is not None])
        # Some at a time: while the server writes one, the next is made ready here.
        for first in range(0, len(page), _AT_ONCE):
            some = page[first : first + _AT_ONCE]
            looked = [(shown, runs.get(shown.run_id) if shown.run_id else None) for shown in some]
            wrong += sum(await asyncio.gather(*(_try_right(client, deployed, *one) for one in looked)))
    if deployed.missed:
        log.warning("%d dossiers have no run and get none before that", deployed.missed)
    if codes is None and (strays := await _strays(client, {shown.waits.code for shown in pictures})):
        wrong += await project(client, strays)
    return wrong


async def _runs(client: PrefectClient, ids: list[UUID]) -> dict[UUID, FlowRun]:
    """Return those of some runs that Prefect still has."""
    if not ids:
        return {}
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=ids))
    return {run.id: run for run in await client.read_flow_runs(flow_run_filter=chosen, limit=_PAGE)}


async def _strays(client: PrefectClient, looked_at: set[str]) -> list[str]:
    """Return the ended dossiers whose run somebody has set going, cancelled or failed since its end was shown."""
    try:
        deployment = await client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound:
        return []
    types = [t for t in StateType if t not in (StateType.COMPLETED, StateType.PAUSED)]
    chosen = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]),
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=types),
            name=FlowRunFilterStateName(not_any_=[Stage.BOOKED.value]),
        ),
    )
    runs = await client.read_flow_runs(flow_run_filter=chosen, limit=_PAGE)
    names = sorted({run.name for run in runs} - looked_at)
    return await asyncio.to_thread(_known, names) if names else []


async def _try_right(client: PrefectClient, deployed: _Deployed, shown: Shown, run: FlowRun | None) -> bool:
    """Set one run right if it is wrong and can be; return whether that was done."""
    try:
        return await _set_right(client, deployed, shown, run)
    except NotDeployed:
        return False  # It is counted, and said once for all.
    except (PrefectHTTPStatusError, ObjectNotFound) as error:
        log.warning("dossier %s cannot be shown: %s", shown.waits.code, error)
        return False


async def _set_right(client: PrefectClient, deployed: _Deployed, shown: Shown, run: FlowRun | None) -> bool:
    """Make or correct one run; return whether that was needed."""
    if run is not None and not shown.leased and _is_right(shown, run):
        if shown.told != picture_of(shown.waits):
            await asyncio.to_thread(remember, run.id, shown.waits)
        return False
    if shown.leased or (run is not None and _is_starting(run)):
        return False
    # Between the first look and now a worker may have carried it on; only the newest truth is written.
    shown = (await asyncio.to_thread(_pictures, [shown.waits.code]))[0]
    if shown.leased:
        return False
    if run is None:
        run = await _make_run(client, deployed, shown)
    else:
        await client.set_flow_run_state(run.id, state_of(shown.waits), force=True)
        await asyncio.to_thread(remember, run.id, shown.waits)
    if not shown.in_batch:
        await show_timeline(client, shown.waits, run.id)
    return True


def _is_right(shown: Shown, run: FlowRun) -> bool:
    """Whether a run says what it should, by type, name and sentence."""
    state: State[object] | None = run.state
    wanted = state_of(shown.waits)
    if state is None or state.name != wanted.name:
        return False
    if shown.waits.stage == Stage.BOOKED and state.type is StateType.PENDING:
        return True
    return state.type is wanted.type and state.message == wanted.message


def _is_starting(run: FlowRun) -> bool:
    """Whether a button or a worker set a run going so recently that its leg may be about to begin."""
    state = run.state
    if state is None or state.type not in _GOING or state.name == Stage.BOOKED:
        return False
    since = state.timestamp if isinstance(state.timestamp, datetime) else None
    return since is not None and SystemClock().now() - since.astimezone(UTC) < _STARTING


async def _make_run(client: PrefectClient, deployed: _Deployed, shown: Shown) -> FlowRun:
    """
    Make the run of a dossier that has none, in the state that is true now.

    The code is the run's key, so that two who make it at once make one.
    """
    waits = shown.waits
    booked = waits.name == Stage.BOOKED
    wanted = Pending(name=waits.name, message=waits.why) if booked else state_of(waits)
    run = await client.create_flow_run_from_deployment(
        await deployed.id(),
        parameters={"code": waits.code},
        name=waits.code,
        tags=[f"office:{waits.office}", f"procedure:{waits.procedure}"],
        state=wanted,
        idempotency_key=waits.code,
    )
    if run.state is None or (run.state.type, run.state.name) != (wanted.type, wanted.name):
        await client.set_flow_run_state(run.id, state_of(waits), force=True)
    await asyncio.to_thread(remember, run.id, waits)
    return run


async def show_timeline(client: PrefectClient, waits: Waiting, run_id: UUID) -> None:
    """Put a dossier's timeline beside its run, as the newest version of its artifact."""
    page = await asyncio.to_thread(render, waits)
    await client.create_artifact(
        ArtifactCreate(
            key=artifact_key(waits.code),
            type="markdown",
            description=f"The life of {waits.code}",
            data=page,
            flow_run_id=run_id,
        )
    )


def _pictures(codes: Sequence[str] | None) -> list[Shown]:
    """Return what Prefect should show of some dossiers, or of every one that may have changed."""
    with services().database.transaction() as session:
        query = select(DossierRow, OutboxRow).join(
            OutboxRow, col(OutboxRow.dossier) == col(DossierRow.code), isouter=True
        )
        if codes is not None:
            query = query.where(col(DossierRow.code).in_(list(codes)))
        else:
            shown = col(DossierRow.shown)
            end_not_shown = or_(shown.is_(None), ~shown.startswith(StateType.COMPLETED.value))
            query = query.where(or_(col(DossierRow.ended_at).is_(None), end_not_shown))
        moment = services().clock.now()
        return [
            _shown(session, dossier, errand, moment)
            for dossier, errand in session.exec(query.order_by(col(DossierRow.code)))
        ]


def _shown(session: Session, dossier: DossierRow, errand: OutboxRow | None, moment: datetime) -> Shown:
    """Return what Prefect should show of one dossier."""
    waits = waiting_of(session, dossier)
    leased, for_batch = (errand.lease_until, errand.batch_until) if errand is not None else (None, None)
    return Shown(
        waits=waits,
        run_id=dossier.run_id,
        told=dossier.shown,
        leased=leased is not None and leased > moment,
        in_batch=for_batch is not None and for_batch > moment and waits.name in _BATCH_NEXT,
    )


def _known(names: Sequence[str]) -> list[str]:
    """Return those of some names that are codes of dossiers."""
    with services().database.transaction() as session:
        return list(session.exec(select(DossierRow.code).where(col(DossierRow.code).in_(list(names)))))


def remember(run_id: UUID, told: Waiting) -> None:
    """Keep which run shows a dossier, and what it was told."""
    with services().database.transaction() as session:
        dossier = session.get_one(DossierRow, told.code)
        dossier.run_id = run_id
        dossier.shown = picture_of(told)
        session.add(dossier)
