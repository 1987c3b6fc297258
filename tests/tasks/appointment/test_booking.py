"""Appointments: seats, and the people who want them (CERT-04, DOS-01, DOS-04)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta
from functools import partial
from typing import Any

import pytest

from infra.errors import Forbidden
from tasks.appointment.acts import Booked, book, cancel, keep_no_shows, move_appointment
from tasks.certification.receiving import Receipt, receive
from tasks.certification.scanning import Presented
from tasks.dossier.moves import Actor
from tasks.dossier.opening import Opening
from tests.world import World, somebody


def portal(world: World, office: str) -> Actor:
    """Return the portal, which books for citizens."""
    return world.officer(office, "cong", "portal")


def wanted(office: str, **changes: Any) -> Opening:
    """Return what somebody asks for at an office."""
    return Opening(**{"office": office, "procedure": "e-copy", "applicant": somebody(), **changes})


def seats(world: World, office: str) -> list[tuple[int, str]]:
    """Return an office's seats and their states, in the order in which they were taken."""
    rows = world.ask("select seat, state from appointment where office = :o order by id", o=office)
    return [(row.seat, row.state) for row in rows]


def test_a_booking_opens_a_dossier_and_tells_the_applicant_its_code_and_nothing_personal_outside(
    world: World,
) -> None:
    office = world.office()
    applicant = somebody(name="Trần Thị Sen", email="sen.tran@citizen.example")
    slot = world.slot(office, 8)
    booked = book(wanted(office, applicant=applicant), slot, by=portal(world, office))
    code = booked.opened.code
    assert world.stage(code) == "Booked"
    assert code.startswith(f"{office}-")
    world.carry(code)
    (mail,) = world.mails(code)
    assert code in mail["Subject"]
    assert mail["From"] == "motcua@thunghiem.example"
    assert mail["To"] == applicant.email
    body = mail.get_content()
    assert f"{slot:%H} giờ {slot:%M} phút, ngày {slot:%d/%m/%Y}" in body
    for personal in (applicant.name, applicant.identity, "Sen", "sen.tran"):
        assert personal not in mail["Subject"]
        assert personal not in mail["Message-ID"]
    assert applicant.identity not in body


def test_the_confirmation_is_sent_once_however_often_the_dossier_is_carried_on(world: World) -> None:
    code = world.booked(world.office())
    world.carry(code)
    world.carry(code)
    assert len(world.mails(code)) == 1


def test_dos_01_codes_count_up_within_the_day_and_each_office_counts_its_own(world: World) -> None:
    one, two = world.office(), world.office()
    codes = [world.booked(one), world.booked(one), world.booked(two)]
    assert [code.rpartition("-")[2] for code in codes] == ["0001", "0002", "0001"]


def test_dos_04_a_day_that_has_used_all_its_codes_says_so(world: World) -> None:
    office = world.office()
    world.booked(office)
    world.put("update day_counter set last = 9999 where office = :o", o=office)
    with pytest.raises(Forbidden) as refusal:
        world.booked(office)
    assert refusal.value.rule == "DOS-04"


def test_a_slot_takes_as_many_as_the_office_says_and_no_more(world: World) -> None:
    office = world.office(capacity=2)
    slot = world.slot(office, 4)
    book(wanted(office), slot, by=portal(world, office))
    book(wanted(office), slot, by=portal(world, office))
    before = world.picture()
    with pytest.raises(Forbidden) as refusal:
        book(wanted(office), slot, by=portal(world, office))
    assert refusal.value.rule == "CERT-04"
    assert "full" in refusal.value.message
    assert world.picture() == before
    assert seats(world, office) == [(1, "held"), (2, "held")]


