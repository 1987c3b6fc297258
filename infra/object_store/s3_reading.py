"""
Reading over S3 with as little of our own time as can be: one request, signed here, on a connection that stands.

The client library takes longer to put a GET together than the server takes to find a small object, and the archive
is read again as a whole every few weeks. So these requests are signed here (AWS Signature Version 4: Amazon S3 API
Reference, "Authenticating Requests: Using the Authorization Header"); everything else is left to the library.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote
from xml.etree.ElementTree import ParseError

from minio.error import S3Error, ServerError
from urllib3.response import BaseHTTPResponse

from infra.clock import SystemClock
from infra.object_store.s3_wire import OnlyOnce

_ALGORITHM = "AWS4-HMAC-SHA256"
_SIGNED = "host;x-amz-content-sha256;x-amz-date"
_NOTHING = hashlib.sha256(b"").hexdigest()


class Reader:
    """Whoever reads one bucket of an S3 server; safe to share between threads."""

    def __init__(
        self,
        http: OnlyOnce,
        endpoint: str,
        *,
        access_key: str,
        secret_key: str,
        secure: bool,
        bucket: str,
        region: str,
    ) -> None:
        """Read `bucket` on `endpoint` (`host:port`) through an HTTP client; nothing is sent yet."""
        self._pool = http.connection_from_url(f"{'https' if secure else 'http'}://{endpoint}")
        #: A signature bears the machine's time, as the library's do.
        self._clock = SystemClock()
        self._host = endpoint
        self._access_key = access_key
        self._bucket = bucket
        self._region = region

        @lru_cache(maxsize=2)
        def key_of(day: str) -> bytes:
            key = f"AWS4{secret_key}".encode()
            for part in (day, region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            return key

        self._key_of = key_of

    def get(self, key: str, version_id: str | None) -> BaseHTTPResponse:
        """
        Return the store's answer with an object's bytes still to be read; the caller closes it or gives it back.

        Raises `S3Error` or `ServerError` for an answer that holds no object, and what urllib3 raises.
        """
        path = f"/{self._bucket}/{quote(key)}"
        query = f"versionId={quote(version_id, safe='')}" if version_id else ""
        response = self._pool.urlopen(
            "GET",
            f"{path}?{query}" if query else path,
            headers=self._signed(path, query, self._clock.now()),
            preload_content=False,
            redirect=False,
        )
        if response.status != 200:
            raise _refused(response)
        return response

    def _signed(self, path: str, query: str, moment: datetime) -> dict[str, str]:
        """Return the headers of a GET, with its signature."""
        stamp = moment.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        request = "\n".join(
            (
                "GET",
                path,
                query,
                f"host:{self._host}",
                f"x-amz-content-sha256:{_NOTHING}",
                f"x-amz-date:{stamp}",
                "",
                _SIGNED,
                _NOTHING,
            )
        )
        named = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key_of(stamp[:8]), named.encode(), "sha256").hex()
        return {
            "Host": self._host,
            "x-amz-content-sha256": _NOTHING,
            "x-amz-date": stamp,
            "Authorization": (
                f"{_ALGORITHM} Credential={self._access_key}/{scope}, SignedHeaders={_SIGNED}, Signature={signature}"
            ),
        }


def _refused(response: BaseHTTPResponse) -> Exception:
    """Return what an answer without an object means, in the library's own errors."""
    try:
        said = response.read(cache_content=True)
    finally:
        response.release_conn()
    if said:
        try:
            return S3Error.fromxml(response)
        except (ParseError, UnicodeDecodeError):
            pass
    return ServerError(f"server failed with HTTP status code {response.status}", response.status)
