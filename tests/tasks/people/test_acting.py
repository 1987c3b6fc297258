"""
Every command asks for its act: tried by every role, at the own and at another office, for one procedure and another.

What is expected comes from `vectors/acts.yaml`, not from the code.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.services import using
from tasks.appointment.acts import book
from tasks.dossier.moves import SYSTEM, Actor
from tasks.dossier.opening import Opening
from tasks.people.acting import NotAllowed, acting, acting_on, scope
from tasks.people.persons import grant, load_people, today
from tasks.people.rules import EVERY, WITHOUT_LOGIN, Held
from tests.test_docs import commands
from tests.world import RETURN, VECTORS, World, refused, somebody

REASON = str(VECTORS / "reason.txt")
COLLECTOR = str(VECTORS / "collector.yaml")
NOBODY = str(VECTORS / "nobody.yaml")

EXPECTED: dict[str, dict[str, str]] = yaml.safe_load((VECTORS / "acts.yaml").read_text(encoding="utf-8"))

#: Every act about one dossier, as it is typed.
TYPED: dict[str, tuple[str, ...]] = {
    "move": ("move", "CODE", "--date", "2027-01-04", "--hour", "08:00"),
    "cancel": ("cancel", "CODE"),
    "receive": ("receive", "CODE"),
    "supply": ("supply", "CODE"),
    "pay": ("pay", "CODE", "--receipt", "BL"),
    "examine": ("examine", "CODE", "1"),
    "correct": ("correct", "CODE", "1", "--kind", REASON),
    "decline": ("decline", "CODE", "1", "--reason", "R1"),
    "ask": ("ask", "CODE", "--missing", REASON),
    "withdraw": ("withdraw", "CODE", "--why", REASON),
    "stop": ("stop", "CODE", "--why", REASON),
    "resume": ("resume", "CODE", "--why", REASON),
    "postpone": ("postpone", "CODE", "--days", "1", "--why", REASON),
    "give-back": ("give-back", "CODE", "--why", REASON),
    "route drop": ("route", "drop", "CODE", "1", "official_1", "--why", REASON),
    "leave-out": ("leave-out", "CODE", "1", "--why", REASON),
    "hand-over": ("hand-over", "CODE", "--collector", COLLECTOR),
    "redirect": ("redirect", "CODE", "--channel", "email"),
    "confirm": ("confirm", "CODE", "--channel", "email"),
    "resend": ("resend", "CODE"),
    "erase": ("erase", "CODE", "--dry-run"),
    "withdraw-result": ("withdraw-result", "CODE", "1", "--why", REASON),
    "archive": ("archive", "CODE"),
    "retry": ("retry", "CODE", "--why", REASON),
    "release": ("release", "CODE", "--why", REASON),
    "show": ("show", "CODE"),
    "signature": ("signature", "CODE", "1"),
    "show --applicant": ("show", "CODE", "--applicant"),
    "paper": ("paper", "CODE", "--out", "OUT"),
    "document": ("document", "CODE", "1", "--out", "OUT"),
    "evidence": ("evidence", "CODE", "--out", "OUT"),
    "batch run": (
        "batch",
        "run",
        "certification",
        "--office",
        "OFFICE",
        "--procedure",
        "PROCEDURE",
        "--dry-run",
    ),
    "order check": (
        "order",
        "check",
        "OUT",
        "--folder",
        "OUT",
        "--office",
        "OFFICE",
        "--procedure",
        "PROCEDURE",
    ),
    "order place": (
        "order",
        "place",
        "OUT",
        "--folder",
        "OUT",
        "--office",
        "OFFICE",
        "--procedure",
        "PROCEDURE",
    ),
    "hold place": ("hold", "place", "CODE", "--why", REASON),
    "hold release": ("hold", "release", "CODE", "--why", REASON),
    "book": ("book", "--office", "OFFICE", "--procedure", "PROCEDURE", "--applicant", NOBODY),
}

#: Those that are about a whole office or several dossiers; each has a test of its own here or beside its stage.
SPANNING = {"sign", "list", "board", "results", "evidence-calendar"}
SPANNING |= {"batch list", "batch show", "batch retry", "order list"}
SPANNING |= {"findings", "repair", "causes", "readings", "maintenance on", "maintenance off"}
SPANNING |= {"no-shows", "project", "probe", "standing make", "reconcile", "fixity"}
SPANNING |= {"history checkpoint", "history export", "deploy", "drain"}

ROLES = ("clerk", "official", "supervisor", "administrator", "auditor", "portal")


@pytest.fixture(scope="module")
def places(running_world: World) -> dict[str, Any]:
    """Two offices with a dossier of either procedure in each, and somebody in every role, restricted and not."""
    world = running_world
    with using(world.parts):
        offices = {"own": world.office(), "other": world.office()}
        dossiers = {
            (where, procedure): opened(world, office, procedure)
            for where, office in offices.items()
            for procedure in ("e-copy", RETURN)
        }
        for role in ROLES:
            for restricted in (True, False):
                employ(world, offices["own"], role, restricted=restricted)
        return {"offices": offices, "dossiers": dossiers}


def opened(world: World, office: str, procedure: str) -> str:
    """Return a dossier of a procedure that is booked in an office."""
    opening = Opening(office=office, procedure=procedure, applicant=somebody(), channels=("email",))
    return book(opening, world.slot(office), by=world.officer(office, "cong", "portal")).opened.code


def staff_of(role: str, *, restricted: bool) -> str:
    """Return the staff code of somebody in a role."""
    return f"{role}-{'one' if restricted else 'all'}"


def employ(world: World, office: str, role: str, *, restricted: bool) -> None:
    """Let somebody work in a role, for one procedure or for all."""
    staff = staff_of(role, restricted=restricted)
    world.put(
        "insert into person (office, staff, name, post, identity, email, joined_at)"
        " values (:o, :s, :s, :s, '', '', clock_timestamp())",
        o=office,
        s=staff,
    )
    with world.parts.database.transaction() as session:
        given = Held(role=role, office=office, procedure="e-copy" if restricted else EVERY)
        since = today(session)
        grant(session, office, staff, given, since=since, until=None, by=Actor(role="engineer"))


def refusals(world: World) -> int:
    """Return how many refusals the history holds."""
    return int(world.ask("select count(*) from history_entry where entry like '%\"act:refused\"%'")[0][0])


@pytest.mark.parametrize("restricted", [True, False], ids=["e-copy", "every"])
@pytest.mark.parametrize("role", ROLES)
def test_auth_06_each_command_about_a_dossier_is_allowed_to_the_expected_roles_there_only(
    world: World, places: dict[str, Any], tmp_path: Path, role: str, restricted: bool
) -> None:
    staff, wrong = staff_of(role, restricted=restricted), []
    before = refusals(world)
    for (where, procedure), code in places["dossiers"].items():
        for act, words in TYPED.items():
            named = {"CODE": code, "OUT": str(tmp_path / "out"), "PROCEDURE": procedure}
            named["OFFICE"] = places["offices"][where]
            with world.as_(places["offices"]["own"], staff):
                said = world.type(*(named.get(word, word) for word in words))
            after = refusals(world)
            allowed = role in EXPECTED[act]["roles"].split() and where == "own"
            allowed = allowed and (not restricted or procedure == "e-copy")
            told = "may not “" in said.err
            if allowed == told or after - before != (0 if allowed else 1):
                wrong.append((act, where, procedure, said))
            before = after
    assert wrong == []


def test_every_act_of_a_command_is_tried_and_every_command_is_an_act_public_or_the_machine_s() -> None:
    groups = (
        "person",
        "office",
        "procedure",
        "lives",
        "registration",
        "certificate",
        "token",
        "post",
        "mandate",
        "seal",
        "correction",
        "register",
        "exchange",
        "destruction",
        "report",
    )
    elsewhere = {act for act in EXPECTED if act.split()[0] in groups}
    known = set(TYPED) | SPANNING | elsewhere
    assert set(EXPECTED) - known == set()
    unknown = {name for name in commands() if name not in EXPECTED and name not in WITHOUT_LOGIN}
    assert unknown == set()
    assert set(WITHOUT_LOGIN) <= set(commands())
    assert set(WITHOUT_LOGIN) & set(EXPECTED) == set()


@pytest.mark.parametrize("role", ROLES)
def test_lists_and_counts_show_what_lies_within_the_roles_and_nothing_else(
    world: World, places: dict[str, Any], role: str
) -> None:
    own = places["offices"]["own"]
    dossiers = {
        (where, procedure): opened(world, office, procedure)
        for where, office in places["offices"].items()
        for procedure in ("e-copy", RETURN)
    }
    reads = role in EXPECTED["list"]["roles"].split()
    for restricted in (True, False):
        with world.as_(own, staff_of(role, restricted=restricted)):
            listed = world.type("list", "--json")
            elsewhere = world.type("list", "--office", places["offices"]["other"], "--json")
            table = world.type("register", places["offices"]["other"], "--json")
            everything = world.type("results", "--all", "--json")
        assert listed.code == (0 if reads else 1)
        assert (elsewhere.code, table.code) == (1, 1)
        assert everything.code == (0 if reads else 1)
        if reads:
            seen = {row["code"] for row in listed.json if row["code"] in dossiers.values()}
            procedures = ("e-copy",) if restricted else ("e-copy", RETURN)
            assert seen == {dossiers["own", procedure] for procedure in procedures}
            assert {row["office"] for row in listed.json} <= {own}


def test_results_registers_and_tasks_at_the_counter_are_scoped_too(world: World) -> None:
    ours, theirs = world.office(), world.office()
    codes = {office: world.signed(office) for office in (ours, theirs)}
    for office, code in codes.items():
        world.put(
            "insert into counter_task (dossier, kind, ordinal, reason, opened_at)"
            " values (:c, 'x', 0, :c, clock_timestamp())",
            c=code,
        )
        with world.as_(office, "mai"):
            results = world.type("results", "--all", "--json").json
            assert [row["dossier"] for row in results] == [code]
            lines = world.type("register", office, "--json").json
            assert [line["dossier"] for line in lines] == [code]
            assert "1 certified" in world.type("register", office).out
            said = world.type("list").out
            assert [other for other in codes.values() if other in said] == [code]


def test_a_supervisor_of_two_offices_sees_both_and_an_auditor_of_every_office_all(world: World) -> None:
    ours, theirs = world.office(), world.office()
    codes = {world.booked(office) for office in (ours, theirs)}
    assert (
        world.type("person", "grant", f"{ours}/thu", "--role", "supervisor", "--at", theirs, by="an").code
        == 1
    )
    granted = world.type("person", "grant", f"{ours}/thu", "--role", "supervisor", "--at", theirs, by=None)
    assert granted.code == 0, granted.err
    everywhere = world.type("person", "grant", f"{ours}/kiem", "--role", "auditor", "--at", "*", by=None)
    assert everywhere.code == 0, everywhere.err
    for staff in ("thu", "kiem"):
        with world.as_(ours, staff):
            assert codes <= {row["code"] for row in world.type("list", "--json").json}


def test_a_role_counts_from_its_first_day_to_its_last(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    day = world.parts.clock.now().astimezone().date()
    for since, until, counts in (
        (day - timedelta(days=9), day - timedelta(days=2), False),
        (day + timedelta(days=2), day + timedelta(days=9), False),
        (day - timedelta(days=2), day + timedelta(days=2), True),
    ):
        words = ("--from", since, "--until", until)
        granted = world.type("person", "grant", f"{office}/an", "--role", "auditor", *words, by=None)
        assert granted.code == 0, granted.err
        assert (world.type("show", code, by="an").code == 0) == counts


def test_nobody_gives_a_role_to_themselves_and_a_clerk_gives_none(world: World) -> None:
    office = world.office()
    for by in ("an", "mai", "thu"):
        said = world.type("person", "grant", f"{office}/{by}", "--role", "official", by=by)
        assert (said.code, "[AUTH-06]" in said.err) == (1, True)
    assert world.type("person", "grant", f"{office}/lam", "--role", "king", by="an").code == 1
    assert world.type("person", "grant", f"{office}/nobody", "--role", "clerk", by="an").code == 1


def test_a_role_that_was_taken_away_allows_nothing_more_at_once(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    assert world.type("show", code, by="mai").code == 0
    assert world.type("person", "revoke", f"{office}/mai", "--role", "clerk", by="an").code == 0
    said = world.type("show", code, by="mai")
    assert (said.code, "[AUTH-06]" in said.err) == (1, True)


def test_the_office_s_file_gives_and_ends_roles_and_somebody_it_does_not_name_leaves(world: World) -> None:
    from tasks.dossier.looking import office_of

    office = world.office()
    engineer = Actor(role="engineer")

    def load(**changes: dict[str, object]) -> None:
        """Load the office anew with changes of some people; `None` takes one out."""
        with world.parts.database.transaction() as session:
            data = office_of(session, office)
            people = [
                p.model_copy(update=changes[p.staff]) if p.staff in changes else p for p in data.officers
            ]
            load_people(session, data.model_copy(update={"officers": tuple(people)}), by=engineer)

    def roles(staff: str) -> set[tuple[str, str]]:
        """Return somebody's roles of today, and for which procedures."""
        shown = world.type("person", "list", "--office", office, "--json", by="an").json
        found = next(person for person in shown if person["staff"] == staff)
        return {(role["role"], role["procedure"]) for role in found["roles"]}

    before = world.counts("history_entry")
    load()
    assert world.counts("history_entry") == before
    assert roles("mai") == {("clerk", EVERY)}
    load(mai={"roles": frozenset({"clerk", "auditor"}), "procedures": frozenset({"e-copy"})})
    assert roles("mai") == {("clerk", "e-copy"), ("auditor", "e-copy")}
    with world.parts.database.transaction() as session:
        data = office_of(session, office)
        fewer = tuple(p for p in data.officers if p.staff != "mai")
        load_people(session, data.model_copy(update={"officers": fewer}), by=engineer)
    assert roles("mai") == set()
    assert "person:left" in world.events(f"person/{office}/mai")
    load()
    assert roles("mai") == {("clerk", EVERY)}


