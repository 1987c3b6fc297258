"""
Which release this program is: a folder, or an image, that does not change once it is deployed.

A file `RELEASE` in the folder names it (an image has one, made when it was built); without one the folder's
own path is its name.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from infra.errors import Broken

#: The folder of this program.
FOLDER = Path(__file__).resolve().parents[1]

#: What a release consists of, below its folder.
_PARTS = ("flows", "tasks", "infra")
_FILES = ("prefect.yaml", "requirements.lock")
_SOURCES = {".py", ".yaml", ".json", ".c", ".sh", ".typ", ".xsd", ".png", ".ttf"}


@cache
def release_name(folder: Path = FOLDER) -> str:
    """Return the name of the release in a folder: one line of at most 200 characters; raises `Broken`."""
    try:
        name = (folder / "RELEASE").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return str(folder)
    if not re.fullmatch(r"\S.{0,199}", name):
        raise Broken(f"{folder}/RELEASE does not hold one line that names the release")
    return name


def code_digest(folder: Path = FOLDER) -> str:
    """Return the SHA-256 of everything that a release does its work with: every path and its content."""
    paths = [folder / name for name in _FILES if (folder / name).exists()]
    paths += [path for part in _PARTS for path in (folder / part).rglob("*") if path.suffix in _SOURCES]
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{content}  {path.relative_to(folder)}\n".encode())
    return digest.hexdigest()


def newest_revision(folder: Path = FOLDER) -> str:
    """Return the revision of the database's schema that a release was made for."""
    return max(p.name[:4] for p in (folder / "infra" / "migrations" / "versions").glob("[0-9]*.py"))
