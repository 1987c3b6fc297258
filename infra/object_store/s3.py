"""
The object store over S3, for any server of it: MinIO, SeaweedFS, Ceph, AWS.

Writing once rests on the store: every upload says `If-None-Match: *` (RFC 9110 §13.1.2), so of two
writers one gets 412 and learns what the other one stored. An upload whose answer was lost is simply sent
again: the second try finds the first one's object. Damage on the way is refused by the store, which
is told the SHA-256 of what it should receive.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from minio import Minio
from minio.commonconfig import COMPLIANCE
from minio.error import MinioException
from minio.retention import Retention
from urllib3.exceptions import HTTPError

from infra.clock import Clock, SystemClock
from infra.errors import Broken
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
from infra.object_store.s3_intruder import S3Intruder
from infra.object_store.s3_requests import Requests
from infra.object_store.s3_wire import (
    PATIENCE,
    Content,
    OnlyOnce,
    Taken,
    pieces,
    read_whole,
    timeout,
    translated,
)

#: Seconds before the second, third and fourth try. A store that was restarted answers 500 and 404 for a
#: moment although it has everything; a longer wait is for the caller to decide.
_WAITS = (0.2, 0.5, 1.0)

_Answer = TypeVar("_Answer")


class S3Store:
    """One versioned bucket on an S3 server; safe to share between threads."""

    def __init__(
        self,
        endpoint: str,
        *,
        access_key: str,
        secret_key: str,
        secure: bool,
        bucket: str,
        stranger_doors: Sequence[str] = (),
        region: str = "us-east-1",
        clock: Clock | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """
        Make a client for `bucket` on `endpoint` (`host:port`); nothing is sent yet.

        `stranger_doors` are the other `host:port` of the store, which `probe` knocks at. `clock` dates the
        probe object only, `patience` is in seconds, for each packet of an answer.
        """
        self._bucket = bucket
        self._endpoint = endpoint
        self._doors = tuple(stranger_doors)
        self._clock = clock or SystemClock()
        http = OnlyOnce(timeout=timeout(patience), retries=False, maxsize=16)
        self._client = Minio(
            endpoint,
            access_key=access_key,
            secret_key=secret_key,
            secure=secure,
            region=region,
            http_client=http,
        )
        self._requests = Requests(
            http,
            endpoint,
            access_key=access_key,
            secret_key=secret_key,
            secure=secure,
            bucket=bucket,
            region=region,
        )
        #: The same bucket, seen by somebody who wants its objects gone.
        self.intruder = S3Intruder(
            endpoint,
            access_key=access_key,
            secret_key=secret_key,
            secure=secure,
            bucket=bucket,
            region=region,
        )

    def __repr__(self) -> str:
        """Name the bucket and where it is, never the credentials."""
        return f"S3Store({self._endpoint}/{self._bucket})"

    def put(self, key: str, content: bytes, *, content_type: str) -> Stored:
        """See `ObjectStore.put`: the same content again is a success, other content is `AlreadyStored`."""
        stored, held = self.put_first(key, content, content_type=content_type)
        if held != content:
            raise AlreadyStored(f"{key} holds other content")
        return stored

    def put_first(self, key: str, content: bytes, *, content_type: str) -> tuple[Stored, bytes]:
        """See `ObjectStore.put_first`: returns what the key holds now, whoever won."""
        try:
            return self._upload(key, Content.of_bytes(content), content_type, None), content
        except Taken:
            return self._download(key, None)

    def put_file(self, key: str, path: Path, *, content_type: str) -> Stored:
        """See `ObjectStore.put_file`; a file is sent a piece at a time."""
        try:
            return self._upload(key, Content.of_file(path), content_type, None)
        except Taken:
            return self._stream(key, None)

    def get(self, key: str, *, version_id: str | None = None) -> bytes:
        """See `ObjectStore.get`: the bytes, or `Absent` after a few looks, or `Unavailable`."""
        return self._download(key, version_id)[1]

    def get_file(self, key: str, path: Path) -> Stored:
        """See `ObjectStore.get_file`."""
        return self._stream(key, None, into=path, looks_again=True)

    def find(self, key: str) -> Stored | None:
        """See `ObjectStore.find`: what a key holds, or `None`; one look."""
        try:
            return self._download(key, None, looks_again=False)[0]
        except Absent:
            return None

    def put_locked(
        self, key: str, content: bytes, *, content_type: str, retain_until: datetime, looks: bool = True
    ) -> Stored:
        """
        See `ObjectStore.put_locked`: the lock travels with the bytes, and is read back from the store.

        A version already there is locked longer when its lock is shorter. Raises `Broken` when the store
        took the object and not the lock.
        """
        retain_until = whole_second(retain_until)
        try:
            lock = Retention(COMPLIANCE, retain_until)
            stored = self._upload(key, Content.of_bytes(content), content_type, lock)
        except Taken:
            stored, held = self._download(key, None)
            if held != content:
                raise AlreadyStored(f"{key} holds other content") from None
            if not _locked_until(stored, retain_until):
                self._lock(stored, retain_until)
        if not looks:
            return stored
        stored = self._lock_of(stored)
        if not _locked_until(stored, retain_until):
            raise Broken(f"{key} was stored without its lock: {stored.mode} until {stored.retain_until}")
        return stored

    def read_back(self, key: str, version_id: str) -> tuple[Stored, bytes]:
        """See `ObjectStore.read_back`: bytes and lock of one version, in one answer of the store."""
        return self._download(key, version_id)

    def remove(self, key: str) -> None:
        """See `ObjectStore.remove`: version by version, and looked for again at the end."""
        stored = self.find(key)
        if stored is not None and self._lock_of(stored).mode is not None:
            raise Broken(f"{key} is locked and stays")

        def versions() -> list[str]:
            found = self._client.list_objects(
                self._bucket, prefix=check_key(key), recursive=True, include_version=True
            )
            return [one.version_id or "" for one in found if one.object_name == key]

        def delete(version_id: str) -> None:
            self._client.remove_object(self._bucket, key, version_id=version_id or None)

        for version_id in self._ask(f"list the versions of {key}", versions):
            self._ask(f"remove {key}", lambda one=version_id: delete(one))  # type: ignore[misc]
        if self.find(key) is not None:
            raise Broken(f"{key} is still there after it was removed")

    def measure(self, key: str, version_id: str) -> Measured:
        """See `ObjectStore.measure`: asks for the bare key, and for the version only where that is another one."""
        try:
            found = self._stream(key, None)
        except Absent:
            found = None  # A deletion lies on top, or there is nothing at all.
        if found is not None and found.version_id == version_id:
            return Measured(stored=found, newest=True)
        return Measured(stored=self._stream(key, version_id), newest=False)

    def lock_longer(self, key: str, version_id: str, retain_until: datetime) -> Stored:
        """See `ObjectStore.lock_longer`."""
        stored = self._stat(key, version_id)
        self._lock(stored, whole_second(retain_until))
        return self._stat(key, version_id)

    def keep_held(self, key: str, version_id: str, *, held: bool) -> None:
        """See `ObjectStore.keep_held`."""

        def hold() -> None:
            if held:
                self._client.enable_object_legal_hold(self._bucket, key, version_id=version_id)
            else:
                self._client.disable_object_legal_hold(self._bucket, key, version_id=version_id)

        self._ask(f"hold {key}", hold)

    def destroy(self, key: str, version_id: str) -> None:
        """See `ObjectStore.destroy`."""
        try:
            self.intruder.delete_version(key, version_id, bypass=False)
        except Refused as error:
            raise still_kept(key) from error

    def keys(self, prefix: str, *, after: str = "") -> list[str]:
        """See `ObjectStore.keys`: sorted, without keys whose latest version is a delete marker."""

        def listing() -> list[str]:
            found = self._client.list_objects(
                self._bucket, prefix=prefix, recursive=True, start_after=after or None
            )
            # Not every store knows what to begin behind.
            return sorted(name for entry in found if (name := entry.object_name or "") > after)

        return self._ask(f"list {prefix}", listing)

    def probe(self) -> Sequence[ProbeResult]:
        """
        See `ObjectStore.probe`; raises `Unavailable` when the S3 port itself does not answer.

        Leaves one locked byte a day under `probe/`; the same day's next probe uses it again.
        """
        now = self._clock.now()
        locked = self.put_locked(
            probe_key(now),
            PROBE_CONTENT,
            content_type="application/octet-stream",
            retain_until=probe_retention(now),
        )
        results = probe_lock(self.intruder, locked, lambda: self.read_back(locked.key, locked.version_id)[0])
        return [*results, *probe_doors(self._doors)]

    def _upload(self, key: str, content: Content, content_type: str, lock: Retention | None) -> Stored:
        """Send one object, in one part; raises `Taken` when the key holds something."""
        headers = {"content-type": content_type}
        if lock is not None:
            until = lock.retain_until_date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            headers |= {"x-amz-object-lock-mode": lock.mode, "x-amz-object-lock-retain-until-date": until}

        def put() -> str | None:
            return self._requests.put(check_key(key), content, headers)

        version_id = self._ask(f"put {key}", put)
        return _stored(key, version_id, content.sha256, content.size, {})

    def _download(
        self, key: str, version_id: str | None, *, looks_again: bool = True
    ) -> tuple[Stored, bytes]:
        """Read one object, with its lock as the store tells it in the same answer."""

        def get() -> tuple[bytes, Mapping[str, str]]:
            response = self._requests.get(check_key(key), version_id)
            try:
                return read_whole(response), response.headers
            finally:
                # What was not read to the end cannot be used for another request.
                response.close()
                response.release_conn()

        content, headers = self._ask(f"get {key}", get, looks_again=looks_again)
        found = headers.get("x-amz-version-id") or version_id
        sha256 = hashlib.sha256(content).hexdigest()
        return _stored(key, found, sha256, len(content), headers), content

    def _stream(
        self, key: str, version_id: str | None, *, into: Path | None = None, looks_again: bool = False
    ) -> Stored:
        """Read one object a piece at a time, into a file if one is given; return it with the hash of what came."""

        def get() -> tuple[str, int, Mapping[str, str]]:
            response = self._requests.get(check_key(key), version_id)
            try:
                digest, size = hashlib.sha256(), 0
                with into.open("wb") if into is not None else nullcontext() as file:
                    for piece in pieces(response):
                        digest.update(piece)
                        size += len(piece)
                        if file is not None:
                            file.write(piece)
                return digest.hexdigest(), size, response.headers
            finally:
                response.close()
                response.release_conn()

        sha256, size, headers = self._ask(f"read {key}", get, looks_again=looks_again)
        return _stored(key, headers.get("x-amz-version-id") or version_id, sha256, size, headers)

    def _stat(self, key: str, version_id: str) -> Stored:
        """Return a version with its lock, unread."""

        def stat() -> Mapping[str, str]:
            return self._client.stat_object(self._bucket, key, version_id=version_id).metadata or {}

        headers = self._ask(f"look at {key}", stat, looks_again=True)
        return _stored(key, version_id, "", int(headers.get("content-length", "0")), headers)

    def _lock_of(self, stored: Stored) -> Stored:
        """Return a version with its lock as the store reports it now."""

        def stat() -> Mapping[str, str]:
            return (
                self._client.stat_object(self._bucket, stored.key, version_id=stored.version_id).metadata
                or {}
            )

        headers = self._ask(f"look at {stored.key}", stat, looks_again=True)
        if int(headers.get("content-length", "-1")) != stored.size:
            raise Broken(f"{stored.key} has another size in the store than it was sent with")
        return _stored(stored.key, stored.version_id, stored.sha256, stored.size, headers)

    def _lock(self, stored: Stored, retain_until: datetime) -> None:
        """Lock a version that is already there, or lock it longer."""
        until = max(retain_until, stored.retain_until or retain_until)

        def lock() -> None:
            self._client.set_object_retention(
                self._bucket, stored.key, Retention(COMPLIANCE, until), version_id=stored.version_id
            )

        self._ask(f"lock {stored.key}", lock)

    def _ask(self, what: str, call: Callable[[], _Answer], *, looks_again: bool = False) -> _Answer:
        """
        Make a call, a few times if time may cure it, and speak of failures in our own words.

        With `looks_again`, an absent object is looked for again too: who asks for what was stored
        believes a store that was just restarted only after a while.
        """
        for wait in (*_WAITS, None):
            try:
                return call()
            except (MinioException, HTTPError) as error:
                failure, again = translated(f"{what} in {self!r}", error)
                again = again or (looks_again and isinstance(failure, Absent))
                if wait is None or not again:
                    raise failure from error
            time.sleep(wait)
        raise AssertionError("the last try returns or raises")


def _stored(key: str, version_id: str | None, sha256: str, size: int, headers: Mapping[str, str]) -> Stored:
    """Put together what is known of a version; the lock comes from the store's own headers."""
    if not version_id or version_id == "null":
        raise Broken(f"the store gave {key} no version: versioning is off in its bucket")
    lowered = {name.lower(): value for name, value in headers.items()}
    until = lowered.get("x-amz-object-lock-retain-until-date")
    return Stored(
        key=key,
        version_id=version_id,
        sha256=sha256,
        size=size,
        mode=lowered.get("x-amz-object-lock-mode") or None,
        retain_until=datetime.fromisoformat(until).astimezone(UTC).replace(microsecond=0) if until else None,
        held=lowered.get("x-amz-object-lock-legal-hold", "").upper() == "ON",
    )


def _locked_until(stored: Stored, retain_until: datetime) -> bool:
    """Tell whether a version is locked for good at least until a moment."""
    return (
        stored.mode == COMPLIANCE and stored.retain_until is not None and stored.retain_until >= retain_until
    )
