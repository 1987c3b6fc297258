"""
Where the processes that read hostile files come from: `python -m infra.pdf.nursery`.

Starting Python and loading pikepdf or pyHanko takes longer than reading a scan. This process loads them once,
opens no file itself, and forks a child for each request; the child gives up what it must not have
(`confined.confine`) and is gone after its answer. It holds no secret and no document: it is started with an empty
environment and hears of a request only the name of the reader and the descriptors.

It ends when the process that started it, and everything forked from that, has ended.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import IO, NoReturn

from infra.pdf.offline import leave_the_network

_ROOT = Path(__file__).resolve().parents[2]

#: Where a process keeps its end: above the numbers that commands are handed descriptors under.
_HIGH = 200
_NAME_BYTES = 200
_KILL = b"k"


class Nursery:
    """One nursery and the way to it; it may be used by threads, and by processes that are forked from this one."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._lock = Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, module: str, files: tuple[IO[bytes], IO[bytes], IO[bytes]], wall_seconds: float) -> int:
        """
        Return the exit code of `main()` of a module in a child with these as its three streams; negative: a signal.

        The child is dead when this returns. Raises `TimeoutError` when it took longer, `OSError` when there is no
        nursery to be had.
        """
        for last_try in (False, True):
            here, there = socket.socketpair()
            with here:
                try:
                    with there:
                        numbers = [file.fileno() for file in files]
                        socket.send_fds(self._way(), [module.encode()], [*numbers, there.fileno()])
                    return _outcome(here, wall_seconds)
                except (BrokenPipeError, ConnectionError):
                    self.close()  # It died, or was ended; the next one may live.
                    if last_try:
                        raise
        raise AssertionError

    def load(self, module: str) -> None:
        """Let the nursery load what a module reads with, so that the first request need not wait for it."""
        socket.send_fds(self._way(), [b"+" + module.encode()], [])

    def close(self) -> None:
        """End the nursery as far as this process is concerned, and wait for it if it is this process's own."""
        with self._lock:
            if self._control is not None:
                self._control.close()
                self._control = None
            if self._process is not None:
                with suppress(ChildProcessError):
                    self._process.wait()
                self._process = None

    def _way(self) -> socket.socket:
        """Return the way in, to a nursery that is started when there is none."""
        with self._lock:
            if self._control is None:
                here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with there, here:
                    self._process = subprocess.Popen(
                        [sys.executable, "-m", "infra.pdf.nursery", str(there.fileno())],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        env={"PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
                        cwd="/",
                        pass_fds=[there.fileno()],
                    )
                    high = fcntl.fcntl(here.fileno(), fcntl.F_DUPFD_CLOEXEC, _HIGH)
                    self._control = socket.socket(fileno=high)
            return self._control


def _outcome(line: socket.socket, wall_seconds: float) -> int:
    """Wait for a child's end and return its exit code; kill it when it takes too long."""
    line.settimeout(wall_seconds or 1e-6)
    try:
        said = line.recv(16)
    except TimeoutError:
        line.settimeout(None)
        line.sendall(_KILL)
        if not line.recv(16):
            raise ConnectionError("the nursery has ended") from None
        raise
    if not said:
        raise ConnectionError("the nursery has ended")
    return int(said)


class _Nurse:
    """The nursery's own side: forks, waits, tells, kills."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._awake, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._children: dict[int, socket.socket] = {}
        self._watch = select.poll()
        self._watch.register(control, select.POLLIN)
        self._watch.register(self._awake, select.POLLIN)

    def serve(self) -> None:
        """Answer requests until nobody is left who could ask; then kill what still reads."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # A Ctrl-C is for whoever asks.
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        going = True
        while going:
            happened = {number for number, _ in self._watch.poll()}
            # A line that nobody waits at any more comes first: of a child that ended meanwhile it is closed next.
            for number in happened - {self._awake, self._control.fileno()}:
                self._kill(number)
            if self._awake in happened:
                os.read(self._awake, 4096)
                self._reap()
            if self._control.fileno() in happened:
                going = self._take()
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _take(self) -> bool:
        """Take one request; return false when nobody can ask any more."""
        name, numbers, _, _ = socket.recv_fds(self._control, _NAME_BYTES, 8)
        if not name:
            return False
        module = name.decode().removeprefix("+")
        with suppress(Exception):  # Whoever needs it learns of it in its child.
            for reader in importlib.import_module(module).READERS:
                importlib.import_module(reader)
        if len(numbers) == 4:
            line = socket.socket(fileno=numbers.pop())
            pid = os.fork()
            if pid == 0:
                self._become(module, numbers, line)
            self._children[pid] = line
            self._watch.register(line, select.POLLIN)
        for number in numbers:
            os.close(number)
        return True

    def _become(self, module: str, numbers: list[int], line: socket.socket) -> NoReturn:
        """Read one request's files, in the child; nothing of the nursery is left to it."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for name in (signal.SIGCHLD, signal.SIGINT):
                signal.signal(name, signal.SIG_DFL)
            for one in (line, self._control, *self._children.values()):
                one.close()
            for number in (self._awake, self._wake):
                os.close(number)
            for number, stream in zip(numbers, range(3), strict=True):
                os.dup2(number, stream)
                os.close(number)
            sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
            importlib.import_module(module).main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:  # noqa: BLE001  The last line of it is what the caller says.
            with suppress(Exception):
                traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        """Tell how children ended."""
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            line = self._children.pop(pid)
            with suppress(KeyError):
                self._watch.unregister(line)
            with suppress(OSError):  # Nobody waits for it any more.
                line.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            line.close()

    def _kill(self, number: int) -> None:
        """Kill the child that took too long, or that nobody waits for any more."""
        self._watch.unregister(number)
        for pid, line in self._children.items():
            if line.fileno() == number:
                os.kill(pid, signal.SIGKILL)


#: The nursery of this process.
NURSERY = Nursery()


if __name__ == "__main__":
    leave_the_network()
    _Nurse(socket.socket(fileno=int(sys.argv[1]))).serve()
