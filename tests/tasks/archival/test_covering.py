"""A package waits for a signed history that covers it, and carries the proof with it for ever."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flows.standing import waiting
from infra.errors import Unavailable
from infra.history import verify_history
from infra.services import services
from infra.timestamp import NoTimestamp
from tasks.archival.checkpoints import cover, keep_checkpoint, verifier
from tasks.archival.covering import covering, next_checkpoint_at
from tasks.archival.steps import archive, ask_for_archive, begin_package
from tasks.archival.tables import PackageRow
from tests.world import World

PROGRAM = Path(verify_history.__file__)


@contextmanager
def seldom(world: World) -> Iterator[None]:
    """Have a checkpoint made for packages once an hour at most."""
    settings = world.settings.model_copy(update={"checkpoint_seconds": 3600})
    with world.having(settings=settings):
        yield


def returned(world: World) -> str:
    code = world.signed(world.office())
    world.carry(code)
    assert ask_for_archive(code) == [code]
    return code


def proof_of(world: World, code: str) -> dict[str, Any]:
    folder = world.told(code)[-1]["package"]
    found: dict[str, Any] = json.loads(world.parts.archive.get(f"{folder}/v1/content/proof.json"))
    return found


@pytest.fixture(scope="module")
def two(running_world: World) -> Iterator[tuple[str, str]]:
    """Two dossiers that waited for the same checkpoint, archived."""
    from infra.services import using

    world = running_world
    with using(world.parts):
        keep_checkpoint()
        codes = returned(world), returned(world)
        with seldom(world):
            # The last checkpoint was signed a moment ago.
            keep_checkpoint()
            for code in codes:
                world.carry(code)
                assert world.stage(code) == "Returned"
                assert waiting(code).name == "AwaitingCheckpoint"
                assert not archive(code), "nothing is written before it can prove itself"
                at = next_checkpoint_at(code)
                assert at is not None
                assert (at - world.parts.clock.now()).total_seconds() > 3000
            asked = outbox(world, codes)
            kept = keep_checkpoint()  # As the hourly one does.
            assert kept.signed
            assert {c: n + 1 for c, n in asked.items()} == outbox(world, codes), "both were woken"
            for code in codes:
                world.carry(code)
        yield codes


def outbox(world: World, codes: tuple[str, str]) -> dict[str, int]:
    rows = world.ask("select dossier, asked from outbox where dossier = any(:c)", c=list(codes))
    return {row.dossier: row.asked for row in rows}


def test_dossiers_that_waited_share_one_checkpoint_and_are_archived_after_it(
    world: World, two: tuple[str, str]
) -> None:
    assert [world.stage(code) for code in two] == ["Archived", "Archived"]
    notes = {proof_of(world, code)["checkpoint"] for code in two}
    assert len(notes) == 1


def test_the_package_proves_every_entry_up_to_archiving_and_the_released_documents(
    world: World, two: tuple[str, str], tmp_path: Path
) -> None:
    for code in two:
        proof = proof_of(world, code)
        assert proof["tst"]
        told = world.told(code)
        last = [entry["event"] for entry in told].index("dossier:archiving")
        assert [entry["index"] for entry in proof["entries"]] == [e["seq"] for e in told[: last + 1]]
        assert [doc["name"] for doc in proof["docs"]] == ["documents/1-lifted-1-0.pdf"]
        assert checked(tmp_path, proof)["entries"] == last + 1


def test_the_proof_holds_when_the_personal_data_beside_the_history_is_erased(
    world: World, two: tuple[str, str], tmp_path: Path
) -> None:
    code = two[0]
    world.put("delete from history_payload where subject = sha256(convert_to(:c, 'UTF8'))", c=code)
    assert checked(tmp_path, proof_of(world, code))["holds"]
    with services().database.transaction() as session:
        plan = session.get_one(PackageRow, code)
        assert covering(session, plan.history_position) is not None


def checked(folder: Path, proof: dict[str, Any]) -> dict[str, Any]:
    """Return what the stand-alone verifier says of a proof, run as a stranger runs it."""
    file = folder / "proof.json"
    file.write_text(json.dumps(proof), encoding="utf-8")
    command = [sys.executable, "-I", str(PROGRAM), "bundle", str(file), "--key", str(verifier())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


class Away:
    """A part that does not answer."""

    def __getattr__(self, name: str) -> object:
        raise Unavailable("it is away")


def test_without_a_time_stamp_or_the_archive_the_package_waits_and_says_for_what(world: World) -> None:
    code = returned(world)
    assert begin_package(code)
    with world.having(timestamps=Away()), pytest.raises(NoTimestamp):
        cover(code)
    with world.having(archive=Away()), pytest.raises(Unavailable, match="archive"):
        cover(code)
    assert not archive(code)
    assert cover(code), "what was missing is made up for, without signing again"
    assert archive(code)


def test_two_who_ask_for_a_checkpoint_at_once_make_one(world: World) -> None:
    code = returned(world)
    assert begin_package(code)
    before = world.counts("history_checkpoint")["history_checkpoint"]
    said = world.at_once([lambda: cover(code)] * 3)
    assert True in said, said
    assert world.counts("history_checkpoint")["history_checkpoint"] == before + 1
