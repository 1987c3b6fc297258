"""Commands of the exchange that run it: accept into a dossier, the directory, the post."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.desk import operator
from flows.cli.exchanging import exchange_app
from flows.cli.printing import AsJson, say, show, table
from flows.cli.rounds import content_of
from infra.database import now
from infra.services import services
from infra.sheets import read_rows
from tasks.dossier.calendar import local
from tasks.exchange import handling, organisations
from tasks.people.acting import acting
from tasks.people.desk import logged_in


@exchange_app.command("accept")
def accept(code: str, as_json: AsJson = False) -> None:
    """Register an incoming document: its sender hears that it was accepted (status 03)."""
    row = handling.accept(code, by=logged_in())
    more = f", the result of {row.dossier}" if row.dossier else ""
    show({"code": code, "dossier": row.dossier}, as_json=as_json, text=f"{code}  registered{more}")


@exchange_app.command("organisations")
def directory(
    import_: Annotated[
        Path | None, typer.Option("--import", help="A CSV or XLSX file with the directory.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the agencies of the directory, or import it: each row that is not taken is named with its reason."""
    me = logged_in()
    if import_ is None:
        with services().database.transaction() as session:
            acting(session, me, "exchange organisations", office=me.office)
            rows = organisations.listed(session)
        if as_json:
            show([row.model_dump() for row in rows], as_json=True, text="")
        else:
            columns = ("code", "old_code", "name", "valid_from", "valid_until", "successor")
            table("agencies", columns, [tuple(getattr(row, name) for name in columns) for row in rows])
        return
    read = read_rows(content_of(import_))
    with services().database.transaction() as session:
        by = acting(session, me, "exchange organisations", office=me.office)
        found = organisations.import_directory(session, read, by=by, office=me.office)
    if as_json:
        show(found, as_json=True, text="")
        return
    say(
        f"{found.new} new, {found.changed} changed, {found.same} as they were, {len(found.rejected)} rejected"
    )
    for one in found.rejected:
        say(f"row {one.row}: {one.reason}", colour="yellow")


@exchange_app.command("post")
def post(as_json: AsJson = False) -> None:
    """Send what is due and fetch what waits, once (the worker does so by itself)."""
    from tasks.exchange.post import carry_post

    operator("exchange post")
    done = carry_post()
    text = f"{done.sent} packages sent, {done.taken} taken in"
    show({"sent": done.sent, "taken": done.taken}, as_json=as_json, text=text)


@exchange_app.command("report")
def report(
    office: str,
    first: Annotated[
        str, typer.Option("--from", help="The first day: 2026-11-01; without it this month's.")
    ] = "",
    last: Annotated[str, typer.Option("--to", help="The last day; without it today.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write the .xlsx, or the signed .pdf.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report on the exchange by agency for the Chairman, and who did not take part or did it wrongly."""
    from tasks.exchange import reporting, snapshots

    me = logged_in()
    with services().database.transaction() as session:
        by = acting(session, me, "exchange report", office=office)
        today = local(now(session)).date()
    found = snapshots.snapshot(office, *reporting.period(first, last, today))
    drawn = found.report
    if out is not None:
        signed = out.suffix == ".pdf"
        content = (
            snapshots.signed_report(found, by=by)
            if signed
            else reporting.report_workbook(drawn, found.made_at)
        )
        out.write_bytes(content)
        show({"file": str(out), "bytes": len(content)}, as_json=as_json, text=f"{out}  {len(content)} bytes")
        return
    if as_json:
        show(drawn, as_json=True, text="")
        return
    columns = ("agency", "sent", "same day", "returned", "recalled", "received", "signed", "in time", "wrong")
    rows = [
        (
            one.agency, one.sent, one.same_day_share, one.returned, one.recalled, one.received, one.signed_share,
            one.in_time_share, one.wrong,
        )
        for one in drawn.lines
    ]  # fmt: skip
    table(f"{drawn.first} – {drawn.last}", columns, rows)
    say(f"sent nothing: {', '.join(drawn.missing) or 'nobody'}")
    say(f"did it wrongly: {', '.join(drawn.wrong) or 'nobody'}")
