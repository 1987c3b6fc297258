"""Commands about who you are (login, logout, whoami, password) and about the people of an office (person …)."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from sqlmodel import Session, col, select

from flows.cli import app
from flows.cli.desk import administrator, secrets
from flows.cli.printing import AsJson, show, table
from infra.database import now
from infra.errors import Forbidden
from infra.private_file import write_private
from infra.services import services
from tasks.certificates.leaving import compare_with_people
from tasks.dossier.calendar import local
from tasks.dossier.looking import look, office_of
from tasks.dossier.moves import Actor
from tasks.dossier.offices import Role
from tasks.people import persons
from tasks.people.acting import acting, scope
from tasks.people.desk import log_out, logged_in
from tasks.people.rules import EVERY, Held
from tasks.people.tables import LoginRow, PersonRow

person_app = typer.Typer(help="The people of an office, and what they may do.", no_args_is_help=True)
app.add_typer(person_app, name="person")

Who = Annotated[str, typer.Argument(metavar="OFFICE/STAFF", help="Office and staff code: H49.21/mai")]
RoleOption = Annotated[str, typer.Option("--role", help=f"One of: {', '.join(get_args(Role))}")]
At = Annotated[
    str, typer.Option("--at", help="The office where it holds (default: the person's); * is every.")
]


def name_of(who: str) -> tuple[str, str]:
    """Return office and staff code of a person who is named as OFFICE/STAFF."""
    office, _, staff = who.partition("/")
    if not office or not staff:
        raise Forbidden(f"“{who}” names nobody.", rule="LOGIN-02", way_out="Write OFFICE/STAFF: H49.21/mai.")
    return office, staff


@app.command()
def login(
    who: Who,
    token: Annotated[bool, typer.Option("--token", help="Officials: by the token's signature.")] = False,
    password_fd: Annotated[int | None, typer.Option("--password-fd", help="Read the password there.")] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="A file of mode 0600.")
    ] = None,
    pin_fd: Annotated[int | None, typer.Option("--pin-fd", help="Read the token's PIN there.")] = None,
    pin_file: Annotated[Path | None, typer.Option("--pin-file", help="A file of mode 0600.")] = None,
    as_json: AsJson = False,
) -> None:
    """Log in at this desk, by your password, or as an official by your token."""
    office, staff = name_of(who)
    if token:
        row = _login_by_token(office, staff, secrets(["PIN: "], pin_fd, pin_file)[0])
    else:
        from tasks.people.logins import open_with_password

        row = open_with_password(office, staff, secrets(["Password: "], password_fd, password_file)[0])
    value = {"person": who, "until": row.expires_at}
    show(value, as_json=as_json, text=f"{who}  logged in until {local(row.expires_at):%Y-%m-%d %H:%M}")


def _login_by_token(office: str, staff: str, pin: str) -> LoginRow:
    """Let the official's token sign a challenge."""
    from tasks.certificates.challenges import challenge, open_with_signature
    from tasks.certificates.choosing import signing_certificates

    content = challenge(office, staff)
    with services().database.transaction() as session:
        rows = signing_certificates(session, office, staff)
    opened = services().open_token(rows[0].token_uri, pin=pin, certificate=rows[0].der)
    try:
        return open_with_signature(content, opened.sign(content))
    finally:
        opened.close()


@app.command()
def logout(as_json: AsJson = False) -> None:
    """Log out at this desk."""
    ended = log_out()
    show({"ended": ended}, as_json=as_json, text="logged out" if ended else "nobody was logged in")


@app.command()
def whoami(as_json: AsJson = False) -> None:
    """Say who is logged in at this desk, and in which roles."""
    me = logged_in()
    with services().database.transaction() as session:
        roles = persons.held(session, me.office, me.staff)
    value = {"person": f"{me.office}/{me.staff}", "roles": roles}
    show(value, as_json=as_json, text="\n".join([f"{me.office}/{me.staff}", *map(_said, roles)]))


@app.command()
def password(
    who: Who,
    secret_fd: Annotated[int | None, typer.Option("--secret-fd", help="Read both secrets there.")] = None,
    secret_file: Annotated[Path | None, typer.Option("--secret-file", help="A file of mode 0600.")] = None,
    as_json: AsJson = False,
) -> None:
    """Set your password: first line the enrolment code or the present password, second line the new one."""
    from tasks.people.logins import set_password

    office, staff = name_of(who)
    prompts = ["Enrolment code, or present password: ", "New password: "]
    proof, new = secrets(prompts, secret_fd, secret_file)
    set_password(office, staff, proof, new)
    show({"person": who}, as_json=as_json, text=f"{who}  password set; log in with it")


