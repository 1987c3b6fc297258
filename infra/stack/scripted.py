"""
Faults that a test writes down for a server in another process.

A folder's file `faults` holds one fault a line; the server takes the first line for its next request. What a
line means is the server's affair.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from threading import Lock

_NAME = "faults"
_LOCK = Lock()


def script_faults(folder: Path, *faults: str) -> None:
    """Let the server that keeps `folder` fail so at its next requests, in this order; none: no more."""
    _write(folder, list(faults))


def next_fault(folder: Path, kinds: Collection[str]) -> str | None:
    """Take the next fault out of the script, if it is of these kinds; a fault of another kind waits."""
    with _LOCK:
        faults = _read(folder)
        if not faults or faults[0] not in kinds:
            return None
        _write(folder, faults[1:])
        return faults[0]


def _read(folder: Path) -> list[str]:
    """Return the lines that are left."""
    try:
        return (folder / _NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _write(folder: Path, faults: list[str]) -> None:
    """Replace the lines, whole: a reader sees the old ones or the new ones."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{_NAME}.draft"
    draft.write_text("".join(f"{fault}\n" for fault in faults), encoding="utf-8")
    os.replace(draft, folder / _NAME)
