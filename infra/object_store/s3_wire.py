"""How we talk to an S3 server: how long we wait, how we avoid overwriting, what its answers mean to us."""

from __future__ import annotations

import re
import time

from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3 import PoolManager, Timeout
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


def timeout(patience: float) -> Timeout:
    """Return how long to wait for a connection, and for each packet of an answer."""
    return Timeout(connect=min(_CONNECT_PATIENCE, patience), read=patience)


class OnlyOnce(PoolManager):
    """An HTTP client that never overwrites: every upload is conditional on the key being free."""

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
    deadline = time.monotonic() + _LONGEST_READ
    parts = []
    while part := response.read(_CHUNK):
        parts.append(part)
        if time.monotonic() > deadline:
            raise Unavailable("the object store sends too slowly")
    return b"".join(parts)


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
