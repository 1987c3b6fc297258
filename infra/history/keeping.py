"""Signing checkpoints over the history in the database, and the proofs that follow from them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlmodel import Session, col, func, select

from infra.database import now
from infra.errors import Broken
from infra.history import Entry, Json
from infra.history.checkpoint import Checkpoint, sign
from infra.history.nodes import keep_nodes, stored_nodes
from infra.history.tables import HistoryCheckpoint, HistoryEntry, HistoryHead, HistoryNode
from infra.history.tree import inclusion_proof, root
from infra.reading import read_once


def read_key(file: Path) -> Ed25519PrivateKey:
    """Return the history's own signing key from a PEM file (PKCS #8); it signs checkpoints and standing lists."""
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise Broken(f"the key of the history cannot be read from {file}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Broken(f"{file} holds no Ed25519 key")
    return key


def sign_checkpoint(session: Session, key: Ed25519PrivateKey) -> HistoryCheckpoint | None:
    """
    Sign the history as it stands and return the checkpoint, or `None` when nothing was added since the last.

    Two at once sign two different lengths, one after the other. A history that does not begin with what
    was signed before is not signed: raises `Broken`, because it was rewritten or an old backup was put back.
    """
    head = session.exec(select(HistoryHead).with_for_update()).one()
    last = newest_checkpoint(session)
    if last is not None:
        must_continue(session, Checkpoint(log=head.log, size=last.size, root=last.root))
        if last.size == head.size:
            return None
    if head.size == 0:
        return None
    keep_nodes(session, head.size)
    top = root(stored_nodes(session), head.size)
    note = sign(Checkpoint(log=head.log, size=head.size, root=top), key)
    row = HistoryCheckpoint(size=head.size, root=top, note=note, signed_at=now(session))
    session.add(row)
    session.flush()
    return row


def must_continue(session: Session, earlier: Checkpoint) -> None:
    """Raise `Broken` unless the history in the database begins with what an earlier checkpoint covers."""
    head = session.exec(select(HistoryHead)).one()
    if earlier.log != head.log:
        raise Broken(f"the checkpoint is of another history, {earlier.log}")
    if earlier.size > head.size:
        raise Broken(
            f"{earlier.size} entries were signed and {head.size} are here: "
            "an old backup was put back, or the end was cut off"
        )
    if root(stored_nodes(session), earlier.size) != earlier.root:
        raise Broken(f"the first {earlier.size} entries are not those that were signed: they were rewritten")


def newest_checkpoint(session: Session) -> HistoryCheckpoint | None:
    """Return the checkpoint that covers most, if there is one."""
    return session.exec(select(HistoryCheckpoint).order_by(col(HistoryCheckpoint.size).desc())).first()


def unstamped_since(session: Session) -> datetime | None:
    """Return when the oldest entry was written that no time-stamped checkpoint covers, or `None` if all are covered."""
    stamped = select(func.max(HistoryCheckpoint.size)).where(col(HistoryCheckpoint.token).is_not(None))
    covered = func.coalesce(stamped.scalar_subquery(), 0)
    # A desk's role sees some of the entries only; the oldest of those is as good a sign.
    oldest = (
        select(HistoryEntry.at).where(HistoryEntry.position >= covered).order_by(col(HistoryEntry.position))
    )
    return session.exec(oldest.limit(1)).first()


def checkpoint_over(session: Session, position: int) -> HistoryCheckpoint | None:
    """Return the first time-stamped checkpoint that covers the entry at a position, if there is one yet."""
    covering = select(HistoryCheckpoint).where(
        HistoryCheckpoint.size > position, col(HistoryCheckpoint.token).is_not(None)
    )
    return session.exec(covering.order_by(col(HistoryCheckpoint.size))).first()


def proven(session: Session, entries: Sequence[Entry], checkpoint: HistoryCheckpoint) -> dict[str, Json]:
    """Return the proof that entries are in the history that a checkpoint covers (docs/history-format.md)."""
    # Whoever sees a checkpoint sees all that it covers, so what was read for one serves every proof under it.
    nodes = read_once(
        session, (HistoryEntry, HistoryNode), ("nodes", checkpoint.size), lambda: stored_nodes(session)
    )
    return {
        "checkpoint": checkpoint.note,
        "tst": _text(checkpoint.token) if checkpoint.token else None,
        "entries": [
            {
                "index": entry.position,
                "entry": _text(entry.content),
                "inclusion": [
                    _text(step) for step in inclusion_proof(nodes, entry.position, checkpoint.size)
                ],
            }
            for entry in entries
        ],
    }


def _text(content: bytes) -> str:
    """Return bytes as JSON carries them."""
    return base64.b64encode(content).decode()
