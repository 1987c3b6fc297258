"""The board: what is open by office and stage, what is late or nearly so, from the database in two queries."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy import ColumnElement, and_, case, false, func, or_
from sqlmodel import Session, col, select

from infra.clock import HANOI
from infra.database import now
from infra.services import services
from tasks.dossier.lifecycle import Stage
from tasks.dossier.looking import office_of
from tasks.dossier.tables import DossierRow, OfficeRow
from tasks.people.acting import Scope
from tasks.supervision.rules import COUNTED, Pace, ahead, pace

#: The most dossiers that the board names; the list in the store names all.
MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many open dossiers stand at one stage of one office."""

    office: str
    stage: Stage
    open: int
    late: int
    near: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One dossier on the board."""

    code: str
    office: str
    procedure: str
    stage: Stage
    waits_for: str
    pace: Pace
    due_at: datetime
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What supervisors look at in the morning, as of a moment."""

    at: datetime
    counts: tuple[Count, ...]
    named: tuple[Named, ...]
    #: Offices whose hours cannot be read; what is near is reckoned by the clock there.
    unreadable: tuple[str, ...] = ()

    @property
    def open(self) -> int:
        """How many dossiers are open."""
        return sum(count.open for count in self.counts)

    @property
    def late(self) -> int:
        """How many are late."""
        return sum(count.late for count in self.counts)

    @property
    def near(self) -> int:
        """How many are nearly late."""
        return sum(count.near for count in self.counts)


def read_board(session: Session, *, seen: Scope | None = None, office: str | None = None) -> Board:
    """
    Return the board of what somebody may see, late ones first, then those nearly late; at most 200 by name.

    `seen` is `None` for the program itself. The answer is of one moment, the transaction's.
    """
    moment = now(session)
    horizons, unreadable = horizons_of(session, moment)
    mine = _mine(seen, office)
    late, near = _late(moment), _near(moment, horizons)
    columns = (
        col(DossierRow.office),
        col(DossierRow.stage),
        func.count(),
        func.sum(case((late, 1), else_=0)),
        func.sum(case((near, 1), else_=0)),
        func.min(DossierRow.opened_at),
    )
    by_stage = session.connection().execute(
        sa.select(*columns).where(*mine).group_by(*columns[:2]).order_by(*columns[:2])
    )
    counts = tuple(
        Count(office=o, stage=Stage(s), open=n, late=int(past), near=int(soon), oldest=oldest)
        for o, s, n, past, soon, oldest in by_stage
    )
    query = select(DossierRow).where(*mine, or_(late, near))
    rows = session.exec(query.order_by(col(DossierRow.due_at), col(DossierRow.code)).limit(MOST))
    named = tuple(_named(row, moment, horizons) for row in rows)
    return Board(at=moment, counts=counts, named=named, unreadable=unreadable)


def _mine(seen: Scope | None, office: str | None) -> list[ColumnElement[bool]]:
    """Return the conditions of what is open and may be seen."""
    mine: list[ColumnElement[bool]] = [col(DossierRow.ended_at).is_(None)]
    if seen is not None:
        mine.append(seen.within(DossierRow.office, DossierRow.procedure))
    if office is not None:
        mine.append(col(DossierRow.office) == office)
    return mine


def horizons_of(session: Session, moment: datetime) -> tuple[Mapping[str, datetime], tuple[str, ...]]:
    """
    Return for each office the moment up to which a promised time is near (`HOSO_NEAR_HOURS` of its hours).

    Besides, the offices whose data cannot be read: there the hours are the clock's, because one office's error must
    not keep the others' board from being seen.
    """
    near = timedelta(hours=services().settings.near_hours)
    horizons, unreadable = {}, []
    for code in session.exec(select(OfficeRow.code)).all():
        try:
            horizons[code] = ahead(moment, near, office_of(session, code).calendar())
        except ValidationError:
            horizons[code] = moment + near
            unreadable.append(code)
    return horizons, tuple(sorted(unreadable))


