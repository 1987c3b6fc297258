"""Keys and moments that every store understands in the same way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from infra.errors import Broken
from infra.object_store import StillKept

#: S3 takes keys of at most this many bytes (UTF-8).
LONGEST_KEY = 1024


def check_key(key: str) -> str:
    """
    Return `key`; raises `Broken` for one that some store would quietly read as another.

    Stores that keep files (SeaweedFS, MinIO) fold `a//b` into `a/b` and cannot hold `.` or `..`; two
    keys that become one would break the promise that a key is written once.

    >>> check_key("a/b.pdf")
    'a/b.pdf'
    """
    segments = key.split("/")
    printable = key.isprintable() and "\\" not in key
    if not printable or len(key.encode()) > LONGEST_KEY or any(part in ("", ".", "..") for part in segments):
        raise Broken(f"{key!r} is not a key that every object store keeps as it is")
    return key


def whole_second(moment: datetime) -> datetime:
    """
    Return an aware moment in UTC, rounded up to a whole second, as object locks are kept.

    >>> whole_second(datetime(2026, 11, 22, 7, 0, 0, 1, tzinfo=UTC)).isoformat()
    '2026-11-22T07:00:01+00:00'
    """
    if moment.tzinfo is None:
        raise Broken("a retention date without a time zone")
    moment = moment.astimezone(UTC)
    if moment.microsecond:
        moment = moment.replace(microsecond=0) + timedelta(seconds=1)
    return moment


def still_kept(key: str) -> StillKept:
    """Return the refusal of a store that does not let a version go."""
    return StillKept(
        f"the store keeps {key}: its lock has not ended, or it is held.",
        rule="ARC-04",
        way_out="Wait until the lock has ended; a hold is ended with “hoso hold release”.",
    )
