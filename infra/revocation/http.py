"""
Revocation over HTTP: OCSP first, then CRLs, and never anywhere but where the settings allow.

Addresses come out of certificates, and certificates come from anybody. So a host is asked only if the
settings name it, redirections are not followed, no proxy is taken from the environment, and time and
size of an answer are limited.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import Lock
from urllib.parse import urlsplit, urlunsplit

import httpx

from infra.errors import Forbidden
from infra.revocation import NoRevocationAnswer, RevocationAnswer
from infra.revocation.reading import ocsp_request, read_crl, read_ocsp, sources_of

#: How many kept answers are handed out at once, and how many bytes one of them may have.
_MOST_KEPT, _SMALL = 32, 50_000


class HttpRevocation:
    """Asks the responders and fetches the lists that certificates name; safe to share between threads."""

    def __init__(
        self,
        *,
        hosts: Sequence[str],
        rewrite: Mapping[str, str],
        seconds: float,
        limit_bytes: int,
        kept_seconds: float,
    ) -> None:
        """
        Allow `hosts` (as certificates name them) and nobody else; nothing is asked yet.

        `rewrite` says where a host is really reached, as `host:port` (PKI-03). An answer may take `seconds`
        and have `limit_bytes`; it is used again for `kept_seconds`, and never after its own end.
        """
        self._hosts, self._rewrite = frozenset(hosts), dict(rewrite)
        self._seconds, self._limit, self._kept_for = seconds, limit_bytes, kept_seconds
        self._client = httpx.Client(timeout=seconds, follow_redirects=False, trust_env=False)
        self._kept: dict[str, tuple[float, RevocationAnswer]] = {}
        self._lists: dict[str, tuple[float, bytes]] = {}
        self._lock = Lock()

    def ask(self, certificate: bytes, *, issuer: bytes, at: datetime) -> RevocationAnswer | None:
        """See `Revocation.ask`; raises `Forbidden` when every source is a host that the settings do not allow."""
        name = hashlib.sha256(certificate).hexdigest()
        # One at a time: who comes second finds the answer that the first was waiting for.
        with self._lock:
            kept = self._kept.get(name)
            if kept is not None and self._is_usable(*kept, at):
                return kept[1]
            answer = self._ask(certificate, issuer, at)
            if answer is not None:
                self._kept[name] = (time.monotonic(), answer)
            return answer

    def kept(self, at: datetime) -> Sequence[RevocationAnswer]:
        """See `Revocation.kept`."""
        with self._lock:
            newest = sorted(self._kept.values(), key=lambda one: one[0], reverse=True)[:_MOST_KEPT]
        small = [(asked, answer) for asked, answer in newest if len(answer.proof) <= _SMALL]
        return [answer for asked, answer in small if self._is_usable(asked, answer, at)]

    def forget(self) -> None:
        """Ask anew for everything."""
        with self._lock:
            self._kept.clear()
            self._lists.clear()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _is_usable(self, asked: float, answer: RevocationAnswer, at: datetime) -> bool:
        """Say whether an answer may be used again."""
        ended = answer.next_update is not None and answer.next_update < at
        return not ended and time.monotonic() - asked < self._kept_for

    def _ask(self, certificate: bytes, issuer: bytes, at: datetime) -> RevocationAnswer | None:
        """Go through the sources until one gives an answer that can be believed."""
        responders, lists = sources_of(certificate)
        if not responders and not lists:
            return None
        ways: list[tuple[str, Callable[[str], RevocationAnswer]]] = [
            *((url, lambda url: self._ocsp(url, certificate, issuer, at)) for url in responders),
            *((url, lambda url: self._crl(url, certificate, issuer, at)) for url in lists),
        ]
        reasons, refused = [], None
        for url, way in ways:
            try:
                return way(url)
            except NoRevocationAnswer as error:
                reasons.append(str(error))
            except Forbidden as error:
                refused = error
        if refused is not None and not reasons:
            raise refused
        raise NoRevocationAnswer("nobody says whether a certificate is revoked: " + "; ".join(reasons))

    def _ocsp(self, url: str, certificate: bytes, issuer: bytes, at: datetime) -> RevocationAnswer:
        """Ask a responder."""
        kinds = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
        proof = self._fetch("POST", url, ocsp_request(certificate, issuer), kinds)
        return read_ocsp(proof, certificate=certificate, issuer=issuer, at=at)

    def _crl(self, url: str, certificate: bytes, issuer: bytes, at: datetime) -> RevocationAnswer:
        """Fetch a list, which serves for all certificates of its issuer for a while."""
        kept = self._lists.get(url)
        if kept is None or time.monotonic() - kept[0] >= self._kept_for:
            kept = (time.monotonic(), self._fetch("GET", url, None, {"Accept": "application/pkix-crl"}))
        answer = read_crl(kept[1], certificate=certificate, issuer=issuer, at=at)
        self._lists[url] = kept
        return answer

    def _fetch(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        """Return what an allowed host answers, within time and size."""
        address = self._address(url)
        deadline = time.monotonic() + self._seconds
        found = bytearray()
        try:
            with self._client.stream(method, address, content=body, headers=headers) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise NoRevocationAnswer(f"{url} answered {answer.status_code}")
                for piece in answer.iter_bytes():
                    found += piece
                    if len(found) > self._limit:
                        raise NoRevocationAnswer(f"{url} sends more than {self._limit} bytes")
                    if time.monotonic() > deadline:
                        raise NoRevocationAnswer(f"{url} takes longer than {self._seconds:g} s")
        except httpx.HTTPError as error:
            raise NoRevocationAnswer(f"{url} does not answer ({type(error).__name__})") from error
        return bytes(found)

    def _address(self, url: str) -> str:
        """Return where to really ask; refuses a host that is not allowed."""
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            host = ""
        if not host or parts.scheme not in ("http", "https") or host not in self._hosts:
            raise Forbidden(
                f"a certificate wants “{host or url}” asked about its revocation, which is not allowed here.",
                rule="PKI-03",
                way_out="If it is the right one, name it in HOSO_REVOCATION_HOSTS.",
            )
        place = self._rewrite.get(host)
        return urlunsplit(("http", place, parts.path, parts.query, "")) if place else url
