"""Commands of those who run the system: causes, trying again, taking a lease away, maintenance; each with a reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer

from flows.cli import app
from flows.cli.printing import AsJson, OfficeOption, say, show, table
from flows.cli.private import Why, words
from infra.clock import HANOI
from infra.errors import Forbidden
from infra.services import services
from tasks.dossier.calendar import local
from tasks.health import maintaining, overriding
from tasks.people.acting import scope
from tasks.people.desk import logged_in

#: What whoever runs the system reads in the history.
QUESTION = "The reason, for the history"

maintenance = typer.Typer(help="Stop new work for a while, and let it go on.", no_args_is_help=True)
app.add_typer(maintenance, name="maintenance")


@app.command()
def causes(office: OfficeOption = None, as_json: AsJson = False) -> None:
    """List what dossiers wait for because something went wrong, those of one cause together."""
    me = logged_in()
    with services().database.transaction() as session:
        found = overriding.causes(session, scope(session, me, "causes", office=office))
    if as_json:
        show(found, as_json=True, text="")
        return
    rows = [(one.name, len(one.codes), one.since, one.codes[0], one.said) for one in found]
    table("Causes", ("cause", "dossiers", "since", "the oldest", "what was said"), rows)


@app.command()
def retry(
    code: Annotated[str, typer.Argument(metavar="[CODE]", help="The dossier; or give --cause.")] = "",
    cause: Annotated[
        str, typer.Option("--cause", help="Every dossier of this cause, as “hoso causes” names it.")
    ] = "",
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Try a dossier again, or all of one cause once the oldest was tried and the cause is gone; with a reason."""
    me = logged_in()
    if bool(code) == bool(cause):
        raise Forbidden(
            "say either one dossier or one cause.", rule="OPS-02", way_out="“hoso causes” lists the causes."
        )
    reason = words(why, QUESTION)
    if code:
        overriding.retry(code, reason, by=me)
        show({"code": code}, as_json=as_json, text=f"{code}  is tried again")
        return
    tell = (lambda _: None) if as_json else say
    codes = overriding.retry_cause(cause, reason, by=me, say=tell)
    text = f"the cause is gone; {len(codes)} dossiers are tried again"
    show({"cause": cause, "codes": codes}, as_json=as_json, text=text)


@app.command()
def release(code: str, why: Why = "", as_json: AsJson = False) -> None:
    """Take a dossier away from the worker that holds it, so that another takes it at once; with a reason."""
    held_by = overriding.release(code, words(why, QUESTION), by=logged_in())
    show({"code": code, "held_by": held_by}, as_json=as_json, text=f"{code}  was taken from {held_by}")


@maintenance.command("on")
def begin(
    until: Annotated[str, typer.Option("--until", help="HH:MM, today or tomorrow, as people are told.")],
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Refuse new acts from now on, with the reason and the time; workers finish what they have begun."""
    me = logged_in()
    told = maintaining.begin_maintenance(_at(until), words(why, "The reason, as people are told"), by=me)
    busy = maintaining.still_at_work()
    value = {"until": told, "still_at_work": busy}
    text = f"maintenance until about {local(told):%Y-%m-%d %H:%M}; workers are at {busy} dossiers still"
    show(value, as_json=as_json, text=text)


@maintenance.command("off")
def end(as_json: AsJson = False) -> None:
    """Let work go on."""
    ended = maintaining.end_maintenance(by=logged_in())
    show({"ended": ended}, as_json=as_json, text="work goes on" if ended else "there was no maintenance")


def _at(said: str) -> datetime:
    """Return the next moment at which the office's clock shows a time."""
    try:
        wanted = datetime.strptime(said, "%H:%M").time()
    except ValueError as error:
        raise Forbidden(f"“{said}” is not a time.", rule="OPS-01", way_out="Write it as 14:30.") from error
    here = local(services().clock.now())
    moment = datetime.combine(here.date(), wanted, tzinfo=HANOI)
    return moment if moment > here else moment + timedelta(days=1)
