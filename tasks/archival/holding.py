"""Holds in the store: every object of a held dossier is told to stay, and let go again when the hold ends."""

from __future__ import annotations

from sqlmodel import Session, col, select

from infra.errors import Broken
from infra.history import Json
from infra.services import services
from tasks.archival.tables import ArchivedObjectRow
from tasks.dossier.holds import hold_on
from tasks.dossier.looking import hold
from tasks.dossier.moves import Telling, tell


def _unlike(session: Session, code: str) -> tuple[bool, list[ArchivedObjectRow]]:
    """Return whether a dossier is held, and its objects of which the store was told otherwise."""
    held = hold_on(session, code) is not None
    query = select(ArchivedObjectRow).where(
        ArchivedObjectRow.dossier == code,
        col(ArchivedObjectRow.held).is_(not held),
        col(ArchivedObjectRow.destroyed_at).is_(None),
    )
    return held, list(session.exec(query.order_by(col(ArchivedObjectRow.id))))


def is_unsettled(code: str) -> bool:
    """Whether the store must still be told that a dossier's objects stay, or that they may go."""
    with services().database.transaction() as session:
        return bool(_unlike(session, code)[1])


def settle_hold(code: str) -> int:
    """
    Tell the store what the hold on a dossier says, object by object, and look that it was understood; return how many.

    Doing it again tells what is left. Raises `Broken` when the store took the order and does not keep it.
    """
    with services().database.transaction() as session:
        held, objects = _unlike(session, code)
    store = services().archive
    for row in objects:
        store.keep_held(row.key, row.version_id, held=held)
        if store.measure(row.key, row.version_id).stored.held is not held:
            raise Broken(f"the archive was told to {'keep' if held else 'let go of'} {row.key} and did not")
    with services().database.transaction() as session:
        dossier = hold(session, code)
        for row in objects:
            kept = session.get_one(ArchivedObjectRow, row.id)
            kept.held = held
            session.add(kept)
        if objects:
            facts: dict[str, Json] = {"objects": len(objects)}
            kept_now = Telling(event="hold:kept", facts=facts)
            tell(session, dossier, kept_now if held else Telling(event="hold:lifted", facts=facts))
    return len(objects)
