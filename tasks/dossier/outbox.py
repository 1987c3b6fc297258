"""
Who carries a dossier on: leases over the outbox, so that each dossier has one worker at a time.

A lease ends by itself when its worker is silent; the next one gets a higher fence, and with the old
fence nothing can be finished any more. Doing a step twice is doing it once, so a lease that ended too
early costs work, never a second effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlmodel import Session, col, func, select

from infra.services import services
from tasks.dossier.lifecycle import Stage
from tasks.dossier.tables import OutboxRow

#: How long to wait after the first, second, … leg that a service cut short, in seconds; the last repeats.
PATIENCE: tuple[float, ...] = (2, 5, 15, 60, 300)

#: How a cause begins that waits for a person.
NEEDS_ATTENTION = "needs attention: "

#: Stages at which a dossier that belongs to a batch waits for it; at any other a warm worker carries it at once.
IN_BATCHES = (Stage.RECEIVED, Stage.AWAITING_SEAL, Stage.SIGNED, Stage.RETURNED)

_TAKE = text("""
    update outbox set lease_owner = :owner, fence = fence + 1, attempts = attempts + 1,
           deaths = deaths + (lease_owner is not null)::int,
           lease_until = clock_timestamp() + make_interval(secs => :seconds)
    where dossier in (
        select o.dossier from outbox o join dossier d on d.code = o.dossier
        where not exists (select from maintenance where ended_at is null)
          and o.asked > o.done and o.not_before <= clock_timestamp() and o.deaths = 0
          and (o.lease_until is null or o.lease_until < clock_timestamp())
          and (o.batch_until is null or o.batch_until <= clock_timestamp()
               or d.stage <> all(cast(:in_batches as text[])))
        order by o.not_before limit :room for update of o skip locked)
    returning dossier, fence, asked, attempts, deaths
""")
#: Those whose workers died at them more than once running; hardly ever one, and an index knows them.
_SUSPECTS = text("""
    select dossier from outbox
    where deaths > 0 and lease_until < clock_timestamp()
      and not exists (select from maintenance where ended_at is null)
    order by lease_until for update skip locked
""")
_PARK = text("""
    update outbox set lease_owner = null, lease_until = null, fence = fence + 1, deaths = 0, last_error = :error,
           done = greatest(done, asked)
    where dossier = any(cast(:codes as text[])) and deaths + 1 >= :most
""")
_TAKE_ONE = text("""
    update outbox set lease_owner = :owner, fence = fence + 1, attempts = attempts + 1,
           deaths = deaths + (lease_owner is not null)::int,
           lease_until = clock_timestamp() + make_interval(secs => :seconds)
    where dossier = :code and not exists (select from maintenance where ended_at is null)
      and (lease_until is null or lease_until < clock_timestamp())
    returning dossier, fence, asked, attempts, deaths
""")
_TAKE_THESE = text("""
    update outbox set lease_owner = :owner, fence = fence + 1, attempts = attempts + 1,
           deaths = deaths + (lease_owner is not null)::int,
           lease_until = clock_timestamp() + make_interval(secs => :seconds)
    where dossier in (
        select dossier from outbox
        where dossier = any(cast(:codes as text[])) and deaths = 0
          and (lease_until is null or lease_until < clock_timestamp())
        order by dossier for update skip locked)
    returning dossier, fence, asked, attempts, deaths
""")
_RENEW_THESE = text("""
    update outbox set lease_until = clock_timestamp() + make_interval(secs => :seconds)
    from unnest(cast(:codes as text[]), cast(:fences as bigint[])) as held (code, fence)
    where dossier = held.code and outbox.fence = held.fence and lease_owner is not null
""")
_GIVE_BACK = text("""
    update outbox set lease_owner = null, lease_until = null, attempts = attempts - 1, deaths = 0
    where dossier = :code and fence = :fence
""")
_RENEW = text("""
    update outbox set lease_until = clock_timestamp() + make_interval(secs => :seconds)
    where dossier = :code and fence = :fence and lease_owner is not null
""")
_LEAVE = text("""
    update outbox set batch_until = left_until.moment
    from unnest(cast(:codes as text[]), cast(:untils as timestamptz[])) as left_until (code, moment)
    where dossier = left_until.code
