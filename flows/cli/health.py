"""Commands about health: look at every part now (doctor), figures for a monitoring system (metrics)."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import app
from flows.cli.printing import AsJson, show, table
from infra.errors import HosoError
from tasks.health.rules import State, worst


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look at every part the office needs, each within seconds; says cause and remedy, exit 1 if one is failing."""
    from tasks.health.doctor import examine, keep

    checks = examine()
    with suppress(HosoError):  # The first line says already that the database does not answer.
        keep(checks)
    if as_json:
        show(checks, as_json=True, text="")
    else:
        rows = [(one.name, one.state, one.cause, one.remedy) for one in checks]
        table("The parts", ("part", "state", "what was found", "what to do"), rows)
    if worst(checks) is State.FAILING:
        raise typer.Exit(1)


@app.command()
def metrics(
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Write there, whole or not at all: node_exporter's textfile collector."),
    ] = None,
) -> None:
    """Print the figures of this installation in Prometheus's text format; numbers only."""
    from tasks.health.metrics import exposition

    content = exposition()
    if file is None:
        sys.stdout.write(content.decode())
        return
    new = file.with_name(f".{file.name}.new")
    new.write_bytes(content)
    new.replace(file)
