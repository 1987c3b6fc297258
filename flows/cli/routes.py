"""Commands about routes: which officials sign an original."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli import app
from flows.cli.printing import AsJson, show
from flows.cli.private import Why, words
from tasks.certification.routes import drop_step
from tasks.people.desk import logged_in

route_app = typer.Typer(
    help="Routes: which officials sign an original, in which order.", no_args_is_help=True
)
app.add_typer(route_app, name="route")


@route_app.command("drop")
def drop(
    code: str,
    ordinal: int,
    field: Annotated[str, typer.Argument(help="The step's field, as “hoso show” names it.")],
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Drop an optional step of an original's route before anybody has signed it; the page is made anew."""
    me = logged_in()
    reason = words(why, "Why the step is dropped")
    fresh = drop_step(code, ordinal, field, reason, by=me)
    text = f"{code}  original {ordinal} goes without {field}{'' if fresh else ', as before'}"
    show({"code": code, "original": ordinal, "field": field, "dropped": fresh}, as_json=as_json, text=text)


@route_app.callback()
def routes() -> None:
    """Keep “drop” a word of its own."""
