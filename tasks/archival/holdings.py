"""What the archive holds of a dossier, read back version by version: never what happens to be newest under a key."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from sqlmodel import Session, col, select

from infra.errors import Broken, Forbidden
from infra.ocfl import PackageVersion, check_ocfl
from infra.services import services
from tasks.archival.tables import ArchivedObjectRow

#: A package's folder is so many segments of its objects' keys: the root, three tuples, the name.
_DEPTH = 5


def objects_of(session: Session, code: str) -> list[ArchivedObjectRow]:
    """Return the object versions that the archive holds of a dossier, in the order of writing."""
    query = select(ArchivedObjectRow).where(
        ArchivedObjectRow.dossier == code, col(ArchivedObjectRow.destroyed_at).is_(None)
    )
    return list(session.exec(query.order_by(col(ArchivedObjectRow.id))))


def packages_of(code: str) -> list[PackageVersion]:
    """
    Return a dossier's packages as the archive holds them: the first one, then those of renewed documents.

    Exactly the versions that were read back when they were written are read; each is compared with what was
    written down, and each package with its inventory. Raises `Forbidden` when nothing of it is in the archive,
    `Broken` when something is not as it was.
    """
    with services().database.transaction() as session:
        rows = objects_of(session, code)
    if not rows:
        raise Forbidden(
            f"the archive holds nothing of dossier {code}.",
            rule="ARC-05",
            way_out="“hoso archive” puts a returned dossier there; “hoso show” says where it stands.",
        )
    folders: dict[str, dict[str, bytes]] = {}
    for row in rows:
        folder, name = _split(row.key)
        folders.setdefault(folder, {})[name] = _held(row)
    return [check_ocfl(files) for files in folders.values()]


def _split(key: str) -> tuple[str, str]:
    """
    Return the folder of a package and the path within it.

    >>> _split("archive/4c1/265/525/urn%3ahoso%3aX/v1/inventory.json")
    ('archive/4c1/265/525/urn%3ahoso%3aX', 'v1/inventory.json')
    """
    segments = key.split("/")
    return "/".join(segments[:_DEPTH]), "/".join(segments[_DEPTH:])


def _held(row: ArchivedObjectRow) -> bytes:
    """Return one version's bytes; raises `Broken` when they are not those that were written."""
    content = services().archive.get(row.key, version_id=row.version_id)
    if sha256(content).hexdigest() != row.sha256:
        raise Broken(f"the archive does not hold {row.key} (version {row.version_id}) as it was written")
    return content


def documents_in(packages: list[PackageVersion]) -> Mapping[str, bytes]:
    """Return the released documents of packages, by path; renewed ones lie below `documents/renewed/`."""
    first, *renewals = packages
    found = {name: content for name, content in first.files.items() if name.startswith("documents/")}
    for number, renewal in enumerate(renewals, start=1):
        for name, content in renewal.files.items():
            if name.startswith("documents/"):
                found[f"documents/renewed/{number}-{name.removeprefix('documents/')}"] = content
    return found
