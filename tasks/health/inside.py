"""How our own work stands, from the database and this machine's disks: what waits, what is old, what ends soon."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import text
from sqlmodel import Session, col, select

from infra.backup import SLOT, bases
from infra.clock import SystemClock
from infra.database import now
from infra.history.tables import HistoryCheckpoint, HistoryHead
from infra.services import services
from tasks.batches.tables import BatchRow
from tasks.certificates.choosing import can_sign
from tasks.certificates.lifecycle import CertificateState
from tasks.certificates.tables import CertificateRow
from tasks.dossier.calendar import local
from tasks.dossier.maintenance import maintenance_now
from tasks.dossier.offices import OfficeData
from tasks.dossier.tables import OfficeRow
from tasks.health.overriding import causes
from tasks.health.rules import UNTAKEN, Found, State, judge_age, judge_certificates, judge_disk, ok, said_of
from tasks.people.tries import failures_together

#: What is due and nobody has taken; what is left to a batch waits for it on purpose.
_UNTAKEN = text("""
    select count(*) as many, min(greatest(o.not_before, o.asked_at)) as since
    from outbox o where o.asked > o.done and o.not_before <= clock_timestamp()
      and (o.lease_until is null or o.lease_until < clock_timestamp())
      and (o.batch_until is null or o.batch_until <= clock_timestamp())
""")
#: The oldest open dossier of each stage, by when something was last asked of it.
_OLDEST = text("""
    select d.stage, count(*) as many, min(o.asked_at) as since
    from dossier d join outbox o on o.dossier = d.code
    where d.ended_at is null group by d.stage order by min(o.asked_at)
""")
#: Warm workers listen on a connection of their own; what it asked last is that.
_LISTENING = text("""
    select count(*) from pg_stat_activity
    where datname = current_database() and usename = session_user and query like 'listen hoso_%'
""")


def look_at_workers() -> Found:
    """See whether a warm worker listens, and whether what is due is taken."""
    with services().database.transaction() as session:
        listening = session.connection().execute(_LISTENING).scalar_one()
        row = session.connection().execute(_UNTAKEN).one()
        moment, upkeep = now(session), maintenance_now(session)
    waits = moment - row.since if row.since is not None else timedelta()
    if upkeep is None and waits > UNTAKEN:
        return Found(
            state=State.FAILING,
            cause=f"{row.many} dossiers are due and nobody takes them, the oldest for {said_of(waits)}",
            remedy="Start “hoso work”; its log says why it stopped.",
        )
    if not listening:
        return Found(
            state=State.WARNING,
            cause="no warm worker listens; only the sweep every ten minutes carries dossiers on",
            remedy="Start “hoso work” on the machine of the agency's token.",
        )
    return ok(f"{listening} warm workers listen; {row.many} dossiers are due now")


def look_at_backlog() -> Found:
    """Say what waits longest by stage, and what waits because something went wrong, by cause."""
    with services().database.transaction() as session:
        rows = session.connection().execute(_OLDEST).all()
        troubled = causes(session, None)
        moment = now(session)
    oldest = ", ".join(f"{r.stage} {r.many} (oldest {said_of(moment - r.since)})" for r in rows[:4])
    if not troubled:
        return ok(oldest or "nothing waits")
    worst = troubled[0]
    return Found(
        state=State.WARNING,
        cause=f"{sum(len(one.codes) for one in troubled)} dossiers wait for {len(troubled)} causes; most, "
        f"{len(worst.codes)}, for {worst.name}: {worst.said[:120]}",
        remedy="“hoso causes” names them all; remove the cause, then “hoso retry --cause NAME”.",
    )


def look_at_offices() -> Found:
    """Say which offices' data cannot be read: they have no hours, no batches and nobody who signs."""
    unreadable = []
    with services().database.transaction() as session:
        rows = list(session.exec(select(OfficeRow).order_by(OfficeRow.code)))
    for row in rows:
        try:
            OfficeData.model_validate(row.body)
        except ValidationError:
            unreadable.append(row.code)
    if not unreadable:
        return ok(f"{len(rows)} offices are loaded")
    return Found(
        state=State.FAILING,
        cause=f"the data of {', '.join(unreadable)} cannot be read",
        remedy="Load each of them again from its file: “hoso office load FILE”.",
    )


def look_at_batches() -> Found:
    """Say which batches stopped."""
    with services().database.transaction() as session:
        query = select(BatchRow).where(BatchRow.paused_by == 0, col(BatchRow.cause).is_not(None))
        recent = query.where(col(BatchRow.begun_at) > now(session) - timedelta(days=2))
        rows = list(session.exec(recent.order_by(col(BatchRow.id).desc())))
    if not rows:
        return ok("no batch has stopped")
    return Found(
        state=State.FAILING,
        cause=f"{len(rows)} batches stopped; batch {rows[0].id}: {rows[0].cause}",
        remedy=f"Remove the cause, then “hoso batch retry {rows[0].id}”.",
    )


