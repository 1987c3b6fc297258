"""What a citizen is given can be checked in an empty folder, by anybody, and shows every change (ARC-09, feature 59)."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Forbidden
from infra.history import verify_history
from infra.services import using
from tasks.archival.checkpoints import verifier
from tasks.archival.evidence import described, evidence
from tests.world import World


@pytest.fixture(scope="module")
def given(running_world: World) -> Iterator[tuple[str, bytes]]:
    """An archived dossier, and the evidence of it as a supervisor wrote it."""
    world = running_world
    with using(world.parts):
        code = world.signed(world.office())
        world.carry(code)
        assert world.type("archive", code).code == 0
        world.carry(code)
        assert world.stage(code) == "Archived"
        file = world.root / "evidence.zip"
        said = world.type("evidence", code, "--out", file)
        assert said.code == 0, said.err
        yield code, file.read_bytes()


@pytest.fixture
def folder(given: tuple[str, bytes], tmp_path: Path) -> Path:
    """The evidence, unpacked in an empty folder."""
    with zipfile.ZipFile(io.BytesIO(given[1])) as packed:
        packed.extractall(tmp_path)
    return tmp_path


def checked(folder: Path, *words: object) -> dict[str, Any]:
    """Return what the verifier of the folder says, as whoever got the file would run it."""
    command = [sys.executable, "-I", "verify_history.py", "evidence", ".", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    said: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if said["holds"] else 1), done.stderr
    return said


def again(capsys: pytest.CaptureFixture[str], folder: Path) -> dict[str, Any]:
    """The same in this process, for many tries."""
    verify_history.main(["evidence", str(folder), "--key", str(verifier())])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_a_newcomer_unpacks_it_and_its_own_verifier_says_that_it_holds(
    folder: Path, given: tuple[str, bytes], world: World
) -> None:
    said = checked(folder)
    assert said["holds"], said
    assert (said["documents"], said["key"][:4]) == (1, "came")
    assert said["stamp"]["at"].endswith("Z")
    assert checked(folder, "--key", verifier())["key"] == "given"
    told = world.told(given[0])
    assert said["entries"] == [entry["event"] for entry in told].index("dossier:archiving") + 1


def test_it_holds_what_is_needed_and_no_more(folder: Path, given: tuple[str, bytes], world: World) -> None:
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert there >= {
        "README.txt", "SHA256SUMS", "verify_history.py", "key", "proof.json", "checkpoint.note", "checkpoint.tst",
        "history.jsonl", "timeline.html", "timeline.json", "metadata.json", "validation.json",
        "documents/1-lifted-1-0.pdf", "reports/1-lifted-1-0.vi.txt", "reports/1-lifted-1-0.en.txt",
        "reports/1-lifted-1-0.json",
    }  # fmt: skip
    assert {name.split("/")[0] for name in there if "/" in name} == {
        "documents", "reports", "certificates", "revocation",
    }  # fmt: skip
    report = json.loads((folder / "reports/1-lifted-1-0.json").read_text(encoding="utf-8"))
    assert report["verdict"] == "valid", report
    released = world.ask("select sha256 from document where dossier = :d and kind = 'lifted'", d=given[0])
    pdf = (folder / "documents/1-lifted-1-0.pdf").read_bytes()
    assert hashlib.sha256(pdf).hexdigest() == released[0].sha256


def test_a_package_that_has_timeline_and_validation_as_files_gives_them_as_they_are() -> None:
    earlier = {"metadata.json": b"{}", "timeline.json": b"[1]", "validation.json": b"{ }"}
    assert described(earlier) == {"timeline.json": b"[1]", "validation.json": b"{ }"}
    now = {"metadata.json": b'{"quaTrinh": [1], "kiemTraChuKy": {}}'}
    assert {name: json.loads(said) for name, said in described(now).items()} == {
        "timeline.json": [1],
        "validation.json": {},
    }


def test_the_timeline_is_vietnamese_and_names_nobody(folder: Path, given: tuple[str, bytes]) -> None:
    page = (folder / "timeline.html").read_text(encoding="utf-8")
    assert given[0] in page
    for words in ("Tiếp nhận bản chính", "Đã ký số", "Đã trả kết quả", "Hệ thống"):
        assert words in page
    assert not [name for name in ("Sen", "Hoàng Thị Thu Hà", "Nông Thị Mai") if name in page]
    lines = json.loads((folder / "timeline.json").read_text(encoding="utf-8"))
    assert not [line["viec"] for line in lines if ":" in line["viec"].split(" ")[0]], (
        "every event has its words"
    )


def test_the_same_dossier_gives_the_same_bytes_and_taking_it_is_in_the_history(
    given: tuple[str, bytes], world: World
) -> None:
    assert evidence(given[0]) == given[1]
    last = world.told(given[0])[-1]
    assert (last["event"], last["actor"]["role"]) == ("evidence:given", "clerk")
    assert last["doc"]["sha256"] == hashlib.sha256(given[1]).hexdigest()


def test_no_flipped_bit_in_any_file_escapes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng, tried = random.Random(5), 0
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        sound = file.read_bytes()
        for _ in range(6):
            bit = rng.randrange(len(sound) * 8)
            spoilt = bytearray(sound)
            spoilt[bit // 8] ^= 1 << bit % 8
            file.write_bytes(bytes(spoilt))
            assert not again(capsys, folder)["holds"], f"bit {bit} of {file.name}"
            tried += 1
        file.write_bytes(sound)
    assert tried > 100
    assert again(capsys, folder)["holds"]


def listed_anew(folder: Path) -> None:
    """Make the list of files fit again, as a forger would."""
    files = sorted(f for f in folder.rglob("*") if f.is_file() and f.name != "SHA256SUMS")
    names = sorted(f.relative_to(folder).as_posix() for f in files)
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "documents/1-lifted-1-0.pdf",
        "history.jsonl",
        "checkpoint.note",
        "checkpoint.tst",
        "timeline.json",
        "proof.json",
    ],
)
def test_a_forger_who_makes_the_list_fit_is_found_out_too(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file, rng = folder / name, random.Random(name)
    sound = file.read_bytes()
    # White space in JSON means nothing, and the end of a PDF is covered as every byte is.
    places = [n for n, byte in enumerate(sound) if not chr(byte).isspace()]
    for _ in range(12):
        spoilt = bytearray(sound)
        spoilt[rng.choice(places)] ^= 0x01
        file.write_bytes(bytes(spoilt))
        listed_anew(folder)
        said = again(capsys, folder)
        if name == "timeline.json" and said["holds"]:
            # The words of the timeline are not proven, which event stands where is.
            continue
        assert not said["holds"], name
    file.write_bytes(sound)
    listed_anew(folder)
    assert again(capsys, folder)["holds"]


def test_another_key_than_the_published_one_is_not_believed(folder: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.history.checkpoint import Verifier

    other = Verifier.of(verifier().name, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    assert not checked(folder, "--key", other)["holds"]


@pytest.mark.skipif(not shutil.which("openssl"), reason="OpenSSL is somebody else's eyes on the time-stamp")
def test_openssl_says_the_same_of_the_time_stamp(folder: Path, world: World) -> None:
    pems = b"".join(f.read_bytes() for f in sorted(world.settings.trust_anchors.glob("*.pem")))
    chain = sorted((world.settings.trust_anchors.parent / "chain").glob("*.pem"))
    (folder / "roots").write_bytes(pems)
    (folder / "chain").write_bytes(b"".join(f.read_bytes() for f in chain))
    command = ["openssl", "ts", "-verify", "-data", "checkpoint.note", "-in", "checkpoint.tst", "-token_in"]
    command += ["-CAfile", "roots", "-untrusted", "chain"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert "Verification: OK" in done.stdout + done.stderr, done.stderr


def test_what_is_not_archived_yet_has_no_evidence(world: World) -> None:
    code = world.frozen(world.office())
    with pytest.raises(Forbidden) as refusal:
        evidence(code)
    assert refusal.value.rule == "ARC-05"
    said = world.type("evidence", code)
    assert (said.code, "[ARC-05]" in said.err) == (1, True)
