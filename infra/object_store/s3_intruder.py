"""Attacks on an S3 bucket with its own credentials, and without any."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote, urlencode

from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import MinioException
from minio.retention import Retention
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from infra.errors import Unavailable
from infra.object_store.probing import Refused
from infra.object_store.s3_wire import PATIENCE, timeout, translated

#: The SHA-256 of no bytes at all, in base64: never the checksum of what an attack sends.
_OTHER_CHECKSUM = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


class S3Intruder:
    """The `Intruder` for S3; its client overwrites freely, unlike the store's own."""

    def __init__(
        self, endpoint: str, *, access_key: str, secret_key: str, secure: bool, bucket: str, region: str
    ) -> None:
        """Make a client; nothing is sent yet."""
        self._bucket = bucket
        self._address = f"{'https' if secure else 'http'}://{endpoint}"
        self._http = PoolManager(timeout=timeout(PATIENCE), retries=False)
        self._client = Minio(
            endpoint,
            access_key=access_key,
            secret_key=secret_key,
            secure=secure,
            region=region,
            http_client=self._http,
        )

    def delete_version(self, key: str, version_id: str, *, bypass: bool) -> None:
        """See `Intruder`: a single deletion, or with the bypass a batch of one (the client's only way)."""
        if not bypass:
            self._try(lambda: self._client.remove_object(self._bucket, key, version_id=version_id))
            return
        target = DeleteObject(key, version_id)

        def delete() -> None:
            errors = self._client.remove_objects(self._bucket, [target], bypass_governance_mode=True)
            for error in errors:
                raise Refused(f"{error.code}")

        self._try(delete)

    def set_retention(self, key: str, version_id: str, *, mode: str, retain_until: datetime) -> None:
        """See `Intruder`."""
        lock = Retention(mode, retain_until)
        self._try(lambda: self._client.set_object_retention(self._bucket, key, lock, version_id=version_id))

    def put_damaged(self, key: str) -> None:
        """See `Intruder`: one byte under the checksum of none."""
        self._try(
            lambda: self._client.put_object(
                self._bucket, key, io.BytesIO(b"!"), 1, metadata={"x-amz-checksum-sha256": _OTHER_CHECKSUM}
            )
        )

    def as_stranger(self, method: str, key: str, version_id: str | None) -> None:
        """See `Intruder`: plain HTTP at the S3 port."""
        query = f"?{urlencode({'versionId': version_id})}" if version_id else ""
        body = b"!" if method == "PUT" else None
        try:
            answer = self._http.request(
                method, f"{self._address}/{self._bucket}/{quote(key)}{query}", body=body, redirect=False
            )
        except HTTPError as error:
            raise translated(f"{method} {key} without credentials", error)[0] from error
        if answer.status >= 500:
            raise Unavailable(f"the store answered {answer.status} to a stranger")
        if answer.status >= 400:
            raise Refused(f"{answer.status}")

    def _try(self, attack: Callable[[], object]) -> None:
        """Make one attack; an error that time cures is `Unavailable`, any other answer a refusal."""
        try:
            attack()
        except (MinioException, HTTPError) as error:
            failure, _ = translated("probe the store", error)
            damaged = isinstance(error, MinioException) and getattr(error, "code", None) in _DAMAGE_SEEN
            if isinstance(failure, Unavailable) and not damaged:
                raise failure from error
            raise Refused(f"{getattr(error, 'code', None) or type(error).__name__}") from error


#: How stores say that bytes do not fit their checksum: here the answer that was hoped for.
_DAMAGE_SEEN = frozenset({"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"})
