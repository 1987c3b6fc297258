"""An issued result is withdrawn by authority, told to whoever has a copy, and sent again unchanged while it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from infra.errors import Forbidden
from tasks.authority.acts import end_post
from tasks.authority.values import NoAuthority
from tasks.delivery.acts import resend
from tasks.dossier.moves import Actor
from tasks.issued.standing import change_of
from tasks.issued.withdrawing import withdraw_result
from tasks.people.acting import NotAllowed
from tests.tasks.delivery.test_portal import in_account
from tests.world import World, refused, somebody

WHY = "Bản chính bị phát hiện là giả mạo."


def copies(world: World, code: str) -> list[Any]:
    """Return what the list of copies says: channel, kind of address, part, outcome, hash."""
    return world.ask(
        "select channel, address_kind, part, outcome, sha256 from sent_copy where dossier = :c order by id",
        c=code,
    )


def standing(world: World, code: str, ordinal: int = 1) -> str:
    """Return how an original stands."""
    return str(world.originals(code)[ordinal - 1].standing)


def tokens_asked(world: World, code: str) -> int:
    """Return how often a token was asked for a dossier."""
    return world.events(code).count("signature:intended")


@pytest.fixture
def issued(world: World) -> tuple[str, str]:
    """An office, and a dossier whose result was returned by e-mail."""
    office = world.office()
    code = world.signed(office)
    world.carry(code)
    assert world.stage(code) == "Returned"
    return office, code


def test_every_copy_that_was_sent_is_listed_by_channel_kind_of_address_and_hash(
    world: World, issued: tuple[str, str]
) -> None:
    _office, code = issued
    final = world.ask("select sha256 from document where dossier = :c and kind = 'lifted'", c=code)[0][0]
    assert copies(world, code) == [("email", "e-mail address", "result", "accepted", final)]
    shown = world.type("show", code, "--json").json["copies"]
    assert [(c["channel"], c["to"], c["sha256"]) for c in shown] == [("email", "e-mail address", final)]
    assert "sen.tran" not in world.type("show", code, "--json").out


def test_sending_again_brings_the_same_bytes_and_signs_nothing(world: World, issued: tuple[str, str]) -> None:
    office, code = issued
    before = tokens_asked(world, code)
    assert world.type("resend", code).code == 0
    assert resend(code, by=world.officer(office)) == ["email"]  # still under way: nothing is doubled
    world.carry(code)
    first, second = [m for m in world.mails(code) if str(m["Subject"]).startswith("Kết quả")]
    bodies = [next(m.iter_attachments()).get_content() for m in (first, second)]
    assert bodies[0] == bodies[1]
    assert first["Message-ID"] != second["Message-ID"]
    assert tokens_asked(world, code) == before
    assert [c.sha256 for c in copies(world, code)] == [copies(world, code)[0].sha256] * 2
    assert world.stage(code) == "Returned"


def test_dos_06_what_was_not_returned_is_not_sent_again(world: World) -> None:
    office = world.office()
    code = world.signed(office)
    assert refused(Forbidden, lambda: resend(code, by=world.officer(office))).rule == "DOS-06"


def test_a_result_is_withdrawn_and_everybody_who_has_a_copy_is_told(world: World, tmp_path: Path) -> None:
    office = world.office()
    code = world.signed(office, applicant=somebody(email="x@citizen.example", account=f"W-{office}"))
    world.carry(code)
    number = world.ask("select number, state from register_entry where dossier = :c", c=code)
    # The applicant asked for it by e-mail too, so two channels were used.
    world.put("insert into delivery_leg (dossier, channel, state, errand, attempts, ambiguous, last_answer, opened_at,"
              " ended_at) values (:c, 'email', 'accepted', 0, 1, 0, '', now(), now())", c=code)  # fmt: skip
    resend(code, "email", by=world.officer(office))
    world.carry(code)
    why = tmp_path / "why"
    why.write_text(WHY, encoding="utf-8")
    said = world.type("withdraw-result", code, "1", "--why", why, "--by", "ha")
    assert (said.code, standing(world, code)) == (0, "withdrawn")
    world.carry(code)
    letters = [m for m in world.mails(code) if "thu hồi" in str(m["Subject"])]
    assert len(letters) == 1
    in_box = in_account(world, f"W-{office}")
    assert next(letters[0].iter_attachments()).get_content() in in_box
    states = {tuple(r) for r in world.ask("select facts->>'channel', state from notice where dossier = :c"
                                          " and kind = 'result-withdrawn'", c=code)}  # fmt: skip
    assert states == {("email", "sent"), ("portal", "sent")}
    assert world.ask("select number, state from register_entry where dossier = :c", c=code) == number
    entry = next(e for e in world.told(code) if e["event"] == "result:withdrawn")
    assert entry["authority"]["rule"]
    assert sorted(entry["told"]) == ["email", "portal"]
    assert WHY not in str(world.told(code))
    assert not withdraw_result(code, 1, WHY, by=world.officer(office, "ha", "official"))
    assert refused(Forbidden, lambda: resend(code, by=world.officer(office))).rule == "DOS-25"


def test_auth_06_only_who_may_sign_it_now_withdraws_it_and_a_refusal_is_kept(
    world: World, issued: tuple[str, str]
) -> None:
    office, code = issued
    refused(NotAllowed, lambda: withdraw_result(code, 1, WHY, by=world.officer(office)))
    with world.parts.database.transaction() as session:
        held = (
            session.connection()
            .execute(text("select id from holding where office = :o and staff = 'ha'"), {"o": office})
            .scalar_one()
        )
        end_post(session, office, held, "QĐ 9", by=Actor(role="supervisor", staff="boss", office=office))
    error = refused(
        NoAuthority, lambda: withdraw_result(code, 1, WHY, by=world.officer(office, "ha", "official"))
    )
    assert error.rule == "AUTH-06"
    assert standing(world, code) == "valid"
    assert [e["act"] for e in world.told(code) if e["event"] == "authority:refused"] == ["withdraw-result"]
    assert withdraw_result(code, 1, WHY, by=world.officer(office, "lam", "official"))
    with world.parts.database.transaction() as session:
        change = change_of(session, code, 1)
    assert change is not None
    assert change.decision["staff"] == "lam"


def test_nothing_is_withdrawn_without_a_reason_or_before_its_issue(world: World) -> None:
    office = world.office()
    code, official = world.frozen(office), world.officer(office, "ha", "official")
    assert refused(Forbidden, lambda: withdraw_result(code, 1, WHY, by=official)).rule == "DOS-06"
    assert refused(Forbidden, lambda: withdraw_result(code, 1, "  ", by=official)).rule == "CERT-15"


def test_what_is_withdrawn_before_it_reached_anybody_is_never_sent(world: World) -> None:
    office = world.office()
    code = world.signed(office)
    assert withdraw_result(code, 1, WHY, by=world.officer(office, "ha", "official"))
    world.carry(code)
    assert copies(world, code) == []
    assert world.stage(code) == "Returned"
    assert [m for m in world.mails(code) if str(m["Subject"]).startswith("Kết quả")] == []


def test_one_withdrawn_original_leaves_the_others_on_their_way(world: World) -> None:
    office = world.office()
    code = world.signed(office, 2)
    assert withdraw_result(code, 2, WHY, by=world.officer(office, "ha", "official"))
    world.carry(code)
    assert world.stage(code) == "Returned"
    sent = world.ask("select distinct ordinal from sent_copy where dossier = :c", c=code)
    assert [row.ordinal for row in sent] == [1]


def test_the_rows_that_say_what_stood_can_be_added_to_and_never_changed(
    world: World, issued: tuple[str, str]
) -> None:
    assert copies(world, issued[1])
    for statement in ("update sent_copy set sha256 = '0'", "delete from sent_copy"):
        with pytest.raises(Exception, match="permission denied"):
            world.put(statement)
        with world.owner() as owner, pytest.raises(Exception, match="never rewritten"):
            owner.execute(statement)


def test_an_answer_that_was_lost_leaves_a_copy_in_doubt(world: World) -> None:
    office = world.office()
    code = world.signed(office)
    world.put("insert into delivery_leg (dossier, channel, state, errand, attempts, ambiguous, last_answer, opened_at)"
              " values (:c, 'email', 'trying', 0, 1, 0, '', now())", c=code)  # fmt: skip
    world.carry(code)
    assert [c.outcome for c in copies(world, code)] == ["in doubt", "accepted"]
