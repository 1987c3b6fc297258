"""Checkpoints on their way to where nobody of the office can rewrite them: authority, archive, witness."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlmodel import col, select

from infra.errors import Broken, Unavailable
from infra.history import verify_history
from infra.history.checkpoint import Checkpoint, opened, sign
from infra.history.keeping import newest_checkpoint
from infra.history.nodes import stored_nodes
from infra.history.recording import record
from infra.history.tables import HistoryCheckpoint
from infra.history.tree import consistency_proof, continues
from infra.object_store import Stored
from infra.object_store.memory import Fault, MemoryStore
from infra.services import services
from tasks.archival.checkpoints import (
    FOLDER,
    Kept,
    export_history,
    keep_checkpoint,
    stamped_until,
    verifier,
)
from tasks.signing.steps import sign_original
from tests.world import World


def write() -> None:
    with services().database.transaction() as session:
        record(session, "checkpoint-test", {"event": "test:written"})


@contextmanager
def witness(world: World, where: str) -> Iterator[None]:
    """Have another witness for the length of a test."""
    settings = world.settings.model_copy(update={"history_witness": where})
    with world.having(settings=settings):
        yield


class Away:
    """A part that does not answer."""

    def __getattr__(self, name: str) -> object:
        raise Unavailable("it is away")


def test_a_checkpoint_is_signed_stamped_locked_in_the_archive_and_given_to_the_witness(
    world: World, tmp_path: Path
) -> None:
    write()
    with witness(world, str(tmp_path)):
        kept = keep_checkpoint()
    assert kept.signed
    assert kept.waits == ()
    with services().database.transaction() as session:
        row = newest_checkpoint(session)
        assert row is not None
        size, note, key, version = row.size, row.note, row.key, row.version_id
        assert row.token
        assert row.stamped_by
        assert row.witnessed_at
    assert opened(note, verifier()).size == size == kept.size
    stored, content = services().archive.read_back(str(key), str(version))
    assert content == note.encode()
    assert stored.mode == "COMPLIANCE"
    assert stored.retain_until is not None
    assert stored.retain_until.year >= 2120
    assert (tmp_path / f"{size:012}.note").read_text(encoding="utf-8") == note
    assert stamped_until() is not None


def test_a_second_look_signs_nothing_new(world: World) -> None:
    write()
    keep_checkpoint()
    assert keep_checkpoint() == Kept(size=keep_checkpoint().size, signed=False, waits=())


def test_what_is_away_is_named_and_made_up_for_at_the_next_look(world: World, tmp_path: Path) -> None:
    write()
    with witness(world, str(tmp_path / "not-there")), world.having(timestamps=Away()):
        kept = keep_checkpoint()
    assert kept.signed, "the signature does not wait for others"
    assert [w.partition(":")[0] for w in kept.waits] == ["time-stamp"] or "time-stamp" in kept.waits[0]
    kept = keep_checkpoint()
    assert not kept.signed
    assert kept.waits == ()
    with services().database.transaction() as session:
        row = newest_checkpoint(session)
        assert row is not None
        assert row.version_id


def test_a_witness_that_cannot_be_reached_is_named(world: World, tmp_path: Path) -> None:
    write()
    with witness(world, str(tmp_path / "not-there")):
        assert [w.partition(":")[0] for w in keep_checkpoint().waits] == ["witness"]


def test_the_witness_may_be_another_offices_mailbox(world: World) -> None:
    write()
    with witness(world, "mailto:van-thu@tienyen.example"):
        assert keep_checkpoint().waits == ()
    found = [f for f in (world.root / "mail").glob("*.eml") if b"van-thu@tienyen.example" in f.read_bytes()]
    assert found


def test_a_witness_with_another_checkpoint_of_that_length_shows_a_fork(world: World, tmp_path: Path) -> None:
    write()
    with services().database.transaction() as session:
        from infra.history.recording import head

        size = head(session)[0]
    (tmp_path / f"{size:012}.note").write_text("another\n", encoding="utf-8")
    with witness(world, str(tmp_path)), pytest.raises(Broken, match="forked"):
        keep_checkpoint()


def test_a_history_that_does_not_continue_what_lies_in_the_archive_is_not_signed(world: World) -> None:
    write()
    keep_checkpoint()
    real = services().archive
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    log = services().settings.history_log
    longer = sign(Checkpoint(log=log, size=10**9, root=bytes(32)), key)

    class Restored:
        """The archive as it is after an old backup of the database was put back: it knows more."""

        def keys(self, prefix: str, *, after: str = "") -> list[str]:
            return [f"{FOLDER}999999999999.note"]

        def get(self, key: str) -> bytes:
            return longer.encode()

        def put_locked(self, *words: object, **more: object) -> Stored:
            return real.put_locked(*words, **more)  # type: ignore[arg-type]

    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    own = world.settings.history_key_file.read_bytes()
    world.settings.history_key_file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    try:
        with world.having(archive=Restored()), pytest.raises(Broken, match="old backup"):
            keep_checkpoint()
    finally:
        world.settings.history_key_file.write_bytes(own)


def test_an_export_convinces_the_verifier_that_lies_in_it(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write()
    keep_checkpoint()
    folder = tmp_path / "export"
    count = export_history(folder)
    assert verify_history.main(["export", str(folder), "--key", str(folder / "key")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["covered"] == said["entries"] == count


def test_the_commands_say_the_same(world: World, tmp_path: Path) -> None:
    write()
    assert world.hoso("history", "checkpoint").code == 0
    assert world.hoso("history", "key").out.startswith("hoso+")
    said = world.hoso("history", "export", tmp_path / "e")
    assert said.code == 0, said.err
    assert world.hoso("history", "export", tmp_path / "e").code == 1


def test_without_a_time_stamp_for_too_long_nothing_is_signed_and_looking_goes_on(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    settings = world.settings.model_copy(update={"history_stamp_hours": 1e-9})
    with world.having(settings=settings):
        with pytest.raises(Unavailable, match="no time-stamped checkpoint"):
            sign_original(code, 1, world.signer(office))
        assert world.stage(code) == "AwaitingSignature"
        keep_checkpoint()
        assert sign_original(code, 1, world.signer(office))
    assert "signature:intended" in world.events(code)


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER])
@pytest.mark.parametrize("good", [0, 1])
def test_p8_a_crash_at_any_write_of_a_checkpoint_leaves_no_fork_and_loses_nothing(
    world: World, tmp_path: Path, fault: Fault, good: int
) -> None:
    write()
    store = MemoryStore()

    class Dies:
        """The archive whose note (0) or time-stamp (1) is the last thing before the process ends."""

        left = good

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def put_locked(self, *words: Any, **more: Any) -> Stored:
            if self.left == 0:
                store.fail_next("put", fault)
            self.left -= 1
            return store.put_locked(*words, **more)

    with witness(world, str(tmp_path)):
        keep_checkpoint()  # What other tests left undone is done.
    write()
    with witness(world, str(tmp_path)):
        with services().database.transaction() as session:
            before = newest_checkpoint(session)
        with world.having(archive=Dies(), settings=services().settings):
            kept = keep_checkpoint()
            assert kept.signed
            assert any("archive" in wait for wait in kept.waits)
            again = keep_checkpoint()
            assert (again.size, again.signed, again.waits) == (kept.size, False, ())
    with services().database.transaction() as session:
        newest = newest_checkpoint(session)
        assert newest is not None
        assert before is not None
        assert newest.size == kept.size > before.size
        assert store.get(str(newest.key)) == newest.note.encode()
    assert [store.versions(key) for key in store.keys(FOLDER)] == [1, 1]
    assert (tmp_path / f"{kept.size:012}.note").read_text(encoding="utf-8") == newest.note


def test_p5_every_later_checkpoint_continues_every_earlier_one(world: World) -> None:
    for _ in range(4):
        write()
        keep_checkpoint()
    with services().database.transaction() as session:
        rows = session.exec(select(HistoryCheckpoint).order_by(col(HistoryCheckpoint.size))).all()[-12:]
        nodes = stored_nodes(session)
        pairs = [(a, b) for n, a in enumerate(rows) for b in rows[n + 1 :]]
        assert len(pairs) >= 6
        for a, b in pairs:
            proof = consistency_proof(nodes, a.size, b.size)
            assert continues(proof, a.size, a.root, b.size, b.root)
            assert not continues(proof, a.size, b.root, b.size, a.root)
