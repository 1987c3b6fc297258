"""
A small axis of the project's own: stores packages and forwards them, checks them, and fails as it is told.

`python -m infra.stack.axis_stand_in --port 8080 --folder DIR --token-file FILE` listens on loopback until it is
terminated. The token's system may speak for every agency; the folder's file `systems` names further ones, a
line each: the SHA-256 of a token and the codes of its agencies. Faults come from the folder's `faults` file (see
`infra.stack.scripted`): a status such as `503`, `lose-request`, `lose-answer`, `slow` (two seconds), `twice`,
`reorder` or `damage`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import tempfile
import time
from base64 import b64encode
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from infra.clock import SystemClock
from infra.edxml.faults import Faulty
from infra.edxml.reading import read_package
from infra.edxml.splitting import split
from infra.settings import read_secret
from infra.stack.scripted import next_fault

_STATUSES = tuple(str(status.value) for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST)
_ALWAYS = (*_STATUSES, "lose-request", "lose-answer", "slow")
_SLOW = 2.0  # seconds
_LARGEST = 300_000_000
_PIECE = 1 << 18


class Shelves:
    """The folder in which packages lie, and what is known of them; each is written whole, and once."""

    def __init__(self, folder: Path) -> None:
        """Keep everything in `folder`, which is made; what an earlier process kept is known again."""
        self.folder = folder
        self._box = folder / "packages"
        self._box.mkdir(parents=True, exist_ok=True)
        self._lock = Lock()
        self._clock = SystemClock()
        notes = [json.loads(note.read_text(encoding="utf-8")) for note in self._box.glob("*.json")]
        self._notes: dict[str, dict[str, Any]] = {n["id"]: n for n in sorted(notes, key=lambda n: n["place"])}
        self._keys = {note["key"]: note["id"] for note in self._notes.values()}

    def take(self, draft: Path, note: dict[str, Any], *, twice: bool) -> tuple[HTTPStatus, Any]:
        """Keep a package for its receivers, or find it here; `twice` keeps a copy that looks like another one."""
        with self._lock:
            known = self._keys.get(note["key"])
            if known is not None:
                draft.unlink()
                if self._notes[known]["sha256"] != note["sha256"]:
                    return HTTPStatus.CONFLICT, {"faults": ["M.Idempotency-Key"]}
                return HTTPStatus.OK, {"id": known}
            axis_id = self._keep(draft, note)
            if twice:
                copy = draft.with_suffix(".copy")
                os.link(self._box / f"{axis_id}.xml", copy)
                self._keep(copy, {**note, "key": f"{note['key']}/again"})
            return HTTPStatus.CREATED, {"id": axis_id}

    def _keep(self, draft: Path, note: dict[str, Any]) -> str:
        """Put a package on its shelf, the note last."""
        axis_id = hashlib.sha256(f"{note['from']}/{note['key']}".encode()).hexdigest()[:24]
        note = {
            **note,
            "id": axis_id,
            "place": len(self._notes),
            "sent_at": self._clock.now().isoformat(),
            "states": dict.fromkeys(note["to"], "waiting"),
        }
        draft.replace(self._box / f"{axis_id}.xml")
        self._write(note)
        self._notes[axis_id] = note
        self._keys[note["key"]] = axis_id
        return axis_id

    def waiting(self, organ: str) -> list[dict[str, Any]]:
        """Return what waits for an agency, oldest first."""
        with self._lock:
            return [note for note in self._notes.values() if note["states"].get(organ) == "waiting"]

    def sent(self, sender: str, since: datetime) -> list[dict[str, Any]]:
        """Return what an agency sent since a moment."""
        with self._lock:
            own = [note for note in self._notes.values() if note["from"] == sender]
        return [note for note in own if datetime.fromisoformat(note["sent_at"]) >= since]

    def file(self, axis_id: str, organ: str) -> Path | None:
        """Return a package's file, if it is for this agency."""
        note = self._notes.get(axis_id)
        return self._box / f"{axis_id}.xml" if note and organ in note["states"] else None

    def confirm(self, axis_id: str, organ: str, state: str) -> bool:
        """Keep what an agency says of a package."""
        with self._lock:
            note = self._notes.get(axis_id)
            if note is None or organ not in note["states"] or state not in ("done", "fail"):
                return False
            note["states"][organ] = state
            self._write(note)
        return True

    def _write(self, note: dict[str, Any]) -> None:
        """Write a note so that it is there whole or not at all."""
        path = self._box / f"{note['id']}.json"
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(note, ensure_ascii=False, indent=1), encoding="utf-8")
        draft.replace(path)


