"""The yearly register: every number once, none missing, none used again (CERT-22 to CERT-29)."""

from __future__ import annotations

from functools import partial

import pytest

from infra.errors import Broken, Forbidden
from infra.services import services
from tasks.certification.steps import issue_copy, reserve_number
from tasks.dossier.moves import SYSTEM
from tasks.dossier.register import RegisterEntryRow, line_of, number_text, reserve, short_number, void_number
from tests.world import World

SYMBOL = "SCT/BS"


def opened(world: World, office: str, count: int) -> list[str]:
    """Return the codes of some dossiers that nobody has looked at yet."""
    return [world.booked(office) for _ in range(count)]


def lines(world: World, office: str) -> list[tuple[int, str]]:
    """Return an office's lines as (number, state)."""
    rows = world.ask("select number, state from register_entry where office = :o order by number", o=office)
    return [(row.number, row.state) for row in rows]


def take(office: str, code: str, ordinal: int = 1) -> RegisterEntryRow:
    """Reserve one number in a transaction of its own."""
    with services().database.transaction() as session:
        return reserve(session, office, SYMBOL, code, ordinal)


def test_cert_22_thirty_who_ask_at_once_get_the_numbers_1_to_30(world: World) -> None:
    office = world.office()
    codes = opened(world, office, 30)
    taken = world.at_once([partial(take, office, code) for code in codes])
    assert [type(line) for line in taken] == [RegisterEntryRow] * 30
    assert sorted(line.number for line in taken if isinstance(line, RegisterEntryRow)) == list(range(1, 31))
    assert lines(world, office) == [(number, "reserved") for number in range(1, 31)]


def test_cert_23_one_original_keeps_its_one_number_however_often_it_is_asked_for(world: World) -> None:
    office = world.office()
    code, other = opened(world, office, 2)
    taken = world.at_once([partial(take, office, code)] * 8 + [partial(take, office, other)])
    # Of several who ask for the same original at once all but one are put off; none gets another number.
    numbers = {line.number for line in taken[:8] if isinstance(line, RegisterEntryRow)}
    assert len(numbers) == 1
    assert take(office, code).number in numbers
    assert sorted(number for number, _ in lines(world, office)) == [1, 2]


def test_cert_23_three_originals_have_three_numbers(world: World) -> None:
    office = world.office()
    (code,) = opened(world, office, 1)
    assert [take(office, code, ordinal).number for ordinal in (1, 2, 3)] == [1, 2, 3]


def test_a_transaction_that_fails_leaves_no_gap(world: World) -> None:
    office = world.office()
    first, second, third = opened(world, office, 3)
    take(office, first)
    with pytest.raises(ZeroDivisionError), services().database.transaction() as session:
        reserve(session, office, SYMBOL, second, 1)
        raise ZeroDivisionError
    assert take(office, third).number == 2
    assert lines(world, office) == [(1, "reserved"), (2, "reserved")]


def test_a_void_number_keeps_its_reason_and_is_never_given_again(world: World) -> None:
    office = world.office()
    first, second = opened(world, office, 2)
    take(office, first)
    with services().database.transaction() as session:
        void_number(session, first, 1, "withdrawn", world.officer(office))
        void_number(session, first, 1, "another reason", SYSTEM)
    assert take(office, second).number == 2
    with services().database.transaction() as session:
        line = line_of(session, first, 1)
        assert line is not None
        assert (line.state, line.reason, line.by) == ("void", "withdrawn", "mai")
        assert line.ended_at is not None


def test_cert_29_a_locked_year_takes_no_further_number(world: World) -> None:
    office = world.office()
    first, second = opened(world, office, 2)
    take(office, first)
    world.put("update register_book set locked_at = clock_timestamp() where office = :o", o=office)
    with pytest.raises(Forbidden) as refusal:
        take(office, second)
    assert refusal.value.rule == "CERT-29"
    assert lines(world, office) == [(1, "reserved")]


def test_cert_22_a_new_book_within_the_year_goes_on_counting_and_a_new_year_begins_with_1(
    world: World,
) -> None:
    office = world.office()
    first, second, third = opened(world, office, 3)
    take(office, first)
    world.put("update register_book set book = 2, last_number = 457 where office = :o", o=office)
    line = take(office, second)
    assert (line.number, line.book) == (458, 2)
    # As if all that had been last year; a trigger keeps numbers where they are, so it must not see this.
    with world.owner() as owner:
        owner.execute("set session_replication_role = replica")
        owner.execute("update register_entry set year = year - 1 where office = %s", (office,))
        owner.execute("update register_book set year = year - 1 where office = %s", (office,))
    assert take(office, third).number == 1


def test_two_offices_count_apart(world: World) -> None:
    one, two = world.office(), world.office()
    assert take(one, world.booked(one)).number == 1
    assert take(two, world.booked(two)).number == 1


def test_cert_25_the_number_is_written_as_the_register_writes_it(world: World) -> None:
    assert number_text(123, 1, 2026, SYMBOL) == "Số chứng thực: 123 quyển số 01/2026-SCT/BS"
    office = world.office()
    line = take(office, world.booked(office))
    assert short_number(line) == f"01/{line.year}-SCT/BS"


def test_the_number_stays_when_the_page_is_issued_again_on_a_later_day(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    number = reserve_number(code, 1)
    before = world.ask("select sha256 from document where dossier = :c and kind = 'frozen'", c=code)
    world.put("update document set for_day = for_day - 1 where dossier = :c and kind = 'frozen'", c=code)
    assert issue_copy(code, 1)
    assert reserve_number(code, 1) == number
    assert lines(world, office) == [(1, "reserved")]
    frozen = world.ask(
        "select revision, for_day from document where dossier = :c and kind = 'frozen' order by revision",
        c=code,
    )
    assert len(frozen) == len(before) + 1
    assert frozen[-1].for_day > frozen[0].for_day
    assert world.originals(code)[0].revision == frozen[-1].revision


def test_cert_24_a_void_line_is_refused_to_whoever_asks_for_a_number_again(world: World) -> None:
    office = world.office()
    (code,) = opened(world, office, 1)
    take(office, code)
    with services().database.transaction() as session:
        void_number(session, code, 1, "declined R1", SYSTEM)
    with pytest.raises(Broken, match="void number is never used again"):
        take(office, code)
    assert lines(world, office) == [(1, "void")]
