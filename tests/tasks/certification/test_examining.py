"""What the examiner decides: decline, ask, withdraw, stop, go on (CERT-15, DOS-06, DOS-15)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from infra.errors import Forbidden
from tasks.certification.examining import (
    ask_for_supplement,
    decline_dossier,
    decline_original,
    examine_again,
    pay,
    resume,
    stop,
    withdraw,
)
from tasks.certification.receiving import supply
from tasks.certification.scanning import Presented
from tasks.dossier.refusals import Refusal
from tasks.signing.acts import leave_out
from tasks.signing.steps import sign_original
from tests.world import World, small_scan


def standings(world: World, code: str) -> list[str]:
    """Return where a dossier's originals stand."""
    return [str(original.standing) for original in world.originals(code)]


def numbers(world: World, code: str) -> list[tuple[int, str]]:
    """Return a dossier's lines in the register."""
    rows = world.ask("select number, state from register_entry where dossier = :c order by ordinal", c=code)
    return [(row.number, row.state) for row in rows]


def letters(world: World, code: str, title: str) -> list[Any]:
    """Return the e-mails with a letter of this title."""
    return [mail for mail in world.mails(code) if str(mail["Subject"]).startswith(title)]


class TestDeclining:
    """R1–R6, in writing (CERT-15)."""

    def test_one_declined_original_does_not_stop_the_others(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office, 2)
        decline_original(code, 1, Refusal.R1, "tẩy xóa ngày sinh", by=world.officer(office))
        assert standings(world, code) == ["declined", "certified"]
        assert numbers(world, code) == [(1, "void"), (2, "reserved")]
        assert world.stage(code) == "AwaitingSignature"
        assert sign_original(code, 2, world.signer(office))
        world.carry(code)
        assert world.stage(code) == "Returned"
        assert standings(world, code) == ["declined", "valid"]
        assert numbers(world, code) == [(1, "void"), (2, "certified")]
        (letter,) = letters(world, code, "Thông báo từ chối")
        assert next(letter.iter_attachments()).get_content().startswith(b"%PDF-")
        (result,) = letters(world, code, "Kết quả")
        assert [a.get_filename() for a in result.iter_attachments()] == [f"{code}-2.pdf"]

    def test_the_letter_gives_the_reason_in_the_law_s_words_and_the_examiner_s(self, world: World) -> None:
        import io

        import pikepdf

        from tasks.delivery.papers import paper_of
        from tasks.dossier.tables import NoticeRow

        office = world.office()
        code = world.frozen(office, 2)
        decline_original(code, 1, Refusal.R5, "chưa hợp pháp hóa", by=world.officer(office))
        with world.parts.database.transaction() as session:
            from sqlmodel import select

            notice = session.exec(
                select(NoticeRow).where(NoticeRow.dossier == code, NoticeRow.kind == "declined")
            ).one()
        pdf = paper_of(code, notice)
        assert paper_of(code, notice) == pdf
        with pikepdf.open(io.BytesIO(pdf)) as read:
            assert len(read.pages) >= 1
        assert notice.facts["reason"] == "R5"
        assert notice.facts["explanation"] == "chưa hợp pháp hóa"

    def test_declining_again_changes_nothing(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office, 2)
        work = partial(decline_original, code, 1, Refusal.R1, "x", by=world.officer(office))
        work()
        before = world.picture()
        work()
        assert world.picture() == before

    def test_declining_the_last_one_stops_the_dossier_for_good(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office)
        decline_original(code, 1, Refusal.R6, "", by=world.officer(office))
        assert world.stage(code) == "Stopped"
        assert world.dossier(code).ended_at is not None
        with pytest.raises(Forbidden) as refusal:
            resume(code, "again", by=world.officer(office))
        assert refusal.value.rule == "CERT-15"

    def test_what_was_signed_cannot_be_declined(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office)
        sign_original(code, 1, world.signer(office))
        with pytest.raises(Forbidden) as refusal:
            decline_original(code, 1, Refusal.R1, "", by=world.officer(office))
        assert refusal.value.rule == "CERT-15"

    def test_cert_06_the_fee_of_a_declined_original_is_let_off_or_given_back(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office, 2)
        decline_original(code, 1, Refusal.R1, "", by=world.officer(office))
        row = world.ask("select amount, paid from payment where dossier = :c", c=code)[0]
        assert (row.amount, row.paid) == (2000, 4000)
        tasks = world.ask("select kind, ordinal from counter_task where dossier = :c", c=code)
        assert [(t.kind, t.ordinal) for t in tasks] == [("refund", 1)]

    def test_a_booked_dossier_is_declined_as_a_whole_with_code_3(self, world: World) -> None:
        office = world.office()
        code = world.booked(office)
        decline_dossier(code, Refusal.R3, "đóng dấu mật", by=world.officer(office))
        decline_dossier(code, Refusal.R3, "đóng dấu mật", by=world.officer(office))
        assert world.stage(code) == "Declined"
        assert world.dossier(code).portal_code == 3
        world.carry(code)
        assert len(letters(world, code, "Thông báo từ chối")) == 1

    def test_dos_06_a_received_dossier_is_not_declined_as_a_whole(self, world: World) -> None:
        office = world.office()
        code = world.received(office)
        with pytest.raises(Forbidden) as refusal:
            decline_dossier(code, Refusal.R3, "", by=world.officer(office))
        assert refusal.value.rule == "DOS-06"


