"""How commands print: tables for people, JSON for programs, and who is acting."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from typing import Annotated, Any

import typer

from infra.errors import Forbidden
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.moves import Actor, look, office_of, person
from tasks.dossier.offices import Role

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
By = Annotated[str, typer.Option("--by", help="Staff code of who acts (default: HOSO_STAFF).")]


def say(text: str, *, colour: str | None = None) -> None:
    """Print a line; the colour is for terminals only."""
    typer.secho(text, fg=colour)


def show(value: Any, *, as_json: bool, text: str) -> None:
    """Print a value as JSON, or its text."""
    if as_json:
        print(json.dumps(value, default=plain, ensure_ascii=False, indent=1))
    else:
        say(text)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table."""
    from rich.console import Console  # Most acts print a line; only tables pay for this.
    from rich.table import Table

    grid = Table(title=title, title_justify="left")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(readable(cell) for cell in row))
    Console(highlight=False).print(grid)


def readable(value: object) -> str:
    """Return a cell's text; times as the clock on the wall shows them."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{local(value):%Y-%m-%d %H:%M}"
    return str(value)


def plain(value: object) -> object:
    """Return what JSON can hold for what it cannot."""
    if isinstance(value, datetime):
        return local(value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def staff(by: str) -> str:
    """Return the staff code of who acts; refuses an act by nobody."""
    code = by or services().settings.staff
    if not code:
        raise Forbidden(
            "nobody is named as acting.",
            rule="AUTH-06",
            way_out="Give your staff code with --by, or set HOSO_STAFF at this desk.",
        )
    return code


def actor_at(office_code: str, by: str, role: Role = "clerk") -> Actor:
    """Return the person of an office who acts in a role."""
    with services().database.transaction() as session:
        office = office_of(session, office_code)
        return person(office, office.officer(staff(by), role), role)


def actor_for(code: str, by: str, role: Role = "clerk") -> Actor:
    """Return the person who acts on a dossier, at the dossier's office."""
    with services().database.transaction() as session:
        dossier = look(session, code)
    return actor_at(dossier.office, by, role)
