"""Making a report, once for each period, and counting it again to see that it is the same (REP-10)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor
from tasks.dossier.papers import sha256_of, store_content
from tasks.dossier.tables import DossierRow, OfficeRow, ProcedureRow
from tasks.people.acting import acting
from tasks.reporting.figures import Counted, count
from tasks.reporting.keeping import look_report, paper_of_report, tell_report
from tasks.reporting.periods import Kind, Period, last_over, period_named
from tasks.reporting.printing import report_page, report_workbook
from tasks.reporting.reading import EVERY
from tasks.reporting.tables import ReportPaperRow, ReportRow

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

#: A period is reported so long after its end: whatever was begun in it is committed or undone by then.
SETTLED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What counting a report again gave."""

    number: int
    same: bool
    #: The parts of the figures that differ.
    differing: tuple[str, ...]


def make_report(office: str, name: str, *, by: Actor, every_office: bool = False) -> ReportRow:
    """
    Return the report of an office on a period that is over; it is counted and written down now if it was not yet.

    `every_office` counts the dossiers of all offices, and needs a role that holds at every office. The figures, a
    workbook, a page for the agency's seal and the list of dossiers are kept together, or none of them. Asking again
    gives the same report, whatever happened since. Raises `Forbidden` (AUTH-06, REP-08,
    REP-10). History: `report:made`.
    """
    period = _named(name)
    about = EVERY if every_office else office
    with services().database.transaction() as session:
        by = acting(session, by, "report make", office=about)
        data = office_of(session, office)
        known = _find(session, office, about, period)
        if known is not None:
            return known
        _must_be_over(session, period)
        counted = count(session, about, period, services().settings.report_cut_off)
        row = _row(session, office, about, period, counted, by)
    listed = store_content(counted.dossiers, "text/csv; charset=utf-8")
    row.dossiers_sha256, row.dossiers_key = listed.sha256, listed.key
    papers = {
        "workbook": store_content(report_workbook(row, row.made_at), _XLSX),
        "page": store_content(report_page(row, data, row.made_at), "application/pdf"),
    }
    try:
        with services().database.transaction() as session:
            session.add(row)
            session.flush()
            for kind, stored in papers.items():
                paper = ReportPaperRow(
                    report=row.number or 0, kind=kind, sha256=stored.sha256, key=stored.key, size=stored.size,
                    made_at=row.made_at,
                )  # fmt: skip
                session.add(paper)
            tell_report(session, row, event="report:made", by=by, facts={"doc": {"sha256": row.sha256}})
            return row
    except IntegrityError:
        with services().database.transaction() as session:  # Somebody made it at the same moment.
            known = _find(session, office, about, period)
            if known is None:
                raise
            return known


def due_reports() -> list[tuple[str, str, bool]]:
    """
    Return which reports are to be made or sealed now: office, period, whether on every office.

    Of each kind that this installation reports (`HOSO_REPORT_KINDS`) it is the newest period that is over, for every
    office that had received a dossier by its end. One on every office is made by `HOSO_REPORT_OFFICE`, if it is named.
    """
    chosen = services().settings
    with services().database.transaction() as session:
        moment = now(session)
        kinds = [_kind(word.strip()) for word in chosen.report_kinds.split(",") if word.strip()]
        day = local(moment - SETTLED).date()
        periods = [last_over(kind, day, chosen.report_cut_off) for kind in kinds]
        offices = list(session.exec(select(OfficeRow.code).order_by(OfficeRow.code)))
        wanted = [(office, False) for office in offices]
        wanted += [(chosen.report_office, True)] if chosen.report_office else []
        return [
            (office, period.name, every)
            for period in periods
            for office, every in wanted
            if _lacks(session, office, EVERY if every else office, period)
        ]


def _kind(word: str) -> Kind:
    """Return the kind of period that a word of the settings means."""
    try:
        return Kind(word)
    except ValueError:
        raise Forbidden(
            f"“{word}” is no kind of period.",
            rule="REP-08",
            way_out=f"HOSO_REPORT_KINDS may name {', '.join(Kind)}.",
        ) from None


