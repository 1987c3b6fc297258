"""Commands about the database roles of desks: each office's desks see the rows of their own office only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli import app
from flows.cli.desk import secrets
from flows.cli.printing import AsJson, show

desk_app = typer.Typer(help="Database roles for the desks of an office.", no_args_is_help=True)
app.add_typer(desk_app, name="desk")


@desk_app.command("make")
def make(
    office: str,
    password_fd: Annotated[int | None, typer.Option("--password-fd", help="Read the password there.")] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="A file of mode 0600.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the database role of an office's desks, or give it another password."""
    from tasks.people.desk_roles import make_desk

    role = make_desk(office, secrets(["Password of the role: "], password_fd, password_file)[0])
    show({"office": office, "role": role}, as_json=as_json, text=f"{office}  {role}")


@desk_app.command("end")
def end(office: str, as_json: AsJson = False) -> None:
    """Let the database role of an office's desks log in no more."""
    from tasks.people.desk_roles import end_desk

    ended = end_desk(office)
    text = f"{office}  its desks are shut out" if ended else f"{office}  had no desks to shut out"
    show({"office": office, "ended": ended}, as_json=as_json, text=text)