def _late(moment: datetime) -> ColumnElement[bool]:
    """Return the condition of being late: the time runs and is over."""
    return and_(_counted(), col(DossierRow.due_at) < moment)


def _near(moment: datetime, horizons: Mapping[str, datetime]) -> ColumnElement[bool]:
    """Return the condition of being nearly late; offices of the same hours are asked about together."""
    alike: dict[datetime, list[str]] = {}
    for office, horizon in horizons.items():
        alike.setdefault(horizon, []).append(office)
    soon = (
        and_(col(DossierRow.office).in_(offices), col(DossierRow.due_at) <= h) for h, offices in alike.items()
    )
    return and_(_counted(), col(DossierRow.due_at) >= moment, or_(false(), *soon))


def _counted() -> ColumnElement[bool]:
    """Return the condition that the office owes work and the clock runs."""
    return and_(
        col(DossierRow.stage).in_(COUNTED),
        col(DossierRow.ended_at).is_(None),
        col(DossierRow.paused_at).is_(None),
        col(DossierRow.due_at).is_not(None),
    )


def _named(row: DossierRow, moment: datetime, horizons: Mapping[str, datetime]) -> Named:
    due = row.due_at or moment
    return Named(
        code=row.code,
        office=row.office,
        procedure=row.procedure,
        stage=row.stage,
        waits_for=shown_as(row.shown, row.stage),
        pace=pace(due, moment, horizons[row.office]),
        due_at=due,
        run_id=str(row.run_id or ""),
    )


def shown_as(shown: str | None, stage: str) -> str:
    """
    Return the word under which a dossier waits, as its run was told it last, else its stage.

    >>> shown_as("PAUSED|AwaitingService|the store is away", "AwaitingSeal"), shown_as(None, "Booked")
    ('AwaitingService', 'Booked')
    """
    return shown.split("|", 2)[1] if shown and shown.count("|") > 1 else str(stage)


def open_as_csv(session: Session, *, seen: Scope | None = None, office: str | None = None) -> Iterator[bytes]:
    """Yield every open dossier as CSV (RFC 4180, UTF-8 with a mark for spreadsheets), nearest due first; no persons."""
    moment = now(session)
    late, near = _late(moment), _near(moment, horizons_of(session, moment)[0])
    said = case((late, str(Pace.LATE)), (near, str(Pace.NEAR)), (_counted(), str(Pace.IN_TIME)), else_="")
    columns = (
        col(DossierRow.code),
        col(DossierRow.office),
        col(DossierRow.procedure),
        col(DossierRow.stage),
        func.coalesce(func.nullif(func.split_part(col(DossierRow.shown), "|", 2), ""), col(DossierRow.stage)),
        said,
        func.coalesce(_on_the_wall(DossierRow.due_at, "YYYY-MM-DD HH24:MI"), ""),
        _on_the_wall(DossierRow.opened_at, "YYYY-MM-DD"),
        func.div(func.extract("epoch", moment - col(DossierRow.opened_at)), 86400),
    )
    query = (
        sa.select(*columns).where(*_mine(seen, office)).order_by(col(DossierRow.due_at), col(DossierRow.code))
    )
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(
        ("dossier", "office", "procedure", "stage", "waits for", "pace", "due", "opened", "days open")
    )
    yield b"\xef\xbb\xbf"
    for part in session.connection().execute(query).partitions(1000):
        writer.writerows(part)
        yield _taken(out)
    yield _taken(out)


def _on_the_wall(moment: object, form: str) -> ColumnElement[str]:
    """Return a column's moment as text, as the office's clocks on the wall show it."""
    return func.to_char(func.timezone(str(HANOI), moment), form)


def _taken(out: io.StringIO) -> bytes:
    """Return what was written, and empty the page."""
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode("utf-8")
