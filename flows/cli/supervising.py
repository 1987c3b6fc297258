"""Commands of supervisors: the board, a new time with an apology, the way back from the superior."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.boards import span
from flows.cli import app
from flows.cli.printing import AsJson, OfficeOption, show, table
from flows.cli.private import Why, words
from infra.services import services
from tasks.dossier.calendar import local
from tasks.people.acting import scope
from tasks.people.desk import logged_in
from tasks.supervision.answering import give_back as answer
from tasks.supervision.awaiting import AGES, read_awaited
from tasks.supervision.board import open_as_csv, read_board
from tasks.supervision.postponing import postpone as give_new_time


@app.command()
def board(
    office: OfficeOption = None,
    out: Annotated[
        Path | None, typer.Option("--csv", help="Write every open dossier into this file too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is late or nearly so, and what is open by what it waits for, office and stage."""
    me = logged_in()
    with services().database.transaction() as session:
        seen = scope(session, me, "board", office=office)
        found = read_board(session, seen=seen, office=office)
        awaited = read_awaited(session, seen=seen, office=office)
        if out is not None:
            out.write_bytes(b"".join(open_as_csv(session, seen=seen, office=office)))
    if as_json:
        show({**asdict(found), "awaited": awaited}, as_json=True, text="")
        return
    typer.echo(
        f"{local(found.at):%Y-%m-%d %H:%M:%S}: {found.open} open, {found.late} late, {found.near} nearly late"
    )
    if found.named:
        table(
            "Late and nearly late",
            ("dossier", "due", "pace", "by", "waits for", "office"),
            [
                (n.code, n.due_at, str(n.pace), span(n.due_at - found.at), n.waits_for, n.office)
                for n in found.named
            ],
        )
    table(
        "Open, by what is waited for and age",
        ("waits for", "open", *(name if days is None else f"up to {name}" for name, days in AGES)),
        [(one.waits_for, one.open, *one.by_age) for one in awaited],
    )
    table(
        "Open, by office and stage",
        ("office", "stage", "open", "late", "nearly late", "oldest"),
        [(c.office, str(c.stage), c.open, c.late, c.near, c.oldest) for c in found.counts],
    )


@app.command()
def postpone(
    code: str,
    days: Annotated[int, typer.Option("--days", min=1, help="Working days after the promised time.")],
    why: Why = "",
    agreed: Annotated[bool, typer.Option("--agreed", help="The applicant agreed in writing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give a dossier a new time, once, with a letter of apology (form 04)."""
    me = logged_in()
    reason = words(why, "The reason, for the letter of apology")
    until = give_new_time(code, days, reason, by=me, agreed=agreed)
    show(
        {"code": code, "due_at": until},
        as_json=as_json,
        text=f"{code}  due {local(until):%Y-%m-%d %H:%M}; the letter of apology follows",
    )


@app.command("give-back")
def give_back(code: str, why: Why = "", as_json: AsJson = False) -> None:
    """Give a dossier that was escalated to you back to the office, with an instruction."""
    me = logged_in()
    answer(code, words(why, "The instruction, for the counter"), by=me)
    show({"code": code}, as_json=as_json, text=f"{code}  is given back to the office with your instruction")
