"""Commands about what the archive keeps: evidence for the citizen, holds, what is read by night, destruction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli import app
from flows.cli.printing import AsJson, show
from flows.cli.private import Why, words
from infra.services import services
from tasks.dossier import holds
from tasks.dossier.moves import hold
from tasks.people.acting import acting_on
from tasks.people.desk import logged_in

hold_app = typer.Typer(help="Legal holds: what stays, whatever its date.", no_args_is_help=True)
app.add_typer(hold_app, name="hold")


@app.command()
def evidence(
    code: str,
    out: Annotated[Path | None, typer.Option("--out", help="Where the ZIP file is written.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write one file for the citizen that proves an archived result: documents, timeline, proofs, a verifier."""
    from hashlib import sha256

    from tasks.archival.evidence import give_evidence

    made = give_evidence(code, by=logged_in())
    file = out or Path(f"{code}-evidence.zip")
    file.write_bytes(made)
    said = {"file": str(file), "size": len(made), "sha256": sha256(made).hexdigest()}
    show(said, as_json=as_json, text=f"{file}  {len(made)} bytes; its README.txt says how to check it")


@hold_app.command("place")
def place(code: str, why: Why = "", as_json: AsJson = False) -> None:
    """Keep a dossier from being destroyed or erased until the hold is released, in the store too."""
    me = logged_in()
    reason = words(why, "The decision or the case that asks for the hold")
    with services().database.transaction() as session:
        dossier = hold(session, code)
        placed = holds.place_hold(session, dossier, reason, by=acting_on(session, me, "hold place", dossier))
    text = "is held" if placed else "was held before"
    show({"code": code, "placed": placed}, as_json=as_json, text=f"{code}  {text}")


@hold_app.command("release")
def release(code: str, why: Why = "", as_json: AsJson = False) -> None:
    """End the hold on a dossier; its retention goes on as before."""
    me = logged_in()
    reason = words(why, "The decision that ends the hold")
    with services().database.transaction() as session:
        dossier = hold(session, code)
        ended = holds.release_hold(
            session, dossier, reason, by=acting_on(session, me, "hold release", dossier)
        )
    text = "is no longer held" if ended else "was not held"
    show({"code": code, "released": ended}, as_json=as_json, text=f"{code}  {text}")
