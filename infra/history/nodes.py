"""
The hashes of complete subtrees, kept beside the entries so that a proof reads a few hundred rows and not all of them.

Kept are those over 256, 65 536 … leaves; the levels between are computed from at most 256 hashes. All of it is
derived from the entries and can be thrown away and made again.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, func, select

from infra.errors import Broken
from infra.history.tables import HistoryEntry, HistoryNode
from infra.history.tree import Nodes, node_hash, nodes_over, root

#: Every how many levels hashes are kept: a kept one covers 2**8 of those below it.
STRIDE = 8
_WIDTH = 1 << STRIDE


def stored_nodes(session: Session) -> Nodes:
    """Return the subtrees of the history as this transaction sees it; each block of 256 is read once."""
    blocks: dict[tuple[int, int], list[list[bytes]]] = {}

    def node(level: int, index: int) -> bytes:
        kept, above = level - level % STRIDE, level % STRIDE
        block, place = divmod(index, _WIDTH >> above)
        if (kept, block) not in blocks:
            blocks[kept, block] = _pairs(_read(session, kept, block))
        return blocks[kept, block][above][place]

    return node


def keep_nodes(session: Session, size: int) -> int:
    """
    Keep what is complete below `size` leaves and not kept yet; return how many hashes were added.

    Doing it again adds nothing. It reads only what was added since.
    """
    added = 0
    level = STRIDE
    while size >> level:
        known = session.exec(
            select(func.count()).select_from(HistoryNode).where(HistoryNode.level == level)
        ).one()
        for index in range(known, size >> level):
            below = _read(session, level - STRIDE, index)
            if len(below) != _WIDTH:
                raise Broken(f"the history has a gap below entry {(index + 1) << level}")
            session.add(HistoryNode(level=level, index=index, hash=root(nodes_over(below), _WIDTH)))
            added += 1
        session.flush()
        level += STRIDE
    return added


def kept_node(session: Session, level: int, index: int) -> bytes | None:
    """Return the hash that is kept over a complete subtree, or `None` when none is."""
    row = session.get(HistoryNode, (level, index))
    return row.hash if row else None


def _read(session: Session, level: int, block: int) -> Sequence[bytes]:
    """Return up to 256 neighbouring hashes of a kept level; level 0 are the entries themselves."""
    begin, end = block * _WIDTH, (block + 1) * _WIDTH
    if level == 0:
        leaves = select(HistoryEntry.leaf_hash).where(
            HistoryEntry.position >= begin, HistoryEntry.position < end
        )
        return session.exec(leaves.order_by(col(HistoryEntry.position))).all()
    kept = select(HistoryNode.hash).where(
        HistoryNode.level == level, HistoryNode.index >= begin, HistoryNode.index < end
    )
    return session.exec(kept.order_by(col(HistoryNode.index))).all()


def _pairs(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Return the levels of complete subtrees over neighbouring hashes, themselves first."""
    levels = [list(hashes)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(a, b) for a, b in zip(below[::2], below[1::2], strict=False)])
    return levels
