"""What may stand in a row (CER-13, CER-14, AUTH-04), and the moves of a row (CER-15)."""

from __future__ import annotations

import itertools
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import Forbidden
from infra.sheets import Cell, Row, read_rows
from tasks.registration.form_sets import SHIPPED, Form, form_set_on, read_form_set, shipped_form_sets
from tasks.registration.lifecycle import CORRECTABLE, MOVES, State, check_move
from tasks.registration.reasons import SENTENCES
from tasks.registration.rules import Around, Known, check_list, find_headings
from tasks.registration.values import Unfit, folded, read_date, telephone
from tests.tasks.registration.lists import (
    DOMAINS,
    FORMS,
    agency_of,
    as_csv,
    as_xlsx,
    headings,
    rows_of,
    somebody_of,
    table_of,
)

TODAY = date(2026, 11, 22)


def around(**more: Any) -> Around:
    return Around(**{"unit": "TTVH", "today": TODAY, "domains": DOMAINS, **more})


def reasons_for(
    subject: str = "individual", /, around_it: Around | None = None, **changes: str
) -> set[tuple[str, str]]:
    """The reasons (field's heading → code) for a row that is good but for the changes."""
    row = somebody_of(1, **changes) if subject == "individual" else agency_of(1, **changes)
    found = check_list(rows_of([row], subject), FORMS, subject, around_it or around())  # type: ignore[arg-type]
    assert all(r.row == 2 and r.rule == SENTENCES[r.code][0] for r in found.reasons)
    assert bool(found.rows) != bool(found.reasons)
    return {(r.column, r.code) for r in found.reasons}


def test_a_good_row_of_either_kind_has_no_reason() -> None:
    assert reasons_for() == set()
    assert reasons_for("organisation") == set()


