"""
Renewed documents of archived dossiers: one package more, beside the one that nobody can change.

A renewed document begins with the archived one, so it takes nothing away. Its package has an id of its own, is
locked as long as the first one, and names it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from infra.database import now
from infra.history import Json
from infra.object_store import Stored
from infra.ocfl import object_path, ocfl_object
from infra.services import services
from tasks.archival.package import as_json
from tasks.archival.rules import package_id, renewal_id
from tasks.archival.steps import ARCHIVE_ROOT, lay_down, store_is_safe
from tasks.archival.tables import ArchivedObjectRow, PackageRow
from tasks.dossier.lifecycle import Stage
from tasks.dossier.looking import hold, look
from tasks.dossier.moves import Telling, tell
from tasks.dossier.papers import finished, read
from tasks.dossier.tables import DocumentRow


@dataclass(frozen=True, slots=True, kw_only=True)
class _Renewal:
    """One renewed document that the archive does not hold yet."""

    document: DocumentRow
    package: PackageRow
    folder: str


def archive_renewed(code: str, ordinal: int) -> bool:
    """
    Put an archived dossier's renewed document into the archive too; return whether it was put there now.

    `False` for a dossier that is not archived, and for a document that the archive holds. A second try after a
    crash writes the same keys with the same bytes. Raises what archiving raises.
    """
    with services().database.transaction() as session:
        wanting = _wanting(session, code, ordinal)
    if wanting is None:
        return False
    store_is_safe()
    row, package = wanting.document, wanting.package
    about = {
        "package": package_id(code),
        "document": row.sha256,
        "level": row.level,
        "rules": row.level_rules,
    }
    files = ocfl_object(
        renewal_id(code, ordinal, row.position),
        {
            f"documents/{ordinal}-lifted-{row.revision}-{row.position}.pdf": read(row),
            "renewal.json": as_json(about),
        },
        message="Evidence renewed before it ended",
        user_name=package.user_name,
        user_address=package.user_address,
        created=row.made_at,
    )
    return _end(code, ordinal, wanting, lay_down(wanting.folder, files, package.retain_until))


def _wanting(session: Session, code: str, ordinal: int) -> _Renewal | None:
    """Return the renewed document of an archived dossier that is not in the archive."""
    dossier, package = look(session, code), session.get(PackageRow, code)
    row = finished(session, code, ordinal)
    if dossier.stage != Stage.ARCHIVED or package is None or row is None or row.made_at <= package.begun_at:
        return None
    folder = ARCHIVE_ROOT + object_path(renewal_id(code, ordinal, row.position))
    held = select(ArchivedObjectRow).where(
        ArchivedObjectRow.dossier == code, col(ArchivedObjectRow.key) == f"{folder}/inventory.json"
    )
    if session.exec(held).first() is not None:
        return None
    return _Renewal(document=row, package=package, folder=folder)


def _end(code: str, ordinal: int, done: _Renewal, kept: list[Stored]) -> bool:
    """Write down what the archive holds besides."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        if _wanting(session, code, ordinal) is None:
            return False
        moment = now(session)
        for stored in kept:
            session.add(
                ArchivedObjectRow(
                    dossier=code,
                    key=stored.key,
                    version_id=stored.version_id,
                    sha256=stored.sha256,
                    size=stored.size,
                    mode=stored.mode or "",
                    retain_until=stored.retain_until or done.package.retain_until,
                    read_back_at=moment,
                )
            )
        inventory = next(s for s in kept if s.key == f"{done.folder}/inventory.json")
        facts: dict[str, Json] = {
            "original": ordinal,
            "package": done.folder,
            "doc": {"sha256": done.document.sha256, "size": done.document.size},
            "objects": len(kept),
            "inventory": {"sha256": inventory.sha256, "version": inventory.version_id},
        }
        tell(session, dossier, Telling(event="archive:extended", facts=facts))
        return True
