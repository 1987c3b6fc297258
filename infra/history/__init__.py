"""
A history whose entries are fixed from the first day.

An entry is RFC 8785 canonical JSON, stored verbatim and hashed as a leaf of an RFC 9162 tree
(`SHA-256(0x00 ‖ entry)`); each names its position and the leaf hash before it. A chain alone does not
show that its own tail was cut or rewritten by whoever owns the database: signed checkpoints, kept
elsewhere, will. Personal data stays outside, behind a salted commitment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import rfc8785

#: What an entry may hold: no floats, so that its bytes never depend on a printer of numbers.
Json = str | int | bool | None | list["Json"] | dict[str, "Json"]

#: The `prev` of the first entry.
GENESIS = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry as it was written: where, what bytes, and their leaf hash."""

    position: int
    content: bytes
    leaf_hash: bytes


def leaf_hash(content: bytes) -> bytes:
    """
    Return the RFC 9162 §2.1.1 hash of a leaf.

    >>> leaf_hash(b"").hex()
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'
    """
    return hashlib.sha256(b"\x00" + content).digest()


def write_entry(
    *, log: str, position: int, previous: bytes, at: datetime, facts: Mapping[str, Json]
) -> Entry:
    """
    Return the entry that says `facts` at this position, after the entry hashed `previous`.

    The members `v`, `log`, `seq`, `prev` and `at` are ours (docs/history-format.md); a fact of the
    same name is a bug and raises `ValueError`. Times are RFC 3339 in UTC with microseconds.
    """
    ours: dict[str, Json] = {
        "v": 1,
        "log": log,
        "seq": position,
        "prev": previous.hex(),
        "at": at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
    }
    if clash := ours.keys() & facts.keys():
        raise ValueError(f"the history writes {sorted(clash)} itself")
    content = rfc8785.dumps({**ours, **facts})
    return Entry(position=position, content=content, leaf_hash=leaf_hash(content))


def commit_to(content: bytes, salt: bytes) -> bytes:
    """Return the commitment `SHA-256(salt ‖ content)`: says nothing without the salt, binds with it."""
    return hashlib.sha256(salt + content).digest()


def subject_hash(code: str) -> bytes:
    """Return the key under which the entries of one subject are found."""
    return hashlib.sha256(code.encode()).digest()


def first_fault(entries: Iterator[Entry]) -> int | None:
    """
    Return the first position whose bytes, hash, place or predecessor are not as written, or `None`.

    What it cannot show is a tail that was cut off, or a whole history written anew.
    """
    previous = GENESIS
    for expected, entry in enumerate(entries):
        if entry.position != expected or leaf_hash(entry.content) != entry.leaf_hash:
            return expected
        said = json.loads(entry.content)
        if said["seq"] != expected or said["prev"] != previous.hex():
            return expected
        previous = entry.leaf_hash
    return None