@app.command()
def readings(
    code: Annotated[str, typer.Argument(metavar="[CODE]", help="Only this dossier.")] = "",
    person: Annotated[str, typer.Option("--person", metavar="OFFICE/STAFF", help="Only this reader.")] = "",
    days: Annotated[int, typer.Option("--days", min=1, help="So many days back.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Say who looked at what, when, by which command, from which desk, at your offices; asking is kept too."""
    from tasks.people.readings import readings_of

    me = logged_in()
    reader = name_of(person) if person else None
    with services().database.transaction() as session:
        seen = scope(session, me, "readings")
        if code:
            look(session, code)
        rows = readings_of(session, seen, dossier=code or None, reader=reader, back=timedelta(days=days))
        found = [
            {
                "at": r.at,
                "person": f"{r.reader_office}/{r.reader}",
                "role": r.role,
                "act": r.act,
                "dossier": r.dossier,
                "office": r.office,
                "address": r.address,
            }
            for r in rows
        ]
    if as_json:
        show(found, as_json=True, text="")
    else:
        table(
            "Readings",
            ("when", "who", "role", "by", "dossier", "office", "desk"),
            [list(f.values()) for f in found],
        )


@person_app.command("list")
def list_people(
    office: Annotated[str | None, typer.Option("--office", help="Only this office.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the people of an office with their roles of today."""
    me = logged_in()
    with services().database.transaction() as session:
        seen = scope(session, me, "person list", office=office)
        query = select(PersonRow).order_by(col(PersonRow.office), col(PersonRow.staff))
        rows = [row for row in session.exec(query) if seen.allows(row.office, EVERY)]
        found = [(row, persons.held(session, row.office, row.staff)) for row in rows]
    if as_json:
        people = [
            {"office": p.office, "staff": p.staff, "name": p.name, "leaves_on": p.leaves_on, "roles": roles}
            for p, roles in found
        ]
        show(people, as_json=True, text="")
        return
    cells = [(f"{p.office}/{p.staff}", p.name, "; ".join(map(_said, r)), p.leaves_on) for p, r in found]
    table("People", ("person", "name", "roles today", "leaves"), cells)


@person_app.command()
def enrol(
    who: Who,
    code_file: Annotated[
        Path | None, typer.Option("--code-file", help="Write the code there (0600).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a one-time code by which a person of the office's file sets a password; it is shown once."""
    from tasks.people.logins import enrol as make_code

    office, staff = name_of(who)
    with services().database.transaction() as session:
        by = _changing(session, "person enrol", office)
        code, until = make_code(session, office, staff, by=by)
    if code_file is not None:
        write_private(code_file, code + "\n")
    shown = "" if code_file is not None else f"  {code}"
    value = {"person": who, "until": until} | ({} if code_file is not None else {"code": code})
    show(value, as_json=as_json, text=f"{who}{shown}  until {local(until):%Y-%m-%d %H:%M}")


@person_app.command()
def grant(
    who: Who,
    role: RoleOption,
    at: At = "",
    procedure: Annotated[str, typer.Option("--procedure", help="Only for this procedure.")] = EVERY,
    since: Annotated[str, typer.Option("--from", help="YYYY-MM-DD (default: today)")] = "",
    until: Annotated[str, typer.Option("--until", help="YYYY-MM-DD, the last day")] = "",
    as_json: AsJson = False,
) -> None:
    """Give a person a role, at an office, for a procedure, from a day to a day."""
    office, staff = name_of(who)
    if role not in get_args(Role):
        raise Forbidden(
            f"“{role}” is no role.", rule="AUTH-06", way_out=f"Roles are: {', '.join(get_args(Role))}."
        )
    with services().database.transaction() as session:
        by = _changing(session, "person grant", office, at or office)
        if (by.office, by.staff) == (office, staff):
            raise Forbidden(
                "nobody gives a role to themselves.", rule="AUTH-06", way_out="Ask another administrator."
            )
        if at and at != EVERY:
            office_of(session, at)
        given = Held(role=cast("Role", role), office=at or office, procedure=procedure)
        first = _day(since) or persons.today(session)
        persons.grant(session, office, staff, given, since=first, until=_day(until), by=by)
    show({"person": who, "role": given}, as_json=as_json, text=f"{who}  {_said(given)}")


@person_app.command()
def revoke(who: Who, role: RoleOption, at: At = "", as_json: AsJson = False) -> None:
    """Take a role away from a person, at once."""
    office, staff = name_of(who)
    with services().database.transaction() as session:
        by = _changing(session, "person revoke", office, at or office)
        ended = persons.revoke(session, office, staff, role, at or office, by=by)
        compare_with_people(session, office, by=by)
    text = f"{who}  is not {role} at {at or office} any more" if ended else f"{who}  was not {role} there"
    show({"person": who, "ended": ended}, as_json=as_json, text=text)


@person_app.command()
def leave(
    who: Who,
    on: Annotated[str, typer.Option("--on", help="YYYY-MM-DD, the first day without (default: today)")] = "",
    as_json: AsJson = False,
) -> None:
    """Say from which day on a person does not work here; what the person did stays."""
    office, staff = name_of(who)
    with services().database.transaction() as session:
        by = _changing(session, "person leave", office)
        day = _day(on) or local(now(session)).date()
        persons.leave(session, office, staff, day, by=by)
        compare_with_people(session, office, by=by)
    show({"person": who, "leaves_on": day}, as_json=as_json, text=f"{who}  leaves on {day}")


@person_app.command()
def unlock(who: Who, as_json: AsJson = False) -> None:
    """Let a person log in again who was locked out after too many wrong passwords."""
    from tasks.people.logins import unlock as lift

    office, staff = name_of(who)
    with services().database.transaction() as session:
        lifted = lift(session, office, staff, by=_changing(session, "person unlock", office))
    text = f"{who}  may log in again" if lifted else f"{who}  was not locked"
    show({"person": who, "lifted": lifted}, as_json=as_json, text=text)


def _changing(session: Session, act: str, *offices: str) -> Actor:
    """Return who may change people at all of these offices."""
    by = administrator(session, act, office=offices[0])
    for office in offices[1:]:
        if by.staff:
            acting(session, by, act, office=office)
    return by


def _day(said: str) -> date | None:
    """Return a day that was typed, or `None` for none."""
    try:
        return date.fromisoformat(said) if said else None
    except ValueError as error:
        raise Forbidden(
            f"“{said}” is not a date.", rule="AUTH-06", way_out="Write it as 2026-11-23."
        ) from error


def _said(role: Held) -> str:
    """Return a role in words."""
    where = "every office" if role.office == EVERY else role.office
    return f"{role.role} at {where}" + ("" if role.procedure == EVERY else f" for {role.procedure}")
