"""The limits of the processes that read hostile files are real: memory above all, for every door."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pikepdf
import pytest
from PIL import Image

from tests.attacks.target import Target, body_of, number_of, raw_increment

if TYPE_CHECKING:
    from types import ModuleType

    from tests.conftest import Authority

ROOT = Path(__file__).resolve().parents[3]
MEMORY = 100_000_000

#: Asks one door about one file, in a small process of its own: its children's memory is then theirs alone.
PROGRAM = """
import json, resource, sys
from datetime import UTC, datetime
from pathlib import Path
from infra.errors import HosoError
from infra.pdf.confined import Cost
from infra.pdf.nursery import NURSERY
door, memory, pdf = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).read_bytes()
cost = Cost(memory_bytes=memory, wall_seconds=60)
if door == "scan":
    from infra.pdf.intake import Limits, read_scans
    try:
        said = len(read_scans([("a", pdf)], limits=Limits(memory_bytes=memory, wall_seconds=60)))
    except HosoError as error:
        said = str(error)
elif door == "result":
    from infra.pdf.foreign import Wanted, examine
    wanted = Wanted(field="centre", width=66, height=24, margin=3, corners=("top-right",))
    said = examine(pdf, anchors=(), chain=(), wanted=wanted, at=datetime.now(UTC), cost=cost).unreadable
else:
    from infra.pdf.verifying import verify
    from infra.pdf.verifying.folder import Folder
    report = verify("a", pdf, trusted=Folder(), at=datetime.now(UTC), cost=cost)
    said = [one.code for one in report.findings]
NURSERY.close()  # With it the memory of its children is known.
most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({"said": said, "most": most}))
"""


#: Asks for memory without end.
HOG = """
import json, sys
from dataclasses import asdict
from threading import Thread
from infra.pdf.confined import Cost, confine, is_starved
held, stopped = [], []
def fill(size):
    try:
        while sum(map(len, held)) < 4_000_000_000:
            held.append(bytearray(size))
    except MemoryError:
        stopped.append("MemoryError")
confine(asdict(Cost(memory_bytes=int(sys.argv[2]))))
if sys.argv[1] == "in a thread":
    thread = Thread(target=fill, args=(1_000_000,))
    thread.start()
    thread.join()
else:
    fill(1_000_000 if sys.argv[1] == "piece by piece" else 3_000_000_000)
starved, got = is_starved(), sum(map(len, held))
held.clear()
print(json.dumps({"stopped": "".join(stopped), "got": got, "starved": starved}))
"""


def asked(door: str, content: bytes, folder: Path, memory: int = MEMORY) -> tuple[object, int]:
    """Return what a door says of a file, and how much memory its process ever held."""
    (folder / "file").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, door, str(memory), folder / "file"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return said["said"], said["most"]


@pytest.fixture(scope="module")
def target(authority: Authority, form: bytes, picture: bytes) -> Target:
    return Target(authority, form, picture)


@pytest.fixture(scope="module")
def hog(target: Target) -> bytes:
    """A signed file of 2 MB with a list of a million numbers, which takes hundreds of megabytes to hold."""
    root = number_of(target.twice, lambda pdf: pdf.Root)
    body = body_of(target.twice, root)
    return raw_increment(
        target.twice, {root: body[: body.rindex(b">>")] + b" /X [" + b"1 " * 1_000_000 + b"]>>"}
    )


@pytest.mark.parametrize("way", ["piece by piece", "at once", "in a thread"])
def test_no_process_gets_more_memory_than_it_may_have(way: str) -> None:
    """The limit is the kernel's: whatever a library does, it is told that there is no more."""
    done = subprocess.run(
        [sys.executable, "-c", HOG, way, str(MEMORY)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    assert said["stopped"] == "MemoryError"
    assert said["got"] <= MEMORY
    assert said["starved"] is (way != "at once"), "one large piece is refused before anything is short"


@pytest.mark.parametrize("door", ["result", "anybody"])
def test_a_file_that_grows_in_memory_is_ended_by_the_memory_limit(
    door: str, hog: bytes, tmp_path: Path
) -> None:
    said, most = asked(door, hog, tmp_path)
    assert said in ("it needs more memory than a result ever should", ["too-much"])
    # The program itself takes less than 100 MB.
    assert most < MEMORY + 100_000_000
    said, most = asked(door, hog, tmp_path, memory=30_000_000)
    assert said in ("it needs more memory than a result ever should", ["too-much"])
    assert most < 130_000_000


def test_a_picture_that_grows_in_memory_is_ended_by_the_memory_limit(
    making: ModuleType, tmp_path: Path
) -> None:
    # 7,000 × 7,000 pixels are 147 MB when decoded, and a few hundred kilobytes in the file.
    said, most = asked("scan", making.file_of(Image.new("RGB", (7000, 7000)), "PNG"), tmp_path)
    assert "needs more memory than a scan ever should" in str(said)
    assert most < MEMORY + 100_000_000


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A stream of a few hundred bytes that unpacks to 600 MB: twice deflated."""
    inner = zlib.compressobj(9)
    pieces = [inner.compress(bytes(1_000_000)) for _ in range(600)]
    return zlib.compress(b"".join(pieces) + inner.flush(), 9)


@pytest.mark.parametrize("door", ["scan", "result", "anybody"])
def test_a_bomb_does_not_unpack(
    door: str, bomb: bytes, target: Target, making: ModuleType, tmp_path: Path
) -> None:
    """Both doors refuse it; who only checks signatures never unpacks what a page shows."""

    def filled(pdf: pikepdf.Pdf, page: pikepdf.Dictionary) -> None:
        page.Contents = pdf.make_indirect(pikepdf.Stream(pdf, bomb))
        page.Contents.stream_dict.Filter = pikepdf.Array([pikepdf.Name.FlateDecode] * 2)

    if door == "scan":
        content = making.saved(making.scan(change=filled))
    else:
        with pikepdf.open(io.BytesIO(target.form)) as pdf:
            filled(pdf, pdf.pages[0].obj)
            out = io.BytesIO()
            pdf.save(out, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.none)
        content = target.sign(out.getvalue(), "official")
    assert len(content) < 100_000
    said, most = asked(door, content, tmp_path, memory=1_000_000_000)
    assert most < 500_000_000
    if door == "anybody":
        assert said == ["nobody-trusted"]
    else:
        assert "unpacks to more than a document ever should" in str(said)
