"""
Batches as they stand in the database: what belongs to one, who carries a chunk, what became of each dossier.

A chunk has one worker at a time, by a lease like a dossier's; the dossiers have leases of their own, so a
dossier that is in a batch and in its own run at once is carried by one of the two.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import text
from sqlmodel import Session, col, func, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from tasks.batches.faults import Fault
from tasks.batches.rules import FROM, MAY_BE_RETRIED, Kind, Result
from tasks.batches.tables import BatchChunkRow, BatchDossierRow, BatchRow
from tasks.dossier.looking import office_of
from tasks.dossier.moves import SYSTEM, Actor
from tasks.dossier.offices import OfficeData
from tasks.dossier.tables import DossierRow, OfficeRow

log = logging.getLogger("hoso.batches")

#: Those that wait for a part of their lives at one office, nearest due first, behind a place in that order.
_WAITING = text("""
    select d.code, coalesce(d.due_at, 'infinity') as due from dossier d join outbox o on o.dossier = d.code
    where d.office = :office and d.stage = :stage
      and (cast(:procedure as text) is null or d.procedure = :procedure)
      and ((o.asked > o.done and o.not_before <= clock_timestamp()) or (:archival and not d.archive_asked))
      and (o.lease_until is null or o.lease_until < clock_timestamp())
      and (coalesce(d.due_at, 'infinity'), d.code) > (cast(:due as timestamptz), cast(:code as text))
    order by coalesce(d.due_at, 'infinity'), d.code limit :room
""")
_TAKE_CHUNK = text("""
    update batch_chunk set lease_owner = :owner, fence = fence + 1,
           lease_until = clock_timestamp() + make_interval(secs => :seconds)
    where batch = :batch and number = :number and ended_at is null
      and (lease_until is null or lease_until < clock_timestamp())
    returning fence