def test_the_same_staff_code_of_another_office_is_another_person(world: World) -> None:
    ours, theirs = world.office(), world.office()
    code = world.frozen(theirs)
    written = world.type("sign", "--list", "--office", theirs, "--only", code, "--json", by="ha").json
    with world.as_(ours, "ha"):
        said = world.type("sign", "--list", "--office", theirs)
        assert (said.code, "[AUTH-06]" in said.err) == (1, True)
        said = world.type("sign", "--manifest", written["digest"], "--pin-file", "/dev/null")
        assert (said.code, f"not for {ours}/ha" in said.err) == (1, True)
        assert "[AUTH-06]" in world.type("leave-out", code, 1, "--why", REASON).err


def test_a_refusal_names_the_role_that_is_needed_and_is_in_the_history_of_the_dossier(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    said = world.type("leave-out", code, 1, "--why", REASON, by="mai")
    assert (
        said.err.splitlines()[0]
        == f"No: {code}: {office}/mai may not “leave-out” at {office} for e-copy. [AUTH-06]"
    )
    assert "official" in said.err
    entry = world.told(code)[-1]
    assert {k: entry[k] for k in ("event", "act", "office", "procedure", "rule", "needs")} == {
        "event": "act:refused", "act": "leave-out", "office": office, "procedure": "e-copy",
        "rule": "AUTH-06", "needs": ["official"],
    }  # fmt: skip
    assert entry["actor"]["id_hash"] == world.officer(office).facts()["id_hash"]


def test_whoever_reads_personal_data_is_in_the_history_before_it_is_shown(
    world: World, tmp_path: Path
) -> None:
    office = world.office()
    person = somebody(name="Trần Thị Sen", telephone="0900 000 777")
    code = world.frozen(office, applicant=person)
    assert "0900 000 777" not in world.type("show", code).out
    shown = world.type("show", code, "--applicant", by="thu")
    assert "0900 000 777" in shown.out
    assert world.type("document", code, 1, "--out", tmp_path / "d.pdf").code == 0
    world.carry(code)
    assert world.type("paper", code, "--out", tmp_path / "p.pdf").code == 0
    reads = [e for e in world.told(code) if e["event"].endswith(":read")]
    assert [e["event"] for e in reads] == ["applicant:read", "document:read", "paper:read"]
    assert [e["actor"]["role"] for e in reads] == ["supervisor", "clerk", "clerk"]
    assert reads[1]["doc"]["kind"] == "frozen"
    # Who only looks at where it stands is not.
    assert world.type("status", code, by=None).code == 0


def test_the_program_does_by_itself_only_what_the_table_says(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    with world.parts.database.transaction() as session:
        assert acting_on(session, SYSTEM, "archive", world.dossier(code)) == SYSTEM
        for act in ("withdraw", "sign", "fly"):
            refused(NotAllowed, lambda a=act: acting(session, SYSTEM, a, office=office))  # type: ignore[misc]
        for actor in (
            Actor(role="clerk"),
            Actor(role="engineer"),
            Actor(role="system", staff="mai", office="H49.X"),
        ):
            refused(NotAllowed, lambda a=actor: acting(session, a, "withdraw", office=office))  # type: ignore[misc]
            refused(NotAllowed, lambda a=actor: scope(session, a, "list"))  # type: ignore[misc]
