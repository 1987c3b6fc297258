"""
Reading old entries again: an entry that was rewritten inside a block whose hash is kept would show nowhere else.

A checkpoint is computed from kept hashes, so that it need not read everything. Whoever rewrites an old entry and
leaves those hashes alone is found here, block by block, and in every export.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlmodel import Session, col, select

from infra.history import GENESIS, leaf_hash
from infra.history.nodes import STRIDE, kept_node
from infra.history.tables import HistoryEntry
from infra.history.tree import nodes_over, root

#: How many entries a block has.
BLOCK = 1 << STRIDE


def first_bad_in(session: Session, block: int) -> int | None:
    """
    Return the first position of a block that is not as it was written, or `None`.

    Bytes, hash, place, link to the entry before, and the hash that is kept over the whole block. A block that
    was linked anew throughout is known by that last one only; then its first position is returned.
    """
    begin = block * BLOCK
    rows = _rows(session, begin - 1, begin + BLOCK)
    previous = GENESIS
    if begin:
        if not rows or rows[0].position != begin - 1:
            return begin - 1
        previous, rows = rows[0].leaf_hash, rows[1:]
    for expected, row in enumerate(rows, start=begin):
        if row.position != expected or leaf_hash(row.entry) != row.leaf_hash:
            return expected
        said = json.loads(row.entry)
        if said["seq"] != expected:
            return expected
        if said["prev"] != previous.hex():
            # It is whole in itself, so what it names was changed.
            return max(expected - 1, 0)
        previous = row.leaf_hash
    kept = kept_node(session, STRIDE, block)
    if kept is None:
        return None
    if len(rows) != BLOCK:
        return begin + len(rows)
    return None if root(nodes_over([row.leaf_hash for row in rows]), BLOCK) == kept else begin


def _rows(session: Session, begin: int, end: int) -> Sequence[HistoryEntry]:
    """Return the rows at positions [begin, end)."""
    query = select(HistoryEntry).where(HistoryEntry.position >= begin, HistoryEntry.position < end)
    return session.exec(query.order_by(col(HistoryEntry.position))).all()