class TestSupplement:
    """Asked once, in writing, everything at once; the clock stops (DOS-15)."""

    def test_the_round_trip_stops_the_clock_and_starts_it_again(self, world: World) -> None:
        office = world.office()
        code = world.received(office)
        due = world.dossier(code).due_at
        ask_for_supplement(code, "trang 2 của bản chính", by=world.officer(office))
        assert world.stage(code) == "SupplementAsked"
        assert world.dossier(code).paused_at is not None
        # As if it had been asked for three days ago.
        world.put(
            "update dossier set paused_at = paused_at - interval '3 days', due_at = due_at - interval '3 days' "
            "where code = :c",
            c=code,
        )
        world.carry(code)
        assert world.stage(code) == "SupplementAsked"
        assert len(letters(world, code, "Phiếu yêu cầu bổ sung")) == 1
        more = Presented(kind="Trang 2", files=(("2.jpg", small_scan(seed=5)),))
        supply(code, [more], by=world.officer(office))
        assert world.stage(code) == "PaymentDue"  # the new original has a price
        pay(code, "BL-2", by=world.officer(office))
        resumed = world.dossier(code)
        assert resumed.paused_at is None
        assert due is not None
        assert resumed.due_at is not None
        assert resumed.due_at >= due
        world.carry(code)
        assert world.stage(code) == "AwaitingSignature"
        assert standings(world, code) == ["certified", "certified"]

    def test_papers_that_were_only_shown_let_it_go_on(self, world: World) -> None:
        office = world.office()
        code = world.received(office)
        ask_for_supplement(code, "giấy tờ tùy thân", by=world.officer(office))
        supply(code, [], by=world.officer(office))
        assert world.stage(code) == "Received"

    def test_dos_15_it_is_asked_for_once(self, world: World) -> None:
        office = world.office()
        code = world.received(office)
        ask_for_supplement(code, "a", by=world.officer(office))
        ask_for_supplement(code, "a", by=world.officer(office))
        supply(code, [], by=world.officer(office))
        with pytest.raises(Forbidden) as refusal:
            ask_for_supplement(code, "b", by=world.officer(office))
        assert refusal.value.rule == "DOS-15"

    def test_a_supplement_that_nobody_asked_for_is_refused(self, world: World) -> None:
        office = world.office()
        code = world.received(office)
        with pytest.raises(Forbidden) as refusal:
            supply(code, [], by=world.officer(office))
        assert refusal.value.rule == "DOS-06"

    def test_a_supplement_that_comes_twice_at_once_is_taken_once(self, world: World) -> None:
        office = world.office()
        code = world.received(office)
        ask_for_supplement(code, "trang 2", by=world.officer(office))
        more = Presented(kind="Trang 2", files=(("2.jpg", small_scan(seed=5)),))
        answers = world.at_once([partial(supply, code, [more], by=world.officer(office))] * 3)
        assert sum(answer is None for answer in answers) == 1
        assert {type(answer) for answer in answers if answer is not None} == {Forbidden}
        assert len(world.originals(code)) == 2

    def test_it_is_asked_for_while_the_copy_waits_for_its_signature(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office)
        ask_for_supplement(code, "giấy tờ tùy thân", by=world.officer(office))
        supply(code, [], by=world.officer(office))
        world.carry(code)
        assert world.stage(code) == "AwaitingSignature"
        assert numbers(world, code) == [(1, "reserved")]
        assert sign_original(code, 1, world.signer(office))


