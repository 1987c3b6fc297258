"""A round's personal data goes when its time is over; the round, its proofs and what was signed stay."""

from __future__ import annotations

from typing import Any

import pytest

from infra.errors import Forbidden
from tasks.registration.entries import take_list
from tasks.registration.erasing import erase
from tasks.registration.rounds import look_round
from tests.tasks.registration.lists import round_in, rows_of, somebody_of
from tests.world import VECTORS, World, refused

PERSONAL = ("registration_person", "history_payload")


@pytest.fixture
def kept(world: World) -> tuple[str, str]:
    """An office, and its round with two rows of which one was rejected with a reason."""
    office = world.office()
    code = round_in(world, office)
    take_list(code, "TTVH", "individual", rows_of([somebody_of(1), somebody_of(2)]), by=world.officer(office))
    row = world.ask("select min(id) from registration_entry where round = :c", c=code)[0][0]
    said = world.type("registration", "reject", code, row, "--why", VECTORS / "reason.txt", by="mai")
    assert said.code == 0, said.err
    return office, code


def years_pass(world: World, code: str) -> None:
    """Let everything in a round lie three years back."""
    for table, column, where in (
        ("registration_round", "deadline", "code"),
        ("registration_entry", "changed_at", "round"),
    ):
        world.put(
            f"update {table} set {column} = {column} - interval '3 years' where {where} = :c",  # noqa: S608
            c=code,
        )


def personal(world: World, code: str) -> tuple[Any, ...]:
    """Return how much is known of people in a round, in its rows and beside the history."""
    rows = world.ask("select count(*) from registration_person where round = :c", c=code)
    beside = world.ask(
        "select count(*) from history_payload where subject = sha256(convert_to('registration/' || :c, 'UTF8'))",
        c=code,
    )
    return rows[0][0], beside[0][0]


def test_private_02_before_its_time_nothing_is_erased(world: World, kept: tuple[str, str]) -> None:
    _, code = kept
    before = personal(world, code)
    said = world.type("registration", "erase", code, by="thu")
    assert (said.code, "[PRIVATE-02]" in said.err) == (1, True)
    assert "24 months" in said.err
    assert personal(world, code) == before == (2, 1)


def test_after_its_time_the_people_are_gone_and_every_proof_holds(
    world: World, kept: tuple[str, str]
) -> None:
    office, code = kept
    years_pass(world, code)
    hashes = world.ask(
        "select v.entry, v.version, v.commitment from registration_version v join registration_entry e on e.id = v.entry"
        " where e.round = :c order by 1, 2",
        c=code,
    )
    said = world.type("registration", "erase", code, by="thu")
    assert said.code == 0, said.err
    assert "2 versions of rows and 1 remarks erased" in said.out
    assert "[SIG-12]" in said.out
    assert personal(world, code) == (0, 0)
    told = world.told(f"registration/{code}")[-1]
    assert (told["event"], told["rows"], told["remarks"]) == ("registration:erased", 2, 1)
    assert (
        world.ask(
            "select v.entry, v.version, v.commitment from registration_version v join registration_entry e on e.id = v.entry"
            " where e.round = :c order by 1, 2",
            c=code,
        )
        == hashes
    )
    status = world.type("registration", "status", code, "--json", by="mai").json
    assert status["answers"]
    again = world.type("registration", "erase", code, by="thu")
    assert (again.code, "0 versions" in again.out) == (0, True)
    assert len([e for e in world.told(f"registration/{code}") if e["event"] == "registration:erased"]) == 1
    refusal = refused(
        Forbidden,
        lambda: take_list(
            code,
            "TTVH",
            "individual",
            rows_of([somebody_of(3)]),
            by=world.officer(office),
            late_decision="1/QĐ",
        ),
    )
    assert "was erased" in str(refusal)


def test_what_still_waits_on_a_list_is_not_erased(world: World, kept: tuple[str, str]) -> None:
    office, code = kept
    years_pass(world, code)
    world.put("update registration_entry set state = 'Sent' where round = :c and state <> 'Rejected'", c=code)
    refusal = refused(Forbidden, lambda: erase(code, by=world.officer(office, "thu", "supervisor")))
    assert (refusal.rule, "stand on a list" in str(refusal)) == ("CER-15", True)
    with world.parts.database.transaction() as session:
        assert look_round(session, code).erased_at is None


def test_auth_06_a_clerk_may_not_erase(world: World, kept: tuple[str, str]) -> None:
    _, code = kept
    years_pass(world, code)
    before = personal(world, code)
    said = world.type("registration", "erase", code, by="mai")
    assert (said.code, "[AUTH-06]" in said.err) == (1, True)
    assert personal(world, code) == before
