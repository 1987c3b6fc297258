"""
The object store: what may be relied upon, whoever keeps the bytes.

One `ObjectStore` is one bucket with versioning on. Nothing is ever overwritten: a key is written once,
and a second writer learns what the first one stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from infra.errors import Broken, Forbidden


class Absent(Broken):
    """The store does not hold the object that was asked for."""


class AlreadyStored(Broken):
    """The key holds other content than the caller's."""


class StillKept(Forbidden):
    """The store itself refuses to let a version go: its lock has not ended, or it is held."""


class Unsafe(Forbidden):
    """The store failed the probe: it would let somebody delete what must stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One version of one object, as the store itself reported it after the write."""

    key: str
    version_id: str
    sha256: str  # lower-case hex, computed by us over the bytes
    size: int  # bytes
    mode: str | None = None  # "COMPLIANCE", "GOVERNANCE" or no lock
    retain_until: datetime | None = None  # aware, UTC, whole seconds
    held: bool = False  # a legal hold: it stays, whatever the date


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One version as it lies in the store now, and whether it is what a reader of the bare key gets."""

    stored: Stored
    newest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One thing that a locked bucket must refuse, and whether it did."""

    what: str
    refused: bool
    answer: str


class ObjectStore(Protocol):
    """A bucket that accepts each key once."""

    def put(self, key: str, content: bytes, *, content_type: str) -> Stored:
        """
        Store `content` under `key`, durably, before returning.

        The same content under the same key succeeds and returns the version already there, so an
        interrupted step can be run again. Other content raises `AlreadyStored`. Raises `Unavailable`
        when the store does not answer; the object may then exist or not, and `put` may be repeated.
        """
        ...

    def put_first(self, key: str, content: bytes, *, content_type: str) -> tuple[Stored, bytes]:
        """
        Store `content` unless `key` is taken; return what the key holds now, whoever won.

        This is how two writers of an effect that must exist once agree on one of them.
        """
        ...

    def put_file(self, key: str, path: Path, *, content_type: str) -> Stored:
        """
        Store a file's bytes unless `key` is taken; return what the key holds now, whoever won.

        As `put_first`, without more than the file itself in memory: whether the caller won is told by `sha256`.
        """
        ...

    def get(self, key: str, *, version_id: str | None = None) -> bytes:
        """Return the bytes of a key (of one version, if named); raises `Absent` or `Unavailable`."""
        ...

    def get_file(self, key: str, path: Path) -> Stored:
        """
        Write the bytes of a key to a file, a piece at a time, and return what they are as they came.

        Raises `Absent` or `Unavailable`; the file then holds anything.
        """
        ...

    def find(self, key: str) -> Stored | None:
        """Return what a key holds, with a checksum computed over its bytes, or `None`."""
        ...

    def put_locked(
        self, key: str, content: bytes, *, content_type: str, retain_until: datetime, looks: bool = True
    ) -> Stored:
        """
        Store `content` in COMPLIANCE mode until `retain_until`; repeatable like `put`.

        When the key already holds the same content under a lock at least as long, that version is
        returned. `retain_until` is rounded up to a whole second. Without `looks` the lock is not asked for,
        and what is returned may name none: for those who read the version back at once.
        """
        ...

    def read_back(self, key: str, version_id: str) -> tuple[Stored, bytes]:
        """Return one version's bytes with its lock as the store reports it now; raises `Absent`."""
        ...

    def remove(self, key: str) -> None:
        """
        Remove every version of a key, so that nothing of it can be read any more.

        A key that is not there is a success, so it may be repeated. Raises `Broken` for a version that is
        locked, of which nothing is removed, and `Unavailable`.
        """
        ...

    def measure(self, key: str, version_id: str) -> Measured:
        """
        Read one version to its end, a piece at a time, and return its hash, size, lock and hold as they are now.

        Memory does not grow with the object. `newest` is false when something else, or a deletion, lies on top of
        it. Raises `Absent` when the version is gone, `Unavailable` when the store does not answer.
        """
        ...

    def lock_longer(self, key: str, version_id: str, retain_until: datetime) -> Stored:
        """Lock one version in COMPLIANCE mode until a later moment, and return it as the store reports it now."""
        ...

    def keep_held(self, key: str, version_id: str, *, held: bool) -> None:
        """Place a legal hold on one version, or lift it; doing it again changes nothing."""
        ...

    def destroy(self, key: str, version_id: str) -> None:
        """
        Delete one version for good; a version that is gone already is a success.

        Raises `StillKept` while its lock or a hold lasts: whose bytes they are does not matter to the store.
        """
        ...

    def keys(self, prefix: str, *, after: str = "") -> list[str]:
        """Return the keys under a prefix, sorted; with `after` only those that sort behind it."""
        ...

    def probe(self) -> Sequence[ProbeResult]:
        """
        Try what a locked bucket must refuse, on a one-byte object of its own, and report each answer.

        Deleting the locked version (also with the governance bypass), shortening its retention,
        overwriting with a wrong checksum, an anonymous read, an anonymous write, and every stranger's
        door in the settings.
        """
        ...
