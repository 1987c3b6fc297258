"""The nightly comparison: every gap between what should be the same is kept under its name until it is gone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlmodel import Session, col, func, select

from infra.database import now
from infra.history import Json
from infra.history.recording import record
from infra.object_store import ObjectStore
from infra.services import services
from tasks.dossier.moves import SYSTEM
from tasks.dossier.tables import DossierRow
from tasks.reconciliation.queries import QUERIES, THERE, TOLD
from tasks.reconciliation.tables import FindingRow

#: Hours that something may be under way before it counts as forgotten; and the same for the archive's nights.
_HOURS, _ARCHIVE_HOURS = 2, 60

#: Dossiers whose histories are read at once.
_BLOCK = 500

#: The subject of the entries about comparisons.
SUBJECT = "reconciliation"

_RESULT_FILES = text(
    """
    select x.key, x.dossier, x.ordinal, x.sha256 from document x
    join original o on o.dossier = x.dossier and o.ordinal = x.ordinal
    where x.key like :prefix and o.standing in ('valid', 'withdrawn', 'replaced')
      and (x.kind = 'lifted' and x.revision = o.revision or x.kind = 'result'
           or x.kind = 'sealed' and x.revision = o.revision and not exists (select from document l
              where l.dossier = x.dossier and l.ordinal = x.ordinal and l.kind = 'lifted'))
      and not exists (select from document y where y.dossier = x.dossier and y.ordinal = x.ordinal
          and y.kind = x.kind and (y.revision, y.position) > (x.revision, x.position))
    """
)
_LOCKED = text(
    "select key, dossier, 0 as ordinal, sha256 from archived_object where destroyed_at is null and key like :prefix"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One gap as a comparison saw it."""

    code: str
    subject: str
    ordinal: int
    facts: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it the same gap tomorrow."""
        return self.code, self.subject, self.ordinal


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a comparison did: how many dossiers it saw, what is new, what is still there, what is gone."""

    dossiers: int
    new: int
    open: int
    ended: int


def reconcile() -> Compared:
    """
    Compare everything that should be the same, and keep what is not as findings; nothing is repaired.

    A gap that was found before stays one finding; one that is gone ends. Doing it again is comparing again.
    Raises `Unavailable` when the database or a store does not answer, and then keeps nothing.
    """
    with services().database.transaction() as session:
        dossiers = session.exec(select(func.count()).select_from(DossierRow)).one()
        found = {one.key: one for one in itertools.chain(_asked(session), _untold(session))}
        found |= {one.key: one for one in _lost(session)}
    with services().database.transaction() as session:
        return _keep(session, found, dossiers)


def open_findings(session: Session) -> list[FindingRow]:
    """Return the findings that the last comparison saw, oldest first."""
    query = select(FindingRow).where(col(FindingRow.ended_at).is_(None)).order_by(col(FindingRow.id))
    return list(session.exec(query))


def _asked(session: Session) -> Iterator[Found]:
    """Yield the gaps that the database's own tables show."""
    for code, query in QUERIES.items():
        given = {"hours": _HOURS, "archive_hours": _ARCHIVE_HOURS}
        used = {name: value for name, value in given.items() if f":{name}" in query}
        for row in session.connection().execute(text(query), used):
            yield Found(code=code, subject=row.subject, ordinal=row.ordinal, facts=row.facts or {})


def _untold(session: Session) -> Iterator[Found]:
    """Yield the gaps between the tables and the history, a block of dossiers at a time."""
    codes = list(session.exec(select(DossierRow.code).order_by(DossierRow.code)))
    for start in range(0, len(codes), _BLOCK):
        within = {"first": codes[start], "last": codes[min(start + _BLOCK, len(codes)) - 1]}
        rows = session.connection().execute(text(THERE), within).mappings()
        there = {row["code"]: {k: v for k, v in row.items() if k != "code"} for row in rows}
        for row in session.connection().execute(text(TOLD), within):
            if row.told != row.stage:
                facts = {"stands": row.stage, "told": row.told}
                yield Found(code="stage-not-logged", subject=row.code, ordinal=0, facts=facts)
            yield from _different(row.code, there[row.code], row.events or {})


def _different(code: str, there: dict[str, int], events: dict[str, int]) -> Iterator[Found]:
    """Yield what was done and not told, and what was told and is not there, of one dossier."""
    told = {event: events.get(event, 0) for event in there}
    missing = {event: told[event] for event, rows in there.items() if rows > told[event]}
    beyond = {event: told[event] for event, rows in there.items() if rows < told[event]}
    if missing:
        yield Found(code="event-not-logged", subject=code, ordinal=0, facts={"told": missing})
    if beyond:
        yield Found(code="event-without-row", subject=code, ordinal=0, facts={"told": beyond})


def _lost(session: Session) -> Iterator[Found]:
    """Yield what the stores do not list: files of issued results, and locked objects. Nothing is read."""
    parts = services()
    digits = "0123456789abcdef"
    for pair in map("".join, itertools.product(digits, repeat=2)):
        for folder in ("content", "signed"):
            yield from _unlisted(session, parts.work, f"{folder}/{pair}", _RESULT_FILES, "file-lost")
        yield from _unlisted(session, parts.archive, f"archive/{pair}", _LOCKED, "archive-object-lost")


def _unlisted(session: Session, store: ObjectStore, prefix: str, query: Any, code: str) -> Iterator[Found]:
    """Yield the rows below a prefix whose key the store does not list."""
    rows = list(session.connection().execute(query, {"prefix": f"{prefix}%"}))
    if not rows:
        return
    listed = set(store.keys(prefix))
    for row in rows:
        if row.key not in listed:
            facts = {"key": row.key, "sha256": row.sha256}
            yield Found(code=code, subject=row.dossier, ordinal=row.ordinal, facts=facts)


def _keep(session: Session, found: dict[tuple[str, str, int], Found], dossiers: int) -> Compared:
    """Keep what is new, say of what is known that it was seen, and end what is gone."""
    moment = now(session)
    known = {(row.code, row.subject, row.ordinal): row for row in open_findings(session)}
    for key, row in known.items():
        row.seen_at = moment if key in found else row.seen_at
        row.ended_at = None if key in found else moment
        session.add(row)
    fresh = [one for key, one in found.items() if key not in known]
    session.add_all(_rows(fresh, moment))
    ended = len(known.keys() - found.keys())
    if fresh or ended:
        facts: dict[str, Json] = {
            "event": "findings:kept",
            "actor": SYSTEM.facts(),
            "new": [f"{one.code} {one.subject}/{one.ordinal}" for one in fresh[:100]],
            "open": len(found),
            "ended": ended,
        }
        record(session, SUBJECT, facts)
    return Compared(dossiers=dossiers, new=len(fresh), open=len(found), ended=ended)


def _rows(found: Iterable[Found], moment: Any) -> list[FindingRow]:
    """Return new findings as rows."""
    return [
        FindingRow(
            code=one.code,
            subject=one.subject,
            ordinal=one.ordinal,
            facts=one.facts,
            found_at=moment,
            seen_at=moment,
        )
        for one in found
    ]
