"""`hoso verify` as anybody runs it: in a process of its own, without settings, database or stack."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.attacks import ATTACKS
from tests.attacks.target import MORNING, Target
from tests.tasks.delivery.test_return_of_result import received, signed_result
from tests.world import Said, World

if TYPE_CHECKING:
    from tests.conftest import Authority

TOMORROW = (MORNING + timedelta(days=1)).isoformat()


@pytest.fixture(scope="module")
def target(authority: Authority, form: bytes, picture: bytes) -> Target:
    return Target(authority, form, picture)


@pytest.fixture(scope="module")
def desk(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a citizen may have it: files, and what they trust."""
    folder = tmp_path_factory.mktemp("citizen")
    anchors = folder / "anchors"
    anchors.mkdir()
    (anchors / "root.pem").write_bytes(target.authority.root_certificate.public_bytes(Encoding.PEM))
    for number, one in enumerate(target.crls):
        (anchors / f"{number}.crl").write_bytes(one.dump())
    (anchors / "readme.txt").write_text("không phải chứng thư", encoding="utf-8")
    for name in ("twice", "lta", "form", "stamped"):
        (folder / f"{name}.pdf").write_bytes(getattr(target, name))
    attack = next(one for one in ATTACKS if one.name == "isa-page-content")
    (folder / "attacked.pdf").write_bytes(attack.mutate(target))
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    return folder


def verify(desk: Path, *words: str) -> Said:
    """Run the command with nothing around it: no environment, no settings, an empty working folder."""
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "flows.command", "verify", *words],
        cwd=desk,
        env={"PYTHONPATH": root, "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)


TRUSTING = ("--anchors", "anchors", "--at", TOMORROW)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("twice.pdf", *TRUSTING), 0),
        (("lta.pdf", *TRUSTING), 0),
        (("attacked.pdf", *TRUSTING), 1),
        (("form.pdf", *TRUSTING), 1),
        (("twice.pdf", "--at", TOMORROW), 3),
        (("photo.jpg", *TRUSTING), 4),
        (("nothing.pdf", *TRUSTING), 4),
        (("twice.pdf", "lta.pdf", *TRUSTING), 0),
        (("twice.pdf", "attacked.pdf", *TRUSTING), 1),
        (("attacked.pdf", "photo.jpg", *TRUSTING), 4),
        (("twice.pdf", "--anchors", "nowhere"), 2),
        (("twice.pdf", "--at", "hôm qua"), 2),
    ],
)
def test_the_exit_code_says_what_may_be_said(desk: Path, words: tuple[str, ...], code: int) -> None:
    said = verify(desk, *words)
    assert said.code == code, said.out + said.err
    assert "Traceback" not in said.err


def test_the_report_is_in_both_languages_or_in_one(desk: Path) -> None:
    both, vi, en = (
        verify(desk, "twice.pdf", *TRUSTING, *more) for more in ((), ("--lang", "vi"), ("--lang", "en"))
    )
    assert "=> Hợp lệ" in both.out
    assert "=> Valid" in both.out
    assert "Valid" not in vi.out
    assert "Hợp lệ" not in en.out
    assert "Trần Thị Bình" in en.out


def test_the_report_for_programs_says_the_same(desk: Path) -> None:
    said = verify(desk, "twice.pdf", "attacked.pdf", *TRUSTING, "--json").json
    assert said["verdict"] == "not valid"
    assert [one["verdict"] for one in said["files"]] == ["valid", "not valid"]
    (sentence,) = said["files"][1]["sentences"]
    assert (sentence["code"], sentence["weight"]) == ("changed-after", "broken")
    assert sentence["vi"]
    assert sentence["en"]
    assert json.dumps(said)


def trusting(world: World, folder: Path) -> Path:
    """What somebody trusts who deals with the test's offices: the roots, and lists of today."""
    anchors = folder / "anchors"
    anchors.mkdir()
    for number, der in enumerate(world.parts.anchors):
        (anchors / f"{number}.cer").write_bytes(der)
    authority, now = world.authority, world.parts.clock.now()
    maker = Target(authority, b"", b"")
    for issuer, key in (
        (authority.root_certificate, authority.root_key),
        (authority.certificate, authority.key),
    ):
        made = maker.crl(issuer, key, start=now)
        (anchors / f"{issuer.serial_number:x}.crl").write_bytes(made.dump())
    return anchors


def test_a_certified_copy_as_the_office_returns_it_is_valid(world: World, tmp_path: Path) -> None:
    code = world.signed(world.office())
    assert world.type("document", code, 1, "--out", tmp_path / "copy.pdf").code == 0
    said = verify(tmp_path, "copy.pdf", "--anchors", str(trusting(world, tmp_path)), "--json")
    assert said.code == 0, said.out + said.err
    (report,) = said.json["files"]
    official, seal = [one for one in report["signatures"] if one["kind"] != "time-stamp"]
    assert (official["field"], official["kind"], official["certifies"]) == ("official_1", "person", True)
    assert official["capacity"]
    assert official["capacity_known_from"] == "reason"
    assert (seal["field"], seal["kind"], seal["capacity"]) == ("seal", "agency", None)
    assert all(one["allowed"] for one in report["revisions"])
    # What the file carries itself is enough: no lists, no network.
    for one in (tmp_path / "anchors").glob("*.crl"):
        one.unlink()
    alone = verify(tmp_path, "copy.pdf", "--anchors", "anchors", "--json")
    assert alone.code == 0, alone.out + alone.err
    assert {one["revocation_known_from"] for one in alone.json["files"][0]["signatures"]} == {"embedded"}
    assert all(one["level"] in ("LT", "LTA") and one["proven_time"] for one in (official, seal))


def test_a_result_and_its_delivery_note_belong_together(world: World, form: bytes, tmp_path: Path) -> None:
    office = world.office()
    code = received(world, office, signed_result(world, office, form, certify=True), "email")
    world.carry(code)
    world.type("document", code, 1, "--out", tmp_path / "result.pdf")
    world.type("document", code, 1, "--note", "--out", tmp_path / "note.pdf")
    anchors = str(trusting(world, tmp_path))
    said = verify(tmp_path, "result.pdf", "note.pdf", "--anchors", anchors, "--json")
    assert said.code == 0, said.out + said.err
    codes = [{one["code"] for one in file["sentences"]} for file in said.json["files"]]
    assert "named-by" in codes[0]
    assert "names-file" in codes[1]
    (tmp_path / "other.pdf").write_bytes(form)
    alone = verify(tmp_path, "other.pdf", "note.pdf", "--anchors", anchors, "--json")
    assert "names-file" not in alone.out


def test_other_commands_do_not_pay_for_it(desk: Path) -> None:
    program = (
        "import sys; from flows.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted(n for n in sys.modules if n.startswith(('pyhanko', 'infra.pdf', 'infra.services'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "verify", "photo.jpg"],
        cwd=desk,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "pyhanko" not in done.stdout.splitlines()[-1]
    assert "infra.services" not in done.stdout.splitlines()[-1]
