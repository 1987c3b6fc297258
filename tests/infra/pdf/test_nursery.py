"""The nursery of readers: it outlives its children, is replaced when it dies, and leaves nothing behind."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from infra.pdf.confined import Cost, TooCostly, asking
from infra.pdf.intake import Limits, Unfit, read_scans
from infra.pdf.nursery import NURSERY, Nursery
from tests.world import small_scan

ROOT = Path(__file__).resolve().parents[3]


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_over(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def read() -> int:
    return len(read_scans([("1.jpg", small_scan())]))


def nursery() -> int:
    process = NURSERY._process
    assert process is not None
    return process.pid


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_requests_of_many_threads_are_answered_by_one_nursery() -> None:
    assert read() == 1
    before = nursery()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: read(), range(24))) == [1] * 24
    assert nursery() == before
    until(lambda: not children(before))


def test_a_nursery_that_was_killed_is_replaced() -> None:
    read()
    before = nursery()
    os.kill(before, signal.SIGKILL)
    assert read() == 1
    assert nursery() != before


def test_a_child_that_takes_too_long_is_killed_and_the_next_is_served() -> None:
    with pytest.raises(Unfit, match="longer than"):
        read_scans([("1.jpg", small_scan())], limits=Limits(wall_seconds=0.0))
    until(lambda: not children(nursery()))
    assert read() == 1


def large_scan() -> bytes:
    """Return a scan whose pixels need room of their own."""
    out = io.BytesIO()
    Image.new("RGB", (1654, 2339), "white").save(out, "PNG", dpi=(200, 200))
    return out.getvalue()


def test_a_file_that_breaks_its_child_breaks_no_other() -> None:
    with pytest.raises(Unfit, match=r"memory|too much"):
        read_scans([("1.png", large_scan())], limits=Limits(memory_bytes=1))
    assert read() == 1


def test_nothing_is_left_when_whoever_asked_is_killed() -> None:
    program = (
        "import sys, time\n"
        "from tests.world import small_scan\n"
        "from infra.pdf.intake import read_scans\n"
        "from infra.pdf.nursery import NURSERY\n"
        "read_scans([('1.jpg', small_scan())])\n"
        "print(NURSERY._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    asker = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert asker.stdout
    pid = int(asker.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    asker.kill()
    asker.wait()
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_forked_process_uses_the_nursery_that_is_there_and_ends_alone() -> None:
    read()
    before = nursery()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if read() == 1 and nursery() == before else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert read() == 1
    assert nursery() == before


def test_a_caller_that_goes_as_its_reader_ends_ends_nobody_elses(tmp_path: Path) -> None:
    own = Nursery()
    (tmp_path / "out").touch()
    reads, writes = os.pipe()
    here, there = socket.socketpair()
    with there, (tmp_path / "out").open("r+b") as out:
        files = [reads, out.fileno(), out.fileno(), there.fileno()]
        socket.send_fds(own._way(), [b"infra.pdf.intake_child"], files)
    os.close(reads)
    assert own._process is not None
    pid = own._process.pid
    until(lambda: children(pid))
    (reader,) = children(pid)
    os.kill(pid, signal.SIGSTOP)
    os.close(writes)  # The reader finds nothing to read and ends; the nursery will hear of both at once.
    until(lambda: is_over(reader))
    here.close()
    os.kill(pid, signal.SIGCONT)
    until(lambda: not children(pid))
    with (tmp_path / "out").open("r+b") as empty:
        assert own.run("infra.pdf.intake_child", (empty, empty, empty), 30) == 1
    assert own._process.pid == pid
    own.close()


def test_a_fault_of_ours_is_told_with_its_cause(tmp_path: Path) -> None:
    (tmp_path / "in").touch()
    own = Nursery()
    with (
        (tmp_path / "in").open("rb") as request,
        (tmp_path / "out").open("w+b") as answer,
        (tmp_path / "err").open("w+b") as complaints,
    ):
        assert own.run("infra.pdf.intake_child", (request, answer, complaints), 30) == 1
        assert own.run("infra.pdf.no_such_reader", (request, answer, complaints), 30) == 1
    own.close()
    told = (tmp_path / "err").read_text()
    assert "JSONDecodeError" in told
    assert "no_such_reader" in told


def test_too_costly_is_what_the_caller_hears() -> None:
    with pytest.raises(TooCostly), asking("infra.pdf.intake_child", {}, [], cost=Cost(wall_seconds=0.0)):
        pass