def test_twenty_who_want_the_last_place_at_once_leave_one_with_it(world: World) -> None:
    office = world.office(capacity=3)
    slot = world.slot(office, 4)
    for _ in range(2):
        book(wanted(office), slot, by=portal(world, office))
    # The same moment may be written in two zones; it is one slot all the same.
    moments = [slot, slot.astimezone(UTC)] * 10
    tries: list[Callable[[], Booked]] = [
        partial(book, wanted(office), moment, by=portal(world, office)) for moment in moments
    ]
    answers = world.at_once(tries)
    assert sum(isinstance(answer, Booked) for answer in answers) == 1
    assert {type(answer) for answer in answers} == {Booked, Forbidden}
    assert seats(world, office) == [(1, "held"), (2, "held"), (3, "held")]
    assert world.ask("select count(*) from dossier where office = :o", o=office)[0][0] == 3


def test_moving_frees_the_seat_and_confirms_the_new_slot(world: World) -> None:
    office = world.office(capacity=1)
    first, second = world.slot(office, 4), world.slot(office, 5)
    code = world.booked(office, first)
    world.carry(code)
    clerk = world.officer(office)
    move_appointment(code, second, by=clerk)
    move_appointment(code, second, by=clerk)
    world.carry(code)
    assert seats(world, office) == [(1, "moved"), (1, "held")]
    assert len(world.mails(code)) == 2
    assert f"{second:%H} giờ {second:%M} phút" in world.mails(code)[1].get_content()
    assert world.booked(office, first)
    with pytest.raises(Forbidden):
        world.booked(office, second)


def test_a_move_into_a_full_slot_keeps_the_old_seat(world: World) -> None:
    office = world.office(capacity=1)
    first, second = world.slot(office, 4), world.slot(office, 5)
    code = world.booked(office, first)
    world.booked(office, second)
    with pytest.raises(Forbidden):
        move_appointment(code, second, by=world.officer(office))
    assert seats(world, office) == [(1, "held"), (1, "held")]


def test_moving_there_and_back_confirms_each_time(world: World) -> None:
    office = world.office()
    first, second = world.slot(office, 4), world.slot(office, 5)
    code = world.booked(office, first)
    world.carry(code)
    for slot in (second, first):
        move_appointment(code, slot, by=world.officer(office))
        world.carry(code)
    hours = [mail.get_content().partition("Thời gian: ")[2][:12] for mail in world.mails(code)]
    assert hours == [f"{slot:%H} giờ {slot:%M} ph" for slot in (first, second, first)]


def test_a_confirmation_that_is_no_longer_true_is_never_sent(world: World) -> None:
    office = world.office()
    moved, cancelled = world.booked(office, world.slot(office, 4)), world.booked(office)
    later = world.slot(office, 6)
    move_appointment(moved, later, by=world.officer(office))
    cancel(cancelled, by=world.officer(office))
    for code in (moved, cancelled):
        world.carry(code)
    (mail,) = world.mails(moved)
    assert f"{later:%H} giờ {later:%M} phút" in mail.get_content()
    assert world.mails(cancelled) == []


def test_cancelling_ends_the_dossier_and_frees_the_seat(world: World) -> None:
    office = world.office(capacity=1)
    slot = world.slot(office, 4)
    code = world.booked(office, slot)
    cancel(code, by=world.officer(office))
    cancel(code, by=world.officer(office))
    assert world.stage(code) == "Cancelled"
    assert world.events(code).count("appointment:cancelled") == 1
    assert world.booked(office, slot)


def test_a_no_show_is_kept_and_not_deleted(world: World) -> None:
    office = world.office()
    late, moved, coming = (world.booked(office, world.slot(office, 4)) for _ in range(3))
    world.put(
        "update appointment set starts_at = starts_at - interval '2 days', ends_at = ends_at - interval '2 days' "
        "where dossier in (:a, :b)",
        a=late,
        b=moved,
    )
    move_appointment(moved, world.slot(office, 8), by=world.officer(office))
    ended = keep_no_shows()
    assert late in ended
    assert moved not in ended
    assert [world.stage(code) for code in (late, moved, coming)] == ["NoShow", "Booked", "Booked"]
    assert world.ask("select state from appointment where dossier = :c", c=late)[0][0] == "missed"
    assert keep_no_shows() == []


