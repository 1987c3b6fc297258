"""The probe of a store that fails it, and the double's scripted faults."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from infra.clock import FixedClock, SystemClock
from infra.errors import Unavailable
from infra.object_store import Absent, Unsafe
from infra.object_store.memory import Fault, MemoryStore
from infra.object_store.probing import probe_doors, probe_lock, require_safe

PDF = "application/pdf"


class TestTheDouble:
    """What the double does when it is told to fail."""

    def test_a_fault_before_the_effect_stores_nothing(self) -> None:
        store = MemoryStore()
        store.fail_next("put", Fault.BEFORE)
        with pytest.raises(Unavailable):
            store.put("a", b"one", content_type=PDF)
        assert store.find("a") is None

    def test_a_fault_after_the_effect_is_cured_by_the_same_call(self) -> None:
        store = MemoryStore()
        store.fail_next("put", Fault.AFTER)
        with pytest.raises(Unavailable):
            store.put("a", b"one", content_type=PDF)
        assert store.get("a") == b"one"
        store.put("a", b"one", content_type=PDF)
        assert store.versions("a") == 1

    def test_what_was_lost_after_a_success_is_absent(self) -> None:
        store = MemoryStore()
        store.fail_next("put", Fault.LOST)
        stored = store.put("a", b"one", content_type=PDF)
        with pytest.raises(Absent):
            store.read_back("a", stored.version_id)

    @pytest.mark.parametrize("operation", ["put", "get"])
    def test_damage_shows_in_the_checksum(self, operation: str) -> None:
        store = MemoryStore()
        store.fail_next(operation, Fault.DAMAGE)
        stored = store.put("a", b"one", content_type=PDF)
        found, content = store.read_back("a", stored.version_id)
        assert content != b"one"
        assert found.sha256 != stored.sha256

    def test_a_lock_ends_when_its_clock_says_so(self) -> None:
        clock = FixedClock(datetime(2026, 11, 22, tzinfo=UTC))
        store = MemoryStore(clock=clock)
        until = clock.now() + timedelta(days=1)
        stored = store.put_locked("a", b"one", content_type=PDF, retain_until=until)
        clock.advance(timedelta(days=2))
        store.intruder.delete_version("a", stored.version_id, bypass=False)
        assert store.find("a") is None

    @pytest.mark.parametrize(
        ("allowed", "named"),
        [
            ("delete_version", "delete a locked version"),
            ("set_retention", "shorten its retention"),
            ("put_damaged", "wrong checksum"),
            ("as_stranger", "without credentials"),
        ],
    )
    def test_a_store_that_allows_an_attack_is_unsafe(self, allowed: str, named: str) -> None:
        store = MemoryStore(allows=frozenset({allowed}))
        with pytest.raises(Unsafe, match=named):
            require_safe(store.probe())


class _Door(ThreadingHTTPServer):
    """A door that answers every HTTP request with one status."""

    daemon_threads = True

    def __init__(self, status: int, server: str = "", hello: bytes = b"") -> None:
        """Answer with `status`, as `server`; or with some bytes of another protocol."""

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.send_response_only(status)
                if server:
                    self.send_header("Server", server)
                self.end_headers()

            do_GET = do_DELETE = do_PRI = _answer  # noqa: N815 - http.server's names

            def handle(self) -> None:
                if hello:
                    self.request.recv(1024)
                    self.request.sendall(hello)
                else:
                    super().handle()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


@pytest.mark.parametrize(
    ("door", "served"),
    [
        ({"status": 200}, ["plain HTTP"]),
        ({"status": 301}, ["plain HTTP"]),
        ({"status": 403}, []),
        ({"status": 404}, []),
        ({"status": 404, "server": "SeaweedFS Volume 4.48"}, ["plain HTTP"]),
        ({"status": 401, "server": "SeaweedFS Volume 4.48"}, []),
        ({"status": 0, "hello": b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"}, ["gRPC without TLS"]),
    ],
)
def test_a_door_that_serves_strangers_is_told_from_one_that_does_not(
    door: dict[str, object], served: list[str]
) -> None:
    with _Door(**door) as open_door:  # type: ignore[arg-type]
        address = f"127.0.0.1:{open_door.server_address[1]}"
        results = probe_doors([address])
        open_door.shutdown()
    assert [result.what for result in results if not result.refused] == [
        f"{what} at {address}" for what in served
    ]


def test_a_closed_door_refuses() -> None:
    assert all(result.refused for result in probe_doors(["127.0.0.1:1"]))


def test_a_store_that_says_no_and_deletes_all_the_same_is_found_out() -> None:
    store = MemoryStore()
    until = SystemClock().now() + timedelta(days=1)
    locked = store.put_locked("probe/a", b"?", content_type=PDF, retain_until=until)
    for read_back in (lambda: store.read_back("gone", "1")[0], lambda: replace(locked, mode="GOVERNANCE")):
        with pytest.raises(Unsafe, match="change it by any of these"):
            require_safe(probe_lock(store.intruder, locked, read_back))


def test_a_store_that_keeps_no_lock_at_all_is_unsafe() -> None:
    store = MemoryStore()
    unlocked = store.put("probe/a", b"?", content_type=PDF)
    with pytest.raises(Unsafe, match="keep a lock"):
        require_safe(probe_lock(store.intruder, unlocked, lambda: unlocked))


def test_a_probe_that_tried_nothing_proves_nothing() -> None:
    with pytest.raises(Unsafe):
        require_safe([])
