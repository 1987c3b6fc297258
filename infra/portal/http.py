"""
The portal over HTTP: files and status reports, each sent as often as needed and taken once.

The account and the file's name travel in headers and the body, never in the address, because addresses end
in logs. `Idempotency-Key` names the deposit, `Content-Digest` (RFC 9530) lets the portal refuse damage.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import httpx

from infra.errors import Broken, Forbidden, Unavailable
from infra.portal import AccountUnknown
from infra.settings import read_secret

#: Seconds until a connection stands, and between two packets.
_PATIENCE = httpx.Timeout(30.0, connect=3.0)
#: 4xx answers that time cures (RFC 9110 §15.5.9, RFC 8470, RFC 6585).
_PASSING = frozenset({408, 425, 429})


class HttpPortal:
    """A portal at an address, entered with a bearer token; safe to share between threads."""

    def __init__(self, url: str, *, token_file: Path) -> None:
        """Say where the portal is; nothing is sent yet. The token is read at each call, for it may change."""
        self._url = url.rstrip("/")
        self._token_file = token_file
        self._client = httpx.Client(timeout=_PATIENCE, follow_redirects=False)

    def __repr__(self) -> str:
        """Name the portal, never the token."""
        return f"HttpPortal({self._url})"

    def deposit(self, *, account: str, deposit_id: str, filename: str, content: bytes) -> str:
        """
        See `Portal.deposit`; returns the receipt number that the portal keeps for this deposit.

        Raises `Forbidden` too when the portal has other content under this id, `Broken` for an answer that
        is not one of the portal's.
        """
        digest = b64encode(hashlib.sha256(content).digest()).decode()
        answer = self._send(
            "/deposits",
            content,
            {
                "Idempotency-Key": deposit_id,
                "X-Account": quote(account, safe=""),
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
                "Content-Digest": f"sha-256=:{digest}:",
                "Content-Type": "application/octet-stream",
            },
        )
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise AccountUnknown(
                "The portal knows no such account.",
                rule="PORTAL",
                way_out="The account is corrected, or the result is returned through another channel.",
            )
        _require_taken(answer)
        return _receipt(answer)

    def report(self, *, reference: str, sequence: int, code: int, at: str) -> None:
        """See `Portal.report`; `at` is a moment in RFC 3339."""
        body = json.dumps({"reference": reference, "sequence": sequence, "code": code, "at": at}).encode()
        key = quote(f"{reference}/{sequence}", safe="/")
        _require_taken(
            self._send("/reports", body, {"Idempotency-Key": key, "Content-Type": "application/json"})
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _send(self, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """Send one request; raises `Unavailable` when time may cure what went wrong."""
        try:
            token = read_secret(self._token_file)
        except OSError as error:
            raise Broken("the portal's token cannot be read") from error
        try:
            answer = self._client.post(
                f"{self._url}{path}",
                content=body,
                headers={**headers, "Authorization": f"Bearer {token}"},
            )
        except httpx.TransportError as error:
            raise Unavailable(f"the portal does not answer: {type(error).__name__}") from error
        if answer.status_code >= 500 or answer.status_code in _PASSING:
            raise Unavailable(f"the portal answered {answer.status_code}")
        return answer


def _require_taken(answer: httpx.Response) -> None:
    """Raise `Forbidden` for a refusal, `Broken` for an answer outside the agreement."""
    if 400 <= answer.status_code < 500:
        raise Forbidden(
            f"The portal refused with {answer.status_code}.",
            rule="PORTAL",
            way_out="An engineer looks at the portal's agreement with this office; other channels stay open.",
        )
    if not answer.is_success:
        raise Broken(f"the portal answered {answer.status_code}")


def _receipt(answer: httpx.Response) -> str:
    """Return the receipt number of an answer."""
    try:
        receipt = answer.json()["receipt"]
    except (ValueError, KeyError, TypeError) as error:
        raise Broken("the portal gave no receipt") from error
    if not isinstance(receipt, str) or not receipt:
        raise Broken("the portal gave no receipt")
    return receipt
