"""The process that stands by becomes the command that is asked for, with everything of whoever asks."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.errors import Broken
from infra.standby.asking import ask, connect
from infra.standby.serving import print_of
from tests.world import World

#: A process that stands by for a command which tells what it finds, and does as its words say.
PROBE = """
import json, os, signal, sys, time
from pathlib import Path
from infra.standby.serving import StandBy

def run():
    word, *rest = sys.argv[1:]
    Path("begun-" + word).touch()
    if word == "tell":
        mask = os.umask(0); os.umask(mask)
        print(json.dumps({"words": rest, "folder": os.getcwd(), "umask": mask, "stdin": sys.stdin.read(),
                          "environment": dict(os.environ), "pid": os.getpid(), "group": os.getpgrp(),
                          "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:-1]}))
        print("và tiếng Việt", file=sys.stderr)
        sys.exit(7)
    if word == "read":
        print(os.read(int(rest[0]), 100).decode())
    if word == "wait":
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            sys.exit(130)
    if word == "die":
        os.kill(os.getpid(), signal.SIGKILL)

print("ready", flush=True)
StandBy(Path(sys.argv[1]), code=Path(sys.argv[2]), takes=lambda words: words[0] != "cold", run=run).serve()
"""

#: Asks for a command from a process of its own, as `hoso` does.
CALLER = """
import os, sys
from pathlib import Path
from infra.standby.asking import ask
code = ask(Path(sys.argv[1]), sys.argv[3:], dict(os.environ), Path(sys.argv[2]))
sys.exit(99 if code is None else code if code >= 0 else 128 - code)
"""


class Probe:
    """A process that stands by, and callers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.door, self.code = folder, folder / "door", folder / "code"
        for name in ("flows", "tasks", "infra"):
            (self.code / name).mkdir(parents=True)
        (self.code / "flows" / "one.py").write_text("1")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROBE, self.door, self.code], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"
        until(self.opens)

    def opens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as line:
            try:
                connect(line, self.door)
            except OSError:
                return False
        return True

    def call(self, *words: str, **more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), capture_output=True, text=True, cwd=self.folder, **more)  # type: ignore[call-overload,no-any-return]

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(*words), cwd=self.folder, text=True)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-c", CALLER, str(self.door), str(self.code), *words]

    def begun(self, word: str) -> bool:
        return (self.folder / f"begun-{word}").exists()

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(one) for one in path.read_text().split()]


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def standing(folder: Path) -> Iterator[Probe]:
    folder.chmod(0o700)
    probe = Probe(folder)
    try:
        yield probe
    finally:
        probe.process.kill()
        probe.process.wait()


@pytest.fixture
def probe(tmp_path: Path) -> Iterator[Probe]:
    with standing(tmp_path) as one:
        yield one


def test_the_command_has_everything_of_whoever_asks(probe: Probe, tmp_path: Path) -> None:
    elsewhere = tmp_path / "thư mục"
    elsewhere.mkdir()
    env = {**os.environ, "ONLY_HERE": "một", "TZ": "Asia/Ho_Chi_Minh"}
    done = subprocess.run(
        probe.command("tell", "--name", "Ánh", "", "a b"),
        capture_output=True, text=True, cwd=elsewhere, env=env, input="dòng một\n", umask=0o027,
    )  # fmt: skip
    assert done.returncode == 7
    assert done.stderr == "và tiếng Việt\n"
    found = json.loads(done.stdout)
    assert found["words"] == ["--name", "Ánh", "", "a b"]
    assert found["folder"] == str(elsewhere)
    assert found["umask"] == 0o027
    assert found["stdin"] == "dòng một\n"
    assert {k: v for k, v in found["environment"].items() if k != "LC_CTYPE"} == {
        k: v for k, v in env.items() if k != "LC_CTYPE"
    }
    assert found["descriptors"] == [0, 1, 2]
    assert found["group"] == found["pid"], "a Ctrl-C for the process that stands by is none for the command"


def test_nothing_is_left_for_the_next_command(probe: Probe) -> None:
    assert probe.call("tell", input="", env={**os.environ, "HOSO_SECRET": "x"}).returncode == 7
    second = json.loads(probe.call("tell", input="").stdout)
    assert "HOSO_SECRET" not in second["environment"]


def test_a_descriptor_opened_for_the_command_is_passed_under_its_number(probe: Probe) -> None:
    (probe.folder / "pin").write_text("428571")
    for number in ("3", "9", "57"):
        done = subprocess.run(
            ["bash", "-c", f'exec "$@" {number}<pin', "bash", *probe.command("read", number)],
            capture_output=True,
            text=True,
            cwd=probe.folder,
        )
        assert done.stdout == "428571\n", done.stderr


