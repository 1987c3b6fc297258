"""Commands about a registration round as a whole: open it, name its units, say who has answered."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import app
from flows.cli.printing import AsJson, say, show, table
from infra.clock import HANOI
from infra.errors import Forbidden
from infra.services import services
from infra.sheets import read_rows
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor
from tasks.people.acting import acting
from tasks.people.desk import logged_in
from tasks.registration import answers, rounds
from tasks.registration.form_sets import Subject, shipped_form_sets
from tasks.registration.round_data import UnitData, read_round, read_units

registration_app = typer.Typer(
    help="Registration rounds: units ask for certificates, one office collects the lists.",
    no_args_is_help=True,
)
app.add_typer(registration_app, name="registration")

Kind = Annotated[str, typer.Option("--for", help="individual or organisation.")]


@registration_app.command("forms")
def list_forms(as_json: AsJson = False) -> None:
    """List the sets of forms that are known, and from when they hold."""
    sets = shipped_form_sets()
    text = "\n".join(f"{s.code}  {s.title}  {s.effective_from} – {s.effective_until or 'now'}" for s in sets)
    show([s.model_dump(mode="json") for s in sets], as_json=as_json, text=text)


@registration_app.command("open")
def open_round(file: Path, as_json: AsJson = False) -> None:
    """Open a round from its file: letter, legal basis, deadline, official domains, units."""
    logged_in()
    data = read_round(file)
    forms = rounds.open_round(data, by=_opens(data.office))
    value = {"round": data.code, "forms": forms.code, "deadline": data.deadline, "units": len(data.units)}
    text = f"{data.code}  open until {local(data.deadline):%Y-%m-%d %H:%M}, {len(data.units)} units, forms {forms.code}"
    show(value, as_json=as_json, text=text)


@registration_app.command("extend")
def extend_round(
    code: str,
    deadline: Annotated[str, typer.Option("--deadline", help="The new one: 2026-12-25T17:00, Hà Nội time.")],
    decision: Annotated[str, typer.Option("--decision", help="Number of the decision.")],
    as_json: AsJson = False,
) -> None:
    """Give all units of a round more time, by a decision."""
    by = actor_of(code, "extend")
    moment = moment_of(deadline)
    rounds.extend_round(code, moment, decision, by=by)
    value = {"round": code, "deadline": moment}
    show(value, as_json=as_json, text=f"{code}  open until {local(moment):%Y-%m-%d %H:%M}")


@registration_app.command("units")
def add_units(code: str, file: Path, as_json: AsJson = False) -> None:
    """Add or correct the units that must answer, from a CSV or XLSX file with code, name and mailbox."""
    by = actor_of(code, "units")
    _add_units(code, read_units(read_rows(content_of(file))), by, as_json=as_json)


@registration_app.command("unit")
def add_unit(
    code: str,
    unit: str,
    name: Annotated[str, typer.Option("--name", help="The unit's name.")],
    mailbox: Annotated[str, typer.Option("--mailbox", help="Its official mailbox, for reminders.")] = "",
    managed_by: Annotated[
        str, typer.Option("--managed-by", help="The agency that confirms for it, if it has no seal.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Add or correct one unit that must answer."""
    by = actor_of(code, "units")
    one = _unit_data(unit, name, mailbox, managed_by)
    _add_units(code, [one], by, as_json=as_json)


@registration_app.command("template")
def write_template(
    code: str,
    out: Annotated[Path, typer.Option("--out", help="Where to write the .xlsx.")],
    kind: Kind = "individual",
) -> None:
    """Write the empty workbook that a unit fills in."""
    from tasks.registration.workbooks import template

    content = template(code, subject_of(kind))
    out.write_bytes(content)
    say(f"{out}  {len(content)} bytes")


