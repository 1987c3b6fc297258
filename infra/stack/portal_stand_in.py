"""
A portal that keeps deposits in a folder, and fails as it is told.

`python -m infra.stack.portal_stand_in --port 8080 --folder DIR --token-file FILE` listens on loopback until
it is terminated. Files lie under `accounts/<account>/`, what belongs to them under `deposits/`, status
reports under `reports/`; an account that begins with `unknown` does not exist. Faults come from the folder's
`faults` file (see `infra.stack.scripted`): a status such as `503`, `lose-request`, or `lose-answer`.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import signal
from base64 import b64encode
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote, unquote

from infra.clock import SystemClock
from infra.settings import read_secret
from infra.stack.scripted import next_fault

_STATUSES = tuple(str(status.value) for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST)
_LOST = ("lose-request", "lose-answer")
#: A larger file is refused.
_LARGEST = 200_000_000


class Shelves:
    """The folder in which deposits and reports lie; each is written whole, and once."""

    def __init__(self, folder: Path) -> None:
        """Keep everything in `folder`, which is made."""
        self._folder = folder
        self._lock = Lock()
        self._clock = SystemClock()
        for name in ("accounts", "deposits", "reports"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def deposit(self, account: str, deposit_id: str, filename: str, content: bytes) -> tuple[HTTPStatus, Any]:
        """Put one file into an account, or find it there."""
        sha256 = hashlib.sha256(content).hexdigest()
        note = self._folder / "deposits" / f"{_name(deposit_id)}.json"
        with self._lock:
            if note.exists():
                held = json.loads(note.read_text(encoding="utf-8"))
                if (held["account"], held["sha256"]) != (account, sha256):
                    return HTTPStatus.CONFLICT, {"error": "this deposit holds something else"}
                return HTTPStatus.OK, {"receipt": held["receipt"]}
            receipt = f"P{hashlib.sha256(deposit_id.encode()).hexdigest()[:12].upper()}"
            box = self._folder / "accounts" / quote(account, safe="")
            box.mkdir(exist_ok=True)
            _write(box / f"{receipt}.pdf", content)
            self._note(
                note,
                {
                    "deposit_id": deposit_id,
                    "account": account,
                    "filename": filename,
                    "sha256": sha256,
                    "size": len(content),
                    "receipt": receipt,
                },
            )
        return HTTPStatus.CREATED, {"receipt": receipt}

    def report(self, report: dict[str, Any]) -> tuple[HTTPStatus, Any]:
        """Keep one status report; the same sequence again is ignored."""
        which = f"{report['reference']}/{report['sequence']}"
        note = self._folder / "reports" / f"{_name(which)}.json"
        with self._lock:
            if not note.exists():
                self._note(note, {name: report[name] for name in ("reference", "sequence", "code", "at")})
        return HTTPStatus.OK, {}

    def fault(self) -> str | None:
        """Return how the next request fails."""
        return next_fault(self._folder, (*_STATUSES, *_LOST))

    def _note(self, path: Path, entry: dict[str, Any]) -> None:
        """Write an entry with the moment of its arrival."""
        entry = {**entry, "received_at": self._clock.now().isoformat(timespec="milliseconds")}
        _write(path, json.dumps(entry, ensure_ascii=False, indent=1).encode())


class _Server(ThreadingHTTPServer):
    """The server and what its requests share."""

    daemon_threads = True

    def __init__(self, port: int, shelves: Shelves, token: str) -> None:
        """Listen on loopback."""
        self.shelves = shelves
        self.token = token
        super().__init__(("127.0.0.1", port), _Counter)


class _Counter(BaseHTTPRequestHandler):
    """One request."""

    server: _Server
    protocol_version = "HTTP/1.1"
    # An answer leaves in one packet: its body alone would wait 40 ms for the other end to confirm the head.
    wbufsize = -1

    def do_POST(self) -> None:
        """Take a deposit or a report, or fail."""
        length = int(self.headers.get("Content-Length", 0))
        if length > _LARGEST:
            self.close_connection = True
            return self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {})
        body = self.rfile.read(length)
        fault = self.server.shelves.fault()
        if fault == "lose-request":
            self.close_connection = True
            return None
        if fault in _STATUSES:
            return self._answer(HTTPStatus(int(fault)), {"error": "scripted fault"})
        status, answer = self._taken(body)
        if fault == "lose-answer":
            self.close_connection = True
            return None
        return self._answer(status, answer)

    def _taken(self, body: bytes) -> tuple[HTTPStatus, Any]:
        """Check who asks and for what, and do it."""
        offered = self.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(offered, f"Bearer {self.server.token}".encode()):
            return HTTPStatus.UNAUTHORIZED, {"error": "no or wrong token"}
        try:
            if self.path == "/deposits":
                return self._deposit(body)
            if self.path == "/reports":
                return self.server.shelves.report(json.loads(body))
        except (ValueError, KeyError, TypeError):
            return HTTPStatus.BAD_REQUEST, {"error": "not as agreed"}
        return HTTPStatus.NOT_FOUND, {"error": "no such door"}

    def _deposit(self, body: bytes) -> tuple[HTTPStatus, Any]:
        """Take one file."""
        digest = b64encode(hashlib.sha256(body).digest()).decode()
        if self.headers["Content-Digest"] != f"sha-256=:{digest}:":
            return HTTPStatus.BAD_REQUEST, {"error": "damaged on the way"}
        deposit_id, account = self.headers["Idempotency-Key"], unquote(self.headers["X-Account"])
        if not deposit_id or not account:
            return HTTPStatus.BAD_REQUEST, {"error": "no deposit id or no account"}
        if account.startswith("unknown"):
            return HTTPStatus.NOT_FOUND, {"error": "no such account"}
        filename = unquote(self.headers["Content-Disposition"].partition("UTF-8''")[2])
        return self.server.shelves.deposit(account, deposit_id, filename, body)

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        """Send one answer."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: a request is personal data."""


def _name(text: str) -> str:
    """Return a file name for any text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_bytes(content)
    draft.rename(path)


def _stop(_number: int, _frame: object) -> None:
    """End the program on a signal."""
    raise SystemExit(0)


def main() -> None:
    """Read the arguments and serve; port 0 chooses a free one, which the start line names."""
    parser = argparse.ArgumentParser(description="A portal that keeps deposits in a folder.")
    parser.add_argument("--port", type=int, required=True, help="TCP port on loopback; 0 chooses a free one")
    parser.add_argument("--folder", type=Path, required=True, help="where deposits are kept")
    parser.add_argument("--token-file", type=Path, required=True, help="the bearer token that callers need")
    arguments = parser.parse_args()
    server = _Server(arguments.port, Shelves(arguments.folder), read_secret(arguments.token_file))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    print(f"portal listens on 127.0.0.1:{server.server_address[1]}", flush=True)
    # Nobody asks this loop to end, so it need not look round often.
    server.serve_forever(poll_interval=60)


if __name__ == "__main__":
    main()
