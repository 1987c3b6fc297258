"""The process that stands by: it forks for each command, and says how the command ended."""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from infra.errors import Forbidden
from infra.standby.asking import connect
from infra.standby.becoming import become

#: Seconds for running commands to end by themselves when this process is asked to.
_FAREWELL = 20.0

#: What is waited for on a line: that the caller has gone. What it says is read by the child alone.
_GONE = select.POLLRDHUP

Takes = Callable[[Sequence[str]], bool]
Print = tuple[int, int, int]


class StandBy:
    """One process behind one door, a socket that only this user may open."""

    def __init__(self, door: Path, *, code: Path, takes: Takes, run: Callable[[], object]) -> None:
        """
        Stand by to `run()` what `takes(words)`; everything that commands need is loaded already.

        `code` is the folder of the code. When a source file in it has changed, no command is taken any more,
        and the process starts itself anew as soon as the running ones have ended. Raises `Forbidden` when
        the door's folder is open to others or another process stands behind the door.
        """
        self._code, self._loaded = code, print_of(code)
        self._takes, self._run = takes, run
        self._running: dict[int, socket.socket] = {}
        self._ending = False
        self._door = door
        self._listener = _listen(door)
        self._awake, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watch = select.poll()
        self._watch.register(self._listener, select.POLLIN)
        self._watch.register(self._awake, select.POLLIN)

    def serve(self) -> None:
        """Take commands until SIGTERM or SIGINT; returns in this process only, a child ends with its command."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        gc.collect()
        gc.freeze()  # A child that looked for garbage in here would copy all of it.
        while not self._ending:
            self._look()
        self._watch.unregister(self._listener)
        self._door.unlink(missing_ok=True)
        self._listener.close()
        until = time.monotonic() + _FAREWELL
        while self._running and time.monotonic() < until:
            self._look(milliseconds=500)
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)

    def _end(self, *_: object) -> None:
        """Remember that somebody wants this process to end."""
        self._ending = True

    def _look(self, milliseconds: int | None = None) -> None:
        """
        Wait for something to happen, and see to it.

        Callers who have gone come first: of a command that ended at the same moment the line is closed next, and its
        number may be that of whoever asks after that.
        """
        happened = {number for number, _ in self._watch.poll(milliseconds)}
        door = self._listener.fileno()
        for number in happened - {self._awake, door}:
            self._kill_for(number)
        if self._awake in happened:
            os.read(self._awake, 4096)
            self._reap()
        if door in happened and not self._ending:
            self._take(self._listener.accept()[0])

    def _take(self, line: socket.socket) -> None:
        """Fork for a command; with other code on the disk than in here, take none."""
        if print_of(self._code) != self._loaded:
            line.close()
            if not self._running:
                os.execv(sys.executable, sys.orig_argv)  # noqa: S606  This program, with the code of now.
            return
        if _user_of(line) != os.getuid():
            line.close()
            return
        pid = os.fork()
        if pid == 0:
            self._become(line)
        self._running[pid] = line
        self._watch.register(line, _GONE)

    def _become(self, line: socket.socket) -> NoReturn:
        """Leave everything of this process behind, in the child, and be the command."""
        signal.set_wakeup_fd(-1)
        os.setsid()
        for other in (self._listener, *self._running.values()):
            other.close()
        for one in (self._awake, self._wake):
            os.close(one)
        become(line, self._code, self._takes, self._run)

    def _reap(self) -> None:
        """Tell whoever asked how their commands ended."""
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            line = self._running.pop(pid)
            with suppress(KeyError):  # The caller had gone.
                self._watch.unregister(line)
            with suppress(OSError):  # Nobody waits for it any more.
                line.sendall(f"end {os.waitstatus_to_exitcode(status)}\n".encode())
            line.close()

    def _kill_for(self, number: int) -> None:
        """Kill the command whose caller was killed: to kill `hoso` is to kill what it does."""
        self._watch.unregister(number)
        for pid, line in self._running.items():
            if line.fileno() == number:
                os.kill(pid, signal.SIGKILL)


def print_of(code: Path) -> Print:
    """Return what differs when a source file of ours was changed, added or removed."""
    count = newest = size = 0
    waiting = [str(code / name) for name in ("flows", "tasks", "infra")]
    while waiting:
        for entry in os.scandir(waiting.pop()):
            if entry.name.endswith(".py"):
                seen = entry.stat()
                count, size, newest = count + 1, size + seen.st_size, max(newest, seen.st_mtime_ns)
            elif entry.is_dir() and entry.name != "__pycache__":
                waiting.append(entry.path)
    return count, size, newest


def _listen(door: Path) -> socket.socket:
    """Return the socket behind a door; a door that a killed process left is taken away."""
    folder = door.parent.stat()
    if folder.st_uid != os.getuid() or folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Forbidden(
            f"{door.parent} is open to others.",
            rule="LOGIN-03",
            way_out="Make it writable for its owner only.",
        )
    with socket.socket(socket.AF_UNIX) as other:
        try:
            connect(other, door)
        except OSError:
            door.unlink(missing_ok=True)
        else:
            raise Forbidden(
                f"a process stands by at {door} already.", rule="LOGIN-03", way_out="Use that one."
            )
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    place = os.open(door.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{place}/{door.name}")
    finally:
        os.close(place)
        os.umask(before)
    listener.listen(128)
    return listener


def _user_of(line: socket.socket) -> int:
    """Return the user who is at the other side, by the kernel's word (unix(7), SO_PEERCRED)."""
    _, user, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(user)
