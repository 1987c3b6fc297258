"""What the S3 adapter does when the store, or the way to it, fails."""

from __future__ import annotations

import gc
import http.client
import secrets
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from infra.clock import SystemClock
from infra.errors import Broken, Unavailable
from infra.object_store import Absent, AlreadyStored
from infra.object_store.s3 import S3Store
from infra.object_store.s3_wire import translated
from infra.settings import Settings, read_secret

PDF = "application/pdf"


class Road(ThreadingHTTPServer):
    """
    A road to the real store on which accidents are scripted, one for each coming request.

    `pass`, `cut-before` (the request is lost), `hang` (it is lost and nobody says so), `cut-after` (the
    answer is lost), `damage` (a bit of the body flips on the way there), `half` (half of the answer arrives),
    or a status that is answered instead.
    """

    daemon_threads = True

    def __init__(self, endpoint: str) -> None:
        """Open a road that ends at `endpoint`."""
        self.endpoint = endpoint
        self.script: list[str] = []
        self.seen: list[str] = []
        super().__init__(("127.0.0.1", 0), _Traffic)
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        """Where the road begins."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Traffic(BaseHTTPRequestHandler):
    """One request on the road."""

    server: Road
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        """Carry one request there and its answer back, or have the scripted accident."""
        accident = self.server.script.pop(0) if self.server.script else "pass"
        self.server.seen.append(f"{self.command} {accident}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.close_connection = True
        if accident == "hang":
            self.rfile.read()  # until the client leaves
        if accident in ("cut-before", "hang"):
            return
        if accident.isdigit():
            error = b"<Error><Code>NoSuchKey</Code></Error>" if accident == "404" else b""
            self.send_response(int(accident))
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(error)))
            self.end_headers()
            self.wfile.write(error)
            return
        if accident == "damage":
            body = bytes([body[0] ^ 1]) + body[1:]
        onward = http.client.HTTPConnection(self.server.endpoint, timeout=10)
        onward.request(self.command, self.path, body, dict(self.headers.items()))
        answer = onward.getresponse()
        content = answer.read()
        onward.close()
        if accident == "cut-after":
            return
        self.send_response(answer.status)
        if accident == "half-headers":
            self.flush_headers()
            return
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if accident == "half" else content)

    do_GET = do_PUT = do_HEAD = _pass  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@pytest.fixture
def road(store_settings: Settings) -> Iterator[Road]:
    """A road to the real store."""
    road = Road(store_settings.s3_endpoint)
    yield road
    road.shutdown()
    road.server_close()


@pytest.fixture
def store(road: Road, store_settings: Settings) -> S3Store:
    """The real store, reached over the road."""
    return S3Store(
        road.address,
        access_key=store_settings.s3_access_key,
        secret_key=read_secret(store_settings.s3_secret_key_file),
        secure=False,
        bucket=store_settings.s3_archive_bucket,
    )


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return f"test/{secrets.token_hex(8)}"


@pytest.mark.parametrize(
    "accident", ["cut-before", "cut-after", "half-headers", "damage", "500", "502", "503", "429"]
)
def test_one_accident_on_the_way_is_cured_by_trying_again(
    store: S3Store, road: Road, key: str, accident: str
) -> None:
    road.script = [accident]
    stored = store.put(key, b"one", content_type=PDF)
    assert road.seen[0] == f"PUT {accident}"
    assert store.read_back(key, stored.version_id)[1] == b"one"
    assert store.put(key, b"one", content_type=PDF) == stored


def test_a_locked_put_whose_answer_was_lost_is_one_locked_version(
    store: S3Store, road: Road, key: str
) -> None:
    road.script = ["cut-after"]
    until = SystemClock().now() + timedelta(minutes=30)
    stored = store.put_locked(key, b"one", content_type=PDF, retain_until=until)
    assert road.seen[:2] == ["PUT cut-after", "PUT pass"]
    assert store.read_back(key, stored.version_id) == (stored, b"one")


def test_an_answer_that_breaks_off_in_its_headers_is_not_taken_for_a_missing_lock(
    store: S3Store, road: Road, key: str
) -> None:
    road.script = ["pass", "half-headers"]
    stored = store.put_locked(
        key, b"1", content_type=PDF, retain_until=SystemClock().now() + timedelta(minutes=30)
    )
    assert road.seen == ["PUT pass", "HEAD half-headers", "HEAD pass"]
    assert stored.mode == "COMPLIANCE"


def test_a_lost_answer_does_not_hide_that_somebody_else_was_first(
    store: S3Store, road: Road, key: str
) -> None:
    store.put(key, b"theirs", content_type=PDF)
    road.script = ["cut-after"]
    with pytest.raises(AlreadyStored):
        store.put(key, b"ours", content_type=PDF)


@pytest.mark.parametrize("accident", ["cut-before", "cut-after", "half-headers", "half", "500", "404"])
def test_reading_what_was_stored_survives_one_accident(
    store: S3Store, road: Road, key: str, accident: str
) -> None:
    stored = store.put(key, b"one two three", content_type=PDF)
    road.script = [accident]
    assert store.get(key, version_id=stored.version_id) == b"one two three"


def test_a_store_that_keeps_failing_is_unavailable_after_a_few_tries(
    store: S3Store, road: Road, key: str
) -> None:
    road.script = ["503"] * 50
    with pytest.raises(Unavailable):
        store.put(key, b"one", content_type=PDF)
    assert len(road.seen) == 4
    road.script = []
    assert store.find(key) is None


def test_a_store_that_is_down_is_unavailable() -> None:
    store = S3Store("127.0.0.1:1", access_key="a", secret_key="b" * 8, secure=False, bucket="bucket")
    with pytest.raises(Unavailable):
        store.get("key")


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (NewConnectionError(HTTPConnection("store"), "refused"), True),
        (ProtocolError("reset"), True),
        (ConnectTimeoutError("silence"), False),
        (ReadTimeoutError(HTTPConnectionPool("store"), "/", "silence"), False),
    ],
)
def test_what_cost_no_time_is_tried_again_at_once(error: HTTPError, again: bool) -> None:
    failure, tries_again = translated("look", error)
    assert isinstance(failure, Unavailable)
    assert tries_again is again


def test_a_store_that_never_answers_is_asked_once(road: Road, key: str) -> None:
    road.script = ["hang"] * 50
    store = S3Store(
        road.address, access_key="a", secret_key="b" * 8, secure=False, bucket="bucket", patience=0.3
    )
    with pytest.raises(Unavailable):
        store.get(key)
    assert road.seen == ["GET hang"]


def test_wrong_credentials_are_not_tried_again(road: Road, store_settings: Settings, key: str) -> None:
    bucket = store_settings.s3_archive_bucket
    store = S3Store(road.address, access_key="hoso", secret_key="wrong" * 4, secure=False, bucket=bucket)
    with pytest.raises(Broken) as refusal:
        store.put(key, b"one", content_type=PDF)
    assert not isinstance(refusal.value, Absent)
    assert len(road.seen) == 1


def test_the_secret_is_in_no_text_that_the_store_gives_of_itself(road: Road) -> None:
    secret = "a-secret-of-its-own"
    store = S3Store(road.address, access_key="hoso", secret_key=secret, secure=False, bucket="bucket")
    with pytest.raises(Broken) as refusal:
        store.get("key")
    chain = [refusal.value, refusal.value.__cause__]
    assert all(secret not in text for text in (repr(store), *map(repr, chain), *map(str, chain)))


def test_reading_gives_its_connection_back(store: S3Store, road: Road, key: str) -> None:
    store.put(key, b"one", content_type=PDF)
    for _ in range(40):
        store.get(key)
    gc.collect()
    assert store.get(key) == b"one"
