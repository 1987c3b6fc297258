"""
The Merkle tree over the history (RFC 9162 §2.1): roots, and the two proofs that people can keep.

An inclusion proof shows that one entry is in the tree that a checkpoint signs, without showing any other
entry. A consistency proof shows that an earlier tree is the beginning of a later one. Everything here is
computed from the hashes of complete subtrees, which `Nodes` gives; where those are kept is not its matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

#: The hash of the complete subtree with 2**level leaves that begins at leaf index · 2**level.
Nodes = Callable[[int, int], bytes]

#: The root of a tree without leaves.
EMPTY_ROOT = hashlib.sha256(b"").digest()

_HASH_SIZE = 32  # bytes


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 9162 §2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def nodes_over(leaves: Sequence[bytes]) -> Nodes:
    """Return the subtrees over leaf hashes that are all in memory, each computed once."""
    levels: list[list[bytes]] = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(a, b) for a, b in zip(below[::2], below[1::2], strict=False)])
    return lambda level, index: levels[level][index]


def root(nodes: Nodes, size: int) -> bytes:
    """
    Return the root of the tree over the first `size` leaves.

    >>> root(nodes_over([]), 0) == EMPTY_ROOT
    True
    """
    return _range(nodes, 0, size) if size else EMPTY_ROOT


def inclusion_proof(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """Return the audit path of a leaf in the tree of `size` leaves (RFC 9162 §2.1.3.1), nearest sibling first."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_range(nodes, middle, end))
            end = middle
        else:
            path.append(_range(nodes, begin, middle))
            begin = middle
    return path[::-1]


def consistency_proof(nodes: Nodes, earlier: int, later: int) -> list[bytes]:
    """Return the proof that the first `earlier` of `later` leaves are unchanged (RFC 9162 §2.1.4.1)."""
    if not 0 < earlier <= later:
        raise ValueError(f"a tree of {later} leaves does not continue one of {earlier}")
    path: list[bytes] = []
    begin, end = 0, later
    while earlier < end:
        middle = begin + _split(end - begin)
        if earlier <= middle:
            path.append(_range(nodes, middle, end))
            end = middle
        else:
            path.append(_range(nodes, begin, middle))
            begin = middle
    if begin:  # Otherwise the walk ended with the earlier tree itself, whose root the verifier has.
        path.append(_range(nodes, begin, end))
    return path[::-1]


def includes(proof: Sequence[bytes], leaf: bytes, index: int, size: int, expected: bytes) -> bool:
    """Say whether an inclusion proof shows that a leaf hash is at an index of the tree with this root."""
    if not 0 <= index < size or any(len(step) != _HASH_SIZE for step in proof):
        return False
    node, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if node % 2 or node == last:
            found = node_hash(step, found)
            while node % 2 == 0:
                node, last = node // 2, last // 2
        else:
            found = node_hash(found, step)
        node, last = node // 2, last // 2
    return last == 0 and found == expected


def continues(
    proof: Sequence[bytes], earlier: int, earlier_root: bytes, later: int, later_root: bytes
) -> bool:
    """Say whether a consistency proof shows that the later tree begins with the earlier one (RFC 9162 §2.1.4.2)."""
    if not 0 < earlier <= later or any(len(step) != _HASH_SIZE for step in proof):
        return False
    if earlier == later:
        return not proof and earlier_root == later_root
    steps = list(proof)
    if earlier & (earlier - 1) == 0:  # The earlier tree is one complete subtree: its root is the first step.
        steps.insert(0, earlier_root)
    if not steps:
        return False
    node, last = earlier - 1, later - 1
    while node % 2:
        node, last = node // 2, last // 2
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if node % 2 or node == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while node % 2 == 0 and node:
                node, last = node // 2, last // 2
        else:
            new = node_hash(new, step)
        node, last = node // 2, last // 2
    return last == 0 and old == earlier_root and new == later_root


def _split(size: int) -> int:
    """Return the largest power of two below `size` (> 1)."""
    return 1 << (size - 1).bit_length() - 1


def _range(nodes: Nodes, begin: int, end: int) -> bytes:
    """Return the hash over leaves [begin, end), a range that the tree has as one subtree."""
    size = end - begin
    if size & (size - 1) == 0:
        return nodes(size.bit_length() - 1, begin // size)
    middle = begin + _split(size)
    return node_hash(_range(nodes, begin, middle), _range(nodes, middle, end))
