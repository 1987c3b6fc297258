"""Reads one sheet of an XLSX workbook, after its package was looked through for what a list never needs."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time

from infra.sheets.cells import Cell, Limits, Row, Unreadable

_AGAIN = "Copy the list into a new workbook (values only) and save it as “Excel Workbook (.xlsx)”."

#: Parts that make a workbook act, or point elsewhere; none belongs into a list.
_ACTING = {
    "macros": re.compile(r"(?i)(^|/)(vbaproject|vbadata)|macrosheets/|dialogsheets/|\.bin$"),
    "links": re.compile(r"(?i)externallinks/|(^|/)connections\.xml$|querytables/|customdata/"),
    "embedded": re.compile(r"(?i)embeddings/|activex/|ctrlprops/|\.(exe|dll|js|vbs|hta|lnk)$"),
}
#: Printer settings are `.bin` too; they are no program.
_HARMLESS = re.compile(r"(?i)printersettings/printersettings\d*\.bin$")
_SAYS = {
    "macros": "holds macros",
    "links": "takes data from other files or servers",
    "embedded": "holds other files or controls",
}


def read_workbook(content: bytes, limits: Limits) -> Iterator[Row]:
    """Yield the rows of the only visible sheet that holds something; raises `Unreadable`."""
    _look_through(content, limits)
    try:
        import openpyxl  # noqa: PLC0415  Loading it costs a quarter of a second.

        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=False, keep_links=False)
        try:
            yield from _only_sheet(book, limits)
        finally:
            book.close()
    except Unreadable:
        raise
    except Exception as error:
        # Parsers fail on hostile files with any exception there is.
        raise Unreadable(
            f"the workbook cannot be read ({type(error).__name__}).", code="broken", way_out=_AGAIN
        ) from error


def _look_through(content: bytes, limits: Limits) -> None:
    """Refuse a package that is too large unpacked, that acts, or whose XML defines things of its own."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            parts = package.infolist()
            _must_fit(parts, limits)
            if "xl/workbook.xml" not in {part.filename for part in parts}:
                raise Unreadable(
                    "the file is packed like a workbook but is none.", code="not-a-table", way_out=_AGAIN
                )
            for part in parts:
                _must_be_still(part)
                if part.filename.lower().endswith((".xml", ".rels")):
                    _must_be_plain(part.filename, package.read(part))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise Unreadable("the workbook is damaged or protected.", code="broken", way_out=_AGAIN) from error


def _must_fit(parts: list[zipfile.ZipInfo], limits: Limits) -> None:
    """Refuse a bomb by what the package says of itself; what unpacks to more than it says is an error later."""
    total = sum(part.file_size for part in parts)
    if len(parts) > limits.parts or total > limits.unpacked_bytes:
        raise Unreadable(
            f"the workbook unpacks to {total / 1e6:.0f} MB in {len(parts)} parts.",
            code="bomb",
            way_out=f"A list needs less than {limits.unpacked_bytes / 1e6:.0f} MB; "
            + _AGAIN[0].lower()
            + _AGAIN[1:],
        )


def _must_be_still(part: zipfile.ZipInfo) -> None:
    """Refuse a part that acts or points elsewhere."""
    for code, pattern in _ACTING.items():
        if pattern.search(part.filename) and not _HARMLESS.search(part.filename):
            raise Unreadable(f"the workbook {_SAYS[code]} ({part.filename}).", code=code, way_out=_AGAIN)


def _must_be_plain(name: str, xml: bytes) -> None:
    """Refuse XML with definitions (they grow without end when they are expanded) or in another encoding."""
    head = xml[:200].lower()
    declared = re.search(rb"encoding\s*=\s*[\"']([^\"']+)", head)
    if xml[:2] in (b"\xff\xfe", b"\xfe\xff") or (declared and declared[1] not in (b"utf-8", b"us-ascii")):
        raise Unreadable(f"the part {name} is not in UTF-8.", code="broken", way_out=_AGAIN)
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
        raise Unreadable(f"the part {name} defines things of its own.", code="bomb", way_out=_AGAIN)
    if name == "[Content_Types].xml" and b"macroenabled" in xml.lower():
        raise Unreadable("the workbook holds macros.", code="macros", way_out=_AGAIN)


def _only_sheet(book: object, limits: Limits) -> Iterator[Row]:
    """Yield the rows of the one sheet that holds something; a second one with content is refused, hidden or not."""
    chosen = ""
    for sheet in book.worksheets:  # type: ignore[attr-defined]
        sheet.reset_dimensions()  # What a sheet says about its own size is not believed.
        # One column more than allowed, so that a table that is too wide is seen to be.
        for number, cells in enumerate(sheet.iter_rows(max_col=limits.columns + 1), start=1):
            if number <= limits.depth and all(cell.value is None for cell in cells):
                continue  # A reader of workbooks makes a row of every gap.
            row = Row(number, tuple(_cell(cell) for cell in cells))
            if chosen not in ("", sheet.title) and any(cell.text for cell in row.cells):
                raise Unreadable(
                    f"two sheets hold something: “{chosen}” and “{sheet.title}”.",
                    code="two-sheets",
                    way_out="Keep the list on the only sheet; delete the others, hidden ones too.",
                )
            if any(cell.text for cell in row.cells):
                chosen = sheet.title
            if number > limits.depth:
                yield row  # The counting refuses it.
                return
            if chosen == sheet.title:
                yield row


def _cell(cell: object) -> Cell:
    """Return a cell as it was typed."""
    value, kind = getattr(cell, "value", None), getattr(cell, "data_type", "n")
    if value is None:
        return Cell()
    if kind == "f":
        return Cell(str(value) or "=", "formula")
    if kind == "e":
        return Cell(str(value), "error")
    if isinstance(value, bool):
        return Cell("TRUE" if value else "FALSE")
    if isinstance(value, datetime):
        return Cell(value.date().isoformat(), "date")
    if isinstance(value, date | time):
        return Cell(value.isoformat(), "date")
    if isinstance(value, int | float):
        whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
        return Cell(str(int(value)) if whole else str(value), "number")
    return Cell(str(value))
