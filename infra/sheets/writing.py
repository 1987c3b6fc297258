"""Writes workbooks and CSV files in which every cell is what it shows, whoever opens them."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra.sheets.reading import computes

_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its heading, and its width in characters."""

    heading: str
    width: float = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One sheet: title lines, a heading row that stays in view, then the rows; `notes` stand below the table."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str | int]]
    title: Sequence[str] = ()
    notes: Sequence[str] = ()


def workbook(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    sheet: str,
    made_at: datetime,
    title: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> bytes:
    """Return an XLSX file of one sheet; see `workbook_of`."""
    return workbook_of(
        [Sheet(name=sheet, columns=columns, rows=rows, title=title, notes=notes)], made_at=made_at
    )


def workbook_of(sheets: Sequence[Sheet], *, made_at: datetime) -> bytes:
    """
    Return an XLSX file; texts are text cells, whole numbers are numbers.

    Text cells keep leading zeros and are never computed, whatever they begin with. The same input gives the
    same bytes; `made_at` (aware) is the file's date.
    """
    import openpyxl  # noqa: PLC0415  Loading it costs a quarter of a second.

    book = openpyxl.Workbook()
    book.remove(book.active)
    book.properties.creator = "hoso"
    book.properties.created = book.properties.modified = made_at.replace(tzinfo=None, microsecond=0)
    for sheet in sheets:
        _fill(book.create_sheet(sheet.name), sheet)
    out = io.BytesIO()
    book.save(out)
    return _with_one_date(out.getvalue(), made_at)


def _fill(page: Any, sheet: Sheet) -> None:
    """Write one sheet."""
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Side  # noqa: PLC0415
    from openpyxl.utils import get_column_letter  # noqa: PLC0415

    thin = Side(style="thin", color="808080")
    box = Border(left=thin, right=thin, top=thin, bottom=thin)

    def put(row: int, place: int, said: str | int, *, bold: bool = False, boxed: bool = False) -> None:
        cell = page.cell(row=row, column=place)
        number = isinstance(said, int)
        cell.value = said if said or number else None
        if said and not number:
            cell.data_type = "s"
        cell.number_format = "#,##0" if number else "@"
        cell.quotePrefix = not number and computes(str(said))
        cell.font = Font(name="Times New Roman", size=12, bold=bold)
        if boxed:
            cell.border = box
            level = "center" if bold else "right" if number else "left"
            cell.alignment = Alignment(wrap_text=True, vertical="center", horizontal=level)
            if bold:
                cell.fill = PatternFill("solid", fgColor="E7E6E6")

    for line, text in enumerate(sheet.title, start=1):
        put(line, 1, text, bold=True)
    head = len(sheet.title) + 1
    for place, column in enumerate(sheet.columns, start=1):
        put(head, place, column.heading, bold=True, boxed=True)
        page.column_dimensions[get_column_letter(place)].width = column.width
    for number, values in enumerate(sheet.rows, start=head + 1):
        for place, said in enumerate(values, start=1):
            put(number, place, said, boxed=True)
    for line, text in enumerate(sheet.notes, start=head + len(sheet.rows) + 2):
        put(line, 1, text)
    page.freeze_panes = page.cell(row=head + 1, column=1)
    page.print_title_rows = f"{head}:{head}"
    page.page_setup.orientation = "landscape"
    page.page_setup.paperSize = page.PAPERSIZE_A4
    page.page_setup.fitToWidth, page.page_setup.fitToHeight = 1, 0
    page.sheet_properties.pageSetUpPr.fitToPage = True


def _with_one_date(package: bytes, made_at: datetime) -> bytes:
    """Return the same package without the moments at which it was written, so that equal lists are equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as before, zipfile.ZipFile(out, "w") as after:
        for part in before.infolist():
            content = before.read(part)
            if part.filename == "docProps/core.xml":
                content = _core(content, made_at)
            info = zipfile.ZipInfo(part.filename, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            after.writestr(info, content)
    return out.getvalue()


def _core(content: bytes, made_at: datetime) -> bytes:
    """Return the workbook's properties with its own date; openpyxl writes the time of saving there."""
    stamp = made_at.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    return re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>" + stamp, content)


def csv_text(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""
    Return a CSV file's text (RFC 4180) with the mark that lets spreadsheets read it as UTF-8.

    A cell that a spreadsheet would compute gets an apostrophe in front.

    >>> csv_text(["a"], [["=1+1"], ["0012"]])
    "\ufeffa\r\n'=1+1\r\n0012\r\n"
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(headings)
    writer.writerows([[f"'{cell}" if computes(cell) else cell for cell in row] for row in rows])
    return "\ufeff" + out.getvalue()
