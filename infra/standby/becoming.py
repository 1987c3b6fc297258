"""What the forked child does: it takes over the descriptors, folder, rights and environment of whoever asked."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

from infra.environment import put_on

#: The largest command line with its environment, in bytes.
_LIMIT = 8_000_000

#: The most descriptors that one message carries (Linux: SCM_MAX_FD).
_MOST = 253


def become(
    line: socket.socket, code: Path, takes: Callable[[Sequence[str]], bool], run: Callable[[], object]
) -> NoReturn:
    """
    Be the command that the other side asks for, and end with its exit code; never returns.

    Nothing is done before the other side has heard that it is taken and has said “go”: a caller who gave
    up waiting carries out the command by itself, and must be the only one who does.
    """
    asked = _receive(line)
    if asked is None or asked["code_from"] != str(code) or not takes(asked["words"]):
        line.sendall(b"cold\n")
        os._exit(0)
    line.sendall(f"taken {os.getpid()}\n".encode())
    if line.recv(3, socket.MSG_WAITALL) != b"go\n":
        os._exit(0)
    line.close()
    _take_over(asked)
    for name in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(name, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
    sys.exit(0)


def _receive(line: socket.socket) -> dict[str, Any] | None:
    """Return what is asked, with the descriptors as `received`; `None` if the other side did not say it whole."""
    head, received, flags, _ = socket.recv_fds(line, 4, _MOST)
    if len(head) < 4 or flags & socket.MSG_CTRUNC:
        return None
    (size,) = struct.unpack("!I", head)
    if size > _LIMIT:
        return None
    text = b""
    while len(text) < size:
        piece = line.recv(size - len(text))
        if not piece:
            return None
        text += piece
    return {**json.loads(text.decode("utf-8", "surrogateescape")), "received": received}


def _take_over(asked: dict[str, Any]) -> None:
    """Put everything of whoever asked in the place of what this process had."""
    *opened, folder = asked["received"]
    # Every descriptor moves out of the way of the numbers first: one may have the number that another needs.
    above = max([*asked["numbers"], *asked["received"]]) + 1
    moved = [os.dup2(one, above + n, inheritable=False) for n, one in enumerate(opened)]
    os.fchdir(folder)
    for one in asked["received"]:
        os.close(one)
    for number, one in zip(asked["numbers"], moved, strict=True):
        os.dup2(one, number)
        os.close(one)
    os.umask(asked["umask"])
    put_on(asked["environment"])
    time.tzset()
    sys.argv = ["hoso", *asked["words"]]
    sys.stdin, sys.stdout, sys.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w")


def _stream(number: Literal[0, 1, 2], mode: Literal["r", "w"]) -> io.TextIOWrapper:
    """Return one of the three streams of every program, as Python makes it in UTF-8 mode."""
    errors = "backslashreplace" if number == 2 else "surrogateescape"
    lines = 1 if number == 2 or os.isatty(number) else -1
    return open(
        number,
        mode,
        encoding="utf-8",
        errors=errors,
        buffering=lines,
        closefd=False,
    )
