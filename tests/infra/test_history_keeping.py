"""Checkpoints over the history in the database: signed once a length, never over something rewritten."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlmodel import Session, select

from infra.errors import Broken
from infra.history import Entry, leaf_hash, verify_history
from infra.history.checkpoint import Checkpoint, Verifier, opened
from infra.history.keeping import must_continue, newest_checkpoint, proven, read_key, sign_checkpoint
from infra.history.nodes import keep_nodes, stored_nodes
from infra.history.recording import entries, head, record
from infra.history.tables import HistoryNode
from infra.history.tree import consistency_proof, continues, inclusion_proof, nodes_over, root
from infra.services import services
from infra.settings import read_secret
from tests.world import World

LOOSE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def office_key() -> Ed25519PrivateKey:
    """Return the key of this office's history: the history is shared by tests, and another key would be a fork."""
    return read_key(services().settings.history_key_file)


def write(count: int) -> None:
    """Write entries, a hundred a transaction."""
    for begin in range(0, count, 100):
        with services().database.transaction() as session:
            for n in range(begin, min(begin + 100, count)):
                record(session, f"subject-{n}", {"event": "test:written", "n": n})


def hashes(session: Session) -> list[bytes]:
    return [entry.leaf_hash for entry in entries(session)]


def mine(session: Session) -> Verifier:
    return Verifier.of(json.loads(entries(session)[0].content)["log"], office_key())


def test_a_checkpoint_is_over_every_entry_and_signed_once(world: World) -> None:
    write(5)
    with services().database.transaction() as session:
        made = sign_checkpoint(session, office_key())
        assert made is not None
        found = opened(made.note, mine(session))
        assert (found.size, found.root) == (head(session)[0], root(nodes_over(hashes(session)), found.size))
    with services().database.transaction() as session:
        assert sign_checkpoint(session, office_key()) is None, "nothing was added"


def test_two_at_once_sign_it_once(world: World) -> None:
    write(3)

    def one() -> bool:
        with services().database.transaction() as session:
            return sign_checkpoint(session, office_key()) is not None

    said = world.at_once([one] * 6)
    assert said.count(True) == 1, said
    assert said.count(False) == 5, said


def test_proofs_from_kept_subtrees_are_those_over_all_entries(world: World) -> None:
    write(1500)
    with services().database.transaction() as session:
        size = head(session)[0]
        keep_nodes(session, size)
        assert keep_nodes(session, size) == 0, "what is kept is not kept again"
        assert len(_kept(session)) == size // 256
        stored, whole = stored_nodes(session), nodes_over(hashes(session))
        for index in (0, 1, 255, 256, 257, size // 2, size - 1):
            assert inclusion_proof(stored, index, size) == inclusion_proof(whole, index, size)
        for earlier in (1, 255, 256, 257, size - 1):
            proof = consistency_proof(stored, earlier, size)
            assert continues(proof, earlier, root(whole, earlier), size, root(whole, size))


def _kept(session: Session) -> Sequence[HistoryNode]:
    return session.exec(select(HistoryNode)).all()


def test_a_proof_of_some_entries_convinces_the_verifier_that_stands_alone(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(300)
    with services().database.transaction() as session:
        checkpoint = sign_checkpoint(session, office_key()) or newest_checkpoint(session)
        assert checkpoint is not None
        chosen = [e for e in entries(session) if e.position < checkpoint.size][-7:]
        file = tmp_path / "bundle.json"
        file.write_text(json.dumps(proven(session, chosen, checkpoint)), encoding="utf-8")
        key = str(mine(session))
    assert verify_history.main(["bundle", str(file), "--key", key]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == 7


def test_what_was_rewritten_is_not_signed(world: World) -> None:
    write(4)
    with services().database.transaction() as session:
        sign_checkpoint(session, office_key())
        found = opened(newest_checkpoint(session).note, mine(session))  # type: ignore[union-attr]
        forged = Checkpoint(log=found.log, size=found.size, root=bytes(32))
        with pytest.raises(Broken, match="rewritten"):
            must_continue(session, forged)


def test_a_history_shorter_than_what_was_signed_is_not_signed(world: World) -> None:
    write(2)
    with services().database.transaction() as session:
        size, log = head(session)[0], json.loads(entries(session)[0].content)["log"]
        with pytest.raises(Broken, match="old backup"):
            must_continue(session, Checkpoint(log=log, size=size + 1, root=bytes(32)))
        with pytest.raises(Broken, match="another history"):
            must_continue(session, Checkpoint(log="other", size=size, root=bytes(32)))


def test_the_owner_who_rewrites_an_entry_is_caught_at_the_next_checkpoint(world: World) -> None:
    write(3)
    with services().database.transaction() as session:
        sign_checkpoint(session, office_key())
        last = entries(session)[-1]
    forged = last.content.replace(b'"test:written"', b'"test:forgery"')
    with world.owner() as connection, _unguarded(connection):
        connection.execute(
            "update history_entry set entry = %s, leaf_hash = %s where position = %s",
            (forged, leaf_hash(forged), last.position),
        )
    try:
        write(1)
        with services().database.transaction() as session, pytest.raises(Broken, match="rewritten"):
            sign_checkpoint(session, office_key())
    finally:
        with world.owner() as connection, _unguarded(connection):
            connection.execute(
                "update history_entry set entry = %s, leaf_hash = %s where position = %s",
                (last.content, last.leaf_hash, last.position),
            )


class _unguarded:  # noqa: N801
    """Switch the guard of the history off, as only its owner can."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def __enter__(self) -> None:
        self.connection.execute("alter table history_entry disable trigger only_grows")

    def __exit__(self, *_: object) -> None:
        self.connection.execute("alter table history_entry enable trigger only_grows")


@pytest.mark.parametrize(
    "statement",
    [
        "update history_checkpoint set root = root",
        "update history_checkpoint set note = ''",
        "update history_checkpoint set size = size + 1",
        "delete from history_checkpoint",
        "truncate history_checkpoint",
        "update history_node set hash = hash",
        "delete from history_node",
    ],
)
def test_the_application_cannot_change_what_was_signed(world: World, statement: str) -> None:
    password = read_secret(world.settings.database_password_file)
    url = world.settings.database_url.replace("postgresql+psycopg", "postgresql")
    with (
        psycopg.connect(url, password=password) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_the_key_is_an_ed25519_key_in_a_file_of_its_own(tmp_path: Path) -> None:
    pem = LOOSE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key").write_bytes(pem)
    assert Verifier.of("hoso", read_key(tmp_path / "key")) == Verifier.of("hoso", LOOSE)
    (tmp_path / "no-key").write_text(base64.b64encode(bytes(32)).decode())
    for file in ("no-key", "nowhere"):
        with pytest.raises(Broken, match="cannot be read"):
            read_key(tmp_path / file)


def test_an_entry_is_the_same_in_the_tree_and_in_the_chain() -> None:
    entry = Entry(position=0, content=b"{}", leaf_hash=leaf_hash(b"{}"))
    assert root(nodes_over([entry.leaf_hash]), 1) == entry.leaf_hash
