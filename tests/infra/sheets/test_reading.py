"""Files from anybody become rows, or are refused with what to do about it."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.sheets import Cell, Column, Limits, Unreadable, csv_text, read_rows, workbook

MADE = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def book_of(*rows: list[object]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    return saved(book)


def saved(book: openpyxl.Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def with_part(package: bytes, name: str, content: bytes) -> bytes:
    """The same workbook with one part more, or another in its place."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            if part.filename != name:
                new.writestr(part.filename, old.read(part))
        new.writestr(name, content)
    return out.getvalue()


def texts(content: bytes) -> list[tuple[str, ...]]:
    return [tuple(cell.text for cell in row.cells) for row in read_rows(content)]


def refusal(content: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(Unreadable) as refused:
        read_rows(content, limits=limits)
    assert refused.value.rule == "LIST-01"
    assert refused.value.way_out
    return refused.value.code


@pytest.mark.parametrize("mark", [";", ",", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_csv_file_is_read_with_either_mark_and_with_or_without_bom(mark: str, encoding: str) -> None:
    text = f'Họ tên{mark}Số\r\n"Nguyễn, Văn; A"{mark}001\r\n'
    assert texts(text.encode(encoding)) == [("Họ tên", "Số"), ("Nguyễn, Văn; A", "001")]


def test_rows_keep_their_number_in_the_file_when_empty_ones_stand_between() -> None:
    assert [row.number for row in read_rows(b"a;b\n;\n\n1;2\n")] == [1, 4]
    assert [row.number for row in read_rows(book_of(["a"], [], [None], ["1"]))] == [1, 4]


def test_a_cell_with_a_line_break_is_one_cell_and_the_next_row_has_its_own_line() -> None:
    rows = read_rows(b'a;b\n"x\ny";1\nz;2\n')
    assert [(r.number, r.cells[0].text) for r in rows] == [(1, "a"), (2, "x y"), (4, "z")]


def test_a_workbook_gives_text_numbers_and_dates_as_they_were_typed() -> None:
    row = read_rows(book_of(["0012", 12, 1.5, date(1980, 3, 5), datetime(1980, 3, 5), None, True]))[0]
    assert row.cells == (
        Cell("0012"), Cell("12", "number"), Cell("1.5", "number"), Cell("1980-03-05", "date"),
        Cell("1980-03-05", "date"), Cell(), Cell("TRUE"),
    )  # fmt: skip


def test_a_formula_is_reported_and_never_computed() -> None:
    assert read_rows(book_of(["=1+1"]))[0].cells == (Cell("=1+1", "formula"),)
    assert read_rows(b"=1+1;x\n")[0].cells[0].typed == "formula"
    assert read_rows(b"+84912345678;x\n")[0].cells[0].typed == "text"


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("xl/vbaProject.bin", "macros"),
        ("xl/macrosheets/sheet1.xml", "macros"),
        ("xl/externalLinks/externalLink1.xml", "links"),
        ("xl/connections.xml", "links"),
        ("xl/embeddings/oleObject1.bin", "macros"),
        ("xl/embeddings/file.docx", "embedded"),
        ("xl/activeX/activeX1.xml", "embedded"),
    ],
)
def test_a_workbook_that_acts_or_points_elsewhere_is_refused(part: str, code: str) -> None:
    assert refusal(with_part(book_of(["a"]), part, b"<x/>")) == code


def test_printer_settings_are_no_macros() -> None:
    assert texts(with_part(book_of(["a"]), "xl/printerSettings/printerSettings1.bin", b"\0")) == [("a",)]


def test_a_workbook_declared_to_hold_macros_is_refused() -> None:
    types = zipfile.ZipFile(io.BytesIO(book_of(["a"]))).read("[Content_Types].xml")
    changed = types.replace(
        b"openxmlformats-officedocument.spreadsheetml.sheet.main", b"ms-excel.sheet.macroEnabled.main"
    )
    assert changed != types
    assert refusal(with_part(book_of(["a"]), "[Content_Types].xml", changed)) == "macros"


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    assert refusal(with_part(book_of(["a"]), "xl/media/big.xml", b" " * 70_000_000)) == "bomb"


def test_a_bomb_that_lies_about_its_size_is_refused() -> None:
    content = bytearray(with_part(book_of(["a"]), "xl/zz.xml", b"<a>" + b" " * 1_000_000 + b"</a>"))
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = (100).to_bytes(4, "little")
    assert refusal(bytes(content)) == "broken"


def test_xml_that_defines_things_of_its_own_is_refused() -> None:
    laughs = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
    assert refusal(with_part(book_of(["a"]), "xl/sharedStrings.xml", laughs)) == "bomb"


def test_many_parts_are_refused() -> None:
    out = io.BytesIO(book_of(["a"]))
    with zipfile.ZipFile(out, "a") as package:
        for n in range(400):
            package.writestr(f"xl/media/{n}.png", b"")
    assert refusal(out.getvalue()) == "bomb"


def test_a_second_sheet_with_content_is_refused_even_if_it_is_hidden() -> None:
    book = openpyxl.Workbook()
    book.active.append(["a"])
    other = book.create_sheet("Sheet2")
    assert texts(saved(book)) == [("a",)]
    other.append(["b"])
    other.sheet_state = "hidden"
    assert refusal(saved(book)) == "two-sheets"


def test_a_hidden_row_is_read_like_any_other() -> None:
    book = openpyxl.Workbook()
    book.active.append(["a"])
    book.active.append(["b"])
    book.active.row_dimensions[2].hidden = True
    assert texts(saved(book)) == [("a",), ("b",)]


def test_a_cell_at_the_end_of_the_world_does_not_make_a_million_rows() -> None:
    book = openpyxl.Workbook()
    book.active["A1"] = "a"
    book.active["A1048576"] = "z"
    assert refusal(saved(book)) == "too-many-rows"


def test_too_many_rows_columns_and_characters_are_refused() -> None:
    few = Limits(rows=3, columns=2, cell_characters=5)
    assert refusal(b"a\nb\nc\nd\n", few) == "too-many-rows"
    assert refusal(b"a;b;c\n", few) == "too-wide"
    assert refusal(book_of(["a", "b", "c"]), few) == "too-wide"
    assert refusal(b"abcdef\n", few) == "too-long"
    assert refusal(b"x" * 5_000_001) == "too-large"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100, "old-or-encrypted"),
        ("Họ tên".encode("utf-16"), "not-a-table"),
        (b"H\xe4 t\xean;1", "not-a-table"),
        (b"a\0b;c", "not-a-table"),
        (b"PK\x03\x04 but no package", "broken"),
        (b'a;"b\nc', "broken"),
    ],
)
def test_what_is_no_table_is_refused_with_the_way_out(content: bytes, code: str) -> None:
    assert refusal(content) == code