@registration_app.command("status")
def round_status(code: str, as_json: AsJson = False) -> None:
    """Say who has answered, late or not at all, and how many certificates were asked for and issued."""
    actor_of(code, "status")
    found = answers.status_of(code)
    if as_json:
        show(found, as_json=True, text="")
        return
    say(f"{code}  {found.name}, until {local(found.deadline):%Y-%m-%d %H:%M}")
    say("units: " + ", ".join(f"{count} {name}" for name, count in found.answers.items()))
    for name in ("asked", "issued", "expiring"):
        counts = ", ".join(f"{count} {subject}" for subject, count in getattr(found, name).items())
        say(f"{name}: {counts or 'none'}")
    shown = [
        (u.code, u.name, u.answer, u.answered_at, ", ".join(f"{n} {s}" for s, n in u.rows.items()))
        for u in found.units
    ]
    table("units", ("code", "name", "answer", "answered", "rows"), shown)


@registration_app.command("reminders")
def reminders(
    code: str,
    out: Annotated[Path, typer.Option("--out", help="Where to write the .csv.")],
) -> None:
    """Write the mail list of the units that have not answered yet."""
    from tasks.registration.workbooks import reminder_list

    actor_of(code, "reminders")
    text, count = reminder_list(answers.status_of(code))
    out.write_text(text, encoding="utf-8", newline="")
    say(f"{out}  {count} units")


@registration_app.command("erase")
def erase_round(code: str, as_json: AsJson = False) -> None:
    """Erase what a round says of people, when the time of its forms is over; prints what stays, and by which rule."""
    from tasks.registration.erasing import erase

    gone = erase(code, by=logged_in())
    lines = [f"{code}  {gone.rows} versions of rows and {gone.remarks} remarks erased; what stays:"]
    lines += [f"  {what} [{rule}]" for what, rule in gone.stays]
    show({"round": code, **asdict(gone)}, as_json=as_json, text="\n".join(lines))


def _add_units(code: str, units: list[UnitData], by: Actor, *, as_json: bool) -> None:
    """Add units and say how many are new."""
    new = rounds.add_units(code, units, by=by)
    show({"round": code, "named": len(units), "new": new}, as_json=as_json, text=f"{code}  {new} new units")


def _unit_data(unit: str, name: str, mailbox: str, managed_by: str) -> UnitData:
    """Return a unit from options."""
    try:
        return UnitData(code=unit.upper(), name=name, mailbox=mailbox, managed_by=managed_by)
    except ValueError as error:
        raise Forbidden(
            f"“{unit}” with the name “{name}” is no unit.",
            rule="CER-12",
            way_out="A code has capital letters, digits, dots and hyphens; every unit has a name.",
        ) from error


def actor_of(code: str, act: str) -> Actor:
    """Return who is logged in as one who may do this with the rounds of the office that collects (AUTH-06)."""
    me = logged_in()
    with services().database.transaction() as session:
        return acting(session, me, f"registration {act}", office=rounds.look_round(session, code).office)


def _opens(office: str) -> Actor:
    """Return who is logged in as one who may open a round of an office (AUTH-06)."""
    me = logged_in()
    with services().database.transaction() as session:
        return acting(session, me, "registration open", office=office_of(session, office).code)


def subject_of(kind: str) -> Subject:
    """Return a kind of subject; refuses other words."""
    if kind == "individual":
        return "individual"
    if kind == "organisation":
        return "organisation"
    raise Forbidden(f"“{kind}” is no kind.", rule="CER-12", way_out="Use individual or organisation.")


def moment_of(text: str) -> datetime:
    """Return a point in time; without a zone it is Hà Nội's."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Forbidden(f"“{text}” is no time.", rule="CER-12", way_out="Write 2026-12-25T17:00.") from None
    return moment if moment.utcoffset() is not None else moment.replace(tzinfo=HANOI)


def content_of(file: Path) -> bytes:
    """Return a file's bytes; refuses one that is not there."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise Forbidden(
            f"{file} cannot be read.", rule="LIST-01", way_out="Give the path of a file that is there."
        ) from error
