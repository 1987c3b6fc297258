"""
Where a stack keeps its things: one folder, its secrets, its ports, and who may write at a time.

Everything a stack makes lies under its root. The root is readable by its owner only, because it holds
keys; no folder above it is ever touched.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.errors import Broken, Unavailable

#: The folder that holds `infra/`, from where parts are started.
PROJECT = Path(__file__).resolve().parents[2]

#: Less free disk than this (bytes) and nothing is started: a full disk breaks a database half way.
LEAST_FREE_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one stack, with names for what lies in it."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> Place:
        """Return the place at a folder, made if it is new; raises `Unavailable` if the disk is full."""
        place = cls(root.absolute())
        place.root.mkdir(parents=True, exist_ok=True)
        if place.root.stat().st_mode & 0o066:  # others may pass through at most (see the database), not look
            place.root.chmod(0o700)
        for name in ("secrets", "logs", "pids"):
            place.folder(name)
        free = shutil.disk_usage(place.root).free
        if free < LEAST_FREE_BYTES:
            raise Unavailable(
                f"{free / 1e9:.1f} GB are free at {place.root}; {LEAST_FREE_BYTES / 1e9:.0f} GB are needed"
            )
        return place

    @property
    def settings_file(self) -> Path:
        """The file that tells programs where everything is; it holds no secret."""
        return self.root / "hoso.env"

    def folder(self, *names: str) -> Path:
        """Return a folder under the root, made if it is new, for the owner only."""
        path = self.root
        for name in names:
            path = path / name
            path.mkdir(mode=0o700, exist_ok=True)
        return path

    def secret(self, name: str) -> Path:
        """Return the file of a secret, made with 256 random bits the first time it is asked for."""
        path = self.root / "secrets" / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32) + "\n")
        return path

    def signing_key(self, name: str) -> Path:
        """Return the file of an Ed25519 key (PKCS #8, PEM), made the first time it is asked for."""
        path = self.root / "secrets" / name
        if not path.exists():
            key = Ed25519PrivateKey.generate()
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_private(path, pem)
        return path

    def pin(self, name: str) -> Path:
        """Return the file of a token's PIN, made with 8 random digits the first time it is asked for."""
        path = self.root / "secrets" / name
        if not path.exists():
            write_private(path, f"{secrets.randbelow(10**8):08d}\n")
        return path

    def log(self, name: str) -> Path:
        """Return the log file of a part."""
        return self.root / "logs" / f"{name}.log"

    def pid_file(self, name: str) -> Path:
        """Return the file that says which process a part is."""
        return self.root / "pids" / name

    def remembered(self) -> Memory:
        """Return what was chosen at earlier starts; nothing at the first."""
        path = self.root / "stack.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return Memory(
                ports=dict(found["ports"]),
                parts=tuple(found["parts"]),
                settings=dict(found["settings"]),
            )
        except FileNotFoundError:
            return Memory(ports={}, parts=(), settings={})
        except (ValueError, KeyError, TypeError) as error:
            raise Broken(f"{path} cannot be read: {error}; delete it to have new ports chosen") from error

    def remember(self, memory: Memory) -> None:
        """Write down what was chosen, whole or not at all."""
        content = {
            "ports": dict(memory.ports),
            "parts": list(memory.parts),
            "settings": dict(memory.settings),
        }
        write_private(self.root / "stack.json", json.dumps(content, indent=1) + "\n")

    def port(self, name: str) -> int:
        """Return the port that was chosen under a name; raises `Broken` before one is."""
        try:
            return self.remembered().ports[name]
        except KeyError as error:
            raise Broken(f"no port was chosen for {name} at {self.root}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other `up` and `down` of this stack out; raises `Unavailable` if one is at work."""
        with (self.root / "lock").open("w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Unavailable(
                    f"another command is starting or ending the stack at {self.root}"
                ) from error
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a stack chose and keeps: its ports by name, the parts it was asked for, and extra settings."""

    ports: Mapping[str, int]
    parts: tuple[str, ...]
    settings: Mapping[str, str]


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file that only its owner can read; a reader sees the old content or the new, never half."""
    new = path.with_name(path.name + ".new")
    data = content.encode("utf-8") if isinstance(content, str) else content
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def settings_lines(values: Mapping[str, str]) -> str:
    """
    Return settings as a file that both dotenv readers and the shell understand.

    >>> print(settings_lines({"HOSO_SMTP_PORT": "2525", "HOSO_VAR_DIR": "/srv/one stop"}), end="")
    HOSO_SMTP_PORT='2525'
    HOSO_VAR_DIR='/srv/one stop'
    """
    for name, value in values.items():
        if "'" in value or "\n" in value:
            raise Broken(f"{name} cannot be written down: {value!r} holds a quote or a line break")
    return "".join(f"{name}='{value}'\n" for name, value in sorted(values.items()))
