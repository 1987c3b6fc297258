"""
What a part of the stack is: something that is prepared, started, looked at and settled.

Each part is one small class in a module of its own. Parts are started as soon as what they need is ready,
so a method here is short or says in its docstring that it is not.
"""

from __future__ import annotations

import hashlib
import shutil
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from infra.environment import ONE_HEAP
from infra.errors import Unavailable
from infra.stack.layout import Place
from infra.stack.process import Command

#: Only this address: nothing of the stack can be reached from another machine.
LOOPBACK = "127.0.0.1"


class Part(ABC):
    """One server, or one thing that servers need; what a part does not say, it does not need."""

    #: What the command line, the logs and the pid file call it.
    name: str
    #: The parts that must be ready before this one is started.
    needs: tuple[str, ...] = ()
    #: The names of the ports that it listens on, the one to tell people first.
    ports: tuple[str, ...] = ()
    #: The signal that it takes as a request to end well.
    stop_by = signal.SIGTERM

    @abstractmethod
    def command(self, place: Place) -> Command | None:
        """Return what to run, or `None` if nothing runs."""

    @abstractmethod
    def ready(self, place: Place) -> bool:
        """Tell whether it does its work now; answers within seconds, and a part that is down is no error."""

    def settings(self, place: Place) -> Mapping[str, str]:
        """Return the `HOSO_…` settings that lead to it; ports are chosen, nothing else need be there yet."""
        return {}

    def prepare(self, place: Place) -> None:
        """Make what it needs before its start; doing it again changes nothing."""

    def settle(self, place: Place) -> None:
        """Make what can only be made inside it (databases, buckets); doing it again changes nothing."""

    def tidy(self, place: Place) -> None:
        """Remove what it leaves outside the stack's folder when it is killed."""


def for_programs(place: Place) -> dict[str, str]:
    """
    Return the environment of a program of ours, which reads every setting from this stack's file.

    It changes with the content of the file, so that `up` starts such a program anew when a setting changed.
    """
    content = hashlib.sha256(place.settings_file.read_bytes()).hexdigest()
    return {
        "HOSO_ENV_FILE": str(place.settings_file),
        "HOSO_STACK_SETTINGS": content,
        "PYTHONUNBUFFERED": "1",
        **ONE_HEAP,
    }


def program(name: str) -> str:
    """Return the path of a program beside this Python, else on the `PATH`; raises `Unavailable`."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is missing; run `make setup`")
    return found


def answers(port: int) -> bool:
    """Tell whether somebody takes connections at a port of this machine."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2):
            return True
    except OSError:
        return False
