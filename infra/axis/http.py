"""
The axis over HTTP: packages are streamed both ways, each sent as often as needed and taken once.

`Idempotency-Key` names what is sent, `Content-Digest` (RFC 9530) lets the axis refuse damage. Addresses hold
codes of agencies and ids only.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import httpx

from infra.axis import AxisRefused, Kind, SentOn, Waits
from infra.errors import Broken, Unavailable
from infra.settings import read_secret

#: Seconds until a connection stands, and between two packets.
_PATIENCE = httpx.Timeout(30.0, connect=3.0)
#: 4xx answers that time cures (RFC 9110 §15.5.9, RFC 8470, RFC 6585).
_PASSING = frozenset({408, 425, 429})
_PIECE = 1 << 18


class HttpAxis:
    """An axis at an address, entered with a bearer token; safe to share between threads."""

    def __init__(self, url: str, *, token_file: Path) -> None:
        """Say where the axis is; nothing is sent yet. The token is read at each call, for it may change."""
        self._url = url.rstrip("/")
        self._token_file = token_file
        self._client = httpx.Client(timeout=_PATIENCE, follow_redirects=False)

    def __repr__(self) -> str:
        """Name the axis, never the token."""
        return f"HttpAxis({self._url})"

    def send(self, package: Path, *, key: str, kind: Kind, sender: str, to: Sequence[str]) -> str:
        """See `Axis.send`; raises `Broken` for an answer that is not one of the axis's."""
        digest = hashlib.sha256()
        for piece in _pieces(package):
            digest.update(piece)
        headers = {
            "Idempotency-Key": key,
            "X-Kind": kind,
            "X-From": sender,
            "X-To": ",".join(to),
            "Content-Digest": f"sha-256=:{b64encode(digest.digest()).decode()}:",
            "Content-Type": "application/xml",
            "Content-Length": str(package.stat().st_size),
        }
        said = self._ask("POST", "/packages", headers=headers, content=_pieces(package))
        return _text(said, "id")

    def waiting(self, organ: str) -> list[Waits]:
        """See `Axis.waiting`."""
        said = self._ask("GET", "/waiting", params={"organ": organ})
        try:
            return [
                Waits(
                    axis_id=str(one["id"]),
                    kind="status" if one["kind"] == "status" else "edoc",
                    sender=str(one["from"]),
                    sent_at=datetime.fromisoformat(one["sent_at"]),
                    sha256=str(one["sha256"]),
                    size=int(one["size"]),
                )
                for one in said["waiting"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise Broken("the axis told what waits in a way that is not agreed") from error

    def fetch(self, axis_id: str, organ: str, into: Path) -> str:
        """See `Axis.fetch`."""
        digest = hashlib.sha256()
        try:
            with (
                self._client.stream(
                    "GET", f"{self._url}/packages/{axis_id}", params={"organ": organ}, headers=self._entry()
                ) as answer,
                into.open("wb") as file,
            ):
                _must_be_good(answer)
                for piece in answer.iter_bytes(_PIECE):
                    digest.update(piece)
                    file.write(piece)
        except httpx.TransportError as error:
            raise Unavailable(f"the axis does not answer: {type(error).__name__}") from error
        return digest.hexdigest()

    def confirm(self, axis_id: str, organ: str, state: Literal["done", "fail"]) -> None:
        """See `Axis.confirm`."""
        self._ask("POST", f"/packages/{axis_id}/receipt", json={"organ": organ, "state": state})

    def sent(self, sender: str, since: datetime) -> list[SentOn]:
        """See `Axis.sent`."""
        said = self._ask("GET", "/packages", params={"from": sender, "since": since.isoformat()})
        try:
            return [
                SentOn(
                    axis_id=str(one["id"]),
                    key=str(one["key"]),
                    sha256=str(one["sha256"]),
                    sent_at=datetime.fromisoformat(one["sent_at"]),
                    states={str(organ): str(state) for organ, state in one["states"].items()},
                )
                for one in said["sent"]
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Broken("the axis told what was sent in a way that is not agreed") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _entry(self) -> dict[str, str]:
        """Return what lets this system in."""
        try:
            return {"Authorization": f"Bearer {read_secret(self._token_file)}"}
        except OSError as error:
            raise Broken("the axis's token cannot be read") from error

    def _ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> Any:
        """Send one request and return the answer's JSON."""
        try:
            answer = self._client.request(
                method, f"{self._url}{path}", headers={**(headers or {}), **self._entry()}, **more
            )
        except httpx.TransportError as error:
            raise Unavailable(f"the axis does not answer: {type(error).__name__}") from error
        _must_be_good(answer)
        try:
            return answer.json()
        except ValueError as error:
            raise Broken("the axis gave an answer that is not agreed") from error


def _pieces(package: Path) -> Iterator[bytes]:
    """Yield a file piece by piece."""
    with package.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _text(said: Any, name: str) -> str:
    """Return a text of an answer."""
    if not isinstance(said, dict) or not isinstance(said.get(name), str) or not said[name]:
        raise Broken(f"the axis gave no {name}")
    return str(said[name])


def _must_be_good(answer: httpx.Response) -> None:
    """Raise for an answer that is none: `Unavailable` when time may cure it, `AxisRefused`, or `Broken`."""
    if answer.is_success:
        return
    if answer.status_code >= 500 or answer.status_code in _PASSING:
        raise Unavailable(f"the axis answered {answer.status_code}")
    if 400 <= answer.status_code < 500:
        answer.read()
        raise AxisRefused(
            f"the axis refused with {answer.status_code}{_why(answer)}.",
            rule="EDX-12",
            way_out="Correct what it names and send it anew; an engineer looks at the agreement with the axis.",
        )
    raise Broken(f"the axis answered {answer.status_code}")


def _why(answer: httpx.Response) -> str:
    """Return the codes of what the axis found wrong; nothing else of its answer is repeated."""
    try:
        codes = [str(code)[:80] for code in answer.json()["faults"]]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" ({', '.join(codes[:5])})" if codes else ""
