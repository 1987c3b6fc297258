"""Commands about the periodic reports: make one, look at it, count it again, seal it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli import app
from flows.cli.printing import AsJson, OfficeOption, say, show, table
from infra.services import services
from tasks.people.acting import acting, scope
from tasks.people.desk import logged_in
from tasks.people.rules import EVERY

report_app = typer.Typer(
    help="Reports on a month, a quarter, a half-year or a year: made once, counted the same for ever.",
    no_args_is_help=True,
)
app.add_typer(report_app, name="report")

PeriodArgument = Annotated[str, typer.Argument(help="2026-10, 2026-Q4, 2026-H2 or 2026.")]
EveryOffice = Annotated[bool, typer.Option("--every-office", help="Count the dossiers of every office.")]
Number = Annotated[int, typer.Argument(help="The report's number; “hoso report list” names them.")]


@report_app.command("make")
def make(
    office: str, period: PeriodArgument, every_office: EveryOffice = False, as_json: AsJson = False
) -> None:
    """Make the report on a period that is over, once; again it is the same one."""
    from tasks.reporting.making import make_report

    row = make_report(office, period, by=logged_in(), every_office=every_office)
    said = {
        "number": row.number,
        "period": row.name,
        "first": row.first,
        "last": row.last,
        "sha256": row.sha256,
    }
    text = (
        f"report {row.number}  {row.name} ({row.first} to {row.last}), made {row.made_at:%Y-%m-%d %H:%M} UTC"
    )
    show(said, as_json=as_json, text=text)


@report_app.command("list")
def list_reports(office: OfficeOption = None, as_json: AsJson = False) -> None:
    """List the reports that were made, newest period first, and whether they are sealed."""
    from tasks.reporting.keeping import paper_of_report, reports_of

    me = logged_in()
    with services().database.transaction() as session:
        seen = scope(session, me, "report list", office=office)
        rows = [row for row in reports_of(session) if any(r.office in (EVERY, row.about) for r in seen.roles)]
        said = [
            {
                "number": row.number,
                "office": row.office,
                "about": row.about,
                "period": row.name,
                "first": row.first,
                "last": row.last,
                "made_at": row.made_at,
                "sealed": paper_of_report(session, row.number or 0, "sealed") is not None,
            }
            for row in rows
        ]
    if as_json:
        show(said, as_json=True, text="")
        return
    table(
        "Reports",
        ("number", "period", "from", "to", "made by", "about", "made", "sealed"),
        [
            (
                r["number"],
                r["period"],
                r["first"],
                r["last"],
                r["office"],
                r["about"],
                r["made_at"],
                r["sealed"],
            )
            for r in said
        ],
    )


@report_app.command("show")
def show_report(
    number: Number,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write it there: .xlsx, .pdf, .json, or .csv with every dossier that it counts."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a report's figures, or write it as a workbook, as its signed page, or as the list of what it counts."""
    from tasks.reporting.keeping import look_report, read_report

    me = logged_in()
    with services().database.transaction() as session:
        row = look_report(session, number)
        acting(session, me, "report show", office=row.about)
    if out is not None:
        out.write_bytes(read_report(row, out.suffix))
        say(f"report {number} written to {out}")
    elif as_json:
        show(json.loads(row.figures), as_json=True, text="")
    else:
        _print(json.loads(row.figures), row.names)


@report_app.command("preview")
def show_preview(
    office: str, period: PeriodArgument, every_office: EveryOffice = False, as_json: AsJson = False
) -> None:
    """Show the figures of a period so far; they are kept nowhere and are no report."""
    from tasks.reporting.making import names_for, preview

    figures = dict(preview(office, period, by=logged_in(), every_office=every_office).figures)
    if as_json:
        show(figures, as_json=True, text="")
        return
    with services().database.transaction() as session:
        names = names_for(session, figures)
    _print(figures, names)


@report_app.command("check")
def check(number: Number, as_json: AsJson = False) -> None:
    """Count a report again from the rows of today, and say whether it is the same to the byte."""
    from tasks.reporting.making import check_report

    found = check_report(number, by=logged_in())
    differing = f"differs in: {', '.join(found.differing) or 'its form'}"
    show(found, as_json=as_json, text=f"report {number} {'is the same' if found.same else differing}")
    if not found.same:
        raise typer.Exit(5)


@report_app.command("seal")
def seal(number: Number, as_json: AsJson = False) -> None:
    """Give a report the agency's signature, on the machine of its token."""
    from tasks.reporting.sealing import seal_report

    now = seal_report(number)
    show(
        {"number": number, "sealed_now": now},
        as_json=as_json,
        text=f"report {number} {'' if now else 'was '}sealed",
    )


def _print(figures: Mapping[str, Any], names: Mapping[str, Any]) -> None:
    """Print a report's tables."""
    from tasks.reporting.printing import lines_of, percent, tables_of

    say(f"{figures['period']['name']}, as of {figures['as_of']}")
    columns = (
        "received",
        "processed",
        "early",
        "on_time",
        "late",
        "in_progress",
        "standing_still",
        "stopped",
    )
    table(
        "Dossiers",
        (
            "",
            "received",
            "processed",
            "early",
            "on time",
            "late",
            "in progress",
            "paused",
            "stopped",
            "in time",
        ),
        [
            (f"{'  ' * depth}{name}", *(getattr(tally, c) for c in columns), percent(tally.in_time_permille))
            for name, depth, tally in lines_of(figures, names)
        ],
    )
    for title, headings, rows in tables_of(figures, names):
        table(title, headings, rows)
