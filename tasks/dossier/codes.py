"""Dossier codes: `<receiving office>-<date>-<daily sequence>` (DOS-01 to DOS-04)."""

from __future__ import annotations

import re
from datetime import date, datetime

from infra.errors import Forbidden

_CODE = re.compile(r"(?:\d{3}\.\d{2}\.\d{2}\.[A-Z]\d{2}|[A-Z]\d{2}(?:\.[0-9A-Z]+)*)-(\d{6}|\d{8})-\d{4,7}")


def dossier_code(office: str, day: date, sequence: int, *, width: int = 4) -> str:
    """
    Return the code of the `sequence`-th dossier that an office opened on a day.

    A sequence that does not fit fails loudly instead of borrowing a digit (DOS-04).

    >>> dossier_code("000.00.01.H40", date(2020, 1, 1), 1)
    '000.00.01.H40-200101-0001'
    """
    if not 0 < sequence < 10**width:
        raise Forbidden(
            f"{office} has used all {10**width - 1} dossier codes of {day}.",
            rule="DOS-04",
            way_out="Widen the sequence of dossier codes in the office's data.",
        )
    return f"{office}-{day:%y%m%d}-{sequence:0{width}d}"


def check_code(code: str) -> str:
    """
    Return a dossier code that is well formed, and refuse anything else.

    >>> check_code("G09.20-20260609-0092637")
    'G09.20-20260609-0092637'
    >>> check_code("H40-209999-0001")
    Traceback (most recent call last):
    infra.errors.Forbidden: “H40-209999-0001” is not a dossier code. [DOS-02] Copy it from the receipt, …
    """
    found = _CODE.fullmatch(code)
    if found is None or not _is_date(found[1]):
        raise Forbidden(
            f"“{code}” is not a dossier code.",
            rule="DOS-02",
            way_out="Copy it from the receipt, for example H49.21-261123-0001.",
        )
    return code


def _is_date(digits: str) -> bool:
    """Whether `yymmdd` or `yyyymmdd` names a day that exists."""
    try:
        datetime.strptime(digits, "%y%m%d" if len(digits) == 6 else "%Y%m%d")
    except ValueError:
        return False
    return True