class _Server(ThreadingHTTPServer):
    """The server and what its requests share."""

    daemon_threads = True

    def __init__(self, port: int, shelves: Shelves, token: str) -> None:
        """Listen on loopback."""
        self.shelves = shelves
        self._own = hashlib.sha256(token.encode()).hexdigest()
        super().__init__(("127.0.0.1", port), _Counter)

    def speaks_for(self, authorization: str, organ: str) -> bool | None:
        """Whether whoever brings a token may speak for an agency (EDX-12); `None`: nobody knows the token."""
        token = hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest()
        if token == self._own:
            return True
        try:
            lines = (self.shelves.folder / "systems").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            lines = []
        for known, *organs in (line.split() for line in lines if line):
            if known == token:
                return organ in organs
        return None


class _Counter(BaseHTTPRequestHandler):
    """One request."""

    server: _Server
    protocol_version = "HTTP/1.1"
    # An answer leaves in one packet: its body alone would wait 40 ms for the other end to confirm the head.
    wbufsize = -1

    def do_GET(self) -> None:
        """Tell what waits or was sent, or hand a package out."""
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        organ = asked.get("organ") or asked.get("from", "")
        more = {"/waiting": ("reorder",), "/packages": ()}.get(url.path, ("damage",))
        fault = next_fault(self.server.shelves.folder, (*_ALWAYS, *more))
        if self._fails(fault) or self._refuses(organ):
            return
        if fault == "lose-answer":
            self.close_connection = True
            return
        if url.path == "/waiting":
            found = [_told(note) for note in self.server.shelves.waiting(organ)]
            self._answer(HTTPStatus.OK, {"waiting": found[::-1] if fault == "reorder" else found})
        elif url.path == "/packages":
            since = datetime.fromisoformat(asked["since"])
            self._answer(
                HTTPStatus.OK, {"sent": [_told(note) for note in self.server.shelves.sent(organ, since)]}
            )
        else:
            self._hand_out(url.path.rpartition("/")[2], organ, damaged=fault == "damage")

    def do_POST(self) -> None:
        """Take a package or a receipt, or fail."""
        length = int(self.headers.get("Content-Length", 0))
        fault = next_fault(self.server.shelves.folder, (*_ALWAYS, "twice"))
        if length > _LARGEST:
            self.close_connection = True
            return self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"faults": ["R.edXML"]})
        draft, sha256 = self._received(length)
        if self._fails(fault):
            draft.unlink()
            return None
        if self.path == "/packages":
            status, answer = self._taken(draft, sha256, length, twice=fault == "twice")
        else:
            status, answer = self._receipt(draft)
        draft.unlink(missing_ok=True)
        if fault == "lose-answer":
            self.close_connection = True
            return None
        return self._answer(status, answer)

    def _fails(self, fault: str | None) -> bool:
        """Fail before anything happens, if so scripted."""
        if fault == "slow":
            time.sleep(_SLOW)
        if fault == "lose-request":
            self.close_connection = True
            return True
        if fault in _STATUSES:
            self._answer(HTTPStatus(int(str(fault))), {"error": "scripted fault"})
            return True
        return False

    def _refuses(self, organ: str) -> bool:
        """Refuse who may not speak for an agency."""
        may = self.server.speaks_for(self.headers.get("Authorization", ""), organ)
        if may:
            return False
        self._answer(HTTPStatus.FORBIDDEN if may is False else HTTPStatus.UNAUTHORIZED, {"faults": []})
        return True

    def _received(self, length: int) -> tuple[Path, str]:
        """Write a body to a file; return it and its hash."""
        digest = hashlib.sha256()
        handle, name = tempfile.mkstemp(dir=self.server.shelves.folder)
        with os.fdopen(handle, "wb") as file:
            while length > 0 and (piece := self.rfile.read(min(_PIECE, length))):
                length -= len(piece)
                digest.update(piece)
                file.write(piece)
        return Path(name), digest.hexdigest()

    def _taken(self, draft: Path, sha256: str, size: int, *, twice: bool) -> tuple[HTTPStatus, Any]:
        """Check a package and keep it."""
        sender, to = self.headers.get("X-From", ""), self.headers.get("X-To", "").split(",")
        if not self.server.speaks_for(self.headers.get("Authorization", ""), sender):
            return HTTPStatus.FORBIDDEN, {"faults": ["M.MessageHeader.From.OrganId"]}
        digest = b64encode(bytes.fromhex(sha256)).decode()
        if self.headers.get("Content-Digest") != f"sha-256=:{digest}:":
            return HTTPStatus.BAD_REQUEST, {"faults": ["M.Content-Digest"]}
        faults = _faults(draft, sender, to)
        if faults:
            return HTTPStatus.UNPROCESSABLE_ENTITY, {"faults": faults}
        note = {
            "key": self.headers["Idempotency-Key"],
            "kind": self.headers["X-Kind"],
            "from": sender,
            "to": to,
            "sha256": sha256,
            "size": size,
        }
        return self.server.shelves.take(draft, note, twice=twice)

    def _receipt(self, draft: Path) -> tuple[HTTPStatus, Any]:
        """Keep what an agency says of a package."""
        try:
            said = json.loads(draft.read_bytes())
            organ, state = str(said["organ"]), str(said["state"])
        except (ValueError, KeyError, TypeError):
            return HTTPStatus.BAD_REQUEST, {"faults": []}
        if not self.server.speaks_for(self.headers.get("Authorization", ""), organ):
            return HTTPStatus.FORBIDDEN, {"faults": []}
        axis_id = self.path.removesuffix("/receipt").rpartition("/")[2]
        done = self.server.shelves.confirm(axis_id, organ, state)
        return (HTTPStatus.OK, {}) if done else (HTTPStatus.NOT_FOUND, {"faults": []})

    def _hand_out(self, axis_id: str, organ: str, *, damaged: bool) -> None:
        """Stream a package; a damaged one has one bit turned over in its middle."""
        path = self.server.shelves.file(axis_id, organ)
        if path is None:
            return self._answer(HTTPStatus.NOT_FOUND, {"faults": []})
        size = path.stat().st_size
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                if damaged:
                    piece = piece[:-1] + bytes([piece[-1] ^ 1])
                    damaged = False
                self.wfile.write(piece)
        return None

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        """Send one answer."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: a request may be personal data."""


