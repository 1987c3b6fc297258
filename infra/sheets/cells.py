"""What a table consists of, once it was read: rows of cells, each knowing how it was typed."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from infra.errors import Forbidden

#: How a cell was typed. A number has lost its leading zeros, a formula has no value of its own.
Typed = Literal["text", "number", "date", "formula", "error"]

_SPACES = re.compile(r"\s+")


class Unreadable(Forbidden):
    """A file that is no table we take; `code` says why in one word, for programs."""

    def __init__(self, message: str, *, code: str, way_out: str) -> None:
        """Refuse a whole file (LIST-01)."""
        self.code = code
        super().__init__(message, rule="LIST-01", way_out=way_out)

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes with all its parts."""
        return (_unreadable, (self.message, self.code, self.way_out))


def _unreadable(message: str, code: str, way_out: str) -> Unreadable:
    """Rebuild a refusal that came from another process."""
    return Unreadable(message, code=code, way_out=way_out)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, trimmed and in NFC, and how it was typed; a date's text is ISO 8601."""

    text: str = ""
    typed: Typed = "text"


@dataclass(frozen=True, slots=True)
class Row:
    """One row that is not empty, with its number in the file, counted from 1."""

    number: int
    cells: tuple[Cell, ...]

    def cell(self, position: int) -> Cell:
        """Return a cell; beyond the last one, all are empty."""
        return self.cells[position] if position < len(self.cells) else Cell()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a file is looked at before it is refused."""

    file_bytes: int = 5_000_000
    #: The parts of a workbook together, unpacked.
    unpacked_bytes: int = 60_000_000
    parts: int = 300
    #: Rows that hold something, and rows at all: a sheet may claim a million empty ones.
    rows: int = 10_020
    depth: int = 30_000
    columns: int = 64
    cell_characters: int = 2_000


def tidy(text: str) -> str:
    r"""
    Return text in NFC with single spaces and without characters that nobody sees.

    >>> tidy("  Nguye\u0302\u0303n\u00a0 Va\u0306n\n A ")
    'Nguyễn Văn A'
    >>> tidy("a\u200bb\u202ec\x00")
    'abc'
    """
    text = _SPACES.sub(" ", unicodedata.normalize("NFC", text))
    return "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc", "Co", "Cs")).strip()
