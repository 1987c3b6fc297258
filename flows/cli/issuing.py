"""Commands about results after their issue: withdraw, send again, decide corrections, the standing list."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from sqlmodel import col, select

from flows.cli import app
from flows.cli.desk import operator
from flows.cli.printing import AsJson, show, table
from flows.cli.private import Why, words
from infra.errors import Forbidden
from infra.services import services
from tasks.dossier.tables import DossierRow
from tasks.issued.tables import CorrectionRow
from tasks.people.acting import scope
from tasks.people.desk import logged_in

correction_app = typer.Typer(help="Requests to correct what was issued.", no_args_is_help=True)
app.add_typer(correction_app, name="correction")
standing_app = typer.Typer(help="The signed list of which results stand.", no_args_is_help=True)
app.add_typer(standing_app, name="standing")

_COLUMNS = ("request", "dossier", "original", "state", "asked by", "asked", "decided by", "new dossier")


@app.command("withdraw-result")
def withdraw_result(code: str, ordinal: int, why: Why = "", as_json: AsJson = False) -> None:
    """Withdraw an issued result, with a reason that everybody who has a copy is told."""
    from tasks.issued.withdrawing import withdraw_result as withdraw

    done = withdraw(code, ordinal, words(why, "The reason, for everybody who has a copy"), by=logged_in())
    text = f"{code}  the result of original {ordinal} {'is' if done else 'was'} withdrawn"
    show({"code": code, "original": ordinal, "withdrawn": done}, as_json=as_json, text=text)


@app.command()
def resend(
    code: str,
    channel: Annotated[
        str | None, typer.Option("--channel", help="portal, email or paper; without it, as it went before.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a returned result once more, exactly as it is kept; nothing is signed again."""
    from tasks.delivery.acts import resend as send

    channels = send(code, channel, by=logged_in())
    show(
        {"code": code, "channels": channels},
        as_json=as_json,
        text=f"{code}  goes by {', '.join(channels)} once more",
    )


@correction_app.command("list")
def list_corrections(
    office: Annotated[str | None, typer.Option("--office", help="Only this office.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what was decided.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the requests for corrections that wait for a decision, with their reasons."""
    me = logged_in()
    with services().database.transaction() as session:
        seen = scope(session, me, "correction list", office=office)
        query = (
            select(CorrectionRow)
            .join(DossierRow, col(DossierRow.code) == col(CorrectionRow.dossier))
            .where(seen.within(DossierRow.office, DossierRow.procedure))
        )
        if not everything:
            query = query.where(CorrectionRow.state == "asked")
        rows = list(session.exec(query.order_by(col(CorrectionRow.id))))
    if as_json:
        show([row.model_dump(exclude={"files", "decision"}) for row in rows], as_json=True, text="")
        return
    printed = [
        (r.id, r.dossier, r.ordinal, r.state, r.asked_by, r.asked_at, r.decided_by, r.new_dossier)
        for r in rows
    ]
    table("Corrections", _COLUMNS, printed)
    for row in rows:
        show({}, as_json=False, text=f"{row.id}: “{row.kind}”, {row.reason}")


@correction_app.command("approve")
def approve(number: int, as_json: AsJson = False) -> None:
    """Approve a correction that somebody else asked for; the corrected result gets a dossier of its own."""
    from tasks.issued.correcting import approve_correction

    code = approve_correction(number, by=logged_in())
    show({"request": number, "new": code}, as_json=as_json, text=f"correction {number} is made in {code}")


@correction_app.command("refuse")
def refuse(number: int, why: Why = "", as_json: AsJson = False) -> None:
    """Refuse a correction that somebody else asked for; the result stands as it did."""
    from tasks.issued.correcting import refuse_correction

    refuse_correction(number, words(why, "The reason, for whoever asked"), by=logged_in())
    show({"request": number, "refused": True}, as_json=as_json, text=f"correction {number} is refused")


@standing_app.command("make")
def make(as_json: AsJson = False) -> None:
    """Sign which results stand now, and lay the list into the archive."""
    from tasks.issued.lists import make_list

    operator("standing make")
    made = make_list()
    text = f"{made.valid} files stand, {made.ended} do not; the next list is due {made.next_update}"
    show(made, as_json=as_json, text=text)


@standing_app.command("write")
def write(file: Path) -> None:
    """Write the newest standing list into a new file, for whoever checks results without this system."""
    from tasks.issued.lists import newest_note

    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(newest_note())
    except OSError as error:
        raise Forbidden(
            f"{file} cannot be written: {error.strerror}.", rule="DOS-25", way_out="Name a new file."
        ) from error
    show({}, as_json=False, text=f"{file}")
