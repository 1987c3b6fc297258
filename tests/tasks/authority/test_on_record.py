"""Putting posts and mandates on record: by commands and from the office's file, added and never edited."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from sqlalchemy.exc import DBAPIError

from infra.services import services
from tasks.authority.loading import load_authority
from tasks.authority.records import person_hash, read_records
from tasks.dossier.offices import OfficeData
from tests.world import VECTORS, Said, World


def typed(world: World, office: str, *words: object, by: str = "thu") -> Said:
    """Type a command at a desk of the office."""
    with world.as_(office, by):
        return world.type(*words, "--office", office)


def given(world: World, office: str, **changes: Any) -> Said:
    """Give a mandate TUQ. to the civil servant, with something changed."""
    known = {
        "capacity": "TUQ.", "from": "lam", "post": "chairman", "to": "mai", "procedure": "e-copy",
        "since": "2026-01-05T08:00:00", "until": "2099-12-31T17:00:00", "basis": "21/GUQ-UBND",
        "basis-kind": "authorisation", "basis-date": "2026-01-05", "issuer": "Chủ tịch", "limits": "bản sao",
    }  # fmt: skip
    known |= {name.replace("_", "-"): value for name, value in changes.items() if value is not None}
    for name in [name for name, value in changes.items() if value is None]:
        del known[name.replace("_", "-")]
    capacity = known.pop("capacity")
    options = [word for name, value in known.items() for word in (f"--{name}", value)]
    return typed(world, office, "mandate", "give", capacity, *options)


def events(world: World, office: str) -> list[str]:
    """Return what happened to an office's posts and mandates."""
    return [e for e in world.events(office) if e.split(":")[0] in ("post", "mandate", "seal")]


def test_an_authorisation_signs_to_its_last_second_and_refuses_the_next(world: World) -> None:
    office = world.office()
    assert given(world, office, until="2099-12-31T17:00:00").code == 0
    check = ("mandate", "check", "mai", "--procedure", "e-copy", "--at")
    world.desk(office, "an")
    said = ("person", "grant", f"{office}/mai", "--role", "official", "--from", "2026-01-01")
    with world.as_(office, "an"):
        granted = world.type(*said)
    assert granted.code == 0, granted.err
    last, after = (typed(world, office, *check, f"2099-12-31T17:00:0{second}") for second in (0, 1))
    assert last.code == 0, last.out + last.err
    assert "yes, as TUQ. CHỦ TỊCH / CÔNG CHỨC TƯ PHÁP – HỘ TỊCH [CERT-08], by 21/GUQ-UBND" in last.out
    assert after.code == 1
    assert "ended at 2099-12-31 17:00:00" in after.out
    before = typed(world, office, *check, "2026-01-05T07:59:59")
    assert "begins only at 2026-01-05 08:00:00" in before.out


def test_every_change_is_in_the_history_with_who_and_by_which_document(world: World) -> None:
    office = world.office()
    done = given(world, office)
    assert done.code == 0, done.err
    number = world.ask("select max(id) from mandate where office = :o", o=office)[0][0]
    assert typed(world, office, "mandate", "revoke", number, "--decision", "30/QĐ-UBND").code == 0
    gave, revoked = [e for e in world.told(office) if e["event"].startswith("mandate:")][-2:]
    assert gave["event"] == "mandate:given"
    assert gave["mandate"] == number
    assert gave["giver"] == person_hash(office, "lam")
    assert gave["to"] == person_hash(office, "mai")
    assert gave["basis"] == "21/GUQ-UBND of 05/01/2026, Chủ tịch"
    assert gave["actor"]["id_hash"] == person_hash(office, "thu")
    assert revoked["event"] == "mandate:revoked"
    assert revoked["decision"] == "30/QĐ-UBND"
    listed = typed(world, office, "mandate", "list", "--json")
    assert number not in [m["mandate"] for m in listed.json]
    everything = typed(world, office, "mandate", "list", "--all", "--json").json
    assert [m["ended_by"] for m in everything if m["mandate"] == number] == ["30/QĐ-UBND"]


