"""
Ask the process that stands by to be this command; whoever gets no answer is the command itself.

Imports nothing large: this is all that is loaded when somebody does stand by.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from infra.errors import Broken

#: Seconds for the process that stands by to take a command; it forks at once or is in trouble.
PATIENCE = 2.0

#: What is passed on to the command, as a terminal would: somebody wants it to stop, or has gone.
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

#: The most descriptors that one message may carry (Linux: SCM_MAX_FD).
_MOST = 250


def door_of(settings_file: Path, kind: str = "standby") -> Path:
    """Return the socket behind which a process of a kind stands by for an installation and this user."""
    return settings_file.parent / f"{kind}-{os.getuid()}"


def ask(door: Path, words: Sequence[str], environment: Mapping[str, str], code_from: Path) -> int | None:
    """
    Return the exit code of a command that the process behind a door carries out; negative: a signal ended it.

    `None`: nobody stands by, or not for this command, or with other code than `code_from`; nothing was
    done. Signals that arrive meanwhile are passed on. A command whose caller dies is killed. Raises
    `Broken` when the process behind the door dies while the command runs: what was done is in the history.
    """
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(PATIENCE)
        try:
            connect(line, door)
            _send(line, words, environment, code_from)
            answer = _line(line)
            if not answer.startswith("taken "):
                return None
            waiting = _Passing(int(answer.removeprefix("taken ")))
            line.sendall(b"go\n")
        except OSError:
            return None
        line.settimeout(None)
        ended = ""
        with waiting, suppress(ConnectionError):
            ended = _line(line)
        if not ended:
            raise Broken(
                "the process that stood by ended before its command; “hoso show” tells what was done"
            )
        return int(ended.removeprefix("end "))


def connect(line: socket.socket, door: Path) -> None:
    """Connect to a socket whose path may be longer than a socket's address allows (108 bytes)."""
    folder = os.open(door.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        line.connect(f"/proc/self/fd/{folder}/{door.name}")
    finally:
        os.close(folder)


def _send(line: socket.socket, words: Sequence[str], environment: Mapping[str, str], code_from: Path) -> None:
    """Send the command and every descriptor that a program started here would inherit, the folder last."""
    numbers = _inherited()
    folder = os.open(".", os.O_PATH | os.O_DIRECTORY)
    mask = os.umask(0o077)
    os.umask(mask)
    text = json.dumps(
        {
            "code_from": str(code_from),
            "words": list(words),
            "environment": dict(environment),
            "numbers": numbers,
            "umask": mask,
        }
    ).encode("utf-8", "surrogateescape")
    try:
        rights = array.array("i", [*numbers, folder])
        line.sendmsg([struct.pack("!I", len(text))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    finally:
        os.close(folder)
    line.sendall(text)


def _inherited() -> list[int]:
    """Return the descriptors that survive an exec: the three of every program, and what the shell opened for it."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        try:
            if os.get_inheritable(number):
                found.append(number)
        except OSError:
            continue  # The listing's own descriptor.
    return sorted(found)[:_MOST]


def _line(line: socket.socket) -> str:
    """Return the next line without its end; empty when the other side has gone."""
    found = b""
    while not found.endswith(b"\n"):
        piece = line.recv(1)
        if not piece:
            return ""
        found += piece
    return found.decode().rstrip("\n")


class _Passing:
    """Pass on signals to a process, within a `with` block."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def __enter__(self) -> None:
        self._before = {name: signal.signal(name, self._pass) for name in PASSED_ON}

    def __exit__(self, *_: object) -> None:
        for name, before in self._before.items():
            signal.signal(name, before)

    def _pass(self, number: int, _: object) -> None:
        with suppress(ProcessLookupError):  # It has just ended; its exit code is on the way.
            os.kill(self._pid, number)
