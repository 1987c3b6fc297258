"""Processes that outlive who started them are found again, told apart, and ended with all their children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.errors import Broken
from infra.stack import process
from infra.stack.process import Command, Identity

#: Makes a child in a session of its own and says both numbers, then waits; the child ignores SIGTERM.
PARENT_AND_STUBBORN_CHILD = """
import signal, subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-c",
     "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"],
    start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""

Start = Callable[[str], Identity]


@pytest.fixture
def mark(tmp_path: Path) -> str:
    """A mark that no other test uses."""
    return process.mark_of("tested", tmp_path)


@pytest.fixture
def start(tmp_path: Path, mark: str) -> Iterator[Start]:
    """Starts Python code as a part does, and ends whatever of it is left."""

    def begin(code: str) -> Identity:
        command = Command(argv=(sys.executable, "-c", code), environment={}, folder=tmp_path)
        return process.start(command, pid_file=tmp_path / "pid", log=tmp_path / "log", mark=mark)

    yield begin
    process.stop(process.read_identity(tmp_path / "pid"), mark, by=signal.SIGKILL, patience=5)


def eventually(wanted: Callable[[], bool]) -> None:
    """Wait for something that must come, and fail when it does not."""
    deadline = time.monotonic() + 20
    while not wanted():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def test_a_started_process_is_known_by_its_file(start: Start, tmp_path: Path) -> None:
    begun = start("import time; time.sleep(600)")
    assert process.alive(begun)
    assert process.read_identity(tmp_path / "pid") == begun


def test_the_next_owner_of_a_number_is_somebody_else(start: Start) -> None:
    begun = start("import time; time.sleep(600)")
    other = Identity(pid=begun.pid, started=begun.started + 1, boot=begun.boot)
    before_the_machine_restarted = Identity(pid=begun.pid, started=begun.started, boot="another")
    assert not process.alive(other)
    assert not process.alive(before_the_machine_restarted)


def test_a_stranger_with_the_number_in_the_file_is_not_ended(tmp_path: Path, mark: str) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        try:
            sight = process.see(stranger.pid)
            assert sight is not None
            stale = Identity(pid=stranger.pid, started=sight.started - 1, boot="any")
            process.stop(stale, mark, by=signal.SIGKILL, patience=1)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_an_ended_child_that_nobody_waited_for_is_not_alive() -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    try:
        eventually(lambda: (sight := process.see(child)) is not None and sight.state == "Z")
        sight = process.see(child)
        assert sight is not None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        assert not process.alive(Identity(pid=child, started=sight.started, boot=boot))
    finally:
        os.waitpid(child, 0)


def test_stopping_ends_children_that_left_the_session_and_ignore_requests(
    start: Start, tmp_path: Path, mark: str
) -> None:
    begun = start(PARENT_AND_STUBBORN_CHILD)
    eventually(lambda: (tmp_path / "log").read_text(encoding="utf-8").strip().isdigit())
    child = int((tmp_path / "log").read_text(encoding="utf-8"))
    process.stop(begun, mark, by=signal.SIGTERM, patience=5)
    assert (sight := process.see(child)) is None or sight.state == "Z"
    assert not process.family(begun, mark)


def test_children_of_a_killed_process_are_found_by_their_mark(
    start: Start, tmp_path: Path, mark: str
) -> None:
    begun = start(PARENT_AND_STUBBORN_CHILD)
    eventually(lambda: (tmp_path / "log").read_text(encoding="utf-8").strip().isdigit())
    child = int((tmp_path / "log").read_text(encoding="utf-8"))
    os.kill(begun.pid, signal.SIGKILL)
    eventually(lambda: not process.alive(begun))
    assert [sight.pid for sight in process.family(begun, mark)] == [child]


def test_a_process_is_ended_even_if_its_file_was_damaged(start: Start, tmp_path: Path, mark: str) -> None:
    begun = start("import time; time.sleep(600)")
    (tmp_path / "pid").write_text("nonsense", encoding="utf-8")
    assert process.read_identity(tmp_path / "pid") is None
    process.stop(None, mark, by=signal.SIGTERM, patience=1)
    assert not process.alive(begun)


def test_a_program_that_is_not_there_is_seen_to_end(tmp_path: Path, mark: str) -> None:
    command = Command(argv=("/no/such/program",), environment={}, folder=tmp_path)
    begun = process.start(command, pid_file=tmp_path / "pid", log=tmp_path / "log", mark=mark)
    eventually(lambda: not process.alive(begun))
    assert "/no/such/program" in (tmp_path / "log").read_text(encoding="utf-8")
    process.stop(begun, mark, by=signal.SIGTERM, patience=1)


def test_a_folder_that_is_not_there_is_broken(tmp_path: Path, mark: str) -> None:
    command = Command(argv=("true",), environment={}, folder=tmp_path / "absent")
    with pytest.raises(Broken, match="could not be started"):
        process.start(command, pid_file=tmp_path / "pid", log=tmp_path / "log", mark=mark)


def test_an_interruption_waits_until_the_process_is_written_down(tmp_path: Path, mark: str) -> None:
    with pytest.raises(KeyboardInterrupt), process.uninterrupted():
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        command = Command(argv=("sleep", "600"), environment={}, folder=tmp_path)
        process.start(command, pid_file=tmp_path / "pid", log=tmp_path / "log", mark=mark)
    begun = process.read_identity(tmp_path / "pid")
    assert process.alive(begun)
    process.stop(begun, mark, by=signal.SIGTERM, patience=5)
    assert not process.alive(begun)


def test_a_part_does_not_inherit_another_installations_settings(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSO_DATABASE_URL", "postgresql://elsewhere")
    start("import os; print(os.environ.get('HOSO_DATABASE_URL', 'nothing'), flush=True)")
    eventually(lambda: (tmp_path / "log").read_text(encoding="utf-8").endswith("\n"))
    assert (tmp_path / "log").read_text(encoding="utf-8") == "nothing\n"


def test_listening_ports_are_found_with_their_addresses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as near, socket.create_server(("0.0.0.0", 0)) as far:  # noqa: S104
        found = process.listening_ports([os.getpid()])
        assert found[near.getsockname()[1]] == "127.0.0.1"
        assert found[far.getsockname()[1]] == "00000000"