""")
_RENEW_CHUNK = text("""
    update batch_chunk set lease_until = clock_timestamp() + make_interval(secs => :seconds)
    where batch = :batch and number = :number and fence = :fence and ended_at is null
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkLease:
    """That one worker has one chunk, until it is silent for too long."""

    batch: int
    number: int
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one dossier."""

    code: str
    result: Result
    cause: str = ""


def begin_batch(
    kind: Kind, office: str, *, procedure: str | None = None, slot: datetime | None = None, by: Actor = SYSTEM
) -> int | None:
    """Write down that a batch begins and return its number; `None` when its slot had one already."""
    with services().database.transaction() as session:
        office_of(session, office)
        query = select(BatchRow.id).where(
            BatchRow.kind == kind, BatchRow.office == office, BatchRow.slot == slot
        )
        if slot is not None:
            session.connection().exec_driver_sql(
                "select pg_advisory_xact_lock(hashtextextended(%s, 2))", (f"{kind}/{office}",)
            )
            if session.exec(query).first() is not None:
                return None
        row = BatchRow(
            kind=kind,
            office=office,
            procedure=procedure,
            slot=slot,
            asked_by=by.staff or by.role,
            begun_at=now(session),
            # From the first moment on, so that one whose run dies at once is taken up too.
            lease_until=now(session) + timedelta(seconds=services().settings.lease_seconds),
        )
        session.add(row)
        session.flush()
        _tell(session, row, event="batch:begun", by=by, more={"slot": slot.isoformat() if slot else None})
        return row.id


def last_slot(kind: Kind, office: str) -> datetime | None:
    """Return the newest slot of an office that a batch of a kind was begun for."""
    with services().database.transaction() as session:
        query = select(func.max(BatchRow.slot)).where(BatchRow.kind == kind, BatchRow.office == office)
        return session.exec(query).one()


def batch_row(batch: int) -> BatchRow:
    """Return a batch; refuses a number that no batch has."""
    with services().database.transaction() as session:
        row = session.get(BatchRow, batch)
    if row is None:
        raise Forbidden(
            f"there is no batch {batch}.", rule="BATCH", way_out="“hoso batch list” shows what there is."
        )
    return row


def newest(room: int) -> list[BatchRow]:
    """Return the newest batches, the newest first."""
    with services().database.transaction() as session:
        return list(session.exec(select(BatchRow).order_by(col(BatchRow.id).desc()).limit(room)))


def must_be_readable(office: str) -> None:
    """Refuse a batch at an office that is not loaded, or whose data cannot be read."""
    with services().database.transaction() as session:
        try:
            office_of(session, office)
        except ValidationError as error:
            raise Forbidden(
                f"the data of {office} cannot be read, so it has no batches.",
                rule="ORG-05",
                way_out="Load the office again from its file: “hoso office load FILE”.",
            ) from error


def offices() -> list[OfficeData]:
    """Return every office that is loaded, by its code; one whose data cannot be read is left out, and logged."""
    found = []
    with services().database.transaction() as session:
        for row in session.exec(select(OfficeRow).order_by(OfficeRow.code)):
            try:
                found.append(OfficeData.model_validate(row.body))
            except ValidationError:
                log.exception("the data of office %s cannot be read; it has no batches", row.code)
    return found


def waiting_for(
    kind: Kind,
    office: str,
    *,
    procedure: str | None = None,
    room: int,
    after: tuple[datetime | str, str] = ("-infinity", ""),
) -> list[tuple[str, datetime | str]]:
    """Return (code, due) of up to `room` dossiers that wait for a kind of batch behind a place, nearest due first."""
    values = {
        "office": office,
        "stage": str(FROM[kind]),
        "procedure": procedure,
        "archival": kind is Kind.ARCHIVAL,
        "due": after[0],
        "code": after[1],
        "room": room,
    }
    with services().database.transaction() as session:
        session.connection().execute(text("set local datestyle to iso"))
        return [(row.code, row.due) for row in session.connection().execute(_WAITING, values)]


def add_chunk(batch: int, codes: Sequence[str], *, urgent: bool) -> int:
    """Add a chunk with these dossiers in this order and return its number; who is in the batch stays there."""
    with services().database.transaction() as session:
        query = select(func.max(BatchChunkRow.number)).where(BatchChunkRow.batch == batch)
        number = (session.exec(query).one() or 0) + 1
        session.add(BatchChunkRow(batch=batch, number=number, urgent=urgent))
        session.flush()
        fill = text("""
            insert into batch_dossier (batch, dossier, chunk, position)
            select :batch, code, :number, place from unnest(cast(:codes as text[])) with ordinality as c (code, place)
            on conflict do nothing
        """)
        session.connection().execute(fill, {"batch": batch, "number": number, "codes": list(codes)})
        return number


def take_chunk(batch: int, number: int, owner: str) -> ChunkLease | None:
    """Return a lease on a chunk, or `None` while another worker has it or once it has ended."""
    values = {"owner": owner, "batch": batch, "number": number, "seconds": services().settings.lease_seconds}
    with services().database.transaction() as session:
        fence = session.connection().execute(_TAKE_CHUNK, values).scalar()
    return None if fence is None else ChunkLease(batch=batch, number=number, fence=fence)


def renew_chunk(lease: ChunkLease) -> bool:
    """Hold on to a chunk; `False` says that another worker has it by now."""
    values = {"batch": lease.batch, "number": lease.number, "fence": lease.fence}
    values["seconds"] = services().settings.lease_seconds  # type: ignore[assignment]
    with services().database.transaction() as session:
        return session.connection().execute(_RENEW_CHUNK, values).rowcount == 1


def leave_chunk(lease: ChunkLease, *, ended: bool) -> None:
    """Give a chunk back, for good or to be taken up later."""
    with services().database.transaction() as session:
        row = session.get_one(BatchChunkRow, (lease.batch, lease.number), with_for_update=True)
        if row.fence == lease.fence:
            row.lease_owner = row.lease_until = None
            row.ended_at = now(session) if ended else None
            session.add(row)


def show_chunk(batch: int, number: int, run_id: UUID) -> None:
    """Keep which run is to carry a chunk."""
    with services().database.transaction() as session:
        row = session.get_one(BatchChunkRow, (batch, number))
        row.run_id = run_id
        session.add(row)


def chunks_of(batch: int) -> list[BatchChunkRow]:
    """Return a batch's chunks in order."""
    with services().database.transaction() as session:
        query = select(BatchChunkRow).where(BatchChunkRow.batch == batch)
        return list(session.exec(query.order_by(col(BatchChunkRow.number))))


