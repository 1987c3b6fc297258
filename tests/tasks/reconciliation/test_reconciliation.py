"""Registered = signed = validated = archived = published = returned = logged: each gap is seen by its name, and mended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra.errors import Forbidden
from infra.services import services, using
from tasks.archival.checkpoints import keep_checkpoint
from tasks.issued.withdrawing import withdraw_result
from tasks.people.acting import NotAllowed
from tasks.reconciliation.comparing import open_findings, reconcile
from tasks.reconciliation.repairing import repair
from tasks.reconciliation.rules import FINDINGS, Repair
from tests.tasks.delivery.test_return_of_result import received, signed_result
from tests.world import World, refused

WHY = "Đối soát đêm 22/11."


@pytest.fixture(scope="module")
def place(running_world: World) -> dict[str, str]:
    """An office with a copy in the archive, one that is returned, one to be signed, and a published result."""
    world = running_world
    with using(world.parts):
        office = world.office()
        archived, returned, waiting = world.signed(office), world.signed(office), world.frozen(office)
        declined = world.frozen(office)
        for code in (archived, returned):
            world.carry(code)
        assert world.type("archive", archived).code == 0
        world.carry(archived)
        if world.stage(archived) != "Archived":
            keep_checkpoint()
            world.carry(archived)
        assert world.type("decline", declined, "1", "--reason", "R2").code == 0
        return {
            "office": office,
            "archived": archived,
            "returned": returned,
            "waiting": waiting,
            "declined": declined,
        }


def gaps(world: World, *subjects: str) -> dict[str, list[str]]:
    """Compare, and return the findings about some subjects: code → subjects."""
    reconcile()
    found: dict[str, list[str]] = {}
    with services().database.transaction() as session:
        for row in open_findings(session):
            if row.subject in subjects:
                found.setdefault(row.code, []).append(row.subject)
    return found


def number_of(world: World, code: str, subject: str) -> int:
    """Return the number of an open finding."""
    rows = world.ask(
        "select id from finding where code = :k and subject = :s and ended_at is null", k=code, s=subject
    )
    return int(rows[0].id)


@contextmanager
def broken(world: World, breaks: str, mends: str, **values: Any) -> Iterator[None]:
    """Break something behind everybody's back, and mend it after a test by hand."""
    with world.owner() as owner:
        owner.execute("set session_replication_role = replica")  # No trigger sees it.
        owner.execute(breaks, values)
    try:
        yield
    finally:
        with world.owner() as owner:
            owner.execute("set session_replication_role = replica")
            owner.execute(mends, values)


def test_an_office_in_which_all_is_well_has_no_finding(world: World, place: dict[str, str]) -> None:
    withdrawn = world.signed(place["office"])
    world.carry(withdrawn)
    assert withdraw_result(withdrawn, 1, WHY, by=world.officer(place["office"], "ha", "official"))
    world.carry(withdrawn)
    assert gaps(world, withdrawn, *place.values(), f"{place['office']}/2026") == {}


