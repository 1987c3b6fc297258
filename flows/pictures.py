"""What Prefect should show of dossiers, read from our database, and what their runs were told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from prefect.client.schemas.objects import State, StateDetails, StateType
from prefect.states import Completed, Failed
from sqlalchemy import text
from sqlmodel import Session, col, or_, select

from flows.standing import Waiting, waiting_of
from infra.services import services
from tasks.dossier.lifecycle import Stage
from tasks.dossier.tables import DossierRow, OutboxRow

#: The names of what waits for nothing but the next batch.
_BATCH_NEXT = (Stage.RECEIVED, Stage.AWAITING_SEAL, Stage.SIGNED)

# Rows are locked in the order of their codes, so that it never waits crosswise with a block of a batch.
_REMEMBER = text("""
    update dossier set run_id = told.run, shown = told.picture from (
        select one.* from dossier join
            unnest(cast(:codes as text[]), cast(:runs as uuid[]), cast(:pictures as text[]))
            as one (code, run, picture) on one.code = dossier.code
        order by dossier.code for no key update of dossier
    ) as told where dossier.code = told.code
""")


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


def pictures(codes: Sequence[str] | None) -> list[Shown]:
    """Return what Prefect should show of some dossiers, or of every one that may have changed, by their codes."""
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


def known(names: Sequence[str]) -> list[str]:
    """Return those of some names that are codes of dossiers."""
    with services().database.transaction() as session:
        return list(session.exec(select(DossierRow.code).where(col(DossierRow.code).in_(list(names)))))


def remember(told: Sequence[tuple[UUID, Waiting]]) -> None:
    """Keep which runs show some dossiers, and what they were told; all in one transaction."""
    if not told:
        return
    rows = {
        "codes": [waits.code for _, waits in told],
        "runs": [run for run, _ in told],
        "pictures": [picture_of(waits) for _, waits in told],
    }
    with services().database.transaction() as session:
        session.connection().execute(_REMEMBER, rows)
