"""
The process that holds a PKCS#11 module: `python -m infra.token.process_child DESCRIPTOR`.

It speaks on one socket with the process that started it, answers one request after the other, and ends
when that one does, even while the module hangs: the socket is listened to beside the call. PINs come over
the socket and stay in this memory, of which no core is written and which no other process may read.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import queue
import resource
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from infra.errors import Broken, HosoError
from infra.token import KeyDescription
from infra.token.pkcs11 import Pkcs11Token, has_pad, open_token

_NOT_DUMPABLE = 4  # PR_SET_DUMPABLE, <linux/prctl.h>


class Desk:
    """The keys that are open here, by the numbers that the other process knows them by."""

    def __init__(self) -> None:
        """Begin with none."""
        self._keys: dict[int, Pkcs11Token] = {}
        self._numbers = itertools.count(1)

    def has_pad(self, uri: str, module: str) -> bool:
        """Tell whether a token has a pad."""
        return has_pad(uri, module=Path(module))

    def open(
        self, uri: str, module: str, pin: str | None, certificate: bytes, *, last_try: bool
    ) -> tuple[int, bool]:
        """Open a key; return its number here, and whether it asks for the PIN each time."""
        key = open_token(uri, module=Path(module), pin=pin, certificate=certificate, last_try=last_try)
        number = next(self._numbers)
        self._keys[number] = key
        return number, key.asks_each_time

    def sign(self, number: int, content: bytes) -> bytes:
        """Return a signature by an open key."""
        return self._keys[number].sign(content)

    def describe(self, number: int) -> KeyDescription:
        """Return what the token says of an open key."""
        return self._keys[number].describe()

    def close(self, number: int) -> None:
        """Close a key."""
        self._keys.pop(number).close()


def main() -> None:
    """Answer until the other end is closed."""
    keep_to_itself()
    line: Connection[Any, Any] = Connection(int(sys.argv[1]))
    line.send("ready")
    requests: queue.SimpleQueue[tuple[str, tuple[Any, ...], dict[str, Any]]] = queue.SimpleQueue()
    threading.Thread(target=_answer, args=(line, requests), daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            requests.put(line.recv())
    # Nobody is there any more. A module that hangs is not waited for.
    os._exit(0)


def keep_to_itself() -> None:
    """Let nobody read this process's memory: no core file, no debugger of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_NOT_DUMPABLE, 0, 0, 0, 0)


def _answer(
    line: Connection[Any, Any], requests: queue.SimpleQueue[tuple[str, tuple[Any, ...], dict[str, Any]]]
) -> None:
    """Do what is asked, in the one thread that calls the module."""
    desk = Desk()
    while True:
        name, words, named = requests.get()
        try:
            said = (True, getattr(desk, name)(*words, **named))
        except HosoError as error:
            said = (False, error)
        except Exception as error:  # noqa: BLE001  Whatever it is, it ends as an answer.
            said = (False, Broken(f"The process of the token failed with {type(error).__name__}."))
        with contextlib.suppress(OSError):
            line.send(said)


if __name__ == "__main__":
    main()
