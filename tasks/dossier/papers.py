"""Documents of a dossier: bytes in the work store under their own hash, and rows that say what they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from sqlmodel import Session

from infra.database import now
from infra.errors import Broken
from infra.object_store import AlreadyStored, Stored
from infra.reading import rows_of
from infra.services import services
from tasks.dossier.tables import DocumentRow

#: How the kind of a paper begins that the agency has not signed yet, and its field on such a paper.
UNSEALED = "unsealed-"
PAPER_FIELD = "agency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What a document is to a dossier."""

    dossier: str
    kind: str
    ordinal: int = 0
    revision: int = 0
    position: int = 0
    media_type: str = "application/pdf"
    for_day: date | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def content_key(sha256: str) -> str:
    """
    Return the work store's key of content that is named by its own hash.

    >>> content_key("ab12")
    'content/ab/ab12'
    """
    return f"content/{sha256[:2]}/{sha256}"


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of bytes in lower-case hex."""
    return hashlib.sha256(content).hexdigest()


def store_content(content: bytes, media_type: str) -> Stored:
    """Store bytes durably under their hash, before any row names them; the same bytes again change nothing."""
    return services().work.put(content_key(sha256_of(content)), content, content_type=media_type)


def stored_as(key: str, content: bytes) -> Stored:
    """Return what lies in the work store under a write-once name: it was just put there, or read from there."""
    return Stored(key=key, version_id="", sha256=sha256_of(content), size=len(content))


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in lower-case hex; it is read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def store_file(path: Path, media_type: str, *, digest: str = "") -> Stored:
    """
    Store a file as `store_content` stores bytes, without holding them; raises `AlreadyStored` as that does.

    `digest` is its SHA-256 where the caller knows it; what the store holds is compared with it in any case.
    """
    digest = digest or sha256_of_file(path)
    stored = services().work.put_file(content_key(digest), path, content_type=media_type)
    if stored.sha256 != digest:
        raise AlreadyStored(f"{stored.key} holds other content than its name says")
    return stored


def fetch_file(key: str, digest: str, path: Path) -> Path:
    """Write what the work store keeps under a key to a file and return that; raises `Broken` when it is not that."""
    if services().work.get_file(key, path).sha256 != digest:
        raise Broken(f"{key} in the work store is not what was kept there")
    return path


def keep(session: Session, paper: Paper, stored: Stored) -> DocumentRow:
    """Say in the caller's transaction what stored bytes are; saying it again returns the row that is there."""
    row = find(session, paper)
    if row is not None:
        if row.sha256 != stored.sha256:
            raise Broken(f"{paper.dossier} holds another {paper.kind} of revision {paper.revision} already")
        return row
    row = _row(session, paper, stored)
    session.add(row)
    return row


def keep_first(session: Session, papers: Sequence[tuple[Paper, Stored]]) -> None:
    """Say what stored bytes are to an original that is new in this transaction, and has no documents yet."""
    session.add_all(_row(session, paper, stored) for paper, stored in papers)


def _row(session: Session, paper: Paper, stored: Stored) -> DocumentRow:
    """Return the row that says what stored bytes are."""
    return DocumentRow(
        dossier=paper.dossier,
        ordinal=paper.ordinal,
        kind=paper.kind,
        revision=paper.revision,
        position=paper.position,
        sha256=stored.sha256,
        key=stored.key,
        size=stored.size,
        media_type=paper.media_type,
        for_day=paper.for_day,
        facts=dict(paper.facts),
        made_at=now(session),
    )


def find(session: Session, paper: Paper) -> DocumentRow | None:
    """Return the row of exactly this document, if it is there."""
    wanted = (paper.kind, paper.revision, paper.position)
    rows = _documents(session, paper.dossier, paper.ordinal)
    return next((row for row in rows if (row.kind, row.revision, row.position) == wanted), None)


def newest(session: Session, dossier: str, ordinal: int, kind: str) -> DocumentRow | None:
    """Return an original's document of a kind in its newest revision."""
    return next(iter(all_of(session, dossier, ordinal, kind)), None)


def finished(session: Session, dossier: str, ordinal: int) -> DocumentRow | None:
    """Return the document of an original that the agency has sealed, with all evidence that was added to it so far."""
    rows = [row for row in _documents(session, dossier, ordinal) if row.kind in ("lifted", "sealed")]
    # What was lifted comes before what was sealed only.
    return max(rows, key=lambda row: (row.kind == "lifted", row.revision, row.position), default=None)


def all_of(session: Session, dossier: str, ordinal: int, kind: str) -> list[DocumentRow]:
    """Return an original's documents of a kind, newest revision only, in order of position."""
    rows = [row for row in _documents(session, dossier, ordinal) if row.kind == kind]
    revision = max((row.revision for row in rows), default=0)
    return sorted((row for row in rows if row.revision == revision), key=lambda row: row.position)


def _documents(session: Session, dossier: str, ordinal: int) -> list[DocumentRow]:
    """Return every document of an original, or of the whole dossier (0)."""
    return rows_of(session, DocumentRow, dossier=dossier, ordinal=ordinal)


def read(row: DocumentRow) -> bytes:
    """Return a document's bytes; raises `Broken` when they are not the bytes that were kept."""
    content = services().work.get(row.key)
    if sha256_of(content) != row.sha256:
        raise Broken(f"{row.kind} of {row.dossier} in the work store is not what was kept there")
    return content
