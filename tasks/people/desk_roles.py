"""
Database roles for desks: PostgreSQL itself shows a desk the rows of its own office, and nothing else.

A desk's role is a member of `hoso_desk`. What that group may do in which table, and which rows it sees there,
is the one table below; a table that is not in it does not exist for a desk. `hoso migrate` puts it into the
database, so that the tables of later releases are covered by the release that brings them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

from infra.database import Database, connection_url
from infra.errors import Forbidden
from infra.history.recording import record
from infra.services import services
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor

GROUP = "hoso_desk"

_ENGINEER = Actor(role="engineer").facts()

#: The office of the desk that asks: by the role that logged in, whatever it calls itself later.
_OWN = "(select hoso_desk_office())"


@dataclass(frozen=True, slots=True)
class Wall:
    """What a desk may do in a table, and which rows there are for it."""

    may: str
    rows: str
    #: Which rows it may write, when that is not the same.
    writes: str = ""


def _office(may: str) -> Wall:
    """Rows that name their office."""
    return Wall(may, f"office = {_OWN}")


def _dossier(may: str) -> Wall:
    """Rows that belong to a dossier; the dossiers that the desk sees are its own already."""
    return Wall(may, "dossier in (select d.code from dossier d)")


def _round(may: str) -> Wall:
    """Rows that belong to a registration round; the rounds that the desk sees are its own already."""
    return Wall(may, "round in (select r.code from registration_round r)")


def _entry(may: str) -> Wall:
    """Rows that belong to a row of a round."""
    return Wall(may, "entry in (select e.id from registration_entry e)")


def _exchanged(may: str) -> Wall:
    """Rows that belong to an exchanged document; those that the desk sees are its own already."""
    return Wall(may, "document in (select e.code from exchange_document e)")


_WRITE = "select, insert, update"

#: The subjects of the history's entries that are a desk's own: its dossiers, its office, its people, its lists,
#: its rounds.
_SUBJECTS = f"""subject in (
    select sha256(convert_to(d.code, 'UTF8')) from dossier d
    union all select sha256(convert_to({_OWN}, 'UTF8'))
    union all select sha256(convert_to(e.code, 'UTF8')) from exchange_document e
    union all select sha256(convert_to('person/' || p.office || '/' || p.staff, 'UTF8')) from person p
    union all select sha256(convert_to('list/' || l.digest, 'UTF8')) from sign_list l
    union all select sha256(convert_to('registration/' || r.code, 'UTF8')) from registration_round r)"""  # noqa: S608  Nothing in it comes from outside.

#: Every table that a desk knows. People, roles, posts, mandates, certificates are read and never written there.
WALLS: Mapping[str, Wall] = {
    "office": Wall("select", f"code = {_OWN}"),
    "procedure": Wall("select", "true"),
    "certificate": _office("select"),
    "certificate_request": _office("select"),
    "revocation_task": _office("select"),
    "token": _office("select"),
    "token_hand_over": Wall("select", "token in (select t.serial from token t)"),
    "person": _office("select"),
    "person_role": _office("select"),
    "post": _office("select"),
    "holding": _office("select"),
    "holding_end": Wall("select", "holding in (select h.id from holding h)"),
    "mandate": _office("select"),
    "mandate_end": Wall("select", "mandate in (select m.id from mandate m)"),
    "seal_keeper": _office("select"),
    "credential": _office(_WRITE),
    "login_try": _office(_WRITE),
    # Who looked is written at a desk and read by those who supervise, elsewhere.
    "reading": Wall("insert", "false", f"reader_office = {_OWN}"),
    "maintenance": Wall("select", "true"),
    "enrolment": _office("select, update"),
    "login": _office(_WRITE),
    "login_challenge": _office(_WRITE),
    "dossier": _office(_WRITE),
    "day_counter": _office(_WRITE),
    "applicant": _dossier(_WRITE),
    "appointment": _office(_WRITE),
    "original": _dossier(_WRITE),
    "dropped_step": _dossier("select, insert"),
    "document": _dossier(_WRITE),
    "payment": _dossier(_WRITE),
    "notice": _dossier(_WRITE),
    "counter_task": _dossier(_WRITE),
    "status_report": _dossier("select, insert"),
    "outbox": _dossier(_WRITE),
    "command": Wall("select, insert", "answer in (select d.code from dossier d)"),
    "register_book": _office("select"),
    "register_entry": _office("select, update"),
    "sign_list": _office(_WRITE),
    "listed_document": _dossier(_WRITE),
    "signature": _dossier(_WRITE),
    "lift": _dossier("select"),
    "preservation": _dossier("select"),
    "bulk_order": _office(_WRITE),
    "bulk_order_row": _dossier("select, insert"),
    "delivery_leg": _dossier(_WRITE),
    "publication": _dossier("select, update"),
    "sent_copy": _dossier("select, insert"),
    "standing_change": _dossier("select, insert"),
    "correction": _dossier(_WRITE),
    "register_lock": _office("select, insert"),
    "register_paper": _office("select, insert"),
    "register_signature": Wall(_WRITE, "paper in (select p.id from register_paper p)"),
    "package": _dossier("select"),
    "archived_object": _dossier("select"),
    "legal_hold": _dossier(_WRITE),
    "registration_round": _office(_WRITE),
    "registration_unit": _round(_WRITE),
    "registration_entry": _round(_WRITE),
    "registration_version": _entry("select, insert"),
    "registration_person": _round(_WRITE),
    "registration_list": _round(_WRITE),
    "registration_paper": _round("select, insert"),
    "registration_signature": _round(_WRITE),
    # Certificates are put on record where those of people are, and not at a desk.
    "registration_certificate": _entry("select"),
    "exchange_organisation": Wall("select, insert, update", "true"),
    "exchange_counter": _office(_WRITE),
    "exchange_document": _office(_WRITE),
    "exchange_file": _exchanged("select, insert"),
    "exchange_recipient": _exchanged(_WRITE),
    "exchange_status": _exchanged("select, insert"),
    "exchange_message": _office(_WRITE),
    "exchange_arrival": _office("select"),
    "promised_time": Wall(
        "select",
        "subject in (select d.code from dossier d"
        " union all select 'registration/' || r.code from registration_round r)",
    ),
    "fee_taken": _dossier("select"),
    "deadline_alert": _dossier("select, update"),
    # A report on every office is made where people of every office may, and not at a desk.
    "report": Wall("select, insert", f"office = {_OWN} and about = {_OWN}"),
    "report_paper": Wall("select, insert", "report in (select r.number from report r)"),
    "report_signature": Wall("select", "report in (select r.number from report r)"),
    "destruction_list": _office("select"),
    "destruction_item": _dossier("select"),
    "history_head": Wall("select, update", "true"),
    # Nothing is signed while the history has not been stamped for too long. A checkpoint names no dossier.
    "history_checkpoint": Wall("select", "true"),
    "history_entry": Wall("select, insert", _SUBJECTS, "true"),
    # What is kept beside the history is written at a desk and never read there.
    "history_payload": Wall("insert", "false", "true"),
}


def raise_walls(connection: Connection) -> None:
    """
    Put the table above into the database, as the owner of the tables; doing it again changes nothing.

    A table that is walled lets `hoso_app` see everything, as before, and nobody else but `hoso_desk` anything.
    """
    there = set(
        connection.execute(text("select tablename from pg_tables where schemaname = 'public'")).scalars()
    )
    walls = {name: wall for name, wall in WALLS.items() if name in there}
    mark = hashlib.sha256(repr(sorted(walls.items())).encode()).hexdigest()
    known = text("select obj_description('desk_role'::regclass)")
    if "desk_role" not in there or connection.execute(known).scalar() == mark:
        return
    for name, wall in walls.items():
        for statement in _statements(name, wall):
            connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"comment on table desk_role is '{mark}'")


def _statements(name: str, wall: Wall) -> list[str]:
    """Return the statements that wall one table."""
    statements = [
        f"alter table {name} enable row level security",
        f"drop policy if exists app on {name}",
        f"drop policy if exists desk on {name}",
        f"create policy app on {name} to hoso_app using (true) with check (true)",
        f"create policy desk on {name} to {GROUP} using ({wall.rows}) with check ({wall.writes or wall.rows})",
        f"revoke all on {name} from {GROUP}",
        f"grant {wall.may} on {name} to {GROUP}",
    ]
    if "insert" in wall.may:
        sequences = (
            f"do $$ declare s text; begin for s in select pg_get_serial_sequence('{name}', attname)"  # noqa: S608
            f" from pg_attribute where attrelid = '{name}'::regclass and attnum > 0 and not attisdropped loop"
            f" if s is not null then execute 'grant usage on sequence ' || s || ' to {GROUP}'; end if;"
            " end loop; end $$"
        )
        statements.append(sequences)
    return statements


def role_name(office: str) -> str:
    """
    Return the name of the database role of an office's desks.

    >>> role_name("H49.21")
    'hoso_desk_h49_21'
    """
    return f"{GROUP}_{office.lower().replace('.', '_')}"


def make_desk(office: str, password: str) -> str:
    """
    Make the database role of an office's desks, or give it another password; return its name.

    Needs the administrator's credential, because it makes a role. The password is kept by PostgreSQL as
    SCRAM-SHA-256 and travels in no log: it is a value of the statement's block, not of the statement.
    """
    name = role_name(office)
    with _administrator().transaction() as session:
        office_of(session, office)
        taken = text("select office from desk_role where role = :role")
        other = session.connection().execute(taken, {"role": name}).scalar()
        if other is not None and other != office:
            raise Forbidden(
                f"the role {name} belongs to {other}.",
                rule="AUTH-06",
                way_out="Office codes that differ in a dot only cannot have roles of their own.",
            )
        session.connection().execute(
            text("select set_config('hoso.role', :r, true), set_config('hoso.secret', :s, true)"),
            {"r": name, "s": password},
        )
        session.connection().execute(text(_MAKE))
        keep = text("insert into desk_role (role, office) values (:r, :o) on conflict do nothing")
        session.connection().execute(keep, {"r": name, "o": office})
        record(session, office, {"event": "desk:made", "actor": _ENGINEER, "office": office})
    return name


#: Makes the role, or lets it log in again; it may do nothing but what the group may, and make no other role.
_MAKE = f"""
do $$ declare name text := current_setting('hoso.role'); begin
    if not exists (select from pg_roles where rolname = name) then
        execute format('create role %I nosuperuser nocreatedb nocreaterole noreplication nobypassrls', name);
    end if;
    execute format('alter role %I login password %L', name, current_setting('hoso.secret'));
    execute format('grant {GROUP} to %I', name);
    execute format('grant connect on database %I to %I', current_database(), name);
end $$
"""


def end_desk(office: str) -> bool:
    """Let an office's desks log in no more, and end the connections that are open; return whether they could."""
    name = role_name(office)
    with _administrator().transaction() as session:
        known = text("select rolcanlogin from pg_roles where rolname = :r")
        if not session.connection().execute(known, {"r": name}).scalar():
            return False
        session.connection().exec_driver_sql(f'alter role "{name}" nologin')
        ended = text("select pg_terminate_backend(pid) from pg_stat_activity where usename = :r")
        session.connection().execute(ended, {"r": name})
        record(session, office, {"event": "desk:ended", "actor": _ENGINEER, "office": office})
    return True


def _administrator() -> Database:
    """Return the database as the one who may make roles; refuses a machine that does not hold the credential."""
    chosen = services().settings
    try:
        url = connection_url(chosen.database_admin_url, chosen.database_admin_password_file)
    except OSError as error:
        raise Forbidden(
            "this machine does not hold the password of the database's administrator.",
            rule="AUTH-06",
            way_out="Do it where “hoso migrate” runs.",
        ) from error
    return Database(url, pooled=False)