""")
_FINISH = text("""
    update outbox set lease_owner = null, lease_until = null, last_error = null, deaths = 0,
           attempts = case when asked > ended.seen then attempts else 0 end,
           done = greatest(done, ended.seen),
           asked = case when asked <= ended.seen and ended.wake is not null then asked + 1 else asked end,
           not_before = case when asked <= ended.seen and ended.wake is not null then ended.wake else not_before end
    from unnest(
        cast(:codes as text[]), cast(:fences as bigint[]), cast(:seens as bigint[]), cast(:wakes as timestamptz[])
    ) as ended (code, held, seen, wake)
    where dossier = ended.code and fence = ended.held
""")
_POSTPONE = text("""
    update outbox set lease_owner = null, lease_until = null, last_error = :error, deaths = 0,
           done = case when :given_up then greatest(done, :asked) else done end,
           asked = case when :given_up and asked <= :asked and cast(:wake as timestamptz) is not null
                        then asked + 1 else asked end,
           not_before = coalesce(case when :given_up then cast(:wake as timestamptz) end,
                                 clock_timestamp() + make_interval(secs => :wait))
    where dossier = :code and fence = :fence
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """That one worker has one dossier, until it is silent for too long."""

    code: str
    fence: int
    asked: int
    attempts: int
    #: How many workers running died, or were silent for too long, while they were at it.
    deaths: int = 0


def take(owner: str, room: int, *, idle: bool = True) -> list[Lease]:
    """
    Return leases on up to `room` dossiers that are due and that nobody else is at; none in maintenance (OPS-01).

    A dossier whose workers died at it twice running is taken alone, so that it drags no other with it: by somebody
    `idle`, who takes nothing else meanwhile; whoever is not takes nothing until their hands are empty. After
    `HOSO_WORKER_DEATHS` it waits for a person.
    """
    with services().database.transaction() as session:
        suspects = _suspects(session)
        if suspects and not idle:
            return []
        if suspects:
            return _leases(session, _TAKE_ONE, owner=owner, code=suspects[0])
        return _leases(session, _TAKE, owner=owner, room=room, in_batches=[str(one) for one in IN_BATCHES])


def _suspects(session: Session) -> list[str]:
    """Return the dossiers that are to be taken alone; those that more workers died at than is allowed are given up."""
    found = [row.dossier for row in session.connection().execute(_SUSPECTS)]
    if not found:
        return []
    most = services().settings.worker_deaths
    error = f"{NEEDS_ATTENTION}{most} workers running died while they carried it"
    session.connection().execute(_PARK, {"codes": found, "most": most, "error": error})
    query = select(OutboxRow.dossier).where(col(OutboxRow.dossier).in_(found), col(OutboxRow.deaths) > 0)
    left = set(session.exec(query))
    return [code for code in found if code in left]


def take_one(owner: str, code: str) -> Lease | None:
    """Return a lease on one dossier, due or not, or `None` while somebody else is at it, and in maintenance."""
    with services().database.transaction() as session:
        return next(iter(_leases(session, _TAKE_ONE, owner=owner, code=code)), None)


def take_these(owner: str, codes: Sequence[str]) -> dict[str, Lease]:
    """
    Return leases on those of some dossiers, due or not, that nobody else is at, by their codes.

    A dossier whose workers died at it twice running is not among them: it is carried alone.
    """
    with services().database.transaction() as session:
        return {one.code: one for one in _leases(session, _TAKE_THESE, owner=owner, codes=list(codes))}


def held_by_others(codes: Sequence[str]) -> list[str]:
    """Return which of some dossiers a worker is at, or was at when it died a moment ago."""
    with services().database.transaction() as session:
        query = select(OutboxRow.dossier).where(
            col(OutboxRow.dossier).in_(list(codes)), col(OutboxRow.lease_until) > func.clock_timestamp()
        )
        return list(session.exec(query))


def renew_these(leases: Sequence[Lease]) -> None:
    """Hold on to many dossiers at once; what another worker has by now is left to it."""
    values = {
        "codes": [one.code for one in leases],
        "fences": [one.fence for one in leases],
        "seconds": services().settings.lease_seconds,
    }
    with services().database.transaction() as session:
        session.connection().execute(_RENEW_THESE, values)


