"""When personal data goes, and which documents of a dossier stay without it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

#: Documents that are the issued result itself, with all its evidence; what they were made of goes.
_RESULTS = frozenset({"lifted", "sealed", "result"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What stays of a dossier, and under which rule."""

    what: str
    rule: str


def due_on(ended: date, after_days: int) -> date:
    """
    Return the first day on which the personal data of a dossier goes that ended on a day.

    >>> due_on(date(2026, 11, 22), 365)
    datetime.date(2027, 11, 22)
    """
    return ended + timedelta(days=after_days)


def is_working(kind: str, *, final: Collection[int], document: int) -> bool:
    """
    Whether a document is a working file; `final` are the ids of what an issued result consists of.

    The issued result stays as long as the archive keeps its package: its evidence is renewed from it.

    >>> is_working("scan", final={7}, document=3), is_working("lifted", final={7}, document=7)
    (True, False)
    """
    return kind not in _RESULTS or document not in final