def _lacks(session: Session, office: str, about: str, period: Period) -> bool:
    """Whether a report is still to be made or sealed, and has something to say."""
    row = _find(session, office, about, period)
    if row is not None:
        return paper_of_report(session, row.number or 0, "sealed") is None
    had = select(DossierRow.code).where(col(DossierRow.received_at) < period.ends)
    if about != EVERY:
        had = had.where(DossierRow.office == about)
    return session.exec(had.limit(1)).first() is not None


def preview(office: str, name: str, *, by: Actor, every_office: bool = False) -> Counted:
    """Return the figures of a period so far, kept nowhere; of one that is over they are those of its end."""
    about = EVERY if every_office else office
    with services().database.transaction() as session:
        acting(session, by, "report preview", office=about)
        office_of(session, office)
        period, moment = _named(name), now(session)
        if moment <= period.begins:
            raise Forbidden(
                f"the period {period.name} begins on {period.first}.",
                rule="REP-08",
                way_out="Name one that goes on, or is over.",
            )
        return count(session, about, period, services().settings.report_cut_off, so_far=moment)


def check_report(number: int, *, by: Actor) -> Checked:
    """
    Count a report anew from the rows of today and say whether it is the same to the byte.

    One that was counted by another rule set, or from one cut-off to another, is `Forbidden` to compare.
    """
    with services().database.transaction() as session:
        row = look_report(session, number)
        acting(session, by, "report check", office=row.about)
        period = _named(row.name)
        before: Mapping[str, Any] = json.loads(row.figures)
        counted = count(session, row.about, period, services().settings.report_cut_off)
    if (period.first, period.last) != (row.first, row.last) or counted.figures["rules"] != row.rules:
        raise Forbidden(
            f"report {number} was counted from {row.first} to {row.last} by rule set {row.rules}, unlike today.",
            rule="REP-10",
            way_out="It stands as it is; HOSO_REPORT_CUT_OFF says how periods are cut now.",
        )
    again: Mapping[str, Any] = json.loads(counted.canonical)
    differing = [part for part in sorted(before) if before[part] != again[part]]
    if sha256_of(counted.dossiers) != row.dossiers_sha256:
        differing.append("dossiers")
    return Checked(
        number=number,
        same=counted.canonical.decode() == row.figures and not differing,
        differing=tuple(differing),
    )


def _named(name: str) -> Period:
    """Return the period that a name means in this installation."""
    return period_named(name, services().settings.report_cut_off)


def _find(session: Session, office: str, about: str, period: Period) -> ReportRow | None:
    """Return the report on a period, if it was made."""
    return session.exec(
        select(ReportRow).where(
            ReportRow.office == office,
            ReportRow.about == about,
            ReportRow.first == period.first,
            ReportRow.last == period.last,
        )
    ).one_or_none()


def _must_be_over(session: Session, period: Period) -> None:
    """Refuse a period that still goes on, or ended just now."""
    if now(session) < period.ends + SETTLED:
        opens = local(period.ends + SETTLED)
        raise Forbidden(
            f"the period {period.name} ends on {period.last}; its report is made from {opens:%H:%M %d/%m/%Y} on.",
            rule="REP-10",
            way_out="“hoso report preview” shows the figures so far.",
        )


def _row(session: Session, office: str, about: str, period: Period, counted: Counted, by: Actor) -> ReportRow:
    """Return the row of a report, not kept yet."""
    made_at: datetime = now(session)
    content = counted.canonical
    return ReportRow(
        office=office,
        about=about,
        kind=str(period.kind),
        name=period.name,
        first=period.first,
        last=period.last,
        rules=counted.figures["rules"],
        made_at=made_at.replace(microsecond=0),
        made_by=by.staff or by.role,
        figures=content.decode(),
        sha256=sha256_of(content),
        names=names_for(session, counted.figures),
        dossiers_sha256="",
        dossiers_key="",
    )


def names_for(session: Session, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the units and procedures of a report are called today."""
    units = {one["unit"] for one in figures["lines"]}
    for part in ("results", "fees", "signatures"):
        units |= set(figures[part])
    procedures = {one["procedure"] for one in figures["lines"]}
    offices = session.exec(select(OfficeRow).where(col(OfficeRow.code).in_(units)))
    titles = session.exec(
        select(ProcedureRow).where(col(ProcedureRow.code).in_(procedures)).order_by(col(ProcedureRow.version))
    )
    return {
        "units": {row.code: row.body["unit"] for row in offices},
        "procedures": {row.code: row.body["name"] for row in titles},
    }
