"""
Files that hold a secret of one user: made for the owner alone, and not believed when they are not.

A file that others can read, that belongs to somebody else, or that is a link may have been put there, or
looked at, by anybody; whoever reads it through here learns that instead of the content.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from infra.chance import random_bytes
from infra.errors import Forbidden


def write_private(path: Path, content: str | bytes) -> None:
    """
    Write a file that only this user can read (0600, in a folder 0700); the old content stays whole until the end.

    Writing again replaces it. A crash in between leaves the old file, and one with a random name beside it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{random_bytes(8).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def read_private(path: Path) -> str:
    """
    Return what such a file holds, without its final newline.

    Raises `FileNotFoundError` when there is none, and `Forbidden` (LOGIN-03) when it is a link, belongs to
    another user, or lets its group or others in: looked at on the open file, so that it cannot be exchanged.
    """
    # A pipe in its place must not keep whoever reads it waiting.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        file = os.open(path, flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _not_private(path, error.strerror or "it cannot be opened") from error
    try:
        why = _why_not(os.fstat(file))
        if why:
            raise _not_private(path, why)
        with os.fdopen(os.dup(file), encoding="utf-8") as opened:
            return opened.read().rstrip("\n")
    finally:
        os.close(file)


def _why_not(said: os.stat_result) -> str:
    """Return why an open file is not its user's own; empty when it is."""
    if not stat.S_ISREG(said.st_mode):
        return "it is no ordinary file"
    if said.st_uid != os.geteuid():
        return "it belongs to another user"
    if said.st_mode & 0o077:
        return f"its mode is {stat.S_IMODE(said.st_mode):04o}, others can reach it"
    return ""


def _not_private(path: Path, why: str) -> Forbidden:
    """Return the refusal of a file that is not its user's own."""
    return Forbidden(
        f"the file {path} is not believed: {why}.",
        rule="LOGIN-03",
        way_out="Delete it and make it anew: a login with “hoso login”, a secret with mode 0600.",
    )
