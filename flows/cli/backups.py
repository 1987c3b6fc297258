"""Commands about backups of the database: take a base copy, lay one back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli import app
from flows.cli.printing import AsJson, show
from infra import backup as backups
from infra.services import services

Where = Annotated[Path | None, typer.Option("--from", help="The backup's folder (default: HOSO_BACKUP_DIR).")]


@app.command()
def backup(
    to: Annotated[
        Path | None, typer.Option("--to", help="The backup's folder (default: HOSO_BACKUP_DIR).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the whole database server and verify the copy; the changes after it come from the receiver."""
    chosen = services().settings
    base = backups.take_base(chosen, to or chosen.backup_dir)
    value = {"base": str(base.folder), "begun_at": base.begun_at}
    show(value, as_json=as_json, text=f"{base.folder}  whole and verified")


@app.command()
def restore(into: Path, source: Where = None, as_json: AsJson = False) -> None:
    """Lay the newest base copy into an empty folder; the server started on it recovers up to the last change."""
    chosen = services().settings
    base = backups.restore(chosen, source or chosen.backup_dir, into)
    text = f"{into}  holds {base.folder.name}; start PostgreSQL on it and wait until it takes connections"
    show({"base": str(base.folder), "into": str(into)}, as_json=as_json, text=text)