def test_an_hour_of_grace_is_given(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    world.put(
        "update appointment set ends_at = clock_timestamp() - interval '59 minutes' where dossier = :c",
        c=code,
    )
    assert code not in keep_no_shows()
    assert keep_no_shows(grace=timedelta(minutes=58)) == [code]


def test_a_seat_is_kept_once_the_applicant_came(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    shown = [Presented(kind="Giấy", files=(("1.jpg", world.scan),))]
    receive(code, shown, Receipt(paid="BL"), by=world.officer(office))
    world.carry(code)
    assert seats(world, office) == [(1, "kept")]
    with pytest.raises(Forbidden) as refusal:
        move_appointment(code, world.slot(office, 8), by=world.officer(office))
    assert refusal.value.rule == "CERT-04"


class TestTheSameRequest:
    """A request id makes asking again harmless (DOS-01)."""

    def test_the_same_request_again_is_the_same_dossier(self, world: World) -> None:
        office = world.office(capacity=1)
        slot = world.slot(office, 4)
        request = wanted(office, request_id=f"portal-{office}")
        first, second = (
            book(request, slot, by=portal(world, office)),
            book(request, slot, by=portal(world, office)),
        )
        assert second.opened.code == first.opened.code
        assert (first.opened.repeated, second.opened.repeated) == (False, True)
        assert second.starts_at == first.starts_at
        assert seats(world, office) == [(1, "held")]

    def test_the_same_id_for_other_content_is_refused(self, world: World) -> None:
        office = world.office()
        request = wanted(office, request_id=f"portal-{office}")
        book(request, world.slot(office), by=portal(world, office))
        other = replace(request, applicant=replace(request.applicant, name="Người Khác"))
        with pytest.raises(Forbidden) as refusal:
            book(other, world.slot(office), by=portal(world, office))
        assert refusal.value.rule == "DOS-01"

    def test_eight_at_once_with_one_id_open_one_dossier(self, world: World) -> None:
        office = world.office()
        slot = world.slot(office, 4)
        request = wanted(office, request_id=f"portal-{office}")
        answers = world.at_once([partial(book, request, slot, by=portal(world, office))] * 8)
        codes = {answer.opened.code for answer in answers if isinstance(answer, Booked)}
        assert len(codes) == 1
        assert [answer for answer in answers if not isinstance(answer, Booked)] == []
        assert world.ask("select count(*) from dossier where office = :o", o=office)[0][0] == 1


def test_a_second_dossier_of_the_same_person_is_warned_of_and_not_refused(world: World) -> None:
    office, elsewhere = world.office(), world.office()
    person = somebody()
    first = book(wanted(office, applicant=person), world.slot(office), by=portal(world, office)).opened
    second = book(wanted(office, applicant=person), world.slot(office), by=portal(world, office)).opened
    assert first.warnings == ()
    assert len(second.warnings) == 1
    assert first.code in second.warnings[0]
    assert (
        book(
            wanted(elsewhere, applicant=person), world.slot(elsewhere), by=portal(world, elsewhere)
        ).opened.warnings
        == ()
    )
    for opened in (first, second):
        cancel(opened.code, by=world.officer(office))
    assert (
        book(wanted(office, applicant=person), world.slot(office), by=portal(world, office)).opened.warnings
        == ()
    )


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"applicant": somebody(name=" ")}, "DOS-12"),
        ({"applicant": somebody(identity="")}, "DOS-12"),
        ({"applicant": somebody(email="not an address")}, "DOS-22"),
        ({"applicant": somebody(email="nobody")}, "DOS-22"),
        ({"procedure": "no-such"}, "GEN-02"),
        ({"channels": ("paper",)}, "CERT-05"),
        ({"channels": ("portal",)}, "DOS-22"),
    ],
)
def test_a_booking_that_a_rule_refuses_leaves_nothing(
    world: World, changes: dict[str, Any], rule: str
) -> None:
    office = world.office()
    before = world.picture()
    with pytest.raises(Forbidden) as refusal:
        book(wanted(office, **changes), world.slot(office), by=portal(world, office))
    assert refusal.value.rule == rule
    assert world.picture() == before
