"""The command that erases what is personal about a dossier, or says what would go and what stays."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli import app
from flows.cli.printing import AsJson, say, show, table
from tasks.people.desk import logged_in


@app.command()
def erase(
    code: str,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what goes, what stays, and under which rule.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Erase contact data, words and working files of a dossier whose period is over; say what stays and why."""
    from tasks.erasure.erasing import erase as do
    from tasks.erasure.erasing import look_at_erasure

    me = logged_in()
    plan = look_at_erasure(code, by=me) if dry_run else do(code, by=me)
    value = {
        "code": code,
        "due": plan.due,
        "goes": plan.goes,
        "stays": [{"what": kept.what, "rule": kept.rule} for kept in plan.stays],
        "waits": plan.waits,
        "done": plan.done or not dry_run,
    }
    if as_json:
        show(value, as_json=True, text="")
        return
    tense = "Goes" if dry_run and not plan.done else "Gone"
    table(f"{tense} of {code}", ("what", "how many"), list(plan.goes.items()))
    table("Stays", ("what", "rule"), [(kept.what, kept.rule) for kept in plan.stays])
    if plan.waits:
        say(f"not now: {plan.waits}")
