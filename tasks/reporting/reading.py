"""
What a report counts, read from rows that say when: as it was at the end of a period, whatever happened since.

Status reports, promised times, fees taken, certified lines, signatures and sent copies are only added, so the same
question about a period that is over has the same answer for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from tasks.reporting.periods import Period
from tasks.reporting.rules import Alike

#: Stands for every office.
EVERY = "*"


class Span(NamedTuple):
    """Whose dossiers are counted (an office's, or `*`), from a moment up to another, which belongs to it no more."""

    about: str
    begins: datetime
    ends: datetime


#: Certificates that end within so many days after a period are counted as ending.
ENDING = timedelta(days=90)

#: By what dossiers are grouped that a report counts alike; `judged` is the moment that is held against the promise.
_ALIKE = """
    select unit, procedure, came_by, received_at < :begins as brought_over, code, stopped,
           coalesce(judged <= due_at, true) as in_time,
           coalesce((judged at time zone 'Asia/Ho_Chi_Minh')::date < (due_at at time zone 'Asia/Ho_Chi_Minh')::date,
                    false) as day_before,
           width_bucket(at, cast(:months as timestamptz[])) as month, at >= :begins as counted, count(*),
           array_agg(dossier) filter (where at >= :begins)
    from ({lives}) lives
    group by unit, procedure, came_by, brought_over, code, stopped, in_time, day_before, month, counted
"""

#: What was done: a result was ready (9), or the dossier was withdrawn (7), perhaps while its clock stood still.
_DONE = """
    select d.resolving_office as unit, d.procedure, d.came_by, d.received_at, d.due_at, s.code, false as stopped,
           d.code as dossier, s.at,
           case when s.code = 7 then coalesce((
               select p.at from status_report p where p.dossier = s.dossier and p.sequence = s.sequence - 1
               and p.code in (5, 6)), s.at) else s.at end as judged
    from status_report s join dossier d on d.code = s.dossier
    where s.code in (7, 9) and s.at >= :since and s.at < :ends and d.received_at < :ends {mine}
"""

#: What was received and not done by then: what is open now, and what was done later. What runs is judged at the end.
_OPEN = """
    select d.resolving_office as unit, d.procedure, d.came_by, d.received_at,
           coalesce((
               select t.due_at from promised_time t where t.subject = d.code and t.at < :ends
               order by t.at desc, t.id desc limit 1), d.due_at) as due_at,
           s.code, d.stage = 'Stopped' and coalesce(d.ended_at < :ends, false) as stopped, d.code as dossier,
           cast(:begins as timestamptz) as at,
           case when s.code = 8 then coalesce((
               select p.at from status_report p where p.dossier = s.dossier and p.sequence = s.sequence - 1
               and p.code in (5, 6)), s.at) when s.code in (5, 6) then s.at else :ends end as judged
    from (
        select code from dossier where portal_code in (2, 4, 5, 6, 8) and received_at < :ends
        union all
        select dossier from status_report where code in (7, 9) and at >= :ends
    ) o
    join dossier d on d.code = o.code
    cross join lateral (
        select dossier, code, at, sequence from status_report where dossier = d.code and at < :ends
        order by sequence desc limit 1
    ) s
    where d.received_at < :ends and not (d.stage = 'Stopped' and coalesce(d.ended_at < :begins, false)) {mine}
"""

_RESULTS = """
    select unit, nullif(concat_ws('+', case when email then 'email' end, case when paper then 'paper' end,
                                  case when portal then 'portal' end), ''), count(*)
    from (
        select d.resolving_office as unit, bool_or(c.channel = 'email') as email,
               bool_or(c.channel = 'paper') as paper, bool_or(c.channel = 'portal') as portal
        from status_report s join dossier d on d.code = s.dossier
        left join sent_copy c on c.dossier = s.dossier and c.at < :ends
        where s.code = 10 and s.at >= :begins and s.at < :ends {mine}
        group by d.resolving_office, s.dossier
    ) returned group by 1, 2
"""

_CERTIFIED = """
    select d.resolving_office, o.kind, count(*), sum(o.copies), sum(o.fee)
    from register_entry e
    join original o on o.dossier = e.dossier and o.ordinal = e.ordinal
    join dossier d on d.code = e.dossier
    where e.state = 'certified' and e.ended_at >= :begins and e.ended_at < :ends {mine}
    group by d.resolving_office, o.kind
"""

_FEES = """
    select d.resolving_office, sum(f.amount) from fee_taken f join dossier d on d.code = f.dossier
    where f.at >= :begins and f.at < :ends {mine} group by d.resolving_office
"""

_SIGNATURES = """
    select d.resolving_office, g.role, count(*) from signature g join dossier d on d.code = g.dossier
    where g.kept_at is not null and g.kept_at >= :begins and g.kept_at < :ends {mine}
    group by d.resolving_office, g.role
"""

#: Rounds whose deadline, as it was set by then, fell into the period; and how their units had answered by its end.
_ROUNDS = """
    select d.code, count(*), count(*) filter (where u.answered_at <= t.due_at),
           count(*) filter (where u.answered_at > t.due_at and u.answered_at < :ends)
    from registration_round d
    join lateral (
        select due_at from promised_time where subject = 'registration/' || d.code and at < :ends
        order by at desc, id desc limit 1
    ) t on true
    join registration_unit u on u.round = d.code and u.added_at < :ends
    where t.due_at >= :begins and t.due_at < :ends {mine}
    group by d.code
"""

_REQUESTED = """
    select e.subject, count(*) from registration_list l
    join registration_round d on d.code = l.round
    join registration_entry e on e.round = l.round and e.list_ordinal = l.ordinal
    where l.sent_at >= :begins and l.sent_at < :ends {mine} group by e.subject
"""

_ISSUED = """
    select e.subject, count(*) filter (where c.matched_at >= :begins),
           count(*) filter (where c.not_after >= :ends and c.not_after < :ending)
    from registration_certificate c
    join registration_entry e on e.id = c.entry
    join registration_round d on d.code = e.round
    where c.matched_at < :ends {mine} group by e.subject
"""


def prepare(session: Session) -> None:
    """Tell PostgreSQL what kind of questions come until the transaction ends: few and large ones."""
    # Compiling these statements takes longer than running them; what does not fit into memory is sorted on the disk.
    for setting in ("jit = off", "work_mem = '64MB'"):
        session.connection().exec_driver_sql(f"set local {setting}")


def dossiers_done(session: Session, span: Span, months: Sequence[Period]) -> Iterator[Alike]:
    """Yield what was done since the first of some months, what is counted alike together; `month` says in which."""
    begins = [month.begins for month in months]
    since = min(span.begins, begins[0])
    for row in _rows(session, _ALIKE.replace("{lives}", _DONE), span, months=begins, since=since):
        yield Alike(*row)


def dossiers_open(session: Session, span: Span) -> Iterator[Alike]:
    """Yield what was received and not done by the end, and what was stopped for good in between."""
    for row in _rows(session, _ALIKE.replace("{lives}", _OPEN), span, months=[span.begins]):
        yield Alike(*row)


def results_returned(session: Session, span: Span) -> dict[str, dict[str, int]]:
    """Return how many dossiers' results went back, by unit and by what they went by (`email+paper`)."""
    found: dict[str, dict[str, int]] = {}
    for unit, channels, count in _rows(session, _RESULTS, span):
        found.setdefault(unit, {})[channels or "unknown"] = count
    return found


def certified_copies(session: Session, span: Span) -> dict[str, dict[str, tuple[int, int, int]]]:
    """Return by unit and kind of paper how many cases were certified, in how many copies, for what fee in đồng."""
    found: dict[str, dict[str, tuple[int, int, int]]] = {}
    for unit, kind, cases, copies, fee in _rows(session, _CERTIFIED, span):
        found.setdefault(unit, {})[kind] = (cases, int(copies), int(fee))
    return found


def fees_taken(session: Session, span: Span) -> dict[str, int]:
    """Return what was paid by unit, in đồng."""
    return {unit: int(amount) for unit, amount in _rows(session, _FEES, span)}


def signatures_kept(session: Session, span: Span) -> dict[str, dict[str, int]]:
    """Return how many signatures officials and agencies gave to results, by unit and role."""
    found: dict[str, dict[str, int]] = {}
    for unit, role, count in _rows(session, _SIGNATURES, span):
        found.setdefault(unit, {})[role] = count
    return found


def registrations(session: Session, span: Span) -> dict[str, Any]:
    """Return how units answered the rounds that ended, and what was asked, issued and nears its end (REP-09)."""
    rounds = {
        code: {"units": asked, "in_time": in_time, "late": late, "missing": asked - in_time - late}
        for code, asked, in_time, late in _rows(session, _ROUNDS, span)
    }
    requested: dict[str, int] = {subject: number for subject, number in _rows(session, _REQUESTED, span)}  # noqa: C416
    issued, ending = {}, {}
    for subject, new, soon in _rows(session, _ISSUED, span):
        issued[subject], ending[subject] = new, soon
    return {"rounds": rounds, "requested": requested, "issued": issued, "ending": ending}


def _rows(session: Session, statement: str, span: Span, **more: object) -> Iterator[Any]:
    """Yield the rows of one question."""
    mine = "" if span.about == EVERY else "and d.office = :about"
    said: Mapping[str, object] = {**span._asdict(), "ending": span.ends + ENDING, **more}
    yield from session.connection().execute(text(statement.format(mine=mine)), said)
