"""A desk with a database role of its office: PostgreSQL itself keeps it to the rows of that office."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from infra.services import using
from tasks.people.desk_roles import WALLS, role_name
from tasks.registration.answers import confirm, submit
from tasks.registration.entries import take_list
from tasks.registration.lists import consolidate
from tasks.registration.sealing import sign_list_page
from tests.tasks.registration.lists import deadline_passes, round_in, rows_of, somebody_of
from tests.world import VECTORS, Said, World

SECRET = "the password of a desk"

#: The round of the office whose dossier is given, in SQL.
_THEIR_ROUND = "'R-' || replace(split_part(%s, '-', 1), '.', '-') || '-1'"


@dataclass(frozen=True)
class Desk:
    """An office, its database role, a dossier of its own and one of another office."""

    world: World
    office: str
    theirs: str
    own_code: str
    their_code: str
    password: Path

    def connect(self) -> psycopg.Connection:
        """Connect as the desk's role."""
        url = make_url(self.world.settings.database_url)
        return psycopg.connect(
            host=url.host, port=url.port, dbname=url.database, user=role_name(self.office), password=SECRET
        )

    def refused(self, statement: str, *values: object) -> bool:
        """Whether the database refuses a statement, or lets it change no row."""
        with self.connect() as connection:
            try:
                done = connection.execute(statement, values)  # type: ignore[arg-type]
            except psycopg.errors.InsufficientPrivilege:
                return True
            finally:
                connection.rollback()
            return done.rowcount == 0

    def type(self, *words: object, staff: str = "mai") -> Said:
        """Type a command at this desk, which has no other password of the database than its own."""
        url = make_url(self.world.settings.database_url).set(username=role_name(self.office))
        with self.world.as_(self.office, staff):
            return self.world.hoso(
                *words,
                HOSO_DATABASE_URL=url.render_as_string(hide_password=False),
                HOSO_DATABASE_PASSWORD_FILE=str(self.password),
                HOSO_DATABASE_OWNER_PASSWORD_FILE="/nonexistent",
                HOSO_DATABASE_ADMIN_PASSWORD_FILE="/nonexistent",
            )


def collected(world: World, office: str, number: int) -> None:
    """A registration round of an office whose one list is signed by its official."""
    code, by = round_in(world, office), world.officer(office)
    take_list(code, "TTVH", "individual", rows_of([somebody_of(number)]), by=by)
    submit(code, "TTVH", "1/A", by=by)
    confirm(code, "TTVH", "2/A", world.parts.clock.now().date(), by=by)
    deadline_passes(world, code)
    consolidate(code, "individual", "12/DS", by=by, official="lam")
    sign_list_page(code, 1, world.signer(office, "lam"))


