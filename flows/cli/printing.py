"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from typing import Annotated, Any

import typer

from tasks.dossier.calendar import local

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
OfficeOption = Annotated[str | None, typer.Option("--office", help="Only this office.")]


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
