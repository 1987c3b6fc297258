"""Commands of the examiner: decline, ask for a supplement, withdraw, stop, resume."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli import app
from flows.cli.printing import AsJson, show
from flows.cli.private import Why, words
from tasks.certification import examining
from tasks.dossier.refusals import Refusal
from tasks.people.desk import logged_in

#: What the applicant reads as the reason in the letter.
QUESTION = "The reason, for the applicant's letter"


@app.command()
def decline(
    code: str,
    ordinal: Annotated[
        int | None, typer.Argument(help="Which original; without it the whole dossier.")
    ] = None,
    reason: Annotated[Refusal, typer.Option("--reason", help="R1–R6")] = ...,  # type: ignore[assignment]
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Decline one original, or a booked dossier as a whole, in writing."""
    actor = logged_in()
    explained = words(why, QUESTION, needed=False)
    if ordinal is None:
        examining.decline_dossier(code, reason, explained, by=actor)
    else:
        examining.decline_original(code, ordinal, reason, explained, by=actor)
    what = f"original {ordinal} declined" if ordinal else "declined"
    value = {"code": code, "original": ordinal, "reason": str(reason)}
    show(value, as_json=as_json, text=f"{code}  {what} ({reason})")


@app.command()
def ask(
    code: str,
    missing: Annotated[
        str,
        typer.Option(
            "--missing",
            metavar="FILE",
            help="Everything that is missing, in one sentence; - for standard input. Without it you are asked.",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Ask for a supplement; the clock stops."""
    examining.ask_for_supplement(code, words(missing, "Everything that is missing"), by=logged_in())
    show({"code": code, "stage": "SupplementAsked"}, as_json=as_json, text=f"{code}  supplement asked for")


@app.command()
def withdraw(code: str, why: Why = "", as_json: AsJson = False) -> None:
    """End a dossier at the applicant's wish."""
    examining.withdraw(code, words(why, QUESTION), by=logged_in())
    show({"code": code, "stage": "Withdrawn"}, as_json=as_json, text=f"{code}  withdrawn")


@app.command()
def stop(code: str, why: Why = "", as_json: AsJson = False) -> None:
    """Stop a dossier that cannot be resolved now (form 05)."""
    examining.stop(code, words(why, QUESTION), by=logged_in())
    show({"code": code, "stage": "Stopped"}, as_json=as_json, text=f"{code}  stopped")


@app.command()
def resume(code: str, why: Why = "", as_json: AsJson = False) -> None:
    """Go on with a stopped dossier."""
    examining.resume(code, words(why, QUESTION), by=logged_in())
    show({"code": code, "stage": "Received"}, as_json=as_json, text=f"{code}  goes on")