def unfinished(batch: int, number: int, room: int, *, besides: Collection[str] = ()) -> list[str]:
    """Return the first dossiers of a chunk of which nothing is known yet, besides some."""
    with services().database.transaction() as session:
        query = (
            select(BatchDossierRow.dossier)
            .where(
                BatchDossierRow.batch == batch,
                BatchDossierRow.chunk == number,
                col(BatchDossierRow.result).is_(None),
                col(BatchDossierRow.dossier).not_in(besides),
            )
            .order_by(col(BatchDossierRow.position))
        )
        return list(session.exec(query.limit(room)))


def keep_outcomes(lease: ChunkLease, outcomes: Sequence[Outcome]) -> bool:
    """Write down what became of dossiers; `False`, and nothing, when another worker has the chunk by now."""
    if not outcomes:
        return True
    write = text("""
        update batch_dossier set result = o.result, cause = o.cause, at = clock_timestamp()
        from unnest(cast(:codes as text[]), cast(:results as text[]), cast(:causes as text[]))
             as o (code, result, cause)
        where batch = :batch and dossier = o.code and exists (
            select from batch_chunk c where c.batch = :batch and c.number = :number and c.fence = :fence)
    """)
    values = {
        "codes": [one.code for one in outcomes],
        "results": [str(one.result) for one in outcomes],
        "causes": [one.cause for one in outcomes],
        "batch": lease.batch,
        "number": lease.number,
        "fence": lease.fence,
    }
    with services().database.transaction() as session:
        return session.connection().execute(write, values).rowcount > 0


def pause(lease: ChunkLease, fault: Fault) -> None:
    """Say that a fault keeps the batch from going on; the chunk that met it first tries it again for all."""
    with services().database.transaction() as session:
        row = session.get_one(BatchRow, lease.batch, with_for_update=True)
        if row.paused_by in (None, lease.number):
            if row.cause != str(fault):
                _tell(session, row, event="batch:paused", by=SYSTEM, more={"owner": fault.owner})
            row.cause, row.paused_by = str(fault), lease.number
            session.add(row)


def go_on(lease: ChunkLease) -> None:
    """Say that what kept the batch from going on is gone; harmless where nothing did."""
    with services().database.transaction() as session:
        row = session.get_one(BatchRow, lease.batch, with_for_update=True)
        if row.paused_by == lease.number:
            row.cause = row.paused_by = None
            session.add(row)
            _tell(session, row, event="batch:went-on", by=SYSTEM, more={})


def give_up(lease: ChunkLease) -> None:
    """Say that the fault was tried for the last time: nothing of this batch goes on before somebody retries it."""
    with services().database.transaction() as session:
        row = session.get_one(BatchRow, lease.batch, with_for_update=True)
        row.paused_by = 0
        session.add(row)


def watch_over(batch: int, *, seconds: float | None = None) -> bool:
    """Say that somebody watches over a batch for as long as a lease lasts, or longer; `False` once it has ended."""
    keep = text("""
        update batch set lease_until = clock_timestamp() + make_interval(secs => :seconds)
        where id = :batch and ended_at is null
    """)
    values = {"batch": batch, "seconds": seconds or services().settings.lease_seconds}
    with services().database.transaction() as session:
        return session.connection().execute(keep, values).rowcount == 1


