"""
How fast the history is, on PostgreSQL: appending, proving, signing, and checking the whole of it elsewhere.

Each entry is a transaction of its own, which is the slowest way there is; a move of a dossier writes several in one.
The last line is for programs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import infra.history.verify_history as program
from infra.history import Entry, Json, leaf_hash
from infra.history.checkpoint import Verifier
from infra.history.keeping import newest_checkpoint, proven, sign_checkpoint
from infra.history.recording import contents, head, record
from infra.history.rereading import BLOCK, first_bad_in
from infra.history.tables import HistoryEntry
from infra.services import services

#: What is asked of it: entries a second, seconds a proof, seconds for the whole export.
ENOUGH, PROOF_SECONDS, CHECK_SECONDS = 500, 0.005, 5.0
#: Writers at once: a worker carries that many dossiers.
_WRITERS = 4
_PROOFS = 200


def main(words: list[str] | None = None) -> int:
    """Write, prove and check; print the figures, and exit 0 when all of them are as good as asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--entries", type=int, default=100_000)
    chosen = parser.parse_args(words)
    key = Ed25519PrivateKey.generate()
    alone = _append(chosen.entries // 20, writers=1)
    together = _append(chosen.entries - chosen.entries // 20, writers=_WRITERS)
    signing, proofs = _prove(key)
    reread = _reread()
    checking, size = _check(key)
    print(f"append, one writer, an entry a transaction: {alone:.0f}/s")
    print(f"append, {_WRITERS} writers, an entry a transaction: {together:.0f}/s")
    print(f"first checkpoint over {size} entries: {signing:.2f} s")
    worst = max(proofs)
    print(
        f"proof of one entry: {statistics.median(proofs) * 1000:.2f} ms in the middle, {worst * 1000:.2f} ms at most"
    )
    print(f"old entries read again: {reread:.0f}/s")
    print(f"the export of {size} entries checked by the stand-alone verifier: {checking:.2f} s")
    good = (
        max(alone, together) >= ENOUGH
        and statistics.median(proofs) < PROOF_SECONDS
        and checking < CHECK_SECONDS
    )
    print(f"history {max(alone, together):.0f}/s {statistics.median(proofs) * 1000:.2f} ms {checking:.2f} s")
    return 0 if good else 1


def _append(count: int, *, writers: int) -> float:
    """Append entries, each in a transaction of its own, and return how many a second."""
    parts = services()

    def write(number: int) -> None:
        """Append this writer's share."""
        for n in range(number, count, writers):
            with parts.database.transaction() as session:
                facts: dict[str, Json] = {
                    "event": "bench:written",
                    "actor": {"role": "system"},
                    "n": n,
                    "doc": {"sha256": "0" * 64},
                }
                record(session, f"dossier-{n // 25}", facts)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    began = time.monotonic()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return count / (time.monotonic() - began)


def _prove(key: Ed25519PrivateKey) -> tuple[float, list[float]]:
    """Sign the history and prove single entries of it, each in a transaction of its own; return the seconds."""
    began = time.monotonic()
    with services().database.transaction() as session:
        checkpoint = sign_checkpoint(session, key)
        assert checkpoint is not None, "this history was signed before; the bench wants one of its own"
    signing = time.monotonic() - began
    times = []
    for n in range(_PROOFS):
        with services().database.transaction() as session:
            row = session.get_one(HistoryEntry, n * checkpoint.size // _PROOFS)
            entry = Entry(position=row.position, content=row.entry, leaf_hash=leaf_hash(row.entry))
            began = time.monotonic()
            proven(session, [entry], checkpoint)
            times.append(time.monotonic() - began)
    return signing, times


def _reread() -> float:
    """Read every block again, and return how many entries a second."""
    with services().database.transaction() as session:
        size = head(session)[0]
    began = time.monotonic()
    for block in range(size // BLOCK):
        with services().database.transaction() as session:
            assert first_bad_in(session, block) is None
    return size / (time.monotonic() - began)


def _check(key: Ed25519PrivateKey) -> tuple[float, int]:
    """Export the history and have it checked in a process of its own; return the seconds of that, and its length."""
    with (
        tempfile.TemporaryDirectory(prefix="hoso-bench-") as name,
        services().database.transaction() as session,
    ):
        folder = Path(name)
        (folder / "checkpoints").mkdir()
        with (folder / "entries.jsonl").open("wb") as out:
            out.writelines(content + b"\n" for content in contents(session))
        checkpoint = sign_checkpoint(session, key)
        assert checkpoint is None
        newest = newest_checkpoint(session)
        assert newest is not None
        (folder / "checkpoints" / "1").write_text(newest.note, encoding="utf-8")
        public = str(Verifier.of(services().settings.history_log, key))
        command = [sys.executable, "-I", program.__file__, "export", name, "--key", public]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
    said = json.loads(done.stdout)
    assert said["holds"], said
    return seconds, int(said["entries"])


if __name__ == "__main__":
    sys.exit(main())
