"""
Objects over S3 with as little of our own time as can be: one request, signed here, on a connection that stands.

The client library takes longer to put a request together than the server takes to find or write a small object, and a
package is a dozen of them, each written and read back. So putting and getting objects is signed here (AWS Signature
Version 4: Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header"); everything else is left
to the library.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import quote
from xml.etree.ElementTree import ParseError

from minio.error import S3Error, ServerError
from urllib3.response import BaseHTTPResponse

from infra.clock import SystemClock
from infra.object_store.s3_wire import Content, OnlyOnce

_ALGORITHM = "AWS4-HMAC-SHA256"
_NOTHING = hashlib.sha256(b"").hexdigest()
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Requests:
    """Puts and gets the objects of one bucket of an S3 server; safe to share between threads."""

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
        """Talk of `bucket` on `endpoint` (`host:port`) through an HTTP client; nothing is sent yet."""
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
            headers=self._signed("GET", path, query, _NOTHING, _NO_HEADERS),
            preload_content=False,
            redirect=False,
        )
        if response.status != 200:
            raise _refused(response)
        return response

    def put(self, key: str, content: Content, headers: Mapping[str, str]) -> str | None:
        """
        Send an object unless its key is taken, with headers in lower case; return the version that it became.

        The store is told the SHA-256 of what it should receive, twice: what was signed, and what it is to keep. Raises
        `S3Error` or `ServerError` for an answer that does not accept it, and what urllib3 raises.
        """
        path = f"/{self._bucket}/{quote(key)}"
        said = {
            **headers,
            "if-none-match": "*",
            "x-amz-checksum-sha256": b64encode(bytes.fromhex(content.sha256)).decode(),
        }
        signed = self._signed("PUT", path, "", content.sha256, said)
        with content.open() as body:
            response = self._pool.urlopen(
                "PUT",
                path,
                # A stream of known length is sent as it is, and not in chunks (RFC 9112 §6.2).
                body=content.held if content.held is not None else body,
                headers={**signed, "Content-Length": str(content.size)},
                preload_content=False,
                redirect=False,
            )
        if response.status != 200:
            raise _refused(response)
        response.drain_conn()
        response.release_conn()
        return response.headers.get("x-amz-version-id")

    def _signed(
        self, method: str, path: str, query: str, sha256: str, headers: Mapping[str, str]
    ) -> dict[str, str]:
        """Return a request's headers with its signature, which covers them all and the body by its hash."""
        stamp = self._clock.now().strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        said = {**headers, "host": self._host, "x-amz-content-sha256": sha256, "x-amz-date": stamp}
        names = sorted(said)
        covered = ";".join(names)
        listed = "".join(f"{name}:{said[name]}\n" for name in names)
        request = f"{method}\n{path}\n{query}\n{listed}\n{covered}\n{sha256}"
        named = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key_of(stamp[:8]), named.encode(), "sha256").hex()
        said["Authorization"] = (
            f"{_ALGORITHM} Credential={self._access_key}/{scope}, SignedHeaders={covered}, Signature={signature}"
        )
        return said


def _refused(response: BaseHTTPResponse) -> Exception:
    """Return what an answer that refuses means, in the library's own errors."""
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