def unwatched() -> list[int]:
    """Return the batches that have not ended and that nobody watches over any more."""
    with services().database.transaction() as session:
        query = select(BatchRow.id).where(
            col(BatchRow.ended_at).is_(None), col(BatchRow.lease_until) < now(session)
        )
        return [batch for batch in session.exec(query) if batch is not None]


def take_up_again(batch: int, *, by: Actor) -> int:
    """
    Open a batch again for what it did not finish, and return how many dossiers that are.

    What was set aside keeps its cause, by which whoever carries it tries one of each first.
    """
    with services().database.transaction() as session:
        row = session.get_one(BatchRow, batch, with_for_update=True)
        reset = text("""
            update batch_dossier set result = null
            where batch = :batch and (result = any(cast(:results as text[])) or result is null)
        """)
        values = {"batch": batch, "results": [str(one) for one in MAY_BE_RETRIED]}
        count = session.connection().execute(reset, values).rowcount
        session.connection().execute(
            text("""
                update batch_chunk c set ended_at = null where batch = :batch and exists (
                    select from batch_dossier d
                    where d.batch = c.batch and d.chunk = c.number and d.result is null)
            """),
            {"batch": batch},
        )
        row.ended_at = row.cause = row.paused_by = None
        session.add(row)
        _tell(session, row, event="batch:retried", by=by, more={"dossiers": count})
        return count


def causes_before(batch: int, codes: Sequence[str]) -> dict[str, str]:
    """Return the causes for which dossiers of a batch were set aside before, by their codes."""
    with services().database.transaction() as session:
        query = select(BatchDossierRow.dossier, BatchDossierRow.cause).where(
            BatchDossierRow.batch == batch, col(BatchDossierRow.dossier).in_(list(codes))
        )
        return {code: cause for code, cause in session.exec(query) if cause}


def results_of(batch: int) -> list[BatchDossierRow]:
    """Return what is known of a batch's dossiers, in its order."""
    with services().database.transaction() as session:
        query = select(BatchDossierRow).where(BatchDossierRow.batch == batch)
        return list(session.exec(query.order_by(col(BatchDossierRow.chunk), col(BatchDossierRow.position))))


def counts_of(batch: int) -> Mapping[str, int]:
    """Return how many of a batch's dossiers ended how; those without a result are `open`."""
    with services().database.transaction() as session:
        query = (
            select(BatchDossierRow.result, func.count())
            .where(BatchDossierRow.batch == batch)
            .group_by(BatchDossierRow.result)
        )
        return {result or "open": number for result, number in session.exec(query)}


def end_batch(batch: int, *, result_key: str | None) -> None:
    """Write down that a batch has ended, or stopped, with the table of its results; again changes nothing."""
    counts = dict(counts_of(batch))
    with services().database.transaction() as session:
        row = session.get_one(BatchRow, batch, with_for_update=True)
        if row.ended_at is not None:
            return
        row.ended_at = now(session)
        row.result_key = result_key
        session.add(row)
        facts: dict[str, Json] = {"results": {name.replace(" ", "_"): n for name, n in counts.items()}}
        _tell(session, row, event="batch:ended", by=SYSTEM, more=facts)


def stages_of(codes: Sequence[str]) -> dict[str, str]:
    """Return the stages of dossiers."""
    with services().database.transaction() as session:
        query = select(DossierRow.code, DossierRow.stage).where(col(DossierRow.code).in_(list(codes)))
        return {code: str(stage) for code, stage in session.exec(query)}


def _tell(session: Session, row: BatchRow, *, event: str, by: Actor, more: Mapping[str, Json]) -> None:
    """Write a history entry about a batch; its subject is the batch, because it spans dossiers."""
    facts: dict[str, Json] = {
        "event": event,
        "actor": by.facts(),
        "office": row.office,
        "batch": row.id,
        "kind": row.kind,
        **more,
    }
    record(session, f"batch/{row.id}", facts)
