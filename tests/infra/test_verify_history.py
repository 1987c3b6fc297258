"""The stand-alone verifier: it opens no database, imports nothing of ours, and names the first bad index."""

from __future__ import annotations

import ast
import base64
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.history import GENESIS, leaf_hash, verify_history, write_entry
from infra.history.checkpoint import Checkpoint, Verifier, sign
from infra.history.tree import inclusion_proof, nodes_over, root

PROGRAM = Path(verify_history.__file__)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
THIEF = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
LOG = "hoso"
VKEY = str(Verifier.of(LOG, KEY))
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def history(count: int, *, mark: str = "true", log: str = LOG) -> list[bytes]:
    """Return entries as the recording writes them."""
    made, previous = [], GENESIS
    for n in range(count):
        facts = {"event": f"e{n}", "actor": {"role": "system"}, "mark": mark}
        entry = write_entry(
            log=log, position=n, previous=previous, at=NOON + timedelta(seconds=n), facts=facts
        )
        made.append(entry.content)
        previous = entry.leaf_hash
    return made


def note(entries: Sequence[bytes], size: int, *, key: Ed25519PrivateKey = KEY, log: str = LOG) -> str:
    top = root(nodes_over([leaf_hash(e) for e in entries]), size)
    return sign(Checkpoint(log=log, size=size, root=top), key)


def export(folder: Path, entries: Sequence[bytes], notes: Sequence[str]) -> Path:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    for old in (folder / "checkpoints").iterdir():
        old.unlink()
    (folder / "entries.jsonl").write_bytes(b"".join(e + b"\n" for e in entries))
    for n, text in enumerate(notes):
        (folder / "checkpoints" / f"{n:03}").write_text(text, encoding="utf-8")
    return folder


def verdict(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    code = verify_history.main([*map(str, words)])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == (0 if said["holds"] else 1)
    return said


def rewritten(entries: Sequence[bytes], start: int, change: Callable[[dict[str, Any]], None]) -> list[bytes]:
    """Return the history with one entry changed and everything after it linked anew, as an owner could do."""
    made, previous = list(entries[:start]), leaf_hash(entries[start - 1]) if start else GENESIS
    for n in range(start, len(entries)):
        said = json.loads(entries[n])
        if n == start:
            change(said)
        facts = {k: v for k, v in said.items() if k not in ("v", "log", "seq", "prev", "at")}
        at = datetime.fromisoformat(said["at"])
        entry = write_entry(log=LOG, position=n, previous=previous, at=at, facts=facts)
        made.append(entry.content)
        previous = entry.leaf_hash
    return made


ENTRIES = history(40)
NOTES = [note(ENTRIES, 10), note(ENTRIES, 25), note(ENTRIES, 40)]


def test_it_imports_nothing_of_ours_and_only_one_package() -> None:
    tree = ast.parse(PROGRAM.read_text(encoding="utf-8"))
    roots = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    roots |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert roots - set(sys.stdlib_module_names) == {"cryptography"}


def test_a_history_that_was_not_touched_holds(tmp_path: Path) -> None:
    folder = export(tmp_path / "e", ENTRIES, NOTES)
    command = [sys.executable, "-I", str(PROGRAM), "export", str(folder), "--key", VKEY]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said == {"holds": True, "entries": 40, "covered": 40, "checkpoints": 3, "root": said["root"]}


def test_entries_that_no_checkpoint_covers_yet_are_counted_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = verdict(capsys, "export", export(tmp_path, ENTRIES, NOTES[:2]), "--key", VKEY)
    assert (said["entries"], said["covered"]) == (40, 25)


def test_without_a_checkpoint_nothing_is_said_to_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no checkpoint" in verdict(capsys, "export", export(tmp_path, ENTRIES, []), "--key", VKEY)["why"]


ATTACKS: dict[str, Callable[[int], tuple[list[bytes], int]]] = {
    "edited": lambda n: (
        [*ENTRIES[:n], ENTRIES[n].replace(b'"true"', b'"fake"'), *ENTRIES[n + 1 :]],
        n,
    ),
    "deleted": lambda n: ([*ENTRIES[:n], *ENTRIES[n + 1 :]], n),
    "duplicated": lambda n: ([*ENTRIES[: n + 1], ENTRIES[n], *ENTRIES[n + 1 :]], n + 1),
    "swapped": lambda n: ([*ENTRIES[:n], ENTRIES[n + 1], ENTRIES[n], *ENTRIES[n + 2 :]], n),
    "inserted": lambda n: (
        [
            *ENTRIES[:n],
            rewritten(ENTRIES, n, lambda said: said.update(mark="put in"))[n],
            *ENTRIES[n:],
        ],
        n,
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 38))
def test_the_first_bad_index_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], attack: str, at: int
) -> None:
    entries, first_bad = ATTACKS[attack](at)
    said = verdict(capsys, "export", export(tmp_path, entries, NOTES), "--key", VKEY)
    assert not said["holds"]
    assert said["first_bad"] == first_bad, said


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(0, len(b"\n".join(ENTRIES)) * 8 - 1))
def test_no_flipped_bit_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str], bit: int) -> None:
    whole = bytearray(b"\n".join(ENTRIES) + b"\n")
    whole[bit // 8] ^= 1 << bit % 8
    folder = export(tmp_path, ENTRIES, NOTES)
    (folder / "entries.jsonl").write_bytes(bytes(whole))
    assert not verdict(capsys, "export", folder, "--key", VKEY)["holds"]


def test_a_cut_tail_and_an_old_backup_are_seen_by_the_checkpoint_kept_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "witness").write_text(NOTES[2], encoding="utf-8")
    folder = export(tmp_path / "e", ENTRIES[:30], NOTES[:2])
    assert verdict(capsys, "export", folder, "--key", VKEY)["holds"]
    said = verdict(capsys, "export", folder, "--key", VKEY, "--checkpoint", tmp_path / "witness")
    assert "cut off" in said["why"]
    assert said["first_bad"] == 30


