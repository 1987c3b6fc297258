"""Commands about appointments: book, move, cancel, and the no-shows of the day."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated

import typer

from flows.cli import app
from flows.cli.desk import operator
from flows.cli.printing import AsJson, say, show
from flows.cli.private import Person, applicant
from infra.clock import HANOI
from infra.errors import Forbidden
from infra.services import services
from tasks.appointment import acts
from tasks.appointment.rules import next_slot
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.opening import Opening
from tasks.people.desk import logged_in

Office = Annotated[str, typer.Option("--office", help="Code of the office.")]
Procedure = Annotated[str, typer.Option("--procedure", help="Code of the procedure.")]
Channel = Annotated[list[str], typer.Option("--channel", help="portal, email or paper; may be repeated.")]
RequestId = Annotated[str | None, typer.Option("--request-id", help="The same id again opens nothing new.")]


def when(day: str, hour: str) -> datetime:
    """Return the moment that a date (YYYY-MM-DD) and an hour (HH:MM) name at the office."""
    try:
        return datetime.combine(date.fromisoformat(day), time.fromisoformat(hour), tzinfo=HANOI)
    except ValueError as error:
        raise Forbidden(
            f"“{day} {hour}” is not a date and an hour.",
            rule="CERT-04",
            way_out="Write them as 2026-11-23 and 08:30.",
        ) from error


@app.command()
def book(
    office: Office,
    person: Person = "",
    day: Annotated[str, typer.Option("--date", help="YYYY-MM-DD; without it the next slot is taken.")] = "",
    hour: Annotated[str, typer.Option("--hour", help="HH:MM")] = "",
    procedure: Procedure = "e-copy",
    channel: Channel = [],  # noqa: B006  typer reads the default, nobody changes it
    confidential: Annotated[bool, typer.Option(help="The result is never published.")] = False,
    request_id: RequestId = None,
    as_json: AsJson = False,
) -> None:
    """Book a slot and open the dossier; the applicant gets a confirmation."""
    opening = Opening(
        office=office,
        procedure=procedure,
        applicant=applicant(person),
        channels=tuple(channel),
        confidential=confidential,
        request_id=request_id,
    )
    me = logged_in()
    starts_at = when(day, hour) if day or hour else _next(office)
    booked = acts.book(opening, starts_at, by=me)
    for warning in booked.opened.warnings:
        say(f"Take care: {warning}.", colour="yellow") if not as_json else None
    value = {
        "code": booked.opened.code,
        "starts_at": booked.starts_at,
        "ends_at": booked.ends_at,
        "warnings": booked.opened.warnings,
        "repeated": booked.opened.repeated,
    }
    text = f"{booked.opened.code}  booked for {local(booked.starts_at):%Y-%m-%d %H:%M}, {booked.place}"
    show(value, as_json=as_json, text=text)


def _next(office_code: str) -> datetime:
    """Return the next slot of an office."""
    with services().database.transaction() as session:
        office = office_of(session, office_code)
    moment = services().clock.now()
    return next_slot(moment, office.calendar(), office.slot_minutes, now=moment)


@app.command()
def move(
    code: str,
    day: Annotated[str, typer.Option("--date", help="YYYY-MM-DD")],
    hour: Annotated[str, typer.Option("--hour", help="HH:MM")],
    as_json: AsJson = False,
) -> None:
    """Give a booked dossier another slot."""
    seat = acts.move_appointment(code, when(day, hour), by=logged_in())
    text = f"{code}  moved to {local(seat.starts_at):%Y-%m-%d %H:%M}"
    show({"code": code, "starts_at": seat.starts_at}, as_json=as_json, text=text)


@app.command()
def cancel(code: str, as_json: AsJson = False) -> None:
    """Cancel an appointment; its seat is free again."""
    acts.cancel(code, by=logged_in())
    show({"code": code, "stage": "Cancelled"}, as_json=as_json, text=f"{code}  cancelled")


@app.command("no-shows")
def no_shows(as_json: AsJson = False) -> None:
    """End the booked dossiers whose slot is over by an hour."""
    operator("no-shows")
    ended = acts.keep_no_shows()
    show(ended, as_json=as_json, text="\n".join(ended) or "nobody was missing")