def give_back(lease: Lease) -> None:
    """Give a dossier back that nothing was done with; it counts as no try."""
    with services().database.transaction() as session:
        session.connection().execute(_GIVE_BACK, {"code": lease.code, "fence": lease.fence})


def leave_to_batches(session: Session, until: Mapping[str, datetime]) -> None:
    """Let dossiers wait for their office's batches, each until its moment, in the caller's transaction (CERT-17)."""
    session.connection().execute(_LEAVE, {"codes": list(until), "untils": list(until.values())})


def asked_of(codes: Sequence[str]) -> dict[str, int]:
    """Return for each dossier how often something was asked for it; see `asked`."""
    with services().database.transaction() as session:
        query = select(OutboxRow.dossier, OutboxRow.asked).where(col(OutboxRow.dossier).in_(list(codes)))
        return dict(session.exec(query).all())


def renew(lease: Lease) -> bool:
    """Hold on to a dossier; `False` says that another worker has it by now."""
    with services().database.transaction() as session:
        done = session.connection().execute(
            _RENEW, {"code": lease.code, "fence": lease.fence, "seconds": services().settings.lease_seconds}
        )
        return done.rowcount == 1


def asked(code: str) -> int:
    """Return how often something was asked for a dossier, so that a worker knows when it has seen all."""
    with services().database.transaction() as session:
        row = session.get(OutboxRow, code)
        return row.asked if row else 0


def finish(lease: Lease, *, seen: int, wake_at: datetime | None = None) -> bool:
    """
    Give a dossier back, carried as far as it goes; `False` when the fence was too old to say so.

    `seen` is what had been asked when nothing was left to do; what was asked since stays due.
    `wake_at` is when something that was put off can be tried again.
    """
    return finish_these([(lease, seen, wake_at)]) == 1


def finish_these(ended: Sequence[tuple[Lease, int, datetime | None]]) -> int:
    """Do as `finish` with several dossiers (lease, seen, wake) at once; return of how many it could be said."""
    if not ended:
        return 0
    leases, seens, wakes = zip(*ended, strict=True)
    rows = {
        "codes": [lease.code for lease in leases],
        "fences": [lease.fence for lease in leases],
        "seens": list(seens),
        "wakes": list(wakes),
    }
    with services().database.transaction() as session:
        return session.connection().execute(_FINISH, rows).rowcount


def postpone(lease: Lease, error: str, *, give_up: bool = False, wake_at: datetime | None = None) -> None:
    """
    Give a dossier back that could not be carried on, with the cause that it waits for.

    It is tried again after a growing time; with `give_up` when a person acts on it, or at `wake_at` when
    something else was put off that does not wait for the person.
    """
    wait = timedelta(seconds=PATIENCE[min(lease.attempts, len(PATIENCE)) - 1])
    with services().database.transaction() as session:
        session.connection().execute(
            _POSTPONE,
            {
                "code": lease.code,
                "fence": lease.fence,
                "asked": lease.asked,
                "error": error[:500],
                "given_up": give_up,
                "wait": wait.total_seconds(),
                "wake": wake_at,
            },
        )


def take_away(session: Session, code: str) -> str | None:
    """Take a dossier from whoever holds it, in the caller's transaction; return who that was, `None` for nobody."""
    row = session.get(OutboxRow, code, with_for_update=True)
    if row is None or row.lease_owner is None:
        return None
    held_by, row.lease_owner, row.lease_until, row.deaths = row.lease_owner, None, None, 0
    row.fence += 1  # What the worker still does under its own fence changes nothing here.
    session.add(row)
    session.flush()
    return held_by


def _leases(session: Session, statement: object, **values: object) -> list[Lease]:
    """Run one of the statements that take leases."""
    values["seconds"] = services().settings.lease_seconds
    rows = session.connection().execute(statement, values)  # type: ignore[call-overload]
    return [
        Lease(code=r.dossier, fence=r.fence, asked=r.asked, attempts=r.attempts, deaths=r.deaths)
        for r in rows
    ]