#: The code of a finding, whose dossier, what breaks it, and what mends it again.
BREAKS = [
    ("number-not-certified", "returned", "update register_entry set state = 'reserved' where dossier = %(c)s",
     "update register_entry set state = 'certified' where dossier = %(c)s"),
    ("number-missing", "returned", "update register_entry set state = 'void' where dossier = %(c)s",
     "update register_entry set state = 'certified' where dossier = %(c)s"),
    ("number-without-result", "waiting", "update register_entry set state = 'certified' where dossier = %(c)s",
     "update register_entry set state = 'reserved' where dossier = %(c)s"),
    ("number-left-open", "declined", "update register_entry set state = 'reserved' where dossier = %(c)s",
     "update register_entry set state = 'void' where dossier = %(c)s"),
    ("signature-missing", "returned", "update signature set kept_at = null where dossier = %(c)s and field = 'seal'",
     "update signature set kept_at = now() where dossier = %(c)s and field = 'seal'"),
    ("document-missing", "returned",
     "update document set kind = 'x-' || kind where dossier = %(c)s and kind in ('sealed', 'lifted')",
     "update document set kind = substr(kind, 3) where dossier = %(c)s and kind like 'x-%%'"),
    ("not-validated", "returned",
     "update original set standing = 'sealed' where dossier = %(c)s;"
     " update document set made_at = made_at - interval '1 day' where dossier = %(c)s",
     "update original set standing = 'valid' where dossier = %(c)s;"
     " update document set made_at = made_at + interval '1 day' where dossier = %(c)s"),
    ("not-returned", "returned",
     "update dossier set stage = 'Signed' where code = %(c)s;"
     " update delivery_leg set ended_at = ended_at - interval '1 day' where dossier = %(c)s",
     "update dossier set stage = 'Returned' where code = %(c)s;"
     " update delivery_leg set ended_at = ended_at + interval '1 day' where dossier = %(c)s"),
    ("returned-to-nobody", "returned",
     "update delivery_leg set state = 'refused' where dossier = %(c)s;"
     " update sent_copy set outcome = 'in doubt' where dossier = %(c)s",
     "update delivery_leg set state = 'accepted' where dossier = %(c)s;"
     " update sent_copy set outcome = 'accepted' where dossier = %(c)s"),
    ("not-archived", "returned",
     "update delivery_leg set ended_at = ended_at - interval '9 days' where dossier = %(c)s",
     "update delivery_leg set ended_at = ended_at + interval '9 days' where dossier = %(c)s"),
    ("archived-without-package", "archived", "update archived_object set key = key || 'x' where dossier = %(c)s"
     " and key like '%%/inventory.json'",
     "update archived_object set key = left(key, -1) where dossier = %(c)s and key like '%%x'"),
    ("published-wrongly", "returned",
     "insert into publication select dossier, 1, '1', 'ab', 'valid', now() from original where dossier = %(c)s",
     "delete from publication where dossier = %(c)s"),
    ("stage-not-logged", "waiting", "update dossier set stage = 'AwaitingSeal' where code = %(c)s",
     "update dossier set stage = 'AwaitingSignature' where code = %(c)s"),
    ("event-not-logged", "returned",
     "update history_entry set subject = sha256('x') where subject = sha256(convert_to(%(c)s, 'UTF8'))"
     " and convert_from(entry, 'UTF8') like '%%number:reserved%%'",
     "update history_entry set subject = sha256(convert_to(%(c)s, 'UTF8')) where subject = sha256('x')"),
    ("event-without-row", "returned", "update signature set kept_at = null where dossier = %(c)s and field = 'seal'",
     "update signature set kept_at = now() where dossier = %(c)s and field = 'seal'"),
    ("standing-not-listed", "returned",
     "insert into standing_change (dossier, ordinal, standing, at, by, decision)"
     " select %(c)s, 1, 'withdrawn', now() - interval '1 day', '', '{}';"
     " update standing_list set issued_at = issued_at - interval '9 days'",
     "delete from standing_change where dossier = %(c)s;"
     " update standing_list set issued_at = issued_at + interval '9 days'"),
    ("correction-not-settled", "returned",
     "insert into correction (dossier, ordinal, state, reason, kind, pages, files, asked_by, asked_at, decision, new_dossier)"
     " select %(c)s, 1, 'approved', '', '', 1, '[]', 'mai', now(), '{}', %(c)s;"
     " update document set made_at = made_at - interval '1 day' where dossier = %(c)s",
     "delete from correction where dossier = %(c)s;"
     " update document set made_at = made_at + interval '1 day' where dossier = %(c)s"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "whose", "breaks", "mends"), BREAKS, ids=[one[0] for one in BREAKS])
def test_each_equality_that_is_broken_is_seen_by_its_name_and_gone_when_it_holds_again(
    world: World, place: dict[str, str], code: str, whose: str, breaks: str, mends: str
) -> None:
    subject = place[whose]
    statements = [one.split(";") for one in (breaks, mends)]
    with world.owner() as owner:
        owner.execute("set session_replication_role = replica")
        for one in statements[0]:
            owner.execute(one, {"c": subject})
    try:
        assert subject in gaps(world, subject).get(code, [])
        again = gaps(world, subject)
        assert again[code] == [subject]  # seen twice, one finding
    finally:
        with world.owner() as owner:
            owner.execute("set session_replication_role = replica")
            for one in statements[1]:
                owner.execute(one, {"c": subject})
    assert gaps(world, subject) == {}


def test_cert_29_a_number_that_the_register_does_not_hold_is_named_by_its_book(
    world: World, place: dict[str, str]
) -> None:
    (book,) = world.ask("select * from register_book where office = :o", o=place["office"])
    subject = f"{place['office']}/{book.year}"
    with broken(
        world,
        "update register_book set last_number = last_number + 1 where office = %(o)s",
        "update register_book set last_number = last_number - 1 where office = %(o)s",
        o=place["office"],
    ):
        assert gaps(world, subject) == {"number-gap": [subject]}
    assert gaps(world, subject) == {}


