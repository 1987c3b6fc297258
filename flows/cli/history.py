"""Commands about the history: sign a checkpoint, hand out the key, export for the stand-alone verifier."""

from __future__ import annotations

from pathlib import Path

import typer

from flows.cli import app
from flows.cli.desk import operator
from flows.cli.printing import AsJson, show
from infra.errors import Forbidden, Unavailable

history_app = typer.Typer(help="The history: checkpoints, its public key, an export.", no_args_is_help=True)
app.add_typer(history_app, name="history")


@history_app.command("checkpoint")
def checkpoint(as_json: AsJson = False) -> None:
    """Sign the history as it stands, and bring the checkpoint to the authority, the archive and the witness."""
    from tasks.archival.checkpoints import keep_checkpoint

    operator("history checkpoint")
    kept = keep_checkpoint()
    show(kept, as_json=as_json, text=f"{kept.size} entries are signed")
    if kept.waits:
        raise Unavailable(f"still missing: {'; '.join(kept.waits)}")


@history_app.command("key")
def key() -> None:
    """Print the public key of this history, for whoever checks it."""
    from tasks.archival.checkpoints import verifier

    print(verifier())


@history_app.command("export")
def export(folder: Path, as_json: AsJson = False) -> None:
    """Write entries, checkpoints, key and the verifier into a new folder; no personal data is in it."""
    from tasks.archival.checkpoints import export_history

    operator("history export")
    if folder.exists():
        raise Forbidden(f"{folder} is there already.", rule="HISTORY", way_out="Name a new folder.")
    count = export_history(folder)
    check = f"python {folder}/verify_history.py export {folder} --key {folder}/key"
    text = f"{count} entries in {folder}; check them: {check}"
    show({"entries": count, "folder": str(folder)}, as_json=as_json, text=text)
