"""The standing list says what stands on a day; whoever has it needs nothing else (DOS-25)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flows.cli.standings import Standings, exit_code, read_standings
from infra.errors import Broken, Forbidden
from infra.history.checkpoint import Checkpoint, Verifier, opened, sign
from infra.services import services
from tasks.archival.checkpoints import verifier
from tasks.dossier.papers import newest, read
from tasks.issued.lists import is_behind, list_change, make_list, newest_note
from tasks.issued.standing_note import Line, StandingList, State, read_list, signed
from tasks.issued.withdrawing import withdraw_result
from tests.world import World

NOON = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()
PUBLIC = Verifier.of("hoso", KEY)
PDF = b"%PDF-1.7\nfirst\n%%EOF\n"
LATER = PDF + b"second\n%%EOF\n"


def sha(content: bytes) -> str:
    from hashlib import sha256

    return sha256(content).hexdigest()


def made(*lines: Line, issued: datetime = NOON) -> StandingList:
    """Return a list of a day."""
    return StandingList(
        name="hoso/standing",
        issued_at=issued,
        next_update=issued + timedelta(hours=26),
        lines={line.sha256: line for line in lines},
    )


VALID = Line(sha256=sha(PDF), state=State.VALID)
GONE = Line(sha256=sha(PDF), state=State.WITHDRAWN, since=NOON)
REPLACED = Line(sha256=sha(PDF), state=State.REPLACED, since=NOON, replaced_by="ab" * 32)


@pytest.mark.parametrize("line", [VALID, GONE, REPLACED])
def test_what_was_signed_is_read_again(line: Line) -> None:
    assert read_list(signed(made(line), KEY), PUBLIC) == made(line)


def test_a_list_that_was_changed_or_signed_by_another_key_is_not_believed() -> None:
    note = signed(made(GONE), KEY)
    for spoilt in (
        note.replace(" withdrawn 2026-11-22T05:00:00Z", " valid"),
        note.replace("next 2026-11-23", "next 2027-11-23"),
        signed(made(GONE), Ed25519PrivateKey.generate()),
        signed(replace(made(GONE), name="hoso"), KEY),
    ):
        with pytest.raises(Broken):
            read_list(spoilt, PUBLIC)


def test_a_checkpoint_is_no_standing_list_and_a_standing_list_no_checkpoint() -> None:
    with pytest.raises(Broken):
        opened(signed(made(VALID), KEY), PUBLIC)
    with pytest.raises(Broken):
        read_list(sign(Checkpoint(log="hoso/standing", size=1, root=bytes(32)), KEY), PUBLIC)


def test_a_file_to_which_something_was_appended_stands_as_what_it_was_built_on() -> None:
    assert made(GONE).find(LATER) == GONE
    newer = Line(sha256=sha(LATER), state=State.VALID)
    assert made(GONE, newer).find(LATER) == newer
    assert made(GONE).find(b"%PDF-1.7\nother\n%%EOF\n") is None


@pytest.mark.parametrize(
    ("line", "hours", "state", "code"),
    [
        (VALID, 1, "valid", 0),
        (VALID, 27, "valid-then", 3),
        (GONE, 1, "withdrawn", 1),
        (GONE, 27, "withdrawn", 1),
        (REPLACED, 1, "replaced", 1),
        (replace(VALID, sha256="00" * 32), 1, "not-listed", 3),
    ],
)
def test_what_the_report_says_and_how_the_command_ends(line: Line, hours: int, state: str, code: int) -> None:
    stood = Standings(known=made(line)).of(PDF, NOON + timedelta(hours=hours))
    assert stood.state == state
    assert exit_code(0, [stood], asked=True) == code
    assert ("unknown" in stood.en) == (stood.stands is None)


def test_without_a_list_the_standing_is_unknown_and_the_signatures_decide_alone() -> None:
    stood = Standings(known=None).of(PDF, NOON)
    assert stood.state == "unknown"
    assert "unknown" in stood.en
    assert [exit_code(code, [stood], asked=False) for code in (0, 1, 3, 4)] == [0, 1, 3, 4]


def test_a_list_whose_key_is_not_at_hand_is_not_believed(tmp_path: Path) -> None:
    listed, key = tmp_path / "list", tmp_path / "log.key"
    listed.write_text(signed(made(VALID), KEY), encoding="utf-8")
    assert read_standings(listed, None, None).why == "no-key"
    key.write_text(f"{Verifier.of('hoso', Ed25519PrivateKey.generate())}\n", encoding="utf-8")
    assert read_standings(listed, key, None).why == "not-signed"
    key.write_text(f"{PUBLIC}\n", encoding="utf-8")
    assert read_standings(listed, None, tmp_path).known == made(VALID)


def test_a_withdrawal_is_on_the_list_at_once_locked_and_without_anything_personal(
    world: World, tmp_path: Path
) -> None:
    office = world.office()
    code, other = world.signed(office), world.signed(office)
    with services().database.transaction() as session:
        document = newest(session, code, 1, "lifted")
    assert document is not None
    pdf = read(document)
    make_list()
    before = read_list(newest_note(), verifier())
    assert before.find(pdf) == Line(sha256=document.sha256, state=State.VALID)
    assert withdraw_result(code, 1, "Giả mạo.", by=world.officer(office, "ha", "official"))
    assert is_behind(code)
    assert not is_behind(other)
    world.carry(code)
    assert not is_behind(code)
    assert not list_change(code)
    note = newest_note()
    after = read_list(note, verifier())
    found = after.find(pdf)
    assert found is not None
    assert (found.state, after.issued_at >= before.issued_at) == (State.WITHDRAWN, True)
    assert not {code, "Sen", "@"} & set(note.split())
    row = world.ask("select key, version_id from standing_list order by issued_at desc limit 1")[0]
    kept = services().archive.read_back(row.key, row.version_id)[0]
    assert kept.mode == "COMPLIANCE"
    with pytest.raises(Exception, match="permission denied"):
        world.put("delete from standing_list")
    # What a citizen does with it, in a process that has nothing else.
    folder = tmp_path / "citizen"
    folder.mkdir()
    (folder / "result.pdf").write_bytes(pdf)
    (folder / "history.key").write_text(f"{verifier()}\n", encoding="utf-8")
    assert world.type("standing", "write", folder / "list", by=None).code == 0
    said = world.type(
        "verify", folder / "result.pdf", "--standing", folder / "list", "--standing-key", folder / "history.key",
        "--json", by=None,
    )  # fmt: skip
    assert (said.code, said.json["files"][0]["standing"]["state"]) == (1, "withdrawn")
    without = world.type("verify", folder / "result.pdf", "--json", by=None)
    assert without.json["files"][0]["standing"]["state"] == "unknown"
    assert "valid" not in json.dumps(without.json["files"][0]["standing"])


def test_there_is_no_list_to_hand_out_before_one_was_made(world: World) -> None:
    with world.owner() as owner:
        owner.execute("alter table standing_list disable trigger only_grows")
        owner.execute("delete from standing_list")
        owner.execute("alter table standing_list enable trigger only_grows")
    with pytest.raises(Forbidden, match="no standing list"):
        newest_note()
