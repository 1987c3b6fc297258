"""What was issued wrongly is asked to be corrected, decided by somebody else, and replaced by a result of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import Forbidden
from infra.services import services
from tasks.certification.scanning import Presented
from tasks.dossier.papers import newest, read
from tasks.evidence.steps import lift_for_release
from tasks.issued.correcting import approve_correction, ask_correction, refuse_correction
from tasks.issued.withdrawing import withdraw_result
from tasks.people.acting import NotAllowed
from tasks.signing.steps import sign_original, validate
from tests.world import World, refused, small_scan

WHY = "Tên giấy tờ ghi sai."


@pytest.fixture
def issued(world: World) -> tuple[str, str]:
    """An office, and a dossier whose result was returned by e-mail."""
    office = world.office()
    code = world.signed(office)
    world.carry(code)
    return office, code


def sign(world: World, office: str, code: str) -> None:
    """Let an official and the agency sign a dossier's one original."""
    assert sign_original(code, 1, world.signer(office))
    assert sign_original(code, 1, world.signer(office, "seal"))
    lift_for_release(code, 1)
    assert validate(code, 1)


def test_a_correction_makes_a_result_of_its_own_that_replaces_the_old_one_and_both_are_kept(
    world: World, issued: tuple[str, str], tmp_path: Path
) -> None:
    office, code = issued
    why = tmp_path / "why"
    why.write_text(WHY, encoding="utf-8")
    kind = tmp_path / "kind"
    kind.write_text("Giấy khai sinh", encoding="utf-8")
    asked = world.type("correct", code, "1", "--kind", kind, "--why", why, "--json")
    assert asked.code == 0
    number = asked.json["request"]
    assert str(world.originals(code)[0].standing) == "valid"
    new = world.type("correction", "approve", number, office, "--by", "lam", "--json")
    assert new.code == 2  # the office is no word of this command
    with world.as_(office, "lam"):
        new_code = world.type("correction", "approve", number, "--json").json["new"]
        assert world.type("correction", "approve", number, "--json").json["new"] == new_code
    world.carry(new_code)
    assert world.stage(new_code) == "AwaitingSignature"
    assert world.ask("select amount from payment where dossier = :c", c=new_code) == []
    sign(world, office, new_code)
    world.carry(new_code)
    world.carry(code)
    assert (str(world.originals(code)[0].standing), world.stage(new_code)) == ("replaced", "Returned")
    numbers = world.ask(
        "select dossier, number, state from register_entry where office = :o order by number", o=office
    )
    assert [(r.dossier, r.number, r.state) for r in numbers] == [
        (code, 1, "certified"),
        (new_code, 2, "certified"),
    ]
    with services().database.transaction() as session:
        old, fresh = newest(session, code, 1, "lifted"), newest(session, new_code, 1, "lifted")
    assert old is not None
    assert fresh is not None
    assert read(old)[:5] == read(fresh)[:5] == b"%PDF-"
    change = world.ask("select standing, replaced_by, by from standing_change where dossier = :c", c=code)[0]
    assert tuple(change) == ("replaced", new_code, "lam")
    assert "result:replaced" in world.events(code)
    assert world.events(code).index("correction:asked") < world.events(code).index("correction:approved")
    assert "correction:settled" in world.events(new_code)
    assert f"in its place stands {new_code}" in world.type("show", code).out.replace("\n", "")
    error = refused(
        Forbidden, lambda: withdraw_result(code, 1, WHY, by=world.officer(office, "ha", "official"))
    )
    assert new_code in str(error)


def test_auth_06_who_asked_does_not_decide_and_a_clerk_never_does(
    world: World, issued: tuple[str, str]
) -> None:
    office, code = issued
    new_scan = Presented(kind="Giấy 1", files=(("better.jpg", small_scan(seed=5)),))
    number = ask_correction(code, 1, WHY, presented=new_scan, by=world.officer(office, "ha"))
    own = refused(Forbidden, lambda: approve_correction(number, by=world.officer(office, "ha", "official")))
    assert own.rule == "AUTH-06"
    refused(NotAllowed, lambda: approve_correction(number, by=world.officer(office)))
    with pytest.raises(Exception, match="four_eyes"):
        world.put("update correction set decided_by = asked_by where id = :n", n=number)
    refuse_correction(number, "Kết quả đúng.", by=world.officer(office, "lam", "official"))
    again = refused(
        Forbidden, lambda: approve_correction(number, by=world.officer(office, "lam", "official"))
    )
    assert again.rule == "CERT-23"
    assert str(world.originals(code)[0].standing) == "valid"


def test_one_request_at_a_time_and_none_without_a_reason_or_before_the_issue(
    world: World, issued: tuple[str, str]
) -> None:
    office, code = issued
    clerk = world.officer(office)
    assert refused(Forbidden, lambda: ask_correction(code, 1, " ", by=clerk)).rule == "CERT-23"
    number = ask_correction(code, 1, WHY, by=clerk)
    assert str(number) in str(refused(Forbidden, lambda: ask_correction(code, 1, WHY, by=clerk)))
    unsigned = world.frozen(office)
    assert refused(Forbidden, lambda: ask_correction(unsigned, 1, WHY, by=clerk)).rule == "DOS-06"


def test_a_correction_that_came_to_nothing_leaves_the_old_result_standing(
    world: World, issued: tuple[str, str]
) -> None:
    office, code = issued
    number = ask_correction(code, 1, WHY, by=world.officer(office))
    new = approve_correction(number, by=world.officer(office, "lam", "official"))
    assert world.type("decline", new, "1", "--reason", "R2").code == 0
    world.carry(new)
    assert str(world.originals(code)[0].standing) == "valid"
    assert ask_correction(code, 1, WHY, by=world.officer(office)) > number