@pytest.fixture(scope="module")
def desk(running_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk of one office beside another office, both with everything that an office has."""
    world, password = running_world, tmp_path_factory.mktemp("desk") / "password"
    password.write_text(SECRET + "\n")
    password.chmod(0o600)
    with using(world.parts):
        office, theirs = world.office(), world.office()
        made = world.type("desk", "make", office, "--password-file", password)
        assert made.code == 0, made.err
        assert made.out == f"{office}  {role_name(office)}\n"
        own, other = world.frozen(office), world.signed(theirs)
        for place, number in ((office, 1), (theirs, 2)):
            collected(world, place, number)
        assert world.type("sign", "--list", "--office", theirs, by="ha").code == 1
        yield Desk(world, office, theirs, own, other, password)
        assert world.type("desk", "end", office).code == 0


def test_a_desk_sees_its_own_rows_and_none_of_another_office(desk: Desk) -> None:
    with desk.connect() as connection:
        for table in WALLS:
            if "select" not in WALLS[table].may or table in ("procedure", "history_head"):
                continue
            rows = [row[0] for row in connection.execute(f"select t::text from {table} t")]  # type: ignore[arg-type]
            assert [row for row in rows if desk.theirs in row] == [], table
        for table in (
            "dossier",
            "applicant",
            "original",
            "document",
            "person",
            "credential",
            "history_entry",
            "registration_round",
            "registration_unit",
            "registration_entry",
            "registration_version",
            "registration_person",
            "registration_list",
            "registration_paper",
            "registration_signature",
        ):
            theirs = desk.world.ask(f"select count(*) from {table}")[0][0]
            ours = connection.execute(f"select count(*) from {table}").fetchone()  # type: ignore[arg-type]
            assert ours is not None
            assert (ours[0] > 0) == (table != "credential")
            assert ours[0] < theirs or table == "credential"


@pytest.mark.parametrize(
    "statement",
    [
        "update dossier set stage = 'Archived' where code = %s",
        "update applicant set name = 'x' where dossier = %s",
        "update original set standing = 'valid' where dossier = %s",
        "delete from dossier where code = %s",
        "insert into counter_task (dossier, kind, ordinal, reason, opened_at) values (%s, 'x', 0, 'x', now())",
        "insert into outbox (dossier, asked, done, asked_at, not_before, attempts, fence) values (%s, 1, 0, now(), now(), 0, 0) on conflict (dossier) do update set asked = 9",
        "update register_entry set state = 'void' where dossier = %s",
        f"update registration_person set content = '{{}}' where round = {_THEIR_ROUND}",
        f"insert into registration_unit (round, code, place, name, mailbox, managed_by, nothing) values ({_THEIR_ROUND}, 'X', 9, 'X', '', '', false)",
    ],
)
def test_a_desk_writes_nothing_of_another_office(desk: Desk, statement: str) -> None:
    before = desk.world.dossier(desk.their_code)
    assert desk.refused(statement, desk.their_code)
    assert desk.world.dossier(desk.their_code) == before


def test_a_desk_cannot_move_its_own_rows_to_another_office(desk: Desk) -> None:
    assert desk.refused("update dossier set office = %s where code = %s", desk.theirs, desk.own_code)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into person (office, staff, name, post, identity, email, joined_at) values ('{office}', 'evil', '', '', '', '', now())",
        "update person set leaves_on = null",
        "insert into person_role (office, staff, role, at, procedure, from_on, source) values ('{office}', 'mai', 'official', '{office}', '*', current_date, 'file')",
        "update person_role set role = 'official'",
        "insert into mandate select * from mandate",
        "insert into holding select * from holding",
        "update certificate set token_uri = ''",
        "update office set body = '{{}}'",
        "update procedure set body = '{{}}'",
        "insert into enrolment select repeat('0', 64), office, staff, now(), null from person",
        "delete from credential",
        "delete from registration_person",
        "update registration_version set commitment = ''",
        "insert into registration_certificate select id, 'x', 'x', 'x', now(), now(), now() from registration_entry",
        "delete from history_entry",
        "update history_entry set entry = ''",
        "select content from history_payload",
        "select * from desk_role",
        "update desk_role set office = '{theirs}'",
        "insert into desk_role values ('x', '{theirs}')",
        "select * from alembic_version",
        "delete from history_checkpoint",
        "update history_checkpoint set size = 0",
        "create table mine (x int)",
        "create role another login",
        "alter table dossier disable row level security",
        "set role hoso_app",
        "set role hoso_owner",
        "set session authorization hoso_app",
        "copy dossier to program 'id'",
    ],
)
def test_a_desk_cannot_change_who_people_are_what_they_may_or_what_it_is(desk: Desk, statement: str) -> None:
    before = desk.world.counts("person", "person_role", "mandate", "holding", "enrolment")
    assert desk.refused(statement.format(office=desk.office, theirs=desk.theirs))
    assert desk.world.counts("person", "person_role", "mandate", "holding", "enrolment") == before


def test_a_desk_s_commands_work_for_its_own_office_and_not_for_another(desk: Desk, tmp_path: Path) -> None:
    office, scan = desk.office, tmp_path / "1.jpg"
    scan.write_bytes(desk.world.scan)
    applicant = ("--applicant", VECTORS / "sen.yaml")

    def done(*words: object, staff: str = "mai") -> str:
        """Return what a command printed that must succeed."""
        said = desk.type(*words, staff=staff)
        assert said.code == 0, (words, said.err)
        return said.out

    code = done("book", "--office", office, *applicant).split()[0]
    done("receive", code, "--original", "Giấy", scan)
    done("pay", code, "--receipt", "BL-1")
    done("show", code, "--applicant")
    done("list")
    done("register", office)
    done("decline", code, 1, "--reason", "R1")
    listed = done("sign", "--list", "--only", desk.own_code, "--json", staff="ha")
    assert desk.own_code in listed
    done("leave-out", desk.own_code, 1, "--why", VECTORS / "reason.txt", staff="ha")
    done("examine", desk.own_code, 1)
    done("whoami")
    round_code = f"R-{office.replace('.', '-')}-1"
    form = tmp_path / "form.yaml"
    form.write_text("".join(f"{k}: {v}\n" for k, v in somebody_of(9).items()), encoding="utf-8")
    done("registration", "enter", round_code, "YTE", "--form", form, "--late-decision", "5/QĐ")
    done("registration", "rows", round_code)
    done("registration", "status", round_code)
    other = desk.type("registration", "rows", f"R-{desk.theirs.replace('.', '-')}-1")
    assert (other.code, "[CER-12]" in other.err) == (1, True)
    other = desk.type("show", desk.their_code)
    assert (other.code, "[DOS-01]" in other.err) == (1, True)
    other = desk.type("book", "--office", desk.theirs, *applicant)
    assert (other.code, "[ORG-05]" in other.err) == (1, True)
    assert f"Known offices: {office}." in other.err
    number = done("report", "make", office, "2026-02", staff="thu").split()[1]
    done("report", "check", number, staff="thu")
    other = desk.type("report", "make", desk.theirs, "2026-02", staff="thu")
    assert (other.code, "[AUTH-06]" in other.err) == (1, True)
    assert desk.type("list", "--json").json
    assert all(row["office"] == office for row in desk.type("list", "--json").json)


def test_a_desk_lets_people_of_its_office_log_in_and_counts_their_failures(
    desk: Desk, tmp_path: Path
) -> None:
    office, world = desk.office, desk.world
    enrolled = world.type("person", "enrol", f"{office}/thu", "--json", by="an")
    secret = tmp_path / "secret"
    secret.write_text(f"{enrolled.json['code']}\nbốn con ngựa trên đồi\n")
    secret.chmod(0o600)
    assert desk.type("password", f"{office}/thu", "--secret-file", secret).code == 0
    secret.write_text("a wrong password\n")
    failed = desk.type("login", f"{office}/thu", "--password-file", secret)
    assert (failed.code, "[LOGIN-02]" in failed.err) == (1, True)
    count = world.ask("select failures from login_try where office = :o and staff = 'thu'", o=office)
    assert count[0][0] == 1


def test_a_desk_that_was_ended_is_shut_out_and_made_again_comes_back(desk: Desk) -> None:
    world = desk.world
    assert world.type("desk", "end", desk.office).code == 0
    with pytest.raises(psycopg.OperationalError):
        desk.connect()
    assert world.type("desk", "end", desk.office).out == f"{desk.office}  had no desks to shut out\n"
    assert world.type("desk", "make", desk.office, "--password-file", desk.password).code == 0
    with desk.connect() as connection:
        assert connection.execute("select hoso_desk_office()").fetchone() == (desk.office,)
    told = [entry["event"] for entry in world.told(desk.office)]
    assert [event for event in told if event.startswith("desk:")] == ["desk:made", "desk:ended", "desk:made"]


def test_the_application_s_own_role_sees_every_office_as_before(desk: Desk) -> None:
    assert {row[0] for row in desk.world.ask("select code from dossier")} >= {desk.own_code, desk.their_code}


def test_a_role_of_no_desk_sees_no_row(desk: Desk) -> None:
    with desk.world.owner() as connection:
        connection.execute("delete from desk_role where office = %s", (desk.office,))
        connection.commit()
        try:
            with desk.connect() as mine:
                assert mine.execute("select count(*) from dossier").fetchone() == (0,)
        finally:
            connection.execute("insert into desk_role values (%s, %s)", (role_name(desk.office), desk.office))
            connection.commit()
