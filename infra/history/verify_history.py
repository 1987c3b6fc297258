#!/usr/bin/env python3
"""
Check a history that hoso exported, without hoso: all it needs is Python 3.11 and the package `cryptography`.

    verify_history.py export FOLDER --key VKEY [--checkpoint NOTE …]
    verify_history.py bundle FILE   --key VKEY [--document FILE …]

`export` reads `FOLDER/entries.jsonl` (one entry a line, exactly as it was hashed) and every note below
`FOLDER/checkpoints/`; further notes, kept by a witness or by the archive, are given with `--checkpoint`.
`bundle` reads the proof that goes with one result. VKEY is the public key of the history, or a file that
holds it. Prints one JSON object and exits 0 when everything holds, 1 when anything does not.

The format is described in docs/history-format.md. The tree is that of RFC 9162, notes and checkpoints are
those of https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Bad(Exception):
    """Something does not hold: a sentence, and the first index that is not as it was written, if it is known."""

    def __init__(self, what: str, first_bad: int | None = None) -> None:
        """Say what does not hold."""
        super().__init__(what)
        self.first_bad = first_bad


# Hashes -------------------------------------------------------------------------------------------


def leaf(entry: bytes) -> bytes:
    """Return the hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The roots of the complete subtrees of a growing tree, largest first; enough to know its root at any time."""

    def __init__(self) -> None:
        """Begin with no leaf."""
        self.size = 0
        self.peaks: list[tuple[int, bytes]] = []  # (number of leaves, hash)

    def add(self, value: bytes) -> None:
        """Append one leaf hash."""
        count = 1
        while self.peaks and self.peaks[-1][0] == count:
            value = node(self.peaks.pop()[1], value)
            count *= 2
        self.peaks.append((count, value))
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        found = self.peaks[-1][1]
        for _, left in reversed(self.peaks[:-1]):
            found = node(left, found)
        return found


def included(proof: Sequence[bytes], value: bytes, index: int, size: int, root: bytes) -> bool:
    """Say whether an audit path leads from a leaf hash to a root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last = index, size - 1
    for step in proof:
        if last == 0 or len(step) != 32:
            return False
        if at & 1 or at == last:
            value = node(step, value)
            while at & 1 == 0:
                at >>= 1
                last >>= 1
        else:
            value = node(value, step)
        at >>= 1
        last >>= 1
    return last == 0 and value == root


# Notes --------------------------------------------------------------------------------------------


class Key:
    """The public key of a history: `name+hash+base64`, as it is handed out."""

    def __init__(self, printed: str) -> None:
        """Read the key."""
        self.name, _, rest = printed.strip().partition("+")
        said, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
            self.hash = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
            if raw[:1] != b"\x01" or len(raw) != 33 or self.hash.hex() != said:
                raise ValueError
            self.key = Ed25519PublicKey.from_public_bytes(raw[1:])
        except ValueError:
            raise Bad("the key is not a verifier key (name+hash+base64)") from None

    def open(self, note: str) -> tuple[int, bytes]:
        """Return (size, root) of a checkpoint signed by this key."""
        text, gap, lines = note.partition("\n\n")
        text += "\n"
        if not gap or not any(self._signs(line, text) for line in lines.splitlines()):
            raise Bad("a checkpoint is not signed by the key of this history")
        name, size, root = [*text.split("\n"), "", ""][:3]
        try:
            found = int(size), base64.b64decode(root, validate=True)
        except ValueError:
            raise Bad("a signed note holds no checkpoint") from None
        if name != self.name:
            raise Bad(f"a checkpoint is of another history, {name}")
        if len(found[1]) != 32 or size != str(found[0]) or found[0] < 0:
            raise Bad("a signed note holds no checkpoint")
        return found

    def _signs(self, line: str, text: str) -> bool:
        """Say whether a signature line is this key's, over this text."""
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or parts[1] != self.name:
            return False
        try:
            raw = base64.b64decode(parts[2], validate=True)
            if raw[:4] != self.hash:
                return False
            self.key.verify(raw[4:], text.encode())
        except (ValueError, InvalidSignature):
            return False
        return True


# An export ----------------------------------------------------------------------------------------


