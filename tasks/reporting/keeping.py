"""Reports as they are kept: found by number, read as files, told of in the history."""

from __future__ import annotations

from collections.abc import Mapping

from sqlmodel import Session, col, select

from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from tasks.dossier.moves import Actor
from tasks.dossier.papers import sha256_of
from tasks.reporting.tables import ReportPaperRow, ReportRow


def reports_of(session: Session) -> list[ReportRow]:
    """Return every report, newest period first."""
    query = select(ReportRow).order_by(col(ReportRow.last).desc(), col(ReportRow.first), col(ReportRow.about))
    return list(session.exec(query))


def look_report(session: Session, number: int) -> ReportRow:
    """Return a report by its number; refuses one that there is not."""
    row = session.get(ReportRow, number)
    if row is None:
        raise Forbidden(
            f"there is no report {number}.", rule="REP-10", way_out="“hoso report list” names them."
        )
    return row


def paper_of_report(session: Session, number: int, kind: str) -> ReportPaperRow | None:
    """Return one form of a report: `workbook`, `page` or `sealed`."""
    return session.get(ReportPaperRow, (number, kind))


def read_paper(paper: ReportPaperRow) -> bytes:
    """Return a report's file; raises `Broken` when it is not the one that was kept."""
    content = services().work.get(paper.key)
    if sha256_of(content) != paper.sha256:
        raise Broken(
            f"the {paper.kind} of report {paper.report} in the work store is not what was kept there"
        )
    return content


def read_report(row: ReportRow, form: str) -> bytes:
    """Return a report as a file: `.xlsx`, `.pdf` (sealed, if it is), `.json`, or `.csv` with its dossiers."""
    if form == ".json":
        return row.figures.encode()
    if form == ".csv":
        content = services().work.get(row.dossiers_key)
        if sha256_of(content) != row.dossiers_sha256:
            raise Broken(f"the list of report {row.number} in the work store is not what was kept there")
        return content
    if form not in (".xlsx", ".pdf"):
        raise Forbidden(
            f"a report is not written as “{form}”.",
            rule="REP-10",
            way_out="End the file's name in .xlsx, .pdf, .json or .csv.",
        )
    if form == ".pdf":
        return read_paper(paper_to_show(row.number or 0))
    with services().database.transaction() as session:
        return read_paper(session.get_one(ReportPaperRow, (row.number, "workbook")))


def paper_to_show(number: int) -> ReportPaperRow:
    """Return a report's page, sealed if it is."""
    with services().database.transaction() as session:
        sealed = paper_of_report(session, number, "sealed")
        return sealed or session.get_one(ReportPaperRow, (number, "page"))


def tell_report(
    session: Session, row: ReportRow, *, event: str, by: Actor, facts: Mapping[str, Json] | None = None
) -> None:
    """Write an entry about a report; its subject is the office that makes it."""
    head: dict[str, Json] = {
        "event": event,
        "actor": by.facts(),
        "office": row.office,
        "about": row.about,
        "period": row.name,
        "first": row.first.isoformat(),
        "last": row.last.isoformat(),
    }
    record(session, row.office, {**head, **(facts or {})})
