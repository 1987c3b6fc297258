"""
The one reader of the process environment.

It imports nothing of ours and nothing large, so that a command may look around before anything is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def settings_file() -> Path:
    """Return the file of this installation's settings: `HOSO_ENV_FILE`, or the embedded stack's."""
    return Path(os.environ.get("HOSO_ENV_FILE", "var/stack/hoso.env"))


def state_folder() -> Path:
    """Return where programs of this user keep what they remember between two starts (XDG base directories)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


#: For processes that carry many documents: glibc would keep a heap for each thread, and give none of it back.
ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with changes, for a child process."""
    return {**os.environ, **(changes or {})}


def export(name: str, value: str) -> None:
    """Set an environment variable that a library of ours insists on reading by itself."""
    os.environ[name] = value


def put_on(whole: Mapping[str, str]) -> None:
    """Replace the whole environment of this process, which becomes somebody else's command."""
    os.environ.clear()
    os.environ.update(whole)