@pytest.mark.parametrize(
    ("field", "text", "code"),
    [
        ("name", "", "missing"),
        ("name", "Sen", "not-a-name"),
        ("name", "Nguyễn Văn 4", "not-a-name"),
        ("name", "TS. Nguyễn Văn A", "title"),
        ("name", "Ông Nguyễn Văn A", "title"),
        ("name", "Nguyễn Văn 王", "letters"),
        ("name", "=HYPERLINK(1)", "formula"),
        ("name", "x" * 300, "too-long"),
        ("born", "1980", "not-a-date"),
        ("born", "30/02/1980", "not-a-date"),
        ("born", "03/05/2027", "future"),
        ("born", "05/03/2010", "age"),
        ("born", "05/03/1920", "age"),
        ("identity", "22080000001", "identity"),
        ("identity", "0220800000011", "identity"),
        ("identity", "02208000000x", "identity"),
        ("identity", "022081000001", "birth"),
        ("identity_issued", "01/01/1970", "issued-before-birth"),
        ("identity_issued", "23/11/2026", "future"),
        ("email", "nguoi@gmail.com", "domain"),
        ("email", "nguoi@quangninh.gov.vn.evil.example", "domain"),
        ("email", "nguoi@xquangninh.gov.vn", "domain"),
        ("email", "nguoi", "mailbox"),
        ("email", "a b@quangninh.gov.vn", "mailbox"),
        ("telephone", "0123456789", "telephone"),
        ("telephone", "+1 202 555 0100", "telephone"),
        ("capacity", "Lái xe", "choice"),
        ("basis", "@import", "formula"),
        ("old_serial", "xyz", "serial"),
        ("device", "Đĩa mềm", "choice"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_its_rule_and_reason(field: str, text: str, code: str) -> None:
    heading = FORMS.individual.column(field).heading
    assert (heading, code) in reasons_for(**{field: text})


@pytest.mark.parametrize(
    ("field", "text", "code"),
    [
        ("identity", "Sở Y tế", "unit-code"),
        ("decision", "", "missing"),
        ("keeper_identity", "1234", "identity"),
        ("keeper_email", "vt@yahoo.com", "domain"),
        ("capacity", "Quán ăn", "choice"),
    ],
)
def test_an_organisation_s_row_is_checked_too(field: str, text: str, code: str) -> None:
    assert (FORMS.organisation.column(field).heading, code) in reasons_for("organisation", **{field: text})


def test_all_that_is_wrong_in_a_row_is_said_at_once() -> None:
    found = reasons_for(name="Sen", born="1980", email="x", telephone="1")
    assert {code for _, code in found} == {"not-a-name", "not-a-date", "mailbox", "telephone"}


def test_auth_04_who_signs_by_order_must_name_the_basis_and_a_sim_its_number() -> None:
    assert reasons_for(capacity="TUQ") == {("Căn cứ thẩm quyền", "needs")}
    assert reasons_for(capacity="TUQ", basis="Quy chế 12/QC-SYT") == set()
    assert reasons_for(device="SIM PKI") == {("Số SIM", "needs")}
    assert reasons_for(device="SIM PKI", sim="0912000001") == set()


@pytest.mark.parametrize("said", ["leader", "lãnh đạo", "LÃNH ĐẠO CƠ QUAN", "Lanh dao co quan"])
def test_a_choice_is_understood_however_it_is_written(said: str) -> None:
    found = check_list(rows_of([somebody_of(1, capacity=said)]), FORMS, "individual", around())
    assert found.rows[0][1]["capacity"] == "Lãnh đạo cơ quan"


def test_values_are_kept_in_one_form() -> None:
    row = somebody_of(
        1, email="Nguoi.1@QUANGNINH.gov.vn", telephone="+84 912 000 001", identity="022 080 000 001",
        name="  Nguye\u0302\u0303n   Văn An ", old_serial="0A:1b",
    )  # fmt: skip
    values = check_list(rows_of([row]), FORMS, "individual", around()).rows[0][1]
    assert values["email"] == "nguoi.1@quangninh.gov.vn"
    assert values["telephone"] == "0912000001"
    assert values["identity"] == "022080000001"
    assert values["name"] == "Nguyễn Văn An"
    assert (values["born"], values["old_serial"]) == ("1980-03-05", "a1b")


def test_a_number_that_lost_its_leading_zero_in_a_workbook_is_explained() -> None:
    table: list[list[Any]] = [*table_of([somebody_of(1)])]
    place = headings().index("Số CCCD")
    table[1][place] = 22080000001
    found = check_list(read_rows(as_xlsx(table)), FORMS, "individual", around())
    assert [r.code for r in found.reasons] == ["lost-zero"]


def test_a_formula_in_a_workbook_is_a_reason_of_its_row() -> None:
    table = table_of([somebody_of(1), somebody_of(2)])
    table[2][headings().index("Chức vụ")] = '=CONCATENATE("Trưởng ","phòng")'
    found = check_list(read_rows(as_xlsx(table)), FORMS, "individual", around())
    assert [(r.row, r.column, r.code, r.rule) for r in found.reasons] == [
        (3, "Chức vụ", "formula", "LIST-01")
    ]
    assert [number for number, _ in found.rows] == [2]


def test_the_second_of_two_rows_with_one_identity_or_mailbox_is_refused() -> None:
    one, two, three = somebody_of(1), somebody_of(2), somebody_of(3)
    two["identity"], three["email"] = one["identity"], one["email"].upper()
    found = check_list(rows_of([one, two, three]), FORMS, "individual", around())
    assert [(r.row, r.code) for r in found.reasons] == [(3, "twice-in-file"), (4, "twice-in-file")]
    assert "row 2" in found.reasons[0].message
    assert "dòng 2" in found.reasons[0].vi


def test_a_person_of_another_unit_a_taken_mailbox_and_a_fixed_row_are_refused() -> None:
    one = somebody_of(1)
    mine = Known(unit="TTVH", state=State.SUBMITTED, email=one["email"])
    others = Known(unit="YTE", state=State.DRAFT, email=one["email"])
    assert reasons_for(around_it=around(known={one["identity"]: mine})) == set()
    assert reasons_for(around_it=around(known={one["identity"]: others})) == {("Số CCCD", "other-unit")}
    assert reasons_for(around_it=around(mailboxes={one["email"]: "022080999999"})) == {
        ("Thư điện tử công vụ", "mailbox-taken")
    }
    for state in State:
        fixed = Known(unit="TTVH", state=state, email=one["email"])
        found = reasons_for(around_it=around(known={one["identity"]: fixed}))
        assert found == (set() if state in CORRECTABLE else {("Số CCCD", "fixed")})


def test_cer_14_one_certificate_a_person_unless_the_row_names_the_one_to_be_replaced() -> None:
    held = around(holders={somebody_of(1)["identity"]: "a1b2"})
    assert reasons_for(around_it=held) == {("Số CCCD", "has-certificate")}
    assert {code for _, code in reasons_for(around_it=held, old_serial="ff")} == {"not-the-old"}
    assert reasons_for(around_it=held, old_serial="A1:B2") == set()


# Headings.


def test_headings_are_found_below_title_lines_in_any_order_and_spelling() -> None:
    table = table_of([somebody_of(1)])
    order = list(range(len(table[0])))[::-1]
    table = [[row[i] for i in order] for row in table]
    table[0] = ["HỌ VÀ TÊN:" if text == "Họ và tên" else text for text in table[0]]
    numbering = [f"({n})" for n in range(1, len(order) + 1)]
    titled = [["SỞ Y TẾ"], ["DANH SÁCH"], table[0], numbering, *table[1:]]
    found = check_list(read_rows(as_csv(titled)), FORMS, "individual", around())
    assert [number for number, _ in found.rows] == [5]


@pytest.mark.parametrize("spoil", ["missing", "unknown", "twice", "none"])
def test_wrong_headings_refuse_the_file_and_are_named(spoil: str) -> None:
    table = table_of([somebody_of(1)])
    if spoil == "missing":
        table = [[c for n, c in enumerate(row) if n != 1] for row in table]
    elif spoil == "none":
        table = [["a", "b"], ["c", "d"]]
    else:
        table[0].append("Màu tóc" if spoil == "unknown" else "Họ tên")
    with pytest.raises(Forbidden) as refused:
        check_list(read_rows(as_csv(table)), FORMS, "individual", around())
    assert refused.value.rule == "CER-13"
    said = {"missing": "Họ và tên", "unknown": "Màu tóc", "twice": "Họ và tên", "none": "no row of headings"}
    assert said[spoil] in refused.value.message


def test_a_list_of_headings_only_is_refused() -> None:
    with pytest.raises(Forbidden, match="no row"):
        check_list(read_rows(as_csv(table_of([]))), FORMS, "individual", around())


def test_ten_thousand_rows_are_taken_and_one_more_is_not() -> None:
    head = rows_of([somebody_of(1)])
    body = [Row(n, head[1].cells) for n in range(2, 10_003)]
    with pytest.raises(Forbidden, match="10001 rows"):
        check_list([head[0], *body], FORMS, "individual", around())
    found = check_list([head[0], *body[:-1]], FORMS, "individual", around())
    assert len(found.rows) == 1
    assert found.refused == 9_999


@given(st.lists(st.text(max_size=12), min_size=1, max_size=20))
def test_any_cells_are_checked_without_an_error(texts: list[str]) -> None:
    head = rows_of([somebody_of(1)])[0]
    row = Row(2, tuple(Cell(text) for text in ["7", *texts]))  # 1, 2, 3 would be the columns' numbers.
    found = check_list([head, row], FORMS, "individual", around())
    assert len(found.rows) + found.refused == 1


def test_a_row_of_digits_is_a_row_unless_it_numbers_the_columns() -> None:
    head = rows_of([somebody_of(1)])[0]
    digits = Row(2, tuple(Cell(text) for text in ("1", "0", "0")))
    assert check_list([head, digits], FORMS, "individual", around()).refused == 1
    numbering = Row(2, tuple(Cell(text) for text in ("(1)", "(2)", "(3)")))
    with pytest.raises(Forbidden, match="no row"):
        check_list([head, numbering], FORMS, "individual", around())


@given(st.dates(min_value=date(1900, 1, 1)))
def test_a_date_is_read_back_in_every_way_of_writing_it(day: date) -> None:
    for text in (f"{day:%d/%m/%Y}", f"{day.day}.{day.month}.{day:%Y}", f"{day:%d-%m-%Y}", day.isoformat()):
        assert read_date(text) == day


@given(st.text(max_size=20))
def test_reading_a_telephone_number_twice_changes_nothing(text: str) -> None:
    try:
        once = telephone(text)
    except Unfit:
        return
    assert telephone(once) == once


@given(st.text(max_size=20))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


# The table of moves.


def test_cer_15_the_moves_are_these_and_no_others() -> None:
    allowed = {
        ("Draft", "Draft"), ("Draft", "Submitted"), ("Draft", "Rejected"),
        ("Submitted", "Draft"), ("Submitted", "Confirmed"), ("Submitted", "Rejected"),
        ("Confirmed", "Draft"), ("Confirmed", "Consolidated"), ("Confirmed", "Rejected"),
        ("Consolidated", "Sent"), ("Consolidated", "Rejected"),
        ("Sent", "Issued"), ("Sent", "Rejected"),
        ("Rejected", "Draft"),
    }  # fmt: skip
    assert set(MOVES) == set(State)
    for before, after in itertools.product(State, State):
        if (str(before), str(after)) in allowed:
            check_move(before, after)
        else:
            with pytest.raises(Forbidden, match="CER-15"):
                check_move(before, after)


def test_what_may_be_corrected_is_what_may_become_a_draft() -> None:
    assert {state for state in State if State.DRAFT in MOVES[state]} == CORRECTABLE


# Form sets.


def test_the_shipped_forms_follow_each_other_without_gap_or_overlap() -> None:
    sets = shipped_form_sets()
    assert [one.code for one in sets] == ["tt-08-2016", "tt-185-2019", "nd-68-2024"]
    for day in (
        date(2017, 8, 16),
        date(2020, 2, 17),
        date(2020, 2, 18),
        date(2024, 8, 14),
        date(2024, 8, 15),
    ):
        assert sum(one.holds_on(day) for one in sets) == 1
    assert form_set_on(date(2017, 8, 16)).individual.request_form == "Mẫu số 02"
    with pytest.raises(Forbidden, match="CER-12"):
        form_set_on(date(2026, 1, 1), "tt-08-2016")


def test_no_two_columns_of_a_form_have_the_same_heading() -> None:
    for one in shipped_form_sets():
        for form in (one.individual, one.organisation):
            names = [name for c in form.columns for name in {folded(text) for text in (c.heading, *c.also)}]
            assert len(names) == len(set(names)), one.code


def test_a_form_without_what_rows_are_known_by_is_refused(tmp_path: Any) -> None:
    text = (SHIPPED / "nd-68-2024.yaml").read_text(encoding="utf-8")
    spoilt = tmp_path / "forms.yaml"
    spoilt.write_text(text.replace("field: email", "field: electronic", 1), encoding="utf-8")
    with pytest.raises(Forbidden, match="CER-12"):
        read_form_set(spoilt)


def test_old_forms_take_old_identity_cards() -> None:
    old = form_set_on(date(2017, 8, 16))
    person = somebody_of(1, identity="080123456", capacity="Kế toán trưởng")
    rows = read_rows(as_csv(table_of([person], forms=old)))
    assert not check_list(rows, old, "individual", around()).reasons


def test_every_reason_has_both_languages() -> None:
    for code, (rule, english, vietnamese) in SENTENCES.items():
        assert rule, code
        assert english != vietnamese, code


def test_headings_of_one_form_are_found_in_it() -> None:
    form: Form = FORMS.organisation
    assert find_headings(rows_of([agency_of(1)], "organisation"), form)[0] == 1
