"""
Reads a CSV or XLSX file from anybody into rows; nothing in it is evaluated, followed or believed.

What a file is, its bytes say and not its name. Formulas are reported as such, macros, links to other
files and packed bombs are refused, and no more is unpacked than `Limits` allow.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace

from infra.sheets.cells import Cell, Limits, Row, Unreadable, tidy

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
#: Quoted cells may hold line breaks, so a row may be longer than a line; longer than this is no table.
_CSV_FIELD = 20_000


def read_rows(content: bytes, *, limits: Limits | None = None) -> list[Row]:
    """
    Return the rows of a CSV (UTF-8; `;`, `,` or tabulator) or XLSX file (its first visible sheet), without empty ones.

    Raises `Unreadable` for everything else, with what to do about it. Pure: asking again gives the same.
    """
    limits = limits or Limits()
    if len(content) > limits.file_bytes:
        raise Unreadable(
            f"the file has {len(content) / 1e6:.1f} MB, more than the {limits.file_bytes / 1e6:g} MB allowed.",
            code="too-large",
            way_out="Send the list alone, without pictures; divide a very long one.",
        )
    if not content.strip():
        raise Unreadable(
            "the file is empty.", code="empty", way_out="Save the list again and send that file."
        )
    if content.startswith(_OLE):
        raise Unreadable(
            "the file is an old workbook (.xls) or protected by a password.",
            code="old-or-encrypted",
            way_out="Save it as “Excel Workbook (.xlsx)” without a password.",
        )
    if content.startswith(_ZIP):
        from infra.sheets.xlsx import read_workbook  # noqa: PLC0415  A CSV file needs no reader of workbooks.

        found = read_workbook(content, limits)
    else:
        found = _read_csv(content, limits)
    return list(_counted(found, limits))


def _counted(rows: Iterator[Row], limits: Limits) -> Iterator[Row]:
    """Pass on the rows that hold something, and refuse a file that goes on for ever."""
    kept = 0
    for row in rows:
        if row.number > limits.depth:
            raise _too_long(f"the table goes down to row {row.number} and beyond.")
        cells = tuple(replace(cell, text=tidy(cell.text)) for cell in row.cells)
        while cells and not cells[-1].text:
            cells = cells[:-1]
        if not cells:
            continue
        kept += 1
        if kept > limits.rows:
            raise _too_long(f"the table has more than {limits.rows} rows.")
        if len(cells) > limits.columns:
            raise Unreadable(
                f"row {row.number} has more than {limits.columns} columns.",
                code="too-wide",
                way_out="Use the template of the form; it has only the columns that are needed.",
            )
        for place, cell in enumerate(cells, start=1):
            if len(cell.text) > limits.cell_characters:
                raise Unreadable(
                    f"row {row.number}, column {place} holds {len(cell.text)} characters.",
                    code="too-long",
                    way_out=f"A cell may hold {limits.cell_characters}.",
                )
        yield Row(row.number, cells)


def _too_long(message: str) -> Unreadable:
    """Refuse a table with too many rows."""
    return Unreadable(message, code="too-many-rows", way_out="Divide the list and send several files.")


def _read_csv(content: bytes, limits: Limits) -> Iterator[Row]:
    """Yield the rows of a CSV file; a formula is a cell that a spreadsheet would compute when it opens it."""
    text = _decoded(content)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    number = 1
    try:
        for cells in reader:
            if any(len(cell) > _CSV_FIELD for cell in cells):
                raise Unreadable(
                    f"row {number} has a cell of more than {_CSV_FIELD} characters.",
                    code="too-long",
                    way_out="A quotation mark is probably not closed; correct it.",
                )
            yield Row(number, tuple(Cell(c, "formula" if computes(c) else "text") for c in cells))
            number = reader.line_num + 1
            if number > limits.depth + 1:
                raise _too_long(f"the file has more than {limits.depth} lines.")
    except csv.Error as error:
        raise Unreadable(
            f"line {reader.line_num} is no CSV: {error}.",
            code="broken",
            way_out="Save the list again as “CSV UTF-8”, or send it as .xlsx.",
        ) from error


def computes(text: str) -> bool:
    """
    Tell whether a spreadsheet would take a cell of a CSV file for a formula or a command.

    A sign before digits is a telephone number or an amount and stays what it is.

    >>> [computes(c) for c in ("=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "+84912345678", "a=b", "-")]
    [True, True, True, True, False, False, False]
    """
    text = tidy(text)
    if text[:1] in ("=", "@"):
        return True
    rest = text[1:].replace(" ", "").replace(".", "").replace(",", "")
    return text[:1] in ("+", "-") and bool(rest) and not rest.isdecimal()


def _decoded(content: bytes) -> str:
    """Return the text of a file that must be UTF-8, with or without its mark."""
    if not content.startswith(_UTF16):
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
        else:
            if "\x00" not in text:
                return text
    raise Unreadable(
        "the file is neither a workbook (.xlsx) nor text in UTF-8.",
        code="not-a-table",
        way_out="Save it as “CSV UTF-8 (Comma delimited)”, or send the .xlsx itself.",
    )


def _delimiter(text: str) -> str:
    """Return what divides the cells: what stands most often outside quotation marks in the first lines."""
    sample = "".join(text[:20_000].split('"')[::2])
    return max((";", ",", "\t"), key=lambda mark: (sample.count(mark), mark == ";"))