@pytest.mark.parametrize(
    ("changes", "rule", "says"),
    [
        ({"from": "ha", "post": "vice-chairman"}, "AUTH-01", "what was delegated is not delegated again"),
        ({"from": "ha"}, "AUTH-01", "ha does not hold the post Chủ tịch"),
        ({"to": "lam"}, "AUTH-01", "lam cannot give themselves a mandate"),
        ({"to": "thu"}, "AUTH-01", "thu cannot record a mandate for themselves"),
        ({"to": "ha"}, "AUTH-01", "lam cannot give ha (Phó Chủ tịch) a mandate TUQ."),
        ({"to": "son"}, "AUTH-06", "“son” does not work at"),
        ({"until": None}, "AUTH-01", "the authorisation from lam to mai is not limited"),
        ({"limits": None}, "AUTH-01", "is not limited"),
        ({"basis-kind": "assignment"}, "AUTH-01", "needs a written authorisation"),
        ({"procedure": "land"}, "GEN-02", "there is no procedure or kind of procedure “land”"),
        ({"until": "2026-01-04"}, "AUTH-01", "it would end before it begins"),
        ({"since": "2025-06-30"}, "AUTH-01", "lam does not hold the post Chủ tịch at 2025-06-30"),
        ({"capacity": "KT."}, "AUTH-01", "lam cannot give mai"),
        (
            {"capacity": "KT.", "to": "ha", "basis-kind": "assignment", "procedure": "certification"},
            "AUTH-01",
            "on record already",
        ),
    ],
)
def test_auth_01_a_mandate_that_cannot_be_given_is_refused_and_nothing_is_written(
    world: World, changes: dict[str, Any], rule: str, says: str
) -> None:
    office = world.office()
    world.desk(office, "thu")
    before = world.counts("mandate", "history_entry")
    said = given(world, office, **changes)
    assert said.code == 1, said.out
    assert f"[{rule}]" in said.err
    assert says in said.err
    assert world.counts("mandate", "history_entry") == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("chairman", "ha", "--since", "2027-01-01"),
            "lam holds Chủ tịch from 2025-07-01 00:00:00 on (102/QĐ-UBND)",
        ),
        (("vice-chairman", "ha", "--since", "2027-01-01"), "ha holds Phó Chủ tịch"),
        (("vice-chairman", "lam", "--since", "2027-01-01"), "cannot be Phó Chủ tịch and Chủ tịch at a time"),
        (
            ("vice-chairman", "ha", "--since", "2027-01-01", "--manner", "in-charge"),
            "only while nobody holds",
        ),
        (("vice-chairman", "mai", "--since", "2027-01-01", "--manner", "acting"), "cannot act in the post"),
        (
            ("chairman", "ha", "--since", "2027-01-01", "--manner", "in-charge"),
            "cannot be in charge as Chủ tịch",
        ),
        (("minister", "ha", "--since", "2027-01-01"), "there is no post “minister”"),
        (("justice", "thu", "--since", "2027-01-01"), "thu cannot record a post for themselves"),
        (("justice", "ghost", "--since", "2027-01-01"), "does not work at"),
    ],
)
def test_auth_01_a_post_that_cannot_be_given_is_refused(
    world: World, words: tuple[str, ...], says: str
) -> None:
    office = world.office()
    said = typed(world, office, "post", "give", *words, "--decision", "300/QĐ-UBND")
    assert said.code == 1, said.out
    assert says in said.err


