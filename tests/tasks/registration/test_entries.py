"""A unit's list is taken as a whole or not at all, corrected by identity, and nobody is in a round twice."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

import pytest
import rfc8785

from infra.errors import Forbidden
from infra.history import commit_to
from infra.history.recording import entries
from tasks.registration.answers import confirm, reject, status_of, submit
from tasks.registration.entries import Taken, read_rows_of, take_list
from tasks.registration.lifecycle import State
from tasks.registration.rounds import extend_round
from tests.tasks.registration.lists import agency_of, deadline_passes, round_in, rows_of, somebody_of
from tests.world import World, refused


def told(world: World, code: str) -> list[dict[str, object]]:
    with world.parts.database.transaction() as session:
        return [json.loads(entry.content) for entry in entries(session, f"registration/{code}")]


def take(world: World, code: str, people: list[dict[str, str]], unit: str = "TTVH", **more: object) -> Taken:
    office = world.ask("select office from registration_round where code = :c", c=code)[0][0]
    return take_list(code, unit, "individual", rows_of(people), by=world.officer(office), **more)  # type: ignore[arg-type]


def states(world: World, code: str) -> list[str]:
    return [
        r[0] for r in world.ask("select state from registration_entry where round = :c order by id", c=code)
    ]


def test_good_rows_become_drafts_and_the_same_list_again_changes_nothing(world: World) -> None:
    code = round_in(world, world.office())
    people = [somebody_of(n) for n in range(3)]
    first = take(world, code, people)
    before = world.picture()
    second = take(world, code, people)
    assert (first.new, first.kept, second.new, second.unchanged) == (3, True, 0, 3)
    after = world.picture()
    assert {name for name in before if before[name] != after[name]} <= {"history_entry", "history_head"}
    assert states(world, code) == ["Draft"] * 3


def test_one_bad_row_takes_nothing_unless_the_good_ones_may_be_taken(world: World) -> None:
    code = round_in(world, world.office())
    people = [somebody_of(1), somebody_of(2, email="x@gmail.com"), somebody_of(3)]
    found = take(world, code, people)
    assert (found.kept, found.refused, states(world, code)) == (False, 1, [])
    found = take(world, code, people, accept_good_rows=True)
    assert (found.kept, found.new, found.refused, states(world, code)) == (True, 2, 1, ["Draft"] * 2)
    assert [(r.row, r.code) for r in found.reasons] == [(3, "domain")]
    assert [e["event"] for e in told(world, code)] == [
        "registration:opened", "registration:rows-refused", "registration:rows-taken",
    ]  # fmt: skip
    assert told(world, code)[1]["rules"] == {"CER-14": 1}


def test_a_list_with_no_good_row_takes_nothing_even_then(world: World) -> None:
    code = round_in(world, world.office())
    assert not take(world, code, [somebody_of(1, email="x@gmail.com")], accept_good_rows=True).kept


def test_a_correction_replaces_by_identity_makes_a_draft_again_and_keeps_what_was(world: World) -> None:
    office = world.office()
    code, by = round_in(world, office), world.officer(office)
    take(world, code, [somebody_of(1), somebody_of(2)])
    submit(code, "TTVH", "12/TTVH", by=by)
    found = take(world, code, [somebody_of(1, post="Giám đốc")])
    assert (found.new, found.corrected) == (0, 1)
    assert states(world, code) == ["Draft", "Submitted"]
    rows = read_rows_of(code, by=by)
    assert [(r.version, r.values["post"]) for r in rows] == [(2, "Giám đốc"), (1, "Trưởng phòng")]
    versions = world.ask("select version from registration_version where entry = :e order by 1", e=rows[0].id)
    assert [v[0] for v in versions] == [1, 2]


def test_the_history_names_rows_by_a_hash_that_can_be_computed_again_and_holds_nobody(world: World) -> None:
    code = round_in(world, world.office())
    person = somebody_of(77)
    take(world, code, [person])
    entry, content, salt = world.ask(
        "select entry, content, salt from registration_person where round = :c", c=code
    )[0]
    commitment = commit_to(rfc8785.dumps(content), bytes(salt)).hex()
    said = told(world, code)[-1]
    assert said["rows_sha256"] == hashlib.sha256(rfc8785.dumps([[entry, 1, commitment]])).hexdigest()
    written = json.dumps(told(world, code), ensure_ascii=False)
    assert not any(person[name] in written for name in ("name", "identity", "email", "telephone"))


def test_cer_14_two_units_do_not_register_the_same_person(world: World) -> None:
    code = round_in(world, world.office())
    take(world, code, [somebody_of(1)])
    found = take(world, code, [somebody_of(1)], "YTE")
    assert [r.code for r in found.reasons] == ["other-unit", "mailbox-taken"] or [
        r.code for r in found.reasons
    ] == ["other-unit"]
    assert "TTVH" in found.reasons[0].message


def test_who_was_rejected_may_be_brought_by_another_unit_or_again_by_the_same(world: World) -> None:
    office = world.office()
    code, by = round_in(world, office), world.officer(office)
    take(world, code, [somebody_of(1), somebody_of(2)])
    first, second = (r.id for r in read_rows_of(code, by=by))
    assert reject(code, first, "không thuộc đơn vị", by=by) == State.DRAFT
    assert reject(code, first, "không thuộc đơn vị", by=by) == State.REJECTED
    assert take(world, code, [somebody_of(1)], "YTE").new == 1
    assert [r.code for r in take(world, code, [somebody_of(1)]).reasons] == ["other-unit"]
    reject(code, second, "sai chức vụ", by=by)
    found = take(world, code, [somebody_of(2)])
    assert (found.new, found.corrected) == (0, 1)
    assert "không thuộc" not in json.dumps(told(world, code), ensure_ascii=False)


def test_two_imports_of_one_unit_at_once_give_every_person_once(world: World) -> None:
    code = round_in(world, world.office())
    people = [somebody_of(n) for n in range(20)]
    done = world.at_once([lambda: take(world, code, people) for _ in range(4)])
    assert sorted(one.new for one in done if isinstance(one, Taken)) == [0, 0, 0, 20]
    assert len(states(world, code)) == 20


def test_two_units_that_bring_the_same_people_at_once_do_not_share_anybody(world: World) -> None:
    code = round_in(world, world.office())
    people = [somebody_of(n) for n in range(20)]
    done = world.at_once([lambda u=u: take(world, code, people, u) for u in ("TTVH", "YTE")])  # type: ignore[misc]
    assert sorted(one.kept for one in done if isinstance(one, Taken)) == [False, True]
    assert (
        world.ask("select count(distinct unit) from registration_entry where round = :c", c=code)[0][0] == 1
    )


def test_the_database_itself_refuses_a_second_live_row_of_a_person(world: World) -> None:
    code = round_in(world, world.office())
    take(world, code, [somebody_of(1)])
    copy = (
        "insert into registration_person select entry + 1000000, version, round, subject, identity, 'x', live, salt, "
        "content, remark from registration_person where round = :c"
    )
    with pytest.raises(Exception, match="ux_registration_identity"):
        world.put(copy, c=code)


def test_the_application_cannot_change_what_a_row_said_once(world: World) -> None:
    code = round_in(world, world.office())
    take(world, code, [somebody_of(1)])
    for statement in ("update registration_version set version = 9", "delete from registration_entry"):
        with pytest.raises(Exception, match="permission denied"):
            world.put(statement)


# The deadline.


def test_cer_12_a_late_list_needs_a_decision_which_then_holds_for_the_unit(world: World) -> None:
    office = world.office()
    code, by = round_in(world, office), world.officer(office)
    deadline_passes(world, code)
    error = refused(Forbidden, lambda: take(world, code, [somebody_of(1)]))
    assert isinstance(error, Forbidden)
    assert (error.rule, states(world, code)) == ("CER-12", [])
    assert take(world, code, [somebody_of(1)], late_decision="15/QĐ-UBND").kept
    submit(code, "TTVH", "12/TTVH", by=by)
    refused(Forbidden, lambda: submit(code, "YTE", "1/YTE", nothing=True, by=by))
    assert "registration:late-allowed" in [e["event"] for e in told(world, code)]
    assert {u.code: u.answer for u in status_of(code).units} == {
        "TTVH": "late", "TDTT": "overdue", "YTE": "overdue",
    }  # fmt: skip


def test_a_deadline_moves_on_and_never_back(world: World) -> None:
    office = world.office()
    code, by = round_in(world, office), world.officer(office)
    deadline_passes(world, code)
    later = world.parts.clock.now() + timedelta(days=1)
    extend_round(code, later, "16/QĐ-UBND", by=by)
    assert take(world, code, [somebody_of(1)]).kept
    refused(Forbidden, lambda: extend_round(code, later - timedelta(hours=1), "17/QĐ-UBND", by=by))


# Answers.


def test_rep_09_the_status_says_who_answered_with_how_many_rows(world: World) -> None:
    office = world.office()
    code, by = round_in(world, office), world.officer(office)
    take(world, code, [somebody_of(1), somebody_of(2)])
    take_list(code, "TTVH", "organisation", rows_of([agency_of(1)], "organisation"), by=by)
    submit(code, "TTVH", "12/TTVH", by=by)
    submit(code, "YTE", "3/YTE", nothing=True, by=by)
    confirm(code, "TTVH", "20/TTVH", world.parts.clock.now().date(), by=by)
    take(world, code, [somebody_of(3)])
    found = status_of(code)
    assert found.answers == {"answered": 2, "late": 0, "open": 1, "overdue": 0}
    assert found.asked == {"individual": 3, "organisation": 1}
    assert {u.code: dict(u.rows) for u in found.units} == {
        "TTVH": {"Draft": 1, "Confirmed": 3}, "TDTT": {}, "YTE": {},
    }  # fmt: skip
    assert [u.nothing for u in found.units] == [False, False, True]


def test_an_answer_without_rows_and_a_confirmation_without_an_answer_are_refused(world: World) -> None:
    office = world.office()
    code, by = round_in(world, office), world.officer(office)
    today = world.parts.clock.now().date()
    before = world.picture()
    refused(Forbidden, lambda: submit(code, "TTVH", "1/A", by=by))
    refused(Forbidden, lambda: confirm(code, "TTVH", "1/A", today, by=by))
    refused(Forbidden, lambda: submit(code, "KHONGCO", "1/A", nothing=True, by=by))
    refused(Forbidden, lambda: reject(code, 1, "x", by=by))
    assert world.picture() == before
    take(world, code, [somebody_of(1)])
    refused(Forbidden, lambda: submit(code, "TTVH", "1/A", nothing=True, by=by))
    submit(code, "TTVH", "1/A", by=by)
    refused(Forbidden, lambda: confirm(code, "TTVH", "1/A", today + timedelta(days=2), by=by))
    assert states(world, code) == ["Submitted"]


def test_reading_rows_is_in_the_history(world: World) -> None:
    office = world.office()
    code, by = round_in(world, office), world.officer(office)
    take(world, code, [somebody_of(1)])
    assert read_rows_of(code, unit="TTVH", by=by)[0].values["name"] == somebody_of(1)["name"]
    assert (told(world, code)[-1]["event"], told(world, code)[-1]["rows"]) == ("registration:rows-read", 1)