def check_export(folder: Path, key: Key, further: Sequence[Path]) -> dict[str, Any]:
    """Check every entry, every link and every checkpoint; return what was checked."""
    files = sorted((folder / "checkpoints").glob("*")) if (folder / "checkpoints").is_dir() else []
    notes = [(str(file), *key.open(file.read_text(encoding="utf-8"))) for file in [*files, *further]]
    if not notes:
        raise Bad(
            "no checkpoint is given; without one nobody sees that the end was cut off or all was written anew"
        )
    wanted: dict[int, tuple[bytes, str]] = {}
    for name, size, root in notes:
        if wanted.setdefault(size, (root, name))[0] != root:
            raise Bad(
                f"two checkpoints of {size} entries have different roots: the history was forked ({name})"
            )
    tree = Frontier()
    covered, fault = _compare(tree, wanted, 0)
    previous: bytes | None = None
    with (folder / "entries.jsonl").open("rb") as lines:
        for index, line in enumerate(lines):
            entry = line.rstrip(b"\n")
            _check_entry(index, entry, previous, key.name)
            if fault:  # Only now: the link of this entry might have named the fault more exactly.
                raise fault
            tree.add(leaf(entry))
            previous = entry
            covered, fault = _compare(tree, wanted, covered)
    if fault:
        raise fault
    longest = max(wanted)
    if longest > tree.size:
        raise Bad(
            f"a checkpoint covers {longest} entries, the export has {tree.size}: "
            "it was cut off, or an old backup was put back",
            tree.size,
        )
    return {"entries": tree.size, "covered": covered, "checkpoints": len(notes), "root": tree.root().hex()}


def _compare(tree: Frontier, wanted: dict[int, tuple[bytes, str]], covered: int) -> tuple[int, Bad | None]:
    """Compare the tree so far with the checkpoint of its size, if there is one; return how much is covered."""
    found = wanted.get(tree.size)
    if found is None:
        return covered, None
    if found[0] != tree.root():
        what = f"the first {tree.size} entries are not those of a signed checkpoint; the first {covered} are"
        return covered, Bad(what, covered)
    return tree.size, None


def _check_entry(index: int, entry: bytes, previous: bytes | None, log: str) -> None:
    """Check one entry's form, place and link; say where the first fault is."""
    try:
        said = json.loads(entry)
        seq, prev, name = said["seq"], said["prev"], said["log"]
    except (ValueError, KeyError, TypeError):
        raise Bad(f"entry {index} cannot be read", index) from None
    linked = prev == (leaf(previous).hex() if previous is not None else "00" * 32)
    if linked and seq == index:
        if name != log:
            raise Bad(f"entry {index} is of another history", index)
        return
    if entry == previous:
        raise Bad(f"entry {index - 1} is there twice", index)
    if linked or not isinstance(seq, int) or seq > index or index == 0:
        raise Bad(f"entry {index} is not the one that belongs there (it says {seq!r})", index)
    # It fits neither the place nor the entry before it, so what is before it was changed or put in.
    raise Bad(f"entry {index - 1} is not the one that the next entry names", index - 1)


# A bundle -----------------------------------------------------------------------------------------


def check_bundle(bundle: dict[str, Any], key: Key, documents: Sequence[Path]) -> dict[str, Any]:
    """Check the proof of one result: every entry is in the signed tree; return what it shows."""
    size, root = key.open(bundle["checkpoint"])
    named: set[str] = set()
    for item in bundle["entries"]:
        entry = base64.b64decode(item["entry"])
        proof = [base64.b64decode(step) for step in item["inclusion"]]
        index = item["index"]
        said = json.loads(entry)
        if said.get("seq") != index or said.get("log") != key.name:
            raise Bad(f"entry {index} says that it is {said.get('seq')!r} of {said.get('log')!r}", index)
        if not included(proof, leaf(entry), index, size, root):
            raise Bad(f"entry {index} is not in the history that the checkpoint was signed over", index)
        named |= {value["sha256"] for value in said.values() if isinstance(value, dict) and "sha256" in value}
    for document in bundle.get("docs", []):
        if document["sha256"] not in named:
            raise Bad(f"no entry names the document {document['name']}")
    for file in documents:
        if hashlib.sha256(file.read_bytes()).hexdigest() not in named:
            raise Bad(f"no entry names the bytes of {file}")
    return {"entries": len(bundle["entries"]), "size": size, "documents": len(documents), "root": root.hex()}


def main(words: Sequence[str] | None = None) -> int:
    """Check what the command line names, print JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["export", "bundle"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--key", required=True, help="the history's public key, or a file that holds it")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[])
    parser.add_argument("--document", type=Path, action="append", default=[])
    chosen = parser.parse_args(words)
    try:
        printed = Path(chosen.key).read_text(encoding="utf-8") if Path(chosen.key).is_file() else chosen.key
        key = Key(printed)
        if chosen.what == "export":
            found = check_export(chosen.path, key, chosen.checkpoint)
        else:
            found = check_bundle(json.loads(chosen.path.read_text(encoding="utf-8")), key, chosen.document)
    except Bad as fault:
        print(
            json.dumps({"holds": False, "why": str(fault), "first_bad": fault.first_bad}, ensure_ascii=False)
        )
        return 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        why = f"it cannot be read ({type(fault).__name__}: {fault})"
        print(json.dumps({"holds": False, "why": why, "first_bad": None}, ensure_ascii=False))
        return 1
    print(json.dumps({"holds": True, **found}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
