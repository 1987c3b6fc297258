"""
What a report counts, read from rows that say when: as it was at the end of a period, whatever happened since.

Status reports, promised times, fees taken, certified lines, signatures and sent copies are only added, so the same
question about a period that is over has the same answer for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from tasks.reporting.rules import Life

#: Stands for every office.
EVERY = "*"


class Span(NamedTuple):
    """Whose dossiers are counted (an office's, or `*`), from a moment up to another, which belongs to it no more."""

    about: str
    begins: datetime
    ends: datetime


#: Certificates that end within so many days after a period are counted as ending.
ENDING = timedelta(days=90)

#: What was done: a result was ready (9), or the dossier was withdrawn (7), perhaps while its clock stood still.
_DONE = """
    select d.resolving_office, d.procedure, d.came_by, d.received_at, d.due_at, s.code,
           coalesce(p.at, s.at), false, d.code, s.at
    from status_report s
    join dossier d on d.code = s.dossier
    left join lateral (
        select at from status_report where s.code = 7 and dossier = s.dossier and sequence = s.sequence - 1
          and code in (5, 6)
    ) p on true
    where s.code in (7, 9) and s.at >= :begins and s.at < :ends and d.received_at < :ends {mine}
"""

#: What was received and not done by then: what is open now, and what was done later.
_OPEN = """
    select d.resolving_office, d.procedure, d.came_by, d.received_at, coalesce(t.due_at, d.due_at), s.code,
           coalesce(p.at, s.at), d.stage = 'Stopped' and coalesce(d.ended_at < :ends, false), d.code, s.at
    from (
        select code from dossier where portal_code in (2, 4, 5, 6, 8) and received_at < :ends
        union all
        select dossier from status_report where code in (7, 9) and at >= :ends
    ) o
    join dossier d on d.code = o.code
    cross join lateral (
        select code, at, sequence from status_report where dossier = d.code and at < :ends
        order by sequence desc limit 1
    ) s
    left join lateral (
        select at from status_report where s.code = 8 and dossier = d.code and sequence = s.sequence - 1
          and code in (5, 6)
    ) p on true
    left join lateral (
        select due_at from promised_time where subject = d.code and at < :ends order by at desc, id desc limit 1
    ) t on true
    where d.received_at < :ends and not (d.stage = 'Stopped' and coalesce(d.ended_at < :begins, false)) {mine}
"""

_RESULTS = """
    select unit, channels, count(*) from (
        select d.resolving_office as unit, (
            select string_agg(distinct c.channel, '+' order by c.channel) from sent_copy c
            where c.dossier = d.code and c.at < :ends
        ) as channels
        from status_report s join dossier d on d.code = s.dossier
        where s.code = 10 and s.at >= :begins and s.at < :ends {mine}
    ) returned group by unit, channels
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


def lives_done(session: Session, span: Span) -> Iterator[tuple[Life, datetime]]:
    """Yield what was done, each with the moment when it was."""
    for row in _rows(session, _DONE, span):
        yield Life(*row[:9]), row[9]


def lives_open(session: Session, span: Span) -> Iterator[Life]:
    """Yield what was received and not done by the end, and what was stopped for good in between."""
    for row in _rows(session, _OPEN, span):
        yield Life(*row[:9])


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


def _rows(session: Session, statement: str, span: Span) -> Iterator[Any]:
    """Yield the rows of one question, some thousands in memory at a time."""
    mine = "" if span.about == EVERY else "and d.office = :about"
    said: Mapping[str, object] = {**span._asdict(), "ending": span.ends + ENDING}
    connection = session.connection().execution_options(yield_per=5000)
    yield from connection.execute(text(statement.format(mine=mine)), said)
