"""
The object store in this process's memory: the double, with the same promises and scripted faults.

Locks hold as long as its clock says. What it can be told to do wrong is what real stores have done: fail
before the effect, fail after it, lose what it acknowledged, damage a byte, let an intruder through.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from threading import RLock

from infra.clock import Clock, SystemClock
from infra.errors import Broken, Unavailable
from infra.object_store import Absent, AlreadyStored, Measured, ProbeResult, Stored
from infra.object_store.naming import check_key, still_kept, whole_second
from infra.object_store.probing import (
    PROBE_CONTENT,
    Refused,
    probe_doors,
    probe_key,
    probe_lock,
    probe_retention,
)


class Fault(StrEnum):
    """What the next call of an operation does wrong."""

    BEFORE = "before"  # no answer, and nothing happened
    AFTER = "after"  # it happened, and the answer was lost
    LOST = "lost"  # a success was answered, and nothing was kept
    DAMAGE = "damage"  # a write keeps, or a read answers, one bit other than it should


@dataclass(slots=True)
class _Version:
    """One stored version; only its lock may change, and only to a longer one."""

    stored: Stored
    content: bytes
    content_type: str


class MemoryStore:
    """
    One bucket with object lock, gone with the process; safe to share between threads.

    `allows` names attacks that it does not refuse, by the intruder's methods (`delete_version`,
    `set_retention`, `put_damaged`, `as_stranger`): a store that fails its probe.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        allows: frozenset[str] = frozenset(),
        stranger_doors: Sequence[str] = (),
    ) -> None:
        """Start empty."""
        self._clock = clock or SystemClock()
        self._allows = allows
        self._doors = tuple(stranger_doors)
        self._versions: dict[str, list[_Version]] = {}
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._lock = RLock()
        self._written = 0

    @property
    def intruder(self) -> MemoryStore:
        """The same bucket, seen by somebody who wants its objects gone: an `Intruder`."""
        return self

    def fail_next(self, operation: str, fault: Fault, *, times: int = 1) -> None:
        """
        Let the next calls of an operation go wrong, in the order scripted.

        `operation` is `put` (also `put_first` and `put_locked`), `get` (also `find` and `read_back`) or
        `keys`.
        """
        self._faults[operation].extend([fault] * times)

    def versions(self, key: str) -> int:
        """Return how many versions a key has; more than one means that something was overwritten."""
        return len(self._versions.get(key, []))

    def put(self, key: str, content: bytes, *, content_type: str) -> Stored:
        """See `ObjectStore.put`."""
        stored, held = self.put_first(key, content, content_type=content_type)
        if held != content:
            raise AlreadyStored(f"{key} holds other content")
        return stored

    def put_first(self, key: str, content: bytes, *, content_type: str) -> tuple[Stored, bytes]:
        """See `ObjectStore.put_first`."""
        with self._lock:
            version = self._write(check_key(key), content, content_type, None)
            return version.stored, version.content

    def put_file(self, key: str, path: Path, *, content_type: str) -> Stored:
        """See `ObjectStore.put_file`."""
        return self.put_first(key, path.read_bytes(), content_type=content_type)[0]

    def get_file(self, key: str, path: Path) -> Stored:
        """See `ObjectStore.get_file`."""
        stored, content = self._read(key, None)
        path.write_bytes(content)
        return stored

    def get(self, key: str, *, version_id: str | None = None) -> bytes:
        """See `ObjectStore.get`."""
        return self._read(key, version_id)[1]

    def find(self, key: str) -> Stored | None:
        """See `ObjectStore.find`."""
        try:
            return self._read(key, None)[0]
        except Absent:
            return None

    def put_locked(
        self, key: str, content: bytes, *, content_type: str, retain_until: datetime, looks: bool = True
    ) -> Stored:
        """See `ObjectStore.put_locked`; here a look costs nothing."""
        del looks
        until = whole_second(retain_until)
        with self._lock:
            version = self._write(check_key(key), content, content_type, until)
            if version.content != content:
                raise AlreadyStored(f"{key} holds other content")
            longer = max(until, version.stored.retain_until or until)
            version.stored = replace(version.stored, mode="COMPLIANCE", retain_until=longer)
            return version.stored

    def read_back(self, key: str, version_id: str) -> tuple[Stored, bytes]:
        """See `ObjectStore.read_back`."""
        return self._read(key, version_id)

    def remove(self, key: str) -> None:
        """See `ObjectStore.remove`."""
        with self._lock:
            if any(version.stored.mode for version in self._versions.get(check_key(key), [])):
                raise Broken(f"{key} is locked and stays")
            self._versions.pop(key, None)

    def measure(self, key: str, version_id: str) -> Measured:
        """See `ObjectStore.measure`."""
        with self._lock:
            stored, _ = self._read(key, version_id)
            return Measured(stored=stored, newest=self._versions[key][-1].stored.version_id == version_id)

    def lock_longer(self, key: str, version_id: str, retain_until: datetime) -> Stored:
        """See `ObjectStore.lock_longer`."""
        with self._lock:
            version = self._find(key, version_id)
            if version is None:
                raise Absent(f"cannot lock {key}: the store has no such version")
            until = max(whole_second(retain_until), version.stored.retain_until or retain_until)
            version.stored = replace(version.stored, mode="COMPLIANCE", retain_until=until)
            return version.stored

    def keep_held(self, key: str, version_id: str, *, held: bool) -> None:
        """See `ObjectStore.keep_held`."""
        with self._lock:
            version = self._find(key, version_id)
            if version is None:
                raise Absent(f"cannot hold {key}: the store has no such version")
            version.stored = replace(version.stored, held=held)

    def destroy(self, key: str, version_id: str) -> None:
        """See `ObjectStore.destroy`."""
        try:
            self.delete_version(key, version_id, bypass=False)
        except Refused as error:
            raise still_kept(key) from error

    def replace_content(self, key: str, version_id: str, content: bytes) -> None:
        """Put other bytes under a version behind the lock, as damage or somebody with the disks in hand would."""
        with self._lock:
            version = self._find(key, version_id)
            assert version is not None, f"there is no {key} {version_id}"
            version.content = content

    def put_on_top(self, key: str, content: bytes) -> str:
        """Write another version over a key, as a client that does not ask first can; return its id."""
        with self._lock:
            version = self._version(key, content, "", None)
            self._versions.setdefault(key, []).append(version)
            return version.stored.version_id

    def lose(self, key: str, version_id: str) -> None:
        """Lose a version, lock or no lock."""
        with self._lock:
            self._versions[key] = [v for v in self._versions[key] if v.stored.version_id != version_id]
            if not self._versions[key]:
                del self._versions[key]

    def keys(self, prefix: str, *, after: str = "") -> list[str]:
        """See `ObjectStore.keys`."""
        with self._lock:
            return self._under_fault(
                "keys", lambda: sorted(k for k in self._versions if k.startswith(prefix) and k > after)
            )

    def probe(self) -> Sequence[ProbeResult]:
        """See `ObjectStore.probe`."""
        now = self._clock.now()
        locked = self.put_locked(
            probe_key(now), PROBE_CONTENT, content_type="", retain_until=probe_retention(now)
        )
        results = probe_lock(self.intruder, locked, lambda: self.read_back(locked.key, locked.version_id)[0])
        return [*results, *probe_doors(self._doors)]

    def delete_version(self, key: str, version_id: str, *, bypass: bool) -> None:
        """See `Intruder`; COMPLIANCE knows no bypass, and no other lock is ever given."""
        with self._lock:
            version = self._find(key, version_id)
            if version is None:
                return
            until = version.stored.retain_until
            if version.stored.held or (until is not None and until > self._clock.now()):
                self._refuse_unless_allowed("delete_version", "AccessDenied")
            self._versions[key].remove(version)
            if not self._versions[key]:
                del self._versions[key]

    def set_retention(self, key: str, version_id: str, *, mode: str, retain_until: datetime) -> None:
        """See `Intruder`; a lock may only grow."""
        with self._lock:
            version = self._find(key, version_id)
            if version is None:
                raise Refused("NoSuchVersion")
            until = version.stored.retain_until
            if until is not None and (mode != "COMPLIANCE" or retain_until < until):
                self._refuse_unless_allowed("set_retention", "AccessDenied")
            version.stored = replace(version.stored, mode=mode, retain_until=whole_second(retain_until))

    def put_damaged(self, key: str) -> None:
        """See `Intruder`; nothing is stored even where it is allowed."""
        self._refuse_unless_allowed("put_damaged", f"BadDigest {key}")

    def as_stranger(self, method: str, key: str, version_id: str | None) -> None:
        """See `Intruder`; nothing happens even where it is allowed."""
        self._refuse_unless_allowed("as_stranger", f"403 {method} {key} {version_id or ''}")

    def _refuse_unless_allowed(self, attack: str, answer: str) -> None:
        """Say no to an attack, unless this store was made to allow it."""
        if attack not in self._allows:
            raise Refused(answer)

    def _write(self, key: str, content: bytes, content_type: str, until: datetime | None) -> _Version:
        """Keep content unless the key is taken; return what the key holds. The lock is held."""
        faults = self._faults["put"]
        fault = faults.pop(0) if faults else None
        if fault is Fault.BEFORE:
            raise Unavailable(f"cannot put {key}: scripted fault")
        taken = self._versions.get(key)
        version = taken[-1] if taken else self._version(key, content, content_type, until)
        if fault is Fault.LOST and not taken:
            return version
        if fault is Fault.DAMAGE and not taken:
            self._versions[key] = [_Version(version.stored, _damaged(content), content_type)]
            return version
        self._versions.setdefault(key, [version])
        if fault is Fault.AFTER:
            raise Unavailable(f"cannot put {key}: scripted fault, the answer was lost")
        return version

    def _version(self, key: str, content: bytes, content_type: str, until: datetime | None) -> _Version:
        """Make a version with an id of its own."""
        self._written += 1
        stored = Stored(
            key=key,
            version_id=f"memory-{self._written:08d}",
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            mode="COMPLIANCE" if until else None,
            retain_until=until,
        )
        return _Version(stored, content, content_type)

    def _read(self, key: str, version_id: str | None) -> tuple[Stored, bytes]:
        """Return a version with a checksum over the bytes as they are now."""
        faults = self._faults["get"]
        fault = faults.pop(0) if faults else None
        if fault in (Fault.BEFORE, Fault.AFTER):
            raise Unavailable(f"cannot get {key}: scripted fault")
        with self._lock:
            version = self._find(key, version_id)
            if version is None or fault is Fault.LOST:
                raise Absent(f"cannot get {key}: the store has no such object")
            content = _damaged(version.content) if fault is Fault.DAMAGE else version.content
            sha256, size = hashlib.sha256(content).hexdigest(), len(content)
            return replace(version.stored, sha256=sha256, size=size), content

    def _find(self, key: str, version_id: str | None) -> _Version | None:
        """Return the latest version of a key, or the one named."""
        for version in reversed(self._versions.get(check_key(key), [])):
            if version_id in (None, version.stored.version_id):
                return version
        return None

    def _under_fault(self, operation: str, call: Callable[[], list[str]]) -> list[str]:
        """Answer, unless a fault was scripted for this call."""
        if self._faults[operation]:
            self._faults[operation].pop(0)
            raise Unavailable(f"cannot list {operation}: scripted fault")
        return call()


def _damaged(content: bytes) -> bytes:
    """Return content with its first bit flipped; an empty object cannot be damaged."""
    if not content:
        raise Broken("an empty object has no bit to flip")
    return bytes([content[0] ^ 0x80]) + content[1:]
