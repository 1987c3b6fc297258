"""Documents of a dossier: bytes in the work store under their own hash, and rows that say what they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken
from infra.object_store import AlreadyStored, Stored
from infra.reading import read_once
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
    session.flush()
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
    return session.exec(
        select(DocumentRow).where(
            DocumentRow.dossier == paper.dossier,
            DocumentRow.ordinal == paper.ordinal,
            DocumentRow.kind == paper.kind,
            DocumentRow.revision == paper.revision,
            DocumentRow.position == paper.position,
        )
    ).one_or_none()


def newest(session: Session, dossier: str, ordinal: int, kind: str) -> DocumentRow | None:
    """Return an original's document of a kind in its newest revision."""
    query = (
        select(DocumentRow)
        .where(DocumentRow.dossier == dossier, DocumentRow.ordinal == ordinal, DocumentRow.kind == kind)
        .order_by(col(DocumentRow.revision).desc(), col(DocumentRow.position))
    )
    return read_once(session, (DocumentRow,), (dossier, ordinal, kind), lambda: session.exec(query).first())


def finished(session: Session, dossier: str, ordinal: int) -> DocumentRow | None:
    """Return the document of an original that the agency has sealed, with all evidence that was added to it so far."""
    query = (
        select(DocumentRow)
        .where(
            DocumentRow.dossier == dossier,
            DocumentRow.ordinal == ordinal,
            col(DocumentRow.kind).in_(("lifted", "sealed")),
        )
        # What was lifted comes before what was sealed only.
        .order_by(col(DocumentRow.kind), col(DocumentRow.revision).desc(), col(DocumentRow.position).desc())
    )
    return session.exec(query).first()


def all_of(session: Session, dossier: str, ordinal: int, kind: str) -> list[DocumentRow]:
    """Return an original's documents of a kind, newest revision only, in order of position."""
    first = newest(session, dossier, ordinal, kind)
    if first is None:
        return []
    query = (
        select(DocumentRow)
        .where(
            DocumentRow.dossier == dossier,
            DocumentRow.ordinal == ordinal,
            DocumentRow.kind == kind,
            DocumentRow.revision == first.revision,
        )
        .order_by(col(DocumentRow.position))
    )
    return list(session.exec(query))


def read(row: DocumentRow) -> bytes:
    """Return a document's bytes; raises `Broken` when they are not the bytes that were kept."""
    content = services().work.get(row.key)
    if sha256_of(content) != row.sha256:
        raise Broken(f"{row.kind} of {row.dossier} in the work store is not what was kept there")
    return content