def test_many_at_once_each_get_their_own_answer(probe: Probe) -> None:
    several = [
        subprocess.Popen(probe.command("tell", str(n)), cwd=probe.folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        for n in range(12)
    ]  # fmt: skip
    said = [json.loads(one.communicate(timeout=30)[0])["words"] for one in several]
    assert said == [[str(n)] for n in range(12)]
    assert {one.returncode for one in several} == {7}


def test_a_signal_that_ends_the_command_ends_its_caller_alike(probe: Probe) -> None:
    assert probe.call("die").returncode == 128 + signal.SIGKILL


def test_ctrl_c_reaches_the_command(probe: Probe) -> None:
    one = probe.start("wait")
    until(lambda: probe.begun("wait"))
    one.send_signal(signal.SIGINT)
    assert one.wait(timeout=20) == 130
    until(lambda: not probe.children())


def test_killing_the_caller_kills_the_command(probe: Probe) -> None:
    one = probe.start("wait")
    until(lambda: probe.begun("wait"))
    assert probe.children()
    one.kill()
    one.wait()
    until(lambda: not probe.children())
    assert probe.call("tell", input="").returncode == 7, "the next is served"


def test_a_caller_learns_that_the_process_died_under_its_command(probe: Probe, tmp_path: Path) -> None:
    one = probe.start("wait")
    until(lambda: probe.begun("wait"))
    child = probe.children()[0]
    probe.process.kill()
    os.kill(child, signal.SIGKILL)
    assert one.wait(timeout=20) == 1, "Broken, which the command line prints as a sentence"
    with pytest.raises(Broken, match="hoso show"):
        raise_after_taken(tmp_path)


def raise_after_taken(folder: Path) -> None:
    """Stand by as a process that takes a command and dies."""
    door = folder / "dying"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(door))
        listener.listen()
        pid = os.fork()
        if pid == 0:
            line, _ = listener.accept()
            line.recv(100_000)
            line.sendall(f"taken {os.getpid()}\n".encode())
            line.recv(3)
            os._exit(0)
        try:
            ask(door, ["wait"], {}, folder)
        finally:
            os.waitpid(pid, 0)


def test_what_it_does_not_take_and_where_nobody_stands_by_is_left_to_the_caller(probe: Probe) -> None:
    assert probe.call("cold").returncode == 99
    assert ask(probe.door, ["tell"], {}, probe.folder) is None, "a command of other code"
    assert ask(probe.folder / "nobody", ["tell"], {}, probe.code) is None
    assert ask(probe.folder / "no-folder" / "door", ["tell"], {}, probe.code) is None
    assert not probe.begun("tell")
    assert not probe.begun("cold")


def test_a_caller_who_gave_up_waiting_is_the_only_one_who_does_it(probe: Probe) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        connect(line, probe.door)
        said = {
            "code_from": str(probe.code),
            "words": ["tell"],
            "environment": {},
            "numbers": [],
            "umask": 0o77,
        }
        text = json.dumps(said).encode()
        folder = os.open(probe.folder, os.O_PATH)
        socket.send_fds(line, [struct.pack("!I", len(text)) + text], [folder])
        os.close(folder)
        assert line.recv(6) == b"taken "
    until(lambda: not probe.children())
    assert not probe.begun("tell")


@pytest.mark.parametrize("said", [b"", b"\x00", struct.pack("!I", 2**31), struct.pack("!I", 50) + b"{"])
def test_who_says_something_else_is_turned_away_and_the_next_is_served(probe: Probe, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        connect(line, probe.door)
        line.sendall(said)
    assert probe.call("tell", input="").returncode == 7


def test_a_caller_who_goes_at_the_moment_the_command_ends_does_not_end_the_process(probe: Probe) -> None:
    until(lambda: not probe.children())
    with socket.socket(socket.AF_UNIX) as line:
        connect(line, probe.door)
        line.sendall(struct.pack("!I", 100))
        until(probe.children)
        # It learns of both at once.
        probe.process.send_signal(signal.SIGSTOP)
    child = Path(f"/proc/{probe.children()[0]}/stat")
    until(lambda: child.read_text().rpartition(")")[2].split()[0] == "Z")
    probe.process.send_signal(signal.SIGCONT)
    assert probe.call("tell", input="").returncode == 7
    assert probe.process.poll() is None


def test_after_a_change_of_the_code_it_starts_anew(probe: Probe) -> None:
    assert probe.call("tell", input="").returncode == 7, "it stands by with the code as it is"
    before = print_of(probe.code)
    (probe.code / "tasks" / "two.py").write_text("2")
    assert print_of(probe.code) != before
    assert probe.call("tell", input="").returncode == 99, "this one is left to the caller"
    until(lambda: probe.call("tell", input="").returncode == 7)
    assert probe.process.poll() is None, "the same process, with the code of now"


def test_asked_to_end_it_lets_the_running_command_end(probe: Probe) -> None:
    one = probe.start("wait")
    until(lambda: probe.begun("wait"))
    probe.process.terminate()
    until(lambda: not probe.door.exists())
    assert one.poll() is None
    one.send_signal(signal.SIGINT)
    assert one.wait(timeout=20) == 130
    assert probe.process.wait(timeout=20) == 0


def test_only_its_user_comes_in(probe: Probe) -> None:
    assert probe.door.stat().st_mode & 0o777 == 0o600
    if os.getuid() != 0:
        return
    # As if an administrator had opened folder and door: the kernel still says who is there.
    for place in (probe.folder, *probe.folder.parents):
        if place.owner() == "root" and place != Path("/") and "pytest" in str(place):
            place.chmod(0o755)
    probe.door.chmod(0o666)
    knock = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(20); sys.exit(len(s.recv(1)))"
    done = subprocess.run(
        ["python3", "-c", knock, str(probe.door)], user=65534, group=65534, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert not probe.children()


def test_a_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    probe = subprocess.run(
        [sys.executable, "-c", PROBE, tmp_path / "door", Path(__file__).parents[2]],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "open to others" in probe.stderr
    assert probe.returncode != 0


def test_a_command_says_the_same_with_and_without_it(world: World) -> None:
    office = world.office()
    code = world.booked(office)
    for words in (("status", code), ("show", code, "--json"), ("status", "H1.1-261122-9999"), ("status",)):  # fmt: skip
        warm, cold = world.hoso(*words), world.hoso(*words, HOSO_STANDBY="no")
        assert (warm.code, warm.out, warm.err) == (cold.code, cold.out, cold.err), words
    assert world.hoso("cancel", code, HOSO_STANDBY="no").code == 0
    assert world.hoso("cancel", code).code == 0, "twice is once"
