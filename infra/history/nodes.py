"""
The hashes of complete subtrees, kept beside the entries so that a proof reads a few hundred rows and not all of them.

Kept are those over 256, 65 536 … leaves; the levels between are computed from at most 256 hashes. All of it is
derived from the entries and can be thrown away and made again.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlmodel import Session, func, select

from infra.errors import Broken
from infra.history.tables import HistoryNode
from infra.history.tree import Nodes, node_hash, nodes_over, root

#: Every how many levels hashes are kept: a kept one covers 2**8 of those below it.
STRIDE = 8
_WIDTH = 1 << STRIDE
_HASH_SIZE = 32  # bytes of SHA-256

#: Neighbouring hashes come as one value: as rows they would take longer than all hashing.
_LEAVES = text("""
    select string_agg(leaf_hash, ''::bytea order by position) from history_entry
    where position >= :begin and position < :end
""")
_KEPT = text("""
    select string_agg(hash, ''::bytea order by index) from history_node
    where level = :level and index >= :begin and index < :end
""")


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
    query = _LEAVES if level == 0 else _KEPT
    values = {"begin": block * _WIDTH, "end": (block + 1) * _WIDTH} | ({"level": level} if level else {})
    whole = bytes(session.connection().execute(query, values).scalar() or b"")
    return [whole[at : at + _HASH_SIZE] for at in range(0, len(whole), _HASH_SIZE)]


def _pairs(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Return the levels of complete subtrees over neighbouring hashes, themselves first."""
    levels = [list(hashes)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(a, b) for a, b in zip(below[::2], below[1::2], strict=False)])
    return levels
