"""The tree over the history, against the definitions of RFC 9162 written down naively, and against every change."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.history import leaf_hash
from infra.history.tree import (
    EMPTY_ROOT,
    consistency_proof,
    continues,
    includes,
    inclusion_proof,
    node_hash,
    nodes_over,
    root,
)

#: The leaves and roots that certificate transparency logs have been tested with since RFC 6962.
KNOWN = [bytes.fromhex(h) for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
KNOWN_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
]


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(n.to_bytes(4, "big")) for n in range(count)]


LEAVES = leaves(600)
NODES = nodes_over(LEAVES)


def naive_root(part: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, word by word."""
    if not part:
        return hashlib.sha256(b"").digest()
    if len(part) == 1:
        return part[0]
    k = largest_power_below(len(part))
    return node_hash(naive_root(part[:k]), naive_root(part[k:]))


def naive_path(m: int, part: list[bytes]) -> list[bytes]:
    """RFC 9162 §2.1.3.1."""
    if len(part) == 1:
        return []
    k = largest_power_below(len(part))
    if m < k:
        return [*naive_path(m, part[:k]), naive_root(part[k:])]
    return [*naive_path(m - k, part[k:]), naive_root(part[:k])]


def naive_subproof(m: int, part: list[bytes], whole: bool) -> list[bytes]:
    """RFC 9162 §2.1.4.1."""
    if m == len(part):
        return [] if whole else [naive_root(part)]
    k = largest_power_below(len(part))
    if m <= k:
        return [*naive_subproof(m, part[:k], whole), naive_root(part[k:])]
    return [*naive_subproof(m - k, part[k:], False), naive_root(part[:k])]


def largest_power_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def flipped(value: bytes, bit: int) -> bytes:
    bit %= len(value) * 8
    return value[: bit // 8] + bytes([value[bit // 8] ^ (1 << bit % 8)]) + value[bit // 8 + 1 :]


def test_the_roots_are_those_that_other_logs_have() -> None:
    nodes = nodes_over([leaf_hash(entry) for entry in KNOWN])
    assert [root(nodes, size).hex() for size in range(1, len(KNOWN) + 1)] == KNOWN_ROOTS
    assert root(nodes, 0) == EMPTY_ROOT == hashlib.sha256(b"").digest()


def test_every_root_to_600_is_that_of_the_definition() -> None:
    assert all(root(NODES, size) == naive_root(LEAVES[:size]) for size in range(601))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_proofs_are_those_of_the_definition_and_hold(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 600))
    index = data.draw(st.integers(0, size - 1))
    earlier = data.draw(st.integers(1, size))
    proof = inclusion_proof(NODES, index, size)
    assert proof == naive_path(index, LEAVES[:size])
    assert includes(proof, LEAVES[index], index, size, root(NODES, size))
    bridge = consistency_proof(NODES, earlier, size)
    assert bridge == naive_subproof(earlier, LEAVES[:size], True)
    assert continues(bridge, earlier, root(NODES, earlier), size, root(NODES, size))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_an_inclusion_proof_with_anything_changed_does_not_hold(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 600))
    index = data.draw(st.integers(0, size - 1))
    proof, top = inclusion_proof(NODES, index, size), root(NODES, size)
    bit = data.draw(st.integers(0, 255))
    assert not includes(proof, flipped(LEAVES[index], bit), index, size, top)
    assert not includes(proof, LEAVES[index], index, size, flipped(top, bit))
    assert not includes([*proof, top], LEAVES[index], index, size, top)
    assert not includes([bytes(32), *proof], LEAVES[index], index, size, top)
    for other in {index - 1, index + 1, index ^ 2} & set(range(size)):
        assert not includes(proof, LEAVES[index], other, size, top)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        assert not includes(
            [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]], LEAVES[index], index, size, top
        )
        assert not includes(proof[:-1], LEAVES[index], index, size, top)
        assert not includes(proof[1:], LEAVES[index], index, size, top)
        assert not includes([*proof[:at], proof[at][:31], *proof[at + 1 :]], LEAVES[index], index, size, top)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_consistency_proof_with_anything_changed_does_not_hold(data: st.DataObject) -> None:
    later = data.draw(st.integers(2, 600))
    earlier = data.draw(st.integers(1, later - 1))
    proof = consistency_proof(NODES, earlier, later)
    old, new = root(NODES, earlier), root(NODES, later)
    bit = data.draw(st.integers(0, 255))
    assert not continues(proof, earlier, flipped(old, bit), later, new)
    assert not continues(proof, earlier, old, later, flipped(new, bit))
    assert not continues(proof, earlier, new, later, old)
    assert not continues([*proof, new], earlier, old, later, new)
    assert not continues(proof[:-1], earlier, old, later, new)
    at = data.draw(st.integers(0, len(proof) - 1))
    assert not continues([*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]], earlier, old, later, new)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (6, 5)])
def test_no_proof_is_made_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(NODES, index, size)
    assert not includes([], LEAVES[0], index, size, root(NODES, max(size, 1)))


@pytest.mark.parametrize(("earlier", "later"), [(0, 5), (6, 5)])
def test_no_tree_continues_a_longer_one_or_nothing(earlier: int, later: int) -> None:
    with pytest.raises(ValueError, match="does not continue"):
        consistency_proof(NODES, earlier, later)
    assert not continues([], earlier, EMPTY_ROOT, later, root(NODES, later))
