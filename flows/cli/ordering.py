"""Commands for bulk orders: one requester, many originals from a table and a folder of scans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import app, exit_code, say_error
from flows.cli.booking import Channel
from flows.cli.printing import AsJson, say, show, table
from flows.cli.private import Person, applicant
from flows.cli.progress import shown_to
from infra.errors import Forbidden
from infra.services import services
from tasks.certification import ordering
from tasks.certification.manifests import BadRow, OrderLine, read_manifest
from tasks.certification.ordering import Examined, Order
from tasks.dossier.moves import Actor
from tasks.people.acting import acting
from tasks.people.desk import logged_in

order = typer.Typer(help="Bulk orders: one requester, many originals.", no_args_is_help=True)
app.add_typer(order, name="order")

Manifest = Annotated[Path, typer.Argument(help="CSV or XLSX with the columns loại giấy tờ, tệp, số trang …")]
Folder = Annotated[Path, typer.Option("--folder", help="Where the scans are.")]
OfficeOption = Annotated[str, typer.Option("--office", help="Code of the office (default: yours).")]
ProcedureOption = Annotated[str, typer.Option("--procedure")]
Extend = Annotated[int, typer.Option("--extend", metavar="DAYS", help="Extra working days (CERT-18).")]
Agreed = Annotated[bool, typer.Option("--agreed", help="The requester agreed to them in writing.")]


@order.command("check")
def check(
    manifest: Manifest,
    folder: Folder,
    person: Person = "",
    office: OfficeOption = "",
    procedure: ProcedureOption = "e-copy",
    channel: Channel = [],  # noqa: B006
    extend: Extend = 0,
    agreed: Agreed = False,
    as_json: AsJson = False,
) -> None:
    """Examine every row of a bulk order as the counter would, and say what is wrong; no dossier is opened."""
    me = _allowed("order check", office, procedure)
    asked = Order(
        office=office or me.office,
        procedure=procedure,
        applicant=applicant(person),
        folder=folder,
        channels=tuple(channel),
        extended_by=extend,
        agreed=agreed,
    )
    fit, bad = _examined(asked, manifest, me)
    if as_json:
        show({"fit": len(fit), "bad": [{"row": b.row, "why": b.why} for b in bad]}, as_json=True, text="")
    else:
        _print_bad(bad)
        say(f"{len(fit)} rows are fit, {len(bad)} are not")
    if bad:
        raise typer.Exit(1)


@order.command("place")
def place(
    manifest: Manifest,
    folder: Folder,
    person: Person = "",
    office: OfficeOption = "",
    procedure: ProcedureOption = "e-copy",
    channel: Channel = [],  # noqa: B006
    paid: Annotated[
        str | None, typer.Option("--paid", metavar="RECEIPT", help="The fees were paid at once.")
    ] = None,
    extend: Extend = 0,
    agreed: Agreed = False,
    as_json: AsJson = False,
) -> None:
    """Examine every row, then open and receive its dossiers, which the batches carry on; all rows or none."""
    me = _allowed("order place", office, procedure)
    asked = Order(
        office=office or me.office,
        procedure=procedure,
        applicant=applicant(person),
        folder=folder,
        channels=tuple(channel),
        paid=paid,
        extended_by=extend,
        agreed=agreed,
    )
    fit, bad = _examined(asked, manifest, me)
    if bad:
        if as_json:
            show({"bad": [{"row": b.row, "why": b.why} for b in bad]}, as_json=True, text="")
        else:
            _print_bad(bad)
        failed = Forbidden(
            f"{len(bad)} of {len(bad) + len(fit)} rows are not fit; nothing was received.",
            rule="CERT-23",
            way_out="Correct them, or take them out of the manifest, and place the order again.",
        )
        say_error(failed)
        raise typer.Exit(exit_code(failed))
    with shown_to("received", len(fit)) as told:
        placed = ordering.place_order(asked, fit, by=me, told=told)
    value = {"order": placed.order, "dossiers": placed.dossiers, "repeated": placed.repeated}
    again = " (it had been placed before)" if placed.repeated else ""
    text = f"order {placed.order}: {len(fit)} originals in {len(placed.dossiers)} dossiers{again}"
    show(value, as_json=as_json, text=text)


@order.command("list")
def list_orders(office: OfficeOption = "", as_json: AsJson = False) -> None:
    """List an office's bulk orders, and how many of their originals stand where."""
    me = logged_in()
    with services().database.transaction() as session:
        acting(session, me, "order list", office=office or me.office)
    found = ordering.orders_at(office or me.office)
    value = [
        {
            "order": o.id,
            "rows": o.rows,
            "placed_at": o.begun_at,
            "complete": o.ended_at is not None,
            "standings": n,
        }
        for o, n in found
    ]
    if as_json:
        show(value, as_json=True, text="")
        return
    rows = [
        (
            o.id,
            o.rows,
            o.begun_at,
            "" if o.ended_at else "not complete",
            ", ".join(f"{k} {v}" for k, v in n.items()),
        )
        for o, n in found
    ]
    table("Bulk orders", ("order", "rows", "placed", "", "originals"), rows)


def _allowed(act: str, office: str, procedure: str) -> Actor:
    """Return who is logged in, before anything is asked for or read; refuses who may not do this (AUTH-06)."""
    me = logged_in()
    with services().database.transaction() as session:
        acting(session, me, act, office=office or me.office, procedure=procedure)
    return me


def _examined(asked: Order, manifest: Path, me: Actor) -> tuple[list[Examined], list[BadRow]]:
    """Read the manifest and examine every row of it."""
    try:
        content = manifest.read_bytes()
    except OSError as error:
        raise Forbidden(
            f"{manifest} cannot be read: {error.strerror}.", rule="CERT-23", way_out="Name the manifest."
        ) from error
    lines: Sequence[OrderLine]
    lines, bad = read_manifest(content)
    wrong = {one.row for one in bad}
    with shown_to("examined", len(lines)) as told:
        fit, unfit = ordering.examine_rows(
            asked, [line for line in lines if line.row not in wrong], by=me, told=told
        )
    if not fit and not bad and not unfit:
        raise Forbidden("the manifest has no rows.", rule="CERT-02", way_out="Write one row an original.")
    return fit, sorted([*bad, *unfit], key=lambda one: one.row)


def _print_bad(bad: Sequence[BadRow]) -> None:
    """Print what is wrong with which row."""
    if bad:
        table("Rows that are not fit", ("row", "why"), [(one.row, one.why) for one in bad])
