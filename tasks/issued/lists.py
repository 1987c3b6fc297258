"""Making the standing list: collected, signed, locked away, and made anew when something stopped standing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import text
from sqlmodel import Session, col, func, select

from infra.clock import HANOI
from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.history.keeping import read_key
from infra.history.recording import record
from infra.services import services
from tasks.archival.locks import keep_in_mind
from tasks.archival.rules import retain_until
from tasks.archival.steps import store_is_safe
from tasks.dossier.looking import original_of
from tasks.dossier.moves import SYSTEM
from tasks.dossier.releases import released
from tasks.issued.standing_note import Line, StandingList, State, list_name, signed
from tasks.issued.tables import StandingChangeRow, StandingListRow

#: Where the lists lie in the archive bucket.
FOLDER = "standing/"

#: The subject of the entries about standing lists; they belong to no dossier.
SUBJECT = "standing-list"

#: Every file of an issued result: as it was sealed, with the evidence of any day, or another agency's file.
_FILES = text(
    """
    select d.sha256, o.dossier, o.ordinal, o.standing, c.at, c.replaced_by
    from original o
    join dossier s on s.code = o.dossier and s.stage in ('Signed', 'Returned', 'Archived')
    join document d on d.dossier = o.dossier and d.ordinal = o.ordinal
         and ((d.kind in ('sealed', 'lifted') and d.revision = o.revision) or d.kind = 'result')
    left join standing_change c on c.dossier = o.dossier and c.ordinal = o.ordinal
    where o.standing in ('valid', 'withdrawn', 'replaced')
    """
)

#: Where one file is the result of two originals, the worse standing is said of it.
_WORSE = {State.VALID: 0, State.REPLACED: 1, State.WITHDRAWN: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A list that was made: until when it may be believed, and how many files stand on it and how many do not."""

    issued_at: datetime
    next_update: datetime
    valid: int
    ended: int
    key: str


def make_list() -> Made:
    """
    Sign which results stand now, and lay the list into the archive; return what it says.

    Its lock lasts as long as the settings say. Doing it again is one list more. Raises
    `Unavailable` when the archive does not answer; the next try makes a newer one.
    """
    with services().database.locked("standing-list", patience=60.0):
        return _make()


def _make() -> Made:
    """Make one list; two at a time would not know which of them is the newest."""
    parts = services()
    key, chosen = read_key(parts.settings.history_key_file), parts.settings
    store_is_safe()
    with parts.database.transaction() as session:
        issued = now(session).replace(microsecond=0)
        found, changes = _collect(session)
    made = StandingList(
        name=list_name(chosen.history_log),
        issued_at=issued,
        next_update=issued + timedelta(hours=chosen.standing_list_hours),
        lines=found,
    )
    content = signed(made, key).encode()
    digest = sha256(content).hexdigest()
    stored = parts.archive.put_locked(
        f"{FOLDER}{issued.astimezone(HANOI):%Y}/{issued:%Y%m%dT%H%M%SZ}-{digest[:16]}.note",
        content,
        content_type="text/plain",
        retain_until=retain_until(issued, chosen.standing_list_years),
    )
    ended = sum(line.state is not State.VALID for line in found.values())
    with parts.database.transaction() as session:
        row = StandingListRow(
            issued_at=now(session),
            next_update=made.next_update,
            documents=len(found),
            changes=changes,
            sha256=digest,
            key=stored.key,
            version_id=stored.version_id,
        )
        session.add(row)
        keep_in_mind(session, "standing", stored)
        facts: dict[str, Json] = {
            "event": "standing:listed",
            "actor": SYSTEM.facts(),
            "list": {"sha256": digest, "key": stored.key, "version": stored.version_id},
            "documents": len(found),
            "ended": ended,
            "next": made.next_update.isoformat(),
        }
        record(session, SUBJECT, facts)
    return Made(
        issued_at=issued,
        next_update=made.next_update,
        valid=len(found) - ended,
        ended=ended,
        key=stored.key,
    )


def is_behind(code: str) -> bool:
    """Whether a result of this dossier stopped standing and the newest list does not say so yet."""
    with services().database.transaction() as session:
        own = select(StandingChangeRow.id).where(StandingChangeRow.dossier == code)
        return session.exec(own).first() is not None and _lacks_changes(session)


def _lacks_changes(session: Session) -> bool:
    """
    Whether the newest list was made of fewer changes than there are.

    They are counted and not compared by their time: one that was committed late has an early time.
    """
    newest = newest_list(session)
    known = session.exec(select(func.count()).select_from(StandingChangeRow)).one()
    return newest is None or newest.changes < known


def list_change(code: str) -> bool:
    """Make the list anew because of a dossier, unless a newer one says it already; return whether it was made."""
    with services().database.locked("standing-list", patience=60.0):
        if not is_behind(code):
            return False
        _make()
        return True


def newest_list(session: Session) -> StandingListRow | None:
    """Return the newest list, if one was made."""
    return session.exec(select(StandingListRow).order_by(col(StandingListRow.issued_at).desc())).first()


def newest_note() -> str:
    """Return the newest list as it is handed out; refuses where none was made yet."""
    with services().database.transaction() as session:
        newest = newest_list(session)
    if newest is None:
        raise Forbidden(
            "no standing list was made yet.",
            rule="DOS-25",
            way_out="The schedule “standing-list” makes one; “hoso standing make” does so at once.",
        )
    return services().archive.get(newest.key, version_id=newest.version_id).decode()


def _collect(session: Session) -> tuple[dict[str, Line], int]:
    """Return how every issued file stands, and how many changes of standing that is made of."""
    lines: dict[str, Line] = {}
    ended: set[tuple[str, int]] = set()
    for row in session.connection().execute(_FILES):
        state = State(row.standing)
        if state is not State.VALID:
            ended.add((row.dossier, row.ordinal))
        by = _new_hash(session, row.replaced_by) if state is State.REPLACED else ""
        line = Line(sha256=row.sha256, state=state, since=row.at, replaced_by=by)
        known = lines.get(row.sha256)
        if known is None or _WORSE[state] > _WORSE[known.state]:
            lines[row.sha256] = line
    return lines, len(ended)


def _new_hash(session: Session, code: str) -> str:
    """Return the hash of the released document that replaces another; a correction has one original."""
    return released(session, original_of(session, code, 1)).document.sha256
