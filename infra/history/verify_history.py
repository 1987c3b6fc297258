#!/usr/bin/env python3
"""
Check a history that hoso exported, without hoso: all it needs is Python 3.11 and the package `cryptography`.

    verify_history.py export FOLDER --key VKEY [--checkpoint NOTE …]
    verify_history.py bundle FILE   --key VKEY [--document FILE …]
    verify_history.py evidence FOLDER [--key VKEY]

`export` reads `FOLDER/entries.jsonl` (one entry a line, exactly as it was hashed) and every note below
`FOLDER/checkpoints/`; further notes, kept by a witness or by the archive, are given with `--checkpoint`.
`bundle` reads the proof that goes with one result. `evidence` reads the folder that a citizen was given
(unpacked): every file against its list, the proof, the documents, and the time-stamp. VKEY is the public key
of the history, or a file that holds it. Prints one JSON object and exits 0 when everything holds, 1 when
anything does not.

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

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
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
    stamp = check_stamp(base64.b64decode(bundle["tst"]), bundle["checkpoint"]) if bundle.get("tst") else None
    for document in bundle.get("docs", []):
        if document["sha256"] not in named:
            raise Bad(f"no entry names the document {document['name']}")
    for file in documents:
        if hashlib.sha256(file.read_bytes()).hexdigest() not in named:
            raise Bad(f"no entry names the bytes of {file}")
    return {
        "entries": len(bundle["entries"]),
        "size": size,
        "documents": len(documents),
        "root": root.hex(),
        "stamp": stamp,
    }


# Time-stamps ---------------------------------------------------------------------------------------


_HASHES = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"


def parts_of(der: bytes) -> list[tuple[int, bytes, bytes]]:
    """Return the values in a piece of DER: tag, content, and the whole value with its header."""
    found, at = [], 0
    while at < len(der):
        begin, tag, length, at = at, der[at], der[at + 1], at + 2
        if length & 0x80:
            more = length & 0x7F
            length, at = int.from_bytes(der[at : at + more], "big"), at + more
        if at + length > len(der):
            raise Bad("the time-stamp cannot be read")
        found.append((tag, der[at : at + length], der[begin : at + length]))
        at += length
    return found


def dotted(oid: bytes) -> str:
    """Return an object identifier as people write it."""
    arcs, value = [], 0
    for byte in oid:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def check_stamp(token: bytes, note: str) -> dict[str, str]:
    """
    Check that an RFC 3161 token is over a note and signed by the certificate that it carries.

    Whether that certificate's authority is to be trusted is not decided here; its name is returned.
    """
    try:
        signed = parts_of(parts_of(parts_of(parts_of(token)[0][1])[1][1])[0][1])
        content = parts_of(parts_of(signed[2][1])[1][1])[0][1]
        info = parts_of(parts_of(content)[0][1])
        imprint = parts_of(info[2][1])
        function = _HASHES[dotted(parts_of(imprint[0][1])[0][1])]
        wanted = hashlib.new(function.name, note.encode()).digest()
        if imprint[1][1] != wanted:
            raise Bad("the time-stamp is over another checkpoint")
        certificates = [x509.load_der_x509_certificate(one[2]) for one in parts_of(signed[3][1])]
        signer = parts_of(parts_of(signed[-1][1])[0][1])
        serial = int.from_bytes(parts_of(signer[1][1])[1][1], "big", signed=True)
        signers = [one for one in certificates if one.serial_number == serial]
        digest = _HASHES[dotted(parts_of(signer[2][1])[0][1])]
        attributes = {
            dotted(parts_of(one[1])[0][1]): parts_of(one[1])[1][1] for one in parts_of(signer[3][1])
        }
        if parts_of(attributes[_MESSAGE_DIGEST])[0][1] != hashlib.new(digest.name, content).digest():
            raise Bad("the time-stamp's content was changed")
        what, signature = b"\x31" + signer[3][2][1:], signer[5][1]
        key = signers[0].public_key()
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, what, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, what, ec.ECDSA(digest))
        else:
            raise Bad("the time-stamp is signed in a way that is not known here")
    except InvalidSignature:
        raise Bad("the time-stamp's signature does not hold") from None
    except (IndexError, KeyError, ValueError):
        raise Bad("the time-stamp cannot be read") from None
    return {"at": info[4][1].decode("ascii"), "by": signers[0].subject.rfc4514_string()}


# The evidence that a citizen was given ----------------------------------------------------------------


def check_evidence(folder: Path, key: Key) -> dict[str, Any]:
    """Check an unpacked evidence file: all files against the list, the proof, the documents, the time-stamp."""
    listed = (folder / "SHA256SUMS").read_bytes().decode("utf-8")
    sums = {name: wanted for wanted, _, name in (line.partition("  ") for line in listed.split("\n") if line)}
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()} - {
        "SHA256SUMS"
    }
    for name in sorted({*sums, *there}):
        if name not in there:
            raise Bad(f"{name} is missing")
        if name not in sums:
            raise Bad(f"{name} does not belong to this evidence")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != sums[name]:
            raise Bad(f"{name} is not what the list of files says")
    if listed != "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)):
        raise Bad("the list of files is not in its one form")
    bundle = json.loads((folder / "proof.json").read_text(encoding="utf-8"))
    # Whoever lists other bytes than those that were signed is found out here.
    documents = [folder / one["name"] for one in bundle["docs"]]
    found = check_bundle(bundle, key, documents)
    for file in documents:
        wanted = next(one["sha256"] for one in bundle["docs"] if folder / one["name"] == file)
        if hashlib.sha256(file.read_bytes()).hexdigest() != wanted:
            raise Bad(f"{file.name} is not the document that the proof names")
    entries = b"".join(base64.b64decode(item["entry"]) + b"\n" for item in bundle["entries"])
    if (folder / "history.jsonl").read_bytes() != entries:
        raise Bad("history.jsonl is not the history that the proof is about")
    if (folder / "checkpoint.note").read_text(encoding="utf-8") != bundle["checkpoint"]:
        raise Bad("checkpoint.note is not the checkpoint of the proof")
    if (folder / "checkpoint.tst").read_bytes() != base64.b64decode(bundle["tst"] or ""):
        raise Bad("checkpoint.tst is not the time-stamp of the proof")
    _check_timeline(json.loads((folder / "timeline.json").read_text(encoding="utf-8")), bundle)
    return {**found, "files": len(sums)}


def _check_timeline(lines: list[dict[str, Any]], bundle: dict[str, Any]) -> None:
    """Check that the timeline tells of the proven entries, each once and in order."""
    said = [
        (item["index"], json.loads(base64.b64decode(item["entry"]))["event"]) for item in bundle["entries"]
    ]
    if [(line["viTri"], line["suKien"]) for line in lines] != said:
        raise Bad("timeline.json does not tell what the history tells")


def main(words: Sequence[str] | None = None) -> int:
    """Check what the command line names, print JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["export", "bundle", "evidence"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--key", help="the history's public key, or a file that holds it")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[])
    parser.add_argument("--document", type=Path, action="append", default=[])
    chosen = parser.parse_args(words)
    if chosen.key is None and chosen.what != "evidence":
        parser.error("--key is needed")
    try:
        given = chosen.key if chosen.key is not None else str(chosen.path / "key")
        key = Key(Path(given).read_text(encoding="utf-8") if Path(given).is_file() else given)
        if chosen.what == "export":
            found = check_export(chosen.path, key, chosen.checkpoint)
        elif chosen.what == "evidence":
            found = check_evidence(chosen.path, key)
            # A forger would have put a key of their own beside the rest.
            found["key"] = "given" if chosen.key else "came with the file: compare it with the published one"
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