class TestLeaving:
    """Withdrawn, stopped, resumed."""

    def test_a_withdrawn_dossier_voids_its_numbers_and_ends(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office, 2)
        withdraw(code, "không cần nữa", by=world.officer(office))
        before = world.picture()
        withdraw(code, "không cần nữa", by=world.officer(office))
        assert world.picture() == before
        assert world.stage(code) == "Withdrawn"
        assert standings(world, code) == ["dropped", "dropped"]
        assert numbers(world, code) == [(1, "void"), (2, "void")]
        assert world.dossier(code).portal_code == 7
        world.carry(code)
        assert world.stage(code) == "Withdrawn"
        following = world.frozen(office)
        assert numbers(world, following) == [(3, "reserved")]

    @pytest.mark.parametrize("act", [withdraw, stop, ask_for_supplement])
    def test_dos_06_what_was_signed_goes_its_way(self, world: World, act: Any) -> None:
        office = world.office()
        code = world.frozen(office, 2)
        sign_original(code, 1, world.signer(office))
        before = world.picture()
        with pytest.raises(Forbidden) as refusal:
            act(code, "x", by=world.officer(office))
        assert refusal.value.rule == "DOS-06"
        assert world.picture() == before

    def test_a_stopped_dossier_goes_on_with_its_number_and_its_copy(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office)
        copy = world.ask("select sha256 from document where dossier = :c and kind = 'frozen'", c=code)
        stop(code, "chờ xác minh", by=world.officer(office))
        stop(code, "chờ xác minh", by=world.officer(office))
        assert world.stage(code) == "Stopped"
        assert world.dossier(code).portal_code == 8
        world.carry(code)
        assert world.stage(code) == "Stopped"
        assert len(letters(world, code, "Thông báo dừng")) == 1
        resume(code, "đã xác minh", by=world.officer(office))
        world.carry(code)
        assert world.stage(code) == "AwaitingSignature"
        assert numbers(world, code) == [(1, "reserved")]
        assert world.ask("select sha256 from document where dossier = :c and kind = 'frozen'", c=code) == copy
        with pytest.raises(Forbidden) as refusal:
            resume(code, "x", by=world.officer(office))
        assert refusal.value.rule == "DOS-06"

    def test_stopped_again_is_told_to_the_applicant_again(self, world: World) -> None:
        office = world.office()
        code = world.received(office)
        for reason in ("một", "hai"):
            stop(code, reason, by=world.officer(office))
            world.carry(code)
            resume(code, "x", by=world.officer(office))
        assert len(letters(world, code, "Thông báo dừng")) == 2


class TestLeftOut:
    """An official leaves an original out, and the examiner looks again."""

    def test_it_goes_back_and_comes_again_as_a_new_revision_under_its_number(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office, 2)
        official = world.officer(office, "ha", "official")
        leave_out(code, 1, "mờ", by=official)
        leave_out(code, 1, "mờ", by=official)
        assert world.stage(code) == "ReturnedToExaminer"
        assert standings(world, code) == ["left-out", "certified"]
        revision = world.originals(code)[0].revision
        examine_again(code, 1, None, by=world.officer(office))
        world.carry(code)
        assert world.stage(code) == "AwaitingSignature"
        assert world.originals(code)[0].revision > revision
        assert numbers(world, code) == [(1, "reserved"), (2, "reserved")]

    def test_what_nobody_left_out_is_not_examined_again(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office)
        with pytest.raises(Forbidden) as refusal:
            examine_again(code, 1, None, by=world.officer(office))
        assert refusal.value.rule == "CERT-15"

    def test_the_other_original_is_signed_meanwhile(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office, 2)
        leave_out(code, 1, "mờ", by=world.officer(office, "ha", "official"))
        assert sign_original(code, 2, world.signer(office))
        world.carry(code)
        assert world.stage(code) == "ReturnedToExaminer"
        assert standings(world, code) == ["left-out", "valid"]
        decline_original(code, 1, Refusal.R2, "mờ", by=world.officer(office))
        world.carry(code)
        assert world.stage(code) == "Returned"


class TestTheChosenOfficial:
    """Four eyes and conflicts of interest choose who is asked to sign (CERT-08, CERT-10)."""

    def addressed(self, world: World, code: str) -> str:
        """Return whom the newest page is addressed to."""
        row = world.ask(
            "select facts from document where dossier = :c and kind = 'frozen' order by revision desc limit 1",
            c=code,
        )[0]
        return str(row.facts["official"])

    def test_the_first_official_is_asked(self, world: World) -> None:
        assert self.addressed(world, world.frozen(world.office())) == "ha"

    def test_the_one_who_compared_is_not_asked(self, world: World) -> None:
        assert self.addressed(world, world.frozen(world.office(), by="ha")) == "lam"

    def test_cert_10_the_applicant_is_not_asked_nor_a_relative(self, world: World) -> None:
        from tasks.certification.receiving import Receipt
        from tests.world import somebody

        office = world.office()
        own = world.frozen(office, applicant=somebody(identity="022000000001"))
        kin = world.frozen(office, receipt=Receipt(paid="x", kin_of=("ha",)))
        assert [self.addressed(world, code) for code in (own, kin)] == ["lam", "lam"]

    def test_with_nobody_left_the_dossier_needs_attention_and_says_why(self, world: World) -> None:
        from tasks.certification.receiving import Receipt
        from tasks.certification.steps import issue_copy, reserve_number

        office = world.office()
        code = world.received(office, receipt=Receipt(paid="x", kin_of=("ha", "lam")))
        reserve_number(code, 1)
        with pytest.raises(Forbidden) as refusal:
            issue_copy(code, 1)
        assert refusal.value.rule == "CERT-08"
        assert world.stage(code) == "Received"