def look_at_certificates() -> Found:
    """Say whose certificates end soon, and who was meant to sign and cannot."""
    with services().database.transaction() as session:
        query = select(CertificateRow).where(
            col(CertificateRow.state).in_([CertificateState.ACTIVE, CertificateState.EXPIRED])
        )
        ends: dict[str, datetime | None] = {}
        for row in session.exec(query.order_by(col(CertificateRow.not_after))):
            whose = f"{row.holder or 'the agency'} of {row.office}"
            ends[whose] = row.not_after if can_sign(session, row.office, row.holder) else None
        moment = now(session)
    return judge_certificates(ends, moment)


def look_at_checkpoint() -> Found:
    """Say how long entries of the history have waited to be signed, time-stamped and archived."""
    chosen = services().settings
    with services().database.transaction() as session:
        done = select(HistoryCheckpoint).where(col(HistoryCheckpoint.version_id).is_not(None))
        newest = session.exec(done.order_by(col(HistoryCheckpoint.size).desc())).first()
        size = session.exec(select(HistoryHead.size)).one()
        age = now(session) - _first_uncovered(session, newest.size if newest else 0)
    if size == (newest.size if newest else 0):
        return ok(f"all {size} entries are signed, stamped and archived")
    # Checkpoints come every hour; without them signing stops in the end, which is twice this limit at the latest.
    hours = min(12.0, chosen.history_stamp_hours / 2 or 12.0)
    remedy = "“hoso history checkpoint” says what is missing; signing stops after HOSO_HISTORY_STAMP_HOURS."
    what = "the oldest entry that no archived checkpoint covers"
    return judge_age(what, age, timedelta(hours=hours), remedy)


def _first_uncovered(session: Session, size: int) -> datetime:
    """Return when the first entry was written that no archived checkpoint covers."""
    asked = text("select coalesce(min(at), clock_timestamp()) from history_entry where position = :size")
    found: datetime = session.connection().execute(asked, {"size": size}).scalar_one()
    return found


def look_at_backup() -> Found:
    """Say how old the newest base copy is, and whether the receiver of changes is connected."""
    chosen = services().settings
    known = bases(chosen.backup_dir)
    with services().database.transaction() as session:
        asked = text("select active from pg_replication_slots where slot_name = :slot")
        active = session.connection().execute(asked, {"slot": SLOT}).scalar()
    if active is False:
        return Found(
            state=State.FAILING,
            cause="the receiver of the database's changes is away; what is lost with the server grows",
            remedy="Start the receiver (pg_receivewal) again; the server keeps what it missed.",
        )
    remedy = "Take one with “hoso backup”, every night; HOSO_BACKUP_DIR says where this machine looks."
    age = SystemClock().now() - known[-1].begun_at if known else None
    return judge_age("the newest base copy", age, timedelta(hours=chosen.backup_hours), remedy)


def look_at_disk() -> Found:
    """Say how much room is left where run data and backups lie on this machine."""
    chosen = services().settings
    places = [place for place in (chosen.var_dir, chosen.backup_dir) if place.exists()] or [Path()]
    found = []
    for place in places:
        usage = shutil.disk_usage(place)
        found.append(judge_disk(usage.free, usage.total, str(place), chosen.disk_free_percent))
    order = [State.OK, State.WARNING, State.FAILING]
    return max(found, key=lambda one: order.index(one.state))


def look_at_logins() -> Found:
    """Say whether somebody guesses at passwords."""
    limit = services().settings.login_failures_together
    with services().database.transaction() as session:
        many = failures_together(session, now(session))
    cause = f"{many} wrong passwords in ten minutes"
    if many <= limit / 2:
        return ok(cause)
    return Found(
        state=State.WARNING,
        cause=cause,
        remedy="Look in the history for “login:failed” and in the table login_try for the address; shut it out.",
    )


def look_at_maintenance() -> Found:
    """Say whether the system is being maintained, and for longer than people were told."""
    with services().database.transaction() as session:
        row, moment = maintenance_now(session), now(session)
    if row is None:
        return ok("the system is not being maintained")
    late = moment > row.until_at
    return Found(
        state=State.WARNING,
        cause=f"maintenance since {local(row.begun_at):%H:%M} by {row.begun_by},"
        f" until about {local(row.until_at):%H:%M}" + (", which has passed" if late else ""),
        remedy="“hoso maintenance off” lets work go on.",
    )
