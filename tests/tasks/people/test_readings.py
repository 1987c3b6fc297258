"""Who looked at what is kept, cannot be changed, and is shown to whom may see it."""

from __future__ import annotations

import psycopg
import pytest

from tasks.people.rules import ACTS
from tests.world import World


def test_whoever_looks_at_a_dossier_is_kept_with_the_act_the_role_and_the_desk(world: World) -> None:
    office = world.office()
    code, other = world.received(office), world.received(office)
    assert world.type("show", code, by="mai").code == 0
    assert world.type("show", code, "--applicant", by="thu").code == 0
    assert world.type("show", other, by="mai").code == 0
    rows = world.type("readings", code, "--json", by="thu").json
    assert [(r["person"], r["role"], r["act"], r["address"]) for r in reversed(rows)] == [
        (f"{office}/mai", "clerk", "show", "127.0.0.1"),
        (f"{office}/thu", "supervisor", "show", "127.0.0.1"),
        (f"{office}/thu", "supervisor", "show --applicant", "127.0.0.1"),
    ]
    by_mai = world.type("readings", "--person", f"{office}/mai", "--json", by="thu").json
    assert {r["dossier"] for r in by_mai} == {code, other}
    # That somebody looked at the readings is one itself.
    with world.as_(office, "thu"):
        acts = [r["act"] for r in world.type("readings", "--json").json if r["person"] == f"{office}/thu"]
    assert acts.count("readings") >= 2


def test_auth_06_readings_are_shown_to_those_who_supervise_that_office_and_to_nobody_else(
    world: World,
) -> None:
    mine, theirs = world.office(), world.office()
    code = world.received(mine)
    assert world.type("show", code, by="mai").code == 0
    assert world.type("readings", code, by="mai").code == 1
    with world.as_(theirs, "thu"):
        assert world.type("readings", code, "--json").json == []
        assert world.type("readings", "--person", f"{mine}/mai", "--json").json == []


def test_a_refused_look_is_no_reading_but_a_refusal(world: World) -> None:
    mine, theirs = world.office(), world.office()
    code = world.received(mine)
    before = world.counts("reading")
    with world.as_(theirs, "mai"):
        assert world.type("show", code).code == 1
    assert world.counts("reading") == before


@pytest.mark.parametrize(
    "statement", ["update reading set reader = 'nobody'", "delete from reading", "truncate reading"]
)
def test_nobody_changes_or_deletes_what_was_read(world: World, statement: str) -> None:
    world.type("show", world.received(world.office()), by="mai")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), world.owner() as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def test_every_act_that_hands_out_what_is_kept_counts_as_a_reading() -> None:
    looks = {"show", "show --applicant", "paper", "document", "evidence", "list", "results", "signature", "register show",
             "register pdf", "registration rows", "registration export", "exchange show", "person list", "readings"}  # fmt: skip
    assert not [act for act in looks if not ACTS[act].reads]
