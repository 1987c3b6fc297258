"""When a document's evidence may be extended, and before when it must be: pure, from what the file shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

#: The PAdES baseline levels, each holding those before it.
LEVELS = ("none", "B", "T", "LT", "LTA")


def reaches(level: str | None, wanted: str) -> bool:
    """
    Say whether a level is as good as the one that is wanted; nothing known is as good as nothing there.

    >>> reaches("LTA", "LT"), reaches("B", "T"), reaches(None, "B")
    (True, False, False)
    """
    return LEVELS.index(level or "none") >= LEVELS.index(wanted)


def lifted_key(document_sha256: str, wanted: str) -> str:
    """
    Return the key under which the one document with this evidence is stored, computed from the intent.

    >>> lifted_key("ab" * 32, "LT")[-11:]
    'abab/LT.pdf'
    """
    return f"lifted/{document_sha256}/{wanted}.pdf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One thing that a document's evidence rests on: whose certificate, until when, and its algorithms."""

    what: str
    ends: datetime
    algorithms: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """From when on more evidence is of use, before when it must be there, and what ends first."""

    may_extend_from: datetime
    must_extend_before: datetime
    cause: str


def margin_of(
    resting: Sequence[Holding],
    *,
    begins: datetime,
    known_until: datetime | None,
    algorithm_ends: Mapping[str, date],
) -> Margin:
    """
    Return the margin of a document from what its evidence rests on, which ends with the first of it.

    `begins` is when the newest evidence was made. `known_until` is when the newest answer about revocation
    ends: only an answer that comes after it can prove that the newest time-stamp was made by a certificate in
    force, so more evidence is of little use before (a grace period, EN 319 102-1 §5.2.6). `algorithm_ends`
    says on which days algorithms stop being believed.

    >>> one = Holding(what="the authority", ends=datetime(2030, 1, 1, tzinfo=UTC), algorithms=("rsa-2048",))
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> found = margin_of([one], begins=at, known_until=None, algorithm_ends={"rsa-2048": date(2028, 12, 31)})
    >>> found.must_extend_before.date().isoformat(), found.cause
    ('2028-12-31', 'rsa-2048 of the authority')
    """
    ends = [(holding.ends, f"the certificate of {holding.what}") for holding in resting]
    for holding in resting:
        for name in holding.algorithms:
            if name in algorithm_ends:
                last = algorithm_ends[name]
                moment = datetime(last.year, last.month, last.day, tzinfo=UTC)
                ends.append((moment, f"{name} of {holding.what}"))
    before, cause = min(ends)
    begins = max(begins, known_until) if known_until is not None else begins
    return Margin(may_extend_from=min(begins, before), must_extend_before=before, cause=cause)


def algorithm_ends(text: str) -> dict[str, date]:
    """
    Read a table of algorithms and the last days on which they are believed.

    >>> algorithm_ends("rsa-2048=2030-12-31, sha256=2036-12-31")["rsa-2048"]
    datetime.date(2030, 12, 31)
    """
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    return {name.strip(): date.fromisoformat(day.strip()) for name, _, day in pairs}


def is_due(margin_ends: datetime, *, at: datetime, days: int) -> bool:
    """
    Say whether fewer than `days` days are left of a margin.

    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> is_due(at + timedelta(days=89), at=at, days=90), is_due(at + timedelta(days=90), at=at, days=90)
    (True, False)
    """
    return margin_ends - at < timedelta(days=days)