def _told(note: dict[str, Any]) -> dict[str, Any]:
    """Return what a caller is told of a package."""
    return {name: note[name] for name in ("id", "key", "kind", "from", "sent_at", "sha256", "size", "states")}


def _faults(package: Path, sender: str, to: list[str]) -> list[str]:
    """Return the codes of what is wrong with a package, and of addresses that are not its own."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            opened = read_package(split(package, Path(folder)))
        except Faulty as error:
            return [fault.code for fault in error.faults]
    said = opened.letter or opened.status
    faults = [fault.code for fault in opened.faults]
    if said is not None and said.sender.code != sender:
        faults.append("M.MessageHeader.From.OrganId")
    if opened.letter is not None and {one.code for one in opened.letter.to} < set(to):
        faults.append("M.MessageHeader.To.OrganId")
    return faults


def _stop(_number: int, _frame: object) -> None:
    """End the program on a signal."""
    raise SystemExit(0)


def main() -> None:
    """Read the arguments and serve; port 0 chooses a free one, which the start line names."""
    parser = argparse.ArgumentParser(description="A small axis that stores packages and forwards them.")
    parser.add_argument("--port", type=int, required=True, help="TCP port on loopback; 0 chooses a free one")
    parser.add_argument("--folder", type=Path, required=True, help="where packages are kept")
    parser.add_argument(
        "--token-file", type=Path, required=True, help="the bearer token of the stack's system"
    )
    arguments = parser.parse_args()
    server = _Server(arguments.port, Shelves(arguments.folder), read_secret(arguments.token_file))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    print(f"axis listens on 127.0.0.1:{server.server_address[1]}", flush=True)
    # Nobody asks this loop to end, so it need not look round often.
    server.serve_forever(poll_interval=60)


if __name__ == "__main__":
    main()
