"""
Time-stamps over HTTP (RFC 3161 §3.4): the first authority, and the next one when it fails.

Where an authority is comes from the settings only, so nothing that a document says leads anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from threading import Lock

import httpx

from infra.certificates import path_of
from infra.chance import random_bytes
from infra.errors import Forbidden
from infra.revocation import Revocation
from infra.timestamp import NoTimestamp, Timestamp
from infra.timestamp.reading import Question, read_answer

_HEADERS = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
#: No time-stamp is larger; a real one has some 4 to 10 kB.
_LIMIT_BYTES = 200_000
#: Seconds until a connection stands; an authority that is not there is not waited for.
_CONNECT = 5.0


class HttpTimestamps:
    """Authorities at addresses, the preferred one first; safe to share between threads."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        anchors: Sequence[bytes],
        chain: Sequence[bytes],
        seconds: float,
        policy: str | None = None,
        revocation: Revocation | None = None,
    ) -> None:
        """
        Say where they are, whom to trust, and how long each may take; nothing is sent yet.

        With `revocation` an authority whose certificate is revoked, or unknown, counts as one that failed.
        """
        self._urls, self._seconds, self._policy = tuple(urls), seconds, policy
        self._revocation = revocation
        self._anchors, self._chain = tuple(anchors), tuple(chain)
        limits = httpx.Timeout(seconds, connect=min(seconds, _CONNECT))
        self._client = httpx.Client(timeout=limits, follow_redirects=False, trust_env=False)
        self._seen: dict[int, bytes] = {}
        self._lock = Lock()

    def stamp(self, digest: bytes, *, at: datetime) -> Timestamp:
        """See `Timestamps.stamp`; raises `Forbidden` when no authority is configured."""
        if not self._urls:
            raise Forbidden(
                "no time-stamping authority is configured.",
                rule="PKI-02",
                way_out="Name one in HOSO_TSA_URL.",
            )
        reasons = []
        for rank, url in enumerate(self._urls):
            try:
                made = self._ask(rank, url, digest, at)
                self._must_be_good(made, at)
            except NoTimestamp as error:
                reasons.append(f"authority {rank + 1}: {error}")
                continue
            with self._lock:
                self._seen[rank] = made.certificate
            return made
        raise NoTimestamp("no time-stamp: " + "; ".join(reasons))

    def authorities(self, *, at: datetime) -> tuple[bytes, ...]:
        """See `Timestamps.authorities`."""
        if not self._seen:
            self.stamp(random_bytes(32), at=at)
        with self._lock:
            return tuple(self._seen.values())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _must_be_good(self, made: Timestamp, at: datetime) -> None:
        """Raise `NoTimestamp` for an authority that its issuer does not stand by; `NoRevocationAnswer`."""
        if self._revocation is None:
            return
        path = path_of(made.certificate, known=self._chain, anchors=self._anchors) or ()
        for one, issuer in pairwise(path):
            answer = self._revocation.ask(one, issuer=issuer, at=at)
            if answer is not None and answer.status != "good":
                raise NoTimestamp(f"its certificate is {answer.status}")

    def _ask(self, rank: int, url: str, digest: bytes, at: datetime) -> Timestamp:
        """Ask one authority, within time and size."""
        question = Question.about(digest, self._policy)
        deadline = time.monotonic() + self._seconds
        found = bytearray()
        try:
            with self._client.stream("POST", url, content=question.encode(), headers=_HEADERS) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise NoTimestamp(f"it answered {answer.status_code}")
                for piece in answer.iter_bytes():
                    found += piece
                    if len(found) > _LIMIT_BYTES or time.monotonic() > deadline:
                        raise NoTimestamp("its answer is too large or too slow")
        except httpx.HTTPError as error:
            raise NoTimestamp(f"it does not answer ({type(error).__name__})") from error
        return read_answer(bytes(found), question, rank=rank, anchors=self._anchors, chain=self._chain, at=at)