def test_a_history_linked_anew_by_the_databases_owner_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = rewritten(ENTRIES, 12, lambda said: said.update(mark="fake"))
    said = verdict(capsys, "export", export(tmp_path, entries, NOTES), "--key", VKEY)
    assert said["first_bad"] == 10, "the first ten are those of the first checkpoint; the fault is after them"


def test_a_rewritten_history_signed_with_another_key_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = rewritten(ENTRIES, 12, lambda said: said.update(mark="fake"))
    folder = export(tmp_path, entries, [note(entries, 40, key=THIEF)])
    assert "not signed by the key" in verdict(capsys, "export", folder, "--key", VKEY)["why"]


def test_a_rewritten_history_signed_with_the_stolen_key_is_a_fork_beside_the_witness(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = rewritten(ENTRIES, 12, lambda said: said.update(mark="fake"))
    (tmp_path / "witness").write_text(NOTES[2], encoding="utf-8")
    folder = export(tmp_path / "e", entries, [note(entries, 40)])
    said = verdict(capsys, "export", folder, "--key", VKEY, "--checkpoint", tmp_path / "witness")
    assert "forked" in said["why"]


def test_another_offices_history_is_not_taken_for_this_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = history(40, log="other")
    folder = export(tmp_path, other, [note(other, 40, log="other")])
    assert not verdict(capsys, "export", folder, "--key", VKEY)["holds"]
    folder = export(tmp_path, other, [note(other, 40)])
    assert verdict(capsys, "export", folder, "--key", VKEY)["first_bad"] == 0


def bundle(indexes: Sequence[int], docs: Sequence[dict[str, str]] = ()) -> dict[str, Any]:
    nodes = nodes_over([leaf_hash(e) for e in ENTRIES])
    return {
        "checkpoint": NOTES[2],
        "entries": [
            {
                "index": n,
                "entry": base64.b64encode(ENTRIES[n]).decode(),
                "inclusion": [base64.b64encode(h).decode() for h in inclusion_proof(nodes, n, 40)],
            }
            for n in indexes
        ],
        "docs": list(docs),
    }


def test_a_bundle_shows_that_its_entries_are_in_the_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "b.json"
    file.write_text(json.dumps(bundle([3, 17, 39])), encoding="utf-8")
    assert verdict(capsys, "bundle", file, "--key", VKEY)["entries"] == 3


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("an entry's bytes", lambda b: b["entries"][0].update(entry=base64.b64encode(ENTRIES[4]).decode())),
        ("its index", lambda b: b["entries"][0].update(index=4)),
        ("a step of its proof", lambda b: b["entries"][0]["inclusion"].reverse()),
        ("a missing step", lambda b: b["entries"][0]["inclusion"].pop()),
        ("the checkpoint", lambda b: b.update(checkpoint=note(history(40, mark="fake"), 40))),
        ("who signed it", lambda b: b.update(checkpoint=note(ENTRIES, 40, key=THIEF))),
        ("a document that no entry names", lambda b: b.update(docs=[{"name": "a.pdf", "sha256": "00" * 32}])),
        ("its form", lambda b: b.pop("checkpoint")),
    ],
)
def test_a_bundle_with_anything_changed_does_not_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, change: Callable[[dict[str, Any]], None]
) -> None:
    made = bundle([3])
    change(made)
    file = tmp_path / "b.json"
    file.write_text(json.dumps(made), encoding="utf-8")
    assert not verdict(capsys, "bundle", file, "--key", VKEY)["holds"], what
