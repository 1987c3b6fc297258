"""The table of a bulk order: one row an original, with its file; read without believing anything in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infra.errors import Forbidden
from infra.sheets import Limits, Row, Unreadable, read_rows

#: What each column may be called, in Vietnamese or English, without regard to case.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "kind": ("loại giấy tờ", "kind"),
    "file": ("tệp", "file"),
    "pages": ("số trang", "pages"),
    "copies": ("số bản", "copies"),
    "dossier": ("hồ sơ", "dossier"),
}
_NEEDED = ("kind", "file")
#: Files of one original are divided by this, in the order of its pages.
_DIVIDER = ";"
_LIMITS = Limits(rows=20_000, depth=20_100, columns=20, file_bytes=20_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One original of an order as its row says: kind, files, declared pages, copies, and whose dossier it shares."""

    row: int
    kind: str
    files: tuple[str, ...]
    pages: int | None = None
    copies: int = 1
    #: Rows with the same word here share a dossier; an empty one is a dossier of its own.
    dossier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that is not taken, and why; 0 is the table as a whole."""

    row: int
    why: str


def read_manifest(content: bytes) -> tuple[list[OrderLine], list[BadRow]]:
    """
    Return the originals of a table (CSV or XLSX) and the rows that say something wrong.

    Refuses a file that is no table, and one without the columns that are needed (CERT-23).
    """
    try:
        rows = read_rows(content, limits=_LIMITS)
    except Unreadable as error:
        raise Forbidden(
            f"the manifest cannot be read: {error}", rule="CERT-23", way_out=error.way_out
        ) from error
    places = _places(rows[0]) if rows else {}
    missing = [COLUMNS[name][0] for name in _NEEDED if name not in places]
    if missing:
        raise Forbidden(
            f"the manifest has no column {', '.join(f'“{one}”' for one in missing)}.",
            rule="CERT-23",
            way_out="Its first row names the columns: loại giấy tờ, tệp, and if needed số trang, số bản, hồ sơ.",
        )
    lines: list[OrderLine] = []
    bad: list[BadRow] = []
    for row in rows[1:]:
        read = _line(row, places)
        if isinstance(read, OrderLine):
            lines.append(read)
        else:
            bad.append(read)
    return lines, bad + list(_twice(lines))


def _places(header: Row) -> dict[str, int]:
    """Return where each known column stands."""
    names = [cell.text.casefold() for cell in header.cells]
    return {name: names.index(word) for name, words in COLUMNS.items() for word in words if word in names}


def _line(row: Row, places: Mapping[str, int]) -> OrderLine | BadRow:
    """Return what one row says, or what is wrong with it."""
    said = {name: row.cell(place) for name, place in places.items()}
    if any(cell.typed == "formula" for cell in said.values()):
        return BadRow(row=row.number, why="a formula is not taken; write the value. [CERT-23]")
    text = {name: cell.text for name, cell in said.items()}
    files = tuple(word.strip() for word in text["file"].split(_DIVIDER) if word.strip())
    if not text["kind"] or not files:
        return BadRow(row=row.number, why="the kind of paper or the file is missing. [CERT-23]")
    numbers: dict[str, int | None] = {}
    for name, default in (("pages", None), ("copies", 1)):
        word = text.get(name, "")
        if word and (not word.isdecimal() or int(word) < 1):
            return BadRow(row=row.number, why=f"“{word}” is no number of {name}. [CERT-16]")
        numbers[name] = int(word) if word else default
    return OrderLine(
        row=row.number,
        kind=text["kind"],
        files=files,
        pages=numbers["pages"],
        copies=numbers["copies"] or 1,
        dossier=text.get("dossier", ""),
    )


def _twice(lines: Sequence[OrderLine]) -> Iterator[BadRow]:
    """Yield the rows that name a file which another row has named before."""
    first: dict[str, int] = {}
    for line in lines:
        for name in line.files:
            known = first.setdefault(name, line.row)
            if known != line.row:
                yield BadRow(row=line.row, why=f"the file {name} is in row {known} already. [CERT-23]")


def grouped(lines: Sequence[OrderLine]) -> list[list[OrderLine]]:
    """
    Return the originals of each dossier, in the order of the table.

    >>> rows = [OrderLine(row=n, kind="k", files=(f"{n}",), dossier=d) for n, d in enumerate(["a", "", "a", ""])]
    >>> [[line.row for line in one] for one in grouped(rows)]
    [[0, 2], [1], [3]]
    """
    groups: dict[object, list[OrderLine]] = {}
    for line in lines:
        groups.setdefault(line.dossier or line.row, []).append(line)
    return list(groups.values())
