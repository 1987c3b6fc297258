"""Until when documents can be proved: the preservation calendar."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlmodel import col, select

from flows.cli import app
from flows.cli.printing import AsJson, show, table
from infra.services import services
from tasks.dossier.tables import DossierRow
from tasks.evidence.calendar import calendar
from tasks.people.acting import scope
from tasks.people.desk import logged_in


@app.command("evidence-calendar")
def evidence_calendar(
    office: Annotated[str | None, typer.Option("--office", help="Only this office.")] = None,
    days: Annotated[
        int | None, typer.Option("--days", help="Only documents with fewer than so many days left.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say until when each document's evidence lasts, nearest end first, and what ends it."""
    me = logged_in()
    with services().database.transaction() as session:
        seen = scope(session, me, "evidence-calendar", office=office)
        allowed = select(DossierRow.code).where(seen.within(DossierRow.office, DossierRow.procedure))
        mine = set(session.exec(allowed.order_by(col(DossierRow.code))))
        rows = [row for row in calendar(session, days=days, office=office) if row.dossier in mine]
    if as_json:
        show(
            [row.model_dump(exclude={"superseded_at", "superseded_by"}) for row in rows],
            as_json=True,
            text="",
        )
        return
    table(
        "Evidence",
        ("dossier", "original", "level", "may be extended from", "must be extended before", "what ends"),
        [(r.dossier, r.ordinal, r.level, r.may_extend_from, r.must_extend_before, r.cause) for r in rows],
    )
