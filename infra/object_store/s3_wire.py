"""How we talk to an S3 server: how long we wait, how we avoid overwriting, what its answers mean to us."""

from __future__ import annotations

import hashlib
import http.client
import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError
from urllib3.response import BaseHTTPResponse

from infra.errors import Broken, HosoError, Unavailable
from infra.object_store import Absent

#: Seconds between two packets of an answer, unless said otherwise.
PATIENCE = 30.0
#: Seconds until a connection stands.
_CONNECT_PATIENCE = 3.0
#: Seconds that reading one object may take in all, however steadily it trickles.
_LONGEST_READ = 120.0
#: Bytes read at a time.
_CHUNK = 1 << 20


class Taken(Broken):
    """The key already holds something; the adapter looks at what that is."""


#: The answers that mean "damaged on the way" or "in somebody's way": the same request again cures them.
_PASSING = frozenset(
    {
        "BadDigest",
        "XAmzContentSHA256Mismatch",
        "XAmzContentChecksumMismatch",
        "IncompleteBody",
        "RequestTimeout",
        "SlowDown",
        "TooManyRequests",
        "OperationAborted",
        "ConditionalRequestConflict",
    }
)

_RESPONSE_CODE = re.compile(r"Response code: (\d{3})")

_ABSENT = frozenset({"NoSuchKey", "NoSuchVersion"})

#: A lock's keeper may say 405 for a version that is a delete marker: there is no object either.
_DELETE_MARKER = frozenset({"MethodNotAllowed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is to be sent, wherever it lies; it is opened anew for each try."""

    open: Callable[[], BinaryIO]
    sha256: str
    size: int
    held: bytes | None = None

    @classmethod
    def of_bytes(cls, content: bytes) -> Content:
        """Return content that is here already."""
        sha256 = hashlib.sha256(content).hexdigest()
        return cls(open=lambda: io.BytesIO(content), sha256=sha256, size=len(content), held=content)

    @classmethod
    def of_file(cls, path: Path) -> Content:
        """Return a file's content, unread."""
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(open=lambda: path.open("rb"), sha256=sha256, size=path.stat().st_size)


def timeout(patience: float) -> Timeout:
    """Return how long to wait for a connection, and for each packet of an answer."""
    return Timeout(connect=min(_CONNECT_PATIENCE, patience), read=patience)


class _LastLine:
    """A stream that remembers the line that was read from it last."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self._stream.readline(limit)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _WholeHead(http.client.HTTPResponse):
    """
    An answer whose headers came to their end.

    The library takes the end of the connection for the end of the headers, so that an answer that broke off there
    looks like a store that keeps no versions or does not lock.
    """

    def begin(self) -> None:
        """Read status and headers; raises `HTTPException` when the empty line after them is missing (RFC 9112 §2.1)."""
        if self.headers is not None:
            return
        stream = self.fp
        self.fp = watched = _LastLine(stream)
        try:
            super().begin()
        finally:
            if self.fp is watched:
                self.fp = stream
        if watched.last not in (b"\r\n", b"\n"):
            self.close()
            raise http.client.HTTPException("the answer broke off within its headers")


class _Connection(HTTPConnection):
    response_class = _WholeHead


class _SecureConnection(HTTPSConnection):
    response_class = _WholeHead


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class OnlyOnce(PoolManager):
    """
    An HTTP client that never overwrites: every upload is conditional on the key being free.

    It believes no answer whose headers broke off.
    """

    def __init__(self, **options: Any) -> None:
        """Take urllib3's options."""
        super().__init__(**options)
        self.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: object
    ) -> BaseHTTPResponse:
        """Send a request; an object's PUT (a lock's has a query) goes out with `If-None-Match: *`."""
        headers = options.get("headers")
        if method == "PUT" and "?" not in url and headers is not None:
            headers["If-None-Match"] = "*"  # type: ignore[index]
        return super().urlopen(method, url, redirect=redirect, **options)


def read_whole(response: BaseHTTPResponse) -> bytes:
    """Return a whole answer, unless it trickles in for too long."""
    return b"".join(pieces(response))


def pieces(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Yield an answer in pieces, unless it trickles in for too long."""
    deadline = time.monotonic() + _LONGEST_READ
    while part := response.read(_CHUNK):
        yield part
        if time.monotonic() > deadline:
            raise Unavailable("the object store sends too slowly")


def translated(what: str, error: Exception) -> tuple[HosoError, bool]:
    """
    Return our own error for a failed call, and whether a quick second try may cure it.

    A call that timed out is not repeated at once: it has waited long enough, and whoever called
    decides when to come back.
    """
    if isinstance(error, HTTPError):
        if isinstance(error, MaxRetryError) and error.reason is not None:
            error = error.reason
        # A refused connection costs no time, though the library counts it among the timeouts.
        timed_out = isinstance(error, HTTPTimeoutError) and not isinstance(error, NewConnectionError)
        return Unavailable(f"cannot {what}: {type(error).__name__}"), not timed_out
    status, code = _status_and_code(error)
    if status >= 500 or status == 429 or code in _PASSING:
        return Unavailable(f"cannot {what}: the store answered {status} {code}"), True
    if status == 412:
        return Taken(f"cannot {what}: the key is taken"), False
    if code in _ABSENT or (status == 405 and code in _DELETE_MARKER):
        return Absent(f"cannot {what}: the store has no such object"), False
    return Broken(f"cannot {what}: the store answered {status} {code}"), False


def _status_and_code(error: Exception) -> tuple[int, str]:
    """Return the HTTP status and the S3 error code of what the client raised."""
    if isinstance(error, S3Error):
        return error.response.status, error.code or ""
    if isinstance(error, ServerError):
        return error.status_code, ""
    if isinstance(error, InvalidResponseError):
        # The class tells its status in its message only.
        status = _RESPONSE_CODE.search(str(error))
        return int(status.group(1)) if status else 0, "without XML"
    return 0, type(error).__name__
