"""The object store's contract, on the double and on a real S3 server."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Protocol

import pytest

from infra.clock import SystemClock
from infra.errors import Broken
from infra.object_store import Absent, AlreadyStored, ObjectStore, StillKept
from infra.object_store.memory import MemoryStore
from infra.object_store.probing import Intruder, Refused, require_safe
from infra.object_store.s3 import S3Store
from infra.settings import Settings, read_secret

PDF = "application/pdf"


class Attackable(ObjectStore, Protocol):
    """A store that comes with somebody who wants its objects gone."""

    @property
    def intruder(self) -> Intruder:
        """The attacker."""
        ...


def s3_store(settings: Settings, *, bucket: str | None = None) -> S3Store:
    """Make the adapter for the archive bucket, or another one."""
    return S3Store(
        settings.s3_endpoint,
        access_key=settings.s3_access_key,
        secret_key=read_secret(settings.s3_secret_key_file),
        secure=settings.s3_secure,
        bucket=bucket or settings.s3_archive_bucket,
        stranger_doors=tuple(filter(None, settings.s3_stranger_doors.split(","))),
    )


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> Iterator[Attackable]:
    """The double, then the real one."""
    if request.param == "memory":
        yield MemoryStore()
    else:
        yield s3_store(request.getfixturevalue("store_settings"))


@pytest.fixture
def here() -> str:
    """A prefix that no other test uses."""
    return f"test/{secrets.token_hex(8)}"


def soon() -> datetime:
    """A retention date that is not a whole second."""
    return SystemClock().now().replace(microsecond=1) + timedelta(minutes=30)


def test_what_was_put_can_be_read_with_its_version_and_checksum(store: Attackable, here: str) -> None:
    stored = store.put(f"{here}/a.pdf", b"one", content_type=PDF)
    assert store.get(stored.key) == store.get(stored.key, version_id=stored.version_id) == b"one"
    assert stored.sha256 == hashlib.sha256(b"one").hexdigest()
    assert stored.size == 3
    assert stored.version_id
    assert store.find(stored.key) == stored


def test_the_same_content_again_is_the_version_already_there(store: Attackable, here: str) -> None:
    first = store.put(f"{here}/a", b"one", content_type=PDF)
    assert store.put(f"{here}/a", b"one", content_type=PDF) == first


def test_what_is_removed_is_gone_and_its_key_is_free_again(store: Attackable, here: str) -> None:
    first = store.put(f"{here}/gone", b"one", content_type=PDF)
    store.put(f"{here}/gone-too", b"two", content_type=PDF)
    store.remove(f"{here}/gone")
    store.remove(f"{here}/gone")
    assert store.find(f"{here}/gone") is None
    with pytest.raises(Absent):
        store.read_back(f"{here}/gone", first.version_id)
    assert store.get(f"{here}/gone-too") == b"two"
    assert store.put(f"{here}/gone", b"other", content_type=PDF).size == 5


def test_what_is_locked_is_not_removed(store: Attackable, here: str) -> None:
    kept = store.put_locked(f"{here}/locked", b"one", content_type=PDF, retain_until=soon())
    with pytest.raises(Broken):
        store.remove(f"{here}/locked")
    assert store.read_back(f"{here}/locked", kept.version_id)[1] == b"one"


def test_other_content_is_refused_and_the_first_one_stays(store: Attackable, here: str) -> None:
    store.put(f"{here}/a", b"one", content_type=PDF)
    with pytest.raises(AlreadyStored):
        store.put(f"{here}/a", b"two", content_type=PDF)
    assert store.get(f"{here}/a") == b"one"


def test_a_second_writer_learns_what_the_first_one_stored(store: Attackable, here: str) -> None:
    first, mine = store.put_first(f"{here}/a", b"one", content_type=PDF)
    second, held = store.put_first(f"{here}/a", b"two", content_type=PDF)
    assert (mine, held) == (b"one", b"one")
    assert second == first


def test_a_file_is_stored_and_read_as_its_bytes_are(store: Attackable, here: str, tmp_path: Path) -> None:
    content = secrets.token_bytes(3 << 20)
    (tmp_path / "sent").write_bytes(content)
    stored = store.put_file(f"{here}/a", tmp_path / "sent", content_type=PDF)
    assert (stored.sha256, stored.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert store.put_file(f"{here}/a", tmp_path / "sent", content_type=PDF) == stored
    assert store.get_file(f"{here}/a", tmp_path / "came") == stored
    assert (tmp_path / "came").read_bytes() == content
    (tmp_path / "other").write_bytes(b"other")
    assert store.put_file(f"{here}/a", tmp_path / "other", content_type=PDF) == stored, "the first one stays"
    with pytest.raises(Absent):
        store.get_file(f"{here}/nothing", tmp_path / "came")


def test_writers_at_the_same_moment_agree_on_one(store: Attackable, here: str) -> None:
    start = Barrier(3)

    def write(number: int) -> tuple[str, bytes]:
        start.wait()
        stored, held = store.put_first(f"{here}/race", b"writer %d" % number, content_type=PDF)
        return stored.version_id, held

    with ThreadPoolExecutor(3) as threads:
        answers = set(threads.map(write, range(3)))
    assert len(answers) == 1


def test_what_was_never_put_is_absent(store: Attackable, here: str) -> None:
    assert store.find(f"{here}/a") is None
    with pytest.raises(Absent):
        store.get(f"{here}/a")
    other = store.put(f"{here}/b", b"one", content_type=PDF)
    store.put(f"{here}/c", b"two", content_type=PDF)
    with pytest.raises(Absent):
        store.read_back(f"{here}/c", other.version_id)


@pytest.mark.parametrize("content", [b"", b"\x00" * (12 << 20)], ids=["empty", "12 MiB"])
def test_content_of_any_size_comes_back_whole(store: Attackable, here: str, content: bytes) -> None:
    stored = store.put(f"{here}/a", content, content_type=PDF)
    assert (store.get(stored.key), stored.size) == (content, len(content))


@pytest.mark.parametrize(
    "name", ["Nguyễn Văn A.pdf", "0=ocfl_object_1.1", "a+b & c", "50%#?", "v1/content/x"]
)
def test_a_key_is_kept_as_it_was_written(store: Attackable, here: str, name: str) -> None:
    store.put(f"{here}/{name}", name.encode(), content_type=PDF)
    assert store.get(f"{here}/{name}") == name.encode()
    assert store.keys(f"{here}/") == [f"{here}/{name}"]


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "a/../b", "./a", "a\\b", "a\nb", "x" * 1025])
def test_a_key_that_a_store_might_read_as_another_is_a_bug(store: Attackable, key: str) -> None:
    with pytest.raises(Broken):
        store.put(key, b"one", content_type=PDF)


def test_keys_come_sorted_and_only_those_under_the_prefix(store: Attackable, here: str) -> None:
    for name in ("b", "a/2", "a/10", "ab"):
        store.put(f"{here}/{name}", b"one", content_type=PDF)
    assert store.keys(f"{here}/a/") == [f"{here}/a/10", f"{here}/a/2"]
    assert store.keys(f"{here}/") == [f"{here}/{name}" for name in ("a/10", "a/2", "ab", "b")]


def test_keys_behind_a_key_are_those_that_sort_after_it(store: Attackable, here: str) -> None:
    for name in ("001.note", "001.tst", "002.note", "010.note"):
        store.put(f"{here}/{name}", b"x", content_type=PDF)
    assert store.keys(f"{here}/", after=f"{here}/001~") == [f"{here}/002.note", f"{here}/010.note"]
    assert store.keys(f"{here}/", after=f"{here}/010.note") == []


def test_a_locked_object_tells_its_lock(store: Attackable, here: str) -> None:
    until = soon()
    stored = store.put_locked(f"{here}/a", b"one", content_type=PDF, retain_until=until)
    assert stored.mode == "COMPLIANCE"
    assert stored.retain_until == until.replace(microsecond=0) + timedelta(seconds=1)
    assert store.read_back(stored.key, stored.version_id) == (stored, b"one")


def test_locking_the_same_content_again_changes_nothing(store: Attackable, here: str) -> None:
    until = soon()
    first = store.put_locked(f"{here}/a", b"one", content_type=PDF, retain_until=until)
    again = store.put_locked(f"{here}/a", b"one", content_type=PDF, retain_until=until - timedelta(minutes=5))
    assert again == first


def test_a_lock_may_be_made_longer(store: Attackable, here: str) -> None:
    until = soon()
    first = store.put_locked(f"{here}/a", b"one", content_type=PDF, retain_until=until)
    longer = store.put_locked(
        f"{here}/a", b"one", content_type=PDF, retain_until=until + timedelta(minutes=5)
    )
    assert longer.version_id == first.version_id
    assert longer.retain_until == (first.retain_until or until) + timedelta(minutes=5)
    assert store.read_back(first.key, first.version_id)[0] == longer


def test_an_object_that_was_stored_without_a_lock_can_be_locked(store: Attackable, here: str) -> None:
    first = store.put(f"{here}/a", b"one", content_type=PDF)
    locked = store.put_locked(f"{here}/a", b"one", content_type=PDF, retain_until=soon())
    assert locked.version_id == first.version_id
    assert store.read_back(first.key, first.version_id)[0].mode == "COMPLIANCE"


def test_other_content_is_not_locked_over_the_first(store: Attackable, here: str) -> None:
    store.put(f"{here}/a", b"one", content_type=PDF)
    with pytest.raises(AlreadyStored):
        store.put_locked(f"{here}/a", b"two", content_type=PDF, retain_until=soon())


@pytest.mark.parametrize("bypass", [False, True])
def test_a_locked_version_cannot_be_deleted(store: Attackable, here: str, bypass: bool) -> None:
    stored = store.put_locked(f"{here}/a", b"one", content_type=PDF, retain_until=soon())
    with pytest.raises(Refused):
        store.intruder.delete_version(stored.key, stored.version_id, bypass=bypass)
    assert store.read_back(stored.key, stored.version_id) == (stored, b"one")


@pytest.mark.parametrize("bypass", [False, True])
def test_a_version_without_a_lock_can_be_deleted(store: Attackable, here: str, bypass: bool) -> None:
    """Otherwise the refusals above would prove nothing about locks."""
    stored = store.put(f"{here}/a", b"one", content_type=PDF)
    store.intruder.delete_version(stored.key, stored.version_id, bypass=bypass)
    assert store.find(stored.key) is None


@pytest.mark.parametrize(("mode", "minutes"), [("COMPLIANCE", -10), ("GOVERNANCE", 0)])
def test_a_lock_cannot_be_weakened(store: Attackable, here: str, mode: str, minutes: int) -> None:
    stored = store.put_locked(f"{here}/a", b"one", content_type=PDF, retain_until=soon())
    assert stored.retain_until
    other = stored.retain_until + timedelta(minutes=minutes)
    with pytest.raises(Refused):
        store.intruder.set_retention(stored.key, stored.version_id, mode=mode, retain_until=other)
    assert store.read_back(stored.key, stored.version_id)[0] == stored


def test_a_version_is_measured_as_it_lies_there(store: Attackable, here: str) -> None:
    content = secrets.token_bytes(3_000_001)
    stored = store.put_locked(f"{here}/big", content, content_type=PDF, retain_until=soon())
    found = store.measure(stored.key, stored.version_id)
    assert found.newest
    assert found.stored == stored
    assert found.stored.sha256 == hashlib.sha256(content).hexdigest()
    with pytest.raises(Absent):
        store.measure(f"{here}/nothing", stored.version_id)


def test_a_lock_is_made_longer_by_version_and_never_shorter(store: Attackable, here: str) -> None:
    stored = store.put_locked(f"{here}/a", b"one", content_type=PDF, retain_until=soon())
    later = (stored.retain_until or soon()) + timedelta(hours=1)
    assert store.lock_longer(stored.key, stored.version_id, later).retain_until == later
    assert store.lock_longer(stored.key, stored.version_id, soon()).retain_until == later


def test_a_held_version_stays_although_nothing_else_keeps_it(store: Attackable, here: str) -> None:
    stored = store.put(f"{here}/a", b"one", content_type=PDF)
    assert not store.measure(stored.key, stored.version_id).stored.held
    store.keep_held(stored.key, stored.version_id, held=True)
    store.keep_held(stored.key, stored.version_id, held=True)
    assert store.measure(stored.key, stored.version_id).stored.held
    with pytest.raises(StillKept):
        store.destroy(stored.key, stored.version_id)
    assert store.get(stored.key, version_id=stored.version_id) == b"one"
    store.keep_held(stored.key, stored.version_id, held=False)
    store.destroy(stored.key, stored.version_id)
    store.destroy(stored.key, stored.version_id)
    with pytest.raises(Absent):
        store.measure(stored.key, stored.version_id)


def test_a_locked_version_is_not_destroyed(store: Attackable, here: str) -> None:
    stored = store.put_locked(f"{here}/a", b"one", content_type=PDF, retain_until=soon())
    with pytest.raises(StillKept):
        store.destroy(stored.key, stored.version_id)
    assert store.measure(stored.key, stored.version_id).stored == stored


def test_bytes_that_changed_on_the_way_are_not_stored(store: Attackable, here: str) -> None:
    with pytest.raises(Refused):
        store.intruder.put_damaged(f"{here}/a")
    assert store.find(f"{here}/a") is None


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_stranger_is_refused(store: Attackable, here: str, method: str) -> None:
    stored = store.put(f"{here}/a", b"one", content_type=PDF)
    version = None if method == "PUT" else stored.version_id
    with pytest.raises(Refused):
        store.intruder.as_stranger(method, stored.key, version)
    assert store.get(stored.key) == b"one"


def test_the_probe_finds_the_store_safe_and_leaves_one_object_a_day(store: Attackable) -> None:
    results = store.probe()
    require_safe(results)
    assert len(results) >= 9
    before = {key: store.find(key) for key in store.keys("probe/")}
    store.probe()
    assert {key: store.find(key) for key in store.keys("probe/")} == before
    assert all("damaged" not in key and "stranger" not in key for key in before)