def test_a_package_that_is_another_document_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        package.writestr("word/document.xml", "<w/>")
    assert refusal(out.getvalue()) == "not-a-table"


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        read_rows(content)
    except Unreadable:
        pass


CELLS = st.text(alphabet="aĂ1;,\" '=+@-\n", min_size=1, max_size=6)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=3), min_size=1, max_size=5))
def test_a_csv_file_that_we_write_holds_no_formula_when_it_is_read(table: list[list[str]]) -> None:
    rows = read_rows(csv_text(["một", "hai", "ba"], table).encode())
    assert all(cell.typed == "text" for row in rows for cell in row.cells)


def test_a_workbook_that_we_write_is_read_back_as_text_with_its_leading_zeros() -> None:
    columns = [Column(heading="Số"), Column(heading="Tên")]
    rows = [("0012", "=1+1"), ("", "@x")]
    content = workbook(columns, rows, sheet="Danh sách", made_at=MADE, title=["DANH SÁCH"])
    cells = [row.cells for row in read_rows(content)]
    assert cells[0] == (Cell("DANH SÁCH"),)
    assert cells[2] == (Cell("0012"), Cell("=1+1"))
    cell = openpyxl.load_workbook(io.BytesIO(content)).active["B3"]
    assert (cell.data_type, cell.number_format, cell.quotePrefix) == ("s", "@", True)


def test_the_same_workbook_has_the_same_bytes() -> None:
    made = [workbook([Column(heading="Số")], [("1",)], sheet="A", made_at=MADE) for _ in range(2)]
    assert made[0] == made[1]