def test_no_finding_is_without_a_test_that_breaks_its_equality() -> None:
    apart = {"file-lost", "archive-object-lost", "not-published", "publication-differs", "number-gap"}
    assert {one[0] for one in BREAKS} | apart == set(FINDINGS)


def test_a_lost_file_is_named_and_fetched_from_the_archive(world: World, place: dict[str, str]) -> None:
    code, office = place["archived"], place["office"]
    key = world.ask(
        "select key from document where dossier = :c and kind = 'lifted' order by position desc", c=code
    )[0].key
    content = services().work.get(key)
    services().work.remove(key)
    assert list(gaps(world, code)) == ["file-lost"]
    number = number_of(world, "file-lost", code)
    refused(NotAllowed, lambda: repair(number, WHY, by=world.officer(office)))
    boss = supervisor(world, office)
    assert repair(number, WHY, by=boss) is Repair.RESTORE_FILE
    assert services().work.get(key) == content
    assert gaps(world, code) == {}
    told = [e for e in world.told(code) if e["event"] == "finding:repaired"]
    assert [(e["gap"], e["actor"]["role"]) for e in told] == [("file-lost", "supervisor")]
    assert WHY not in str(told)


def supervisor(world: World, office: str) -> Any:
    """Return the supervisor of an office."""
    from tasks.dossier.moves import Actor
    from tasks.people.persons import grant, today
    from tasks.people.rules import Held

    with services().database.transaction() as session:
        grant(session, office, "lam", Held(role="supervisor", office=office), since=today(session), until=None,
              by=Actor(role="engineer"))  # fmt: skip
    return Actor(role="supervisor", staff="lam", office=office)


def test_a_locked_object_that_the_archive_does_not_list_is_named_and_left_to_people(
    world: World, place: dict[str, str]
) -> None:
    code = place["archived"]
    with broken(
        world,
        "update archived_object set key = key || '-gone' where dossier = %(c)s and key like '%%metadata.json'",
        "update archived_object set key = left(key, -5) where dossier = %(c)s and key like '%%-gone'",
        c=code,
    ):
        assert "archive-object-lost" in gaps(world, code)
        number = number_of(world, "archive-object-lost", code)
        error = refused(Forbidden, lambda: repair(number, WHY, by=supervisor(world, place["office"])))
        assert error.rule == "REPAIR"
    assert gaps(world, code) == {}


def test_what_the_program_may_mend_is_mended_when_a_person_starts_it(
    world: World, place: dict[str, str]
) -> None:
    boss, returned, declined = supervisor(world, place["office"]), place["returned"], place["declined"]
    for code, subject, state in (
        ("number-not-certified", returned, "reserved"),
        ("number-left-open", declined, "reserved"),
    ):
        with world.owner() as owner:
            owner.execute("update register_entry set state = %s where dossier = %s", (state, subject))
        gaps(world, subject)
        number = number_of(world, code, subject)
        assert refused(Forbidden, lambda one=number: repair(one, " ", by=boss)).rule == "AUTH-06"
        repair(number, WHY, by=boss)
        assert gaps(world, subject) == {}
        assert refused(Forbidden, lambda one=number: repair(one, WHY, by=boss)).rule == "REPAIR"


def test_what_is_public_is_what_stands(world: World, place: dict[str, str], form: bytes) -> None:
    office = place["office"]
    code = received(world, office, signed_result(world, office, form), "email")
    world.carry(code)
    boss = supervisor(world, office)
    assert gaps(world, code) == {}
    for name, change in (("not-published", "delete from publication where dossier = :c"),
                         ("publication-differs", "update publication set standing = 'withdrawn' where dossier = :c")):  # fmt: skip
        world.put(change, c=code)
        assert list(gaps(world, code)) == [name]
        repair(number_of(world, name, code), WHY, by=boss)
        assert gaps(world, code) == {}


def test_every_gap_has_a_sentence_and_what_is_mended_by_hand_says_how() -> None:
    assert all(gap.sentence for gap in FINDINGS.values())
    assert all(bool(gap.how) == (gap.repair is Repair.BY_HAND) for gap in FINDINGS.values())
