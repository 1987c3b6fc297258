"""Commands about what the nightly comparison found: compare now, list, repair."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlmodel import Session, col, select

from flows.cli import app
from flows.cli.desk import operator
from flows.cli.printing import AsJson, show, table
from flows.cli.private import Why, words
from infra.services import services
from tasks.dossier.tables import DossierRow
from tasks.people.acting import Scope, scope
from tasks.people.desk import logged_in
from tasks.people.rules import EVERY
from tasks.reconciliation.rules import FINDINGS
from tasks.reconciliation.tables import FindingRow


@app.command()
def reconcile(as_json: AsJson = False) -> None:
    """Compare registered, signed, validated, archived, published, returned and logged now."""
    from tasks.reconciliation.comparing import reconcile as compare

    operator("reconcile")
    compared = compare()
    text = f"{compared.dossiers} dossiers: {compared.new} new findings, {compared.open} open, {compared.ended} gone"
    show(compared, as_json=as_json, text=text)


@app.command()
def findings(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are gone.")] = False,
    office: Annotated[str | None, typer.Option("--office", help="Only this office.")] = None,
    as_json: AsJson = False,
) -> None:
    """List what the last comparison found not to be the same, and what would mend it."""
    me = logged_in()
    with services().database.transaction() as session:
        seen = scope(session, me, "findings", office=office)
        query = select(FindingRow).order_by(col(FindingRow.id))
        if not everything:
            query = query.where(col(FindingRow.ended_at).is_(None))
        rows = [row for row in session.exec(query) if _may_see(session, seen, row)]
    values = [_described(row) for row in rows]
    if as_json:
        show(values, as_json=True, text="")
        return
    columns = ("finding", "dossier", "original", "what", "repair", "since", "repaired")
    printed = [
        (
            v["finding"],
            v["subject"],
            v["original"] or "",
            v["sentence"],
            v["repair"],
            v["found_at"],
            v["repaired_at"],
        )
        for v in values
    ]
    table("Findings", columns, printed)


def _described(row: FindingRow) -> dict[str, Any]:
    """Return a finding as it is shown: codes, hashes and counts only."""
    gap = FINDINGS[row.code]
    return {
        "finding": row.id,
        "code": row.code,
        "subject": row.subject,
        "original": row.ordinal,
        "sentence": gap.sentence,
        "repair": str(gap.repair),
        "how": gap.how,
        "facts": row.facts,
        "found_at": row.found_at,
        "seen_at": row.seen_at,
        "repaired_by": row.repaired_by,
        "repaired_at": row.repaired_at,
        "ended_at": row.ended_at,
    }


def _may_see(session: Session, seen: Scope, row: FindingRow) -> bool:
    """Whether a finding is about what a person may see."""
    dossier = session.get(DossierRow, row.subject)
    if dossier is not None:
        return seen.allows(dossier.office, dossier.procedure)
    return seen.allows(row.subject.partition("/")[0], EVERY)


@app.command()
def repair(number: int, why: Why = "", as_json: AsJson = False) -> None:
    """Start what mends a finding, with a reason; the next comparison says whether it is gone."""
    from tasks.reconciliation.repairing import repair as mend

    done = mend(number, words(why, "The reason"), by=logged_in())
    show(
        {"finding": number, "repair": str(done)},
        as_json=as_json,
        text=f"finding {number}: {done}; the next comparison says whether it is gone",
    )