def test_the_head_is_replaced_at_midnight_without_a_second_between_or_twice(world: World) -> None:
    office = world.office()
    rows = typed(world, office, "post", "list", "--json").json
    numbers = {r["staff"]: r["holding"] for r in rows if r["staff"]}
    for staff in ("lam", "ha"):
        said = typed(
            world, office, "post", "end", numbers[staff], "--until", "2098-12-31", "--decision", "287/QĐ"
        )
        assert said.code == 0, said.err
    early = typed(
        world,
        office,
        "post",
        "give",
        "chairman",
        "ha",
        "--since",
        "2098-12-31T23:59:59",
        "--decision",
        "288/QĐ",
    )
    assert early.code == 1
    done = typed(
        world, office, "post", "give", "chairman", "ha", "--since", "2099-01-01", "--decision", "288/QĐ"
    )
    assert done.code == 0, done.err
    check = ("mandate", "check", "ha", "--procedure", "e-copy", "--at")
    assert "as KT. CHỦ TỊCH / PHÓ CHỦ TỊCH" in typed(world, office, *check, "2098-12-31T23:59:59").out
    assert "as CHỦ TỊCH [AUTH-01], by 288/QĐ" in typed(world, office, *check, "2099-01-01T00:00:00").out
    twice = typed(world, office, "post", "end", numbers["lam"], "--until", "2099-01-31", "--decision", "1/QĐ")
    assert "ends at 2098-12-31 23:59:59 already" in twice.err


def test_two_heads_given_at_the_same_moment_are_one_head(world: World) -> None:
    office = world.office()
    from tasks.authority.acts import end_post, give_post
    from tasks.authority.values import Holding
    from tasks.dossier.moves import Actor
    from tasks.dossier.posts import first_moment

    by = Actor(role="engineer")
    with services().database.transaction() as session:
        head = next(h for h in read_records(session, office).records.holdings if h.post == "chairman")
        end_post(session, office, head.id, "1/QĐ", by=by)

    def give(staff: str) -> Any:
        def work() -> int:
            with services().database.transaction() as session:
                new = Holding(
                    id=0,
                    post="chairman",
                    staff=staff,
                    since=first_moment(services().clock.now()),
                    decision="2/QĐ",
                )
                return give_post(session, office, new, by=by)

        return work

    ended = world.at_once([give("mai"), give("thu"), give("kiem")])
    assert sum(isinstance(one, int) for one in ended) == 1, ended
    assert sum("cannot be given the post" in str(one) for one in ended) == 2


def test_auth_06_a_clerk_does_not_change_posts_or_mandates(world: World) -> None:
    office = world.office()
    for words in (
        ("post", "give", "justice", "ha", "--since", "2027-01-01", "--decision", "1/QĐ"),
        ("post", "end", "1", "--decision", "1/QĐ"),
        ("mandate", "revoke", "1", "--decision", "1/QĐ"),
    ):
        said = typed(world, office, *words, by="mai")
        assert said.code == 1
        assert "[AUTH-06]" in said.err
    assert typed(world, office, "post", "list", by="mai").code == 0


def test_loading_the_file_again_changes_nothing_and_an_end_that_it_gained_ends(world: World) -> None:
    office = world.office()
    body = yaml.safe_load((VECTORS / "office.yaml").read_text(encoding="utf-8")) | {"code": office}

    def load() -> list[str]:
        with services().database.transaction() as session:
            return load_authority(session, OfficeData.model_validate(body))

    before = events(world, office)
    assert load() == []
    assert events(world, office) == before
    del body["authority"]["mandates"]
    assert load() == []
    assert "KT. CHỦ TỊCH" in typed(world, office, "mandate", "check", "ha", "--procedure", "e-copy").out
    body["authority"]["holdings"][1]["until"] = "2098-12-31"
    assert load() == ["ha leaves vice-chairman"]
    assert events(world, office)[len(before) :] == ["post:ended"]
    body["authority"]["posts"][1]["title"] = "Phó Chủ tịch thường trực"
    assert load() == ["post vice-chairman"]
    assert (
        "PHÓ CHỦ TỊCH THƯỜNG TRỰC"
        in typed(world, office, "mandate", "check", "ha", "--procedure", "e-copy").out
    )


@pytest.mark.parametrize("table", ["post", "holding", "holding_end", "mandate", "mandate_end", "seal_keeper"])
def test_what_is_on_record_cannot_be_changed_or_deleted_by_the_application(world: World, table: str) -> None:
    world.office()
    for statement in (f"update {table} set id = id", f"delete from {table}"):
        with pytest.raises(DBAPIError, match="permission denied"):
            world.put(statement)
