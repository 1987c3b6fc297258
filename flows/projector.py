"""
Shows the truth in Prefect: for each dossier one run, in the state that says where it stands.

Prefect is a picture. Whatever happened to it (runs deleted, cancelled, retried, the database wiped), the
projector compares it with our database and sets it right; nothing is ever read the other way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Pending, State
from sqlmodel import col, or_, select

from flows.dossier import state_of
from flows.standing import Waiting, waiting_of
from flows.timeline import artifact_key, render
from infra.clock import SystemClock
from infra.services import services
from tasks.dossier.lifecycle import ENDED, Stage
from tasks.dossier.tables import DossierRow, OutboxRow

#: The deployment that every dossier's run belongs to.
DEPLOYMENT = "dossier/dossier"

#: A run that a button has set going may take so long to reach its worker before it is set right.
_STARTING = timedelta(seconds=60)

_GOING = (StateType.RUNNING, StateType.SCHEDULED, StateType.PENDING)

#: How many runs are asked for in one request; Prefect answers 200 at most.
_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one dossier should look like in Prefect, and what we know of its run."""

    waits: Waiting
    run_id: UUID | None
    told: str | None
    leased: bool

    @property
    def picture(self) -> str:
        """What a run that is right was told; compared with what it was told last."""
        return f"{self.waits.name}|{self.waits.why}"


async def run_for(client: PrefectClient, code: str) -> FlowRun:
    """Return the run that shows a dossier's life, made now if there is none; raises `ObjectNotFound` without deployments."""
    shown = (await asyncio.to_thread(_pictures, [code]))[0]
    if shown.run_id is not None:
        try:
            return await client.read_flow_run(shown.run_id)
        except ObjectNotFound:
            pass
    return await _make_run(client, shown)


async def project(client: PrefectClient, codes: Sequence[str] | None = None) -> int:
    """
    Set right the runs of some dossiers, or of every open or freshly ended one; return how many were wrong.

    A run that a worker is at is left alone, and one that a button has just set going is given a minute.
    """
    pictures = await asyncio.to_thread(_pictures, codes)
    wrong = 0
    for start in range(0, len(pictures), _PAGE):
        page = pictures[start : start + _PAGE]
        known = [shown.run_id for shown in page if shown.run_id is not None]
        runs = {}
        if known:
            chosen = FlowRunFilter(id=FlowRunFilterId(any_=known))
            runs = {run.id: run for run in await client.read_flow_runs(flow_run_filter=chosen, limit=_PAGE)}
        for shown in page:
            wrong += await _set_right(client, shown, runs.get(shown.run_id) if shown.run_id else None)
    return wrong


async def _set_right(client: PrefectClient, shown: Shown, run: FlowRun | None) -> bool:
    """Make or correct one run; return whether that was needed."""
    if run is None:
        await _make_run(client, shown)
        return True
    if shown.leased or _is_right(shown, run) or _is_starting(run):
        return False
    await client.set_flow_run_state(run.id, state_of(shown.waits), force=True)
    await show_timeline(client, shown.waits, run.id)
    await asyncio.to_thread(_remember, shown.waits.code, run.id, shown.picture)
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
    if state is None or state.type not in _GOING or state.name == "Booked":
        return False
    since = state.timestamp if isinstance(state.timestamp, datetime) else None
    return since is not None and SystemClock().now() - since.astimezone(UTC) < _STARTING


async def _make_run(client: PrefectClient, shown: Shown) -> FlowRun:
    """Make the run of a dossier that has none, in the state that is true now."""
    waits = shown.waits
    deployment = await client.read_deployment_by_name(DEPLOYMENT)
    booked = waits.stage == Stage.BOOKED and waits.name == "Booked"
    run = await client.create_flow_run_from_deployment(
        deployment.id,
        parameters={"code": waits.code},
        name=waits.code,
        tags=[f"office:{waits.office}", f"procedure:{waits.procedure}"],
        state=Pending(name="Booked", message=waits.why) if booked else state_of(waits),
    )
    if not booked:
        # A server may begin a new run anew; say once more where it stands.
        await client.set_flow_run_state(run.id, state_of(waits), force=True)
    await show_timeline(client, waits, run.id)
    await asyncio.to_thread(_remember, waits.code, run.id, shown.picture)
    return run


async def show_timeline(client: PrefectClient, waits: Waiting, run_id: UUID) -> None:
    """Put a dossier's timeline beside its run, as the newest version of its artifact."""
    page = await asyncio.to_thread(render, waits.code, waits.name, waits.why)
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
        query = select(DossierRow, OutboxRow.lease_until).join(
            OutboxRow, col(OutboxRow.dossier) == col(DossierRow.code), isouter=True
        )
        if codes is not None:
            query = query.where(col(DossierRow.code).in_(list(codes)))
        else:
            ended = [str(stage) for stage in ENDED]
            query = query.where(
                or_(
                    col(DossierRow.stage).not_in(ended),
                    # Its end was not shown yet.
                    col(DossierRow.shown).is_(None),
                    ~col(DossierRow.shown).startswith(col(DossierRow.stage)),
                )
            )
        moment = services().clock.now()
        return [
            Shown(
                waits=waiting_of(session, dossier),
                run_id=dossier.run_id,
                told=dossier.shown,
                leased=lease_until is not None and lease_until > moment,
            )
            for dossier, lease_until in session.exec(query.order_by(col(DossierRow.code)))
        ]


def _remember(code: str, run_id: UUID, picture: str) -> None:
    """Keep which run shows a dossier and what it was told."""
    with services().database.transaction() as session:
        dossier = session.get_one(DossierRow, code)
        dossier.run_id = run_id
        dossier.shown = picture
        session.add(dossier)
