"""The runner's own parts: the proxy does what it says, the seed decides, and the checker knows lost from waiting."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.faults.checker import trials
from tests.faults.checker.books import cause_of
from tests.faults.checker.evidence import Evidence
from tests.faults.runner.injectors import all_faults
from tests.faults.runner.proxy import HttpDoor
from tests.faults.runner.run import _by_turns, _kinds

KEPT: list[str] = []


class _Shelf(BaseHTTPRequestHandler):
    """Keeps what is put, gives “content”."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:  # noqa: N802 - http.server's name
        self.rfile.read(int(self.headers["Content-Length"]))
        KEPT.append(self.path)
        self._answer(b"")

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self._answer(b"content")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@pytest.fixture
def door() -> Iterator[HttpDoor]:
    """A door to a server that keeps what it gets."""
    KEPT.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shelf)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    made = HttpDoor("127.0.0.1", server.server_address[1])
    yield made
    made.close()
    server.shutdown()
    server.server_close()


def ask(door: HttpDoor, method: str) -> tuple[int, bytes]:
    """Send one request through the door."""
    line = http.client.HTTPConnection("127.0.0.1", door.port, timeout=5)
    try:
        line.request(method, "/one", b"12345" if method == "PUT" else None)
        answer = line.getresponse()
        return answer.status, answer.read()
    finally:
        line.close()


def test_the_door_passes_on(door: HttpDoor) -> None:
    assert ask(door, "PUT") == (200, b"")
    assert ask(door, "GET") == (200, b"content")
    assert KEPT == ["/one"]


@pytest.mark.parametrize(("how", "kept"), [("lose-answer", 1), ("cut", 0)])
def test_a_lost_answer_is_of_something_done_and_a_cut_request_of_nothing(
    door: HttpDoor, how: str, kept: int
) -> None:
    door.fail(how)
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(door, "PUT")
    assert len(KEPT) == kept
    door.heal()
    assert ask(door, "PUT") == (200, b"")


def test_a_lie_is_told_once_and_keeps_nothing(door: HttpDoor) -> None:
    door.fail_once("lie", lambda request: request.method == "PUT")
    assert ask(door, "PUT") == (200, b"")
    assert KEPT == []
    assert ask(door, "PUT") == (200, b"")
    assert KEPT == ["/one"]


def test_a_garbled_answer_differs_in_one_bit(door: HttpDoor) -> None:
    door.fail("garble")
    assert ask(door, "GET") == (200, b"contenu")


def test_the_seed_decides_and_every_row_has_its_turn_before_any_has_its_second() -> None:
    first, again = (_by_turns(all_faults(), random.Random("7")) for _ in range(2))
    assert [fault.name for fault in first] == [fault.name for fault in again]
    rows = [fault.row for fault in first]
    turns = len(set(rows))
    assert len(set(rows[:turns])) == turns
    assert _kinds(40, random.Random(1)) == _kinds(40, random.Random(1))


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ({"asked": 2, "done": 1}, None),
        ({"asked": 2, "done": 1, "lease_owner": "a/1/b", "lapsed": True}, None),
        ({"asked": 2, "done": 1, "lease_owner": "a/1/b", "lapsed": False}, "a worker is at it"),
        ({"asked": 2, "done": 1, "last_error": "cannot put: the store answered 500"}, "a service: cannot put: the store answered 500"),
        ({"stage": "PaymentDue"}, "the fee"),
        ({"stage": "Returned"}, "the night"),
        ({"stage": "Returned", "archive_asked": True}, None),
        ({"stage": "Received"}, None),
        ({"stage": "Archived"}, None),
    ],
)  # fmt: skip
def test_the_checker_knows_what_waits_for_something_that_has_a_name(
    said: dict[str, Any], cause: str | None
) -> None:
    dossier = {"code": "H49.21-261122-0001", "stage": "Received", "asked": 1, "done": 1, "later": False, "last_error": None,
               "lease_owner": None, "lapsed": None, "archive_asked": False}  # fmt: skip
    assert cause_of(Evidence(Path()), {**dossier, **said}) == cause


def test_what_is_broken_is_waited_for_and_wrong() -> None:
    evidence = Evidence(Path())
    dossier = {
        "code": "H49.21-261122-0001",
        "stage": "Signed",
        "last_error": "broken: KeyError: see the log",
        "asked": 1,
        "done": 1,
    }
    assert cause_of(evidence, dossier) == "broken: KeyError: see the log"
    assert evidence.wrong


class _Kept(Evidence):
    """A checker's view of an office whose tables are empty and whose history says what a test says."""

    entries: list[dict[str, Any]] = []  # type: ignore[assignment]  # noqa: RUF012

    def rows(self, query: str, *values: Any, database: str = "hoso") -> list[dict[str, Any]]:
        return []


POISON = {"codes": ["c"], "parked": True, "others": 3}
FILE = {
    "file": "a.pdf",
    "codes": ["c"],
    "code": 1,
    "rule": "INTAKE-03",
    "left": 0,
    "said": "No.",
    "sha256": "aa",
}
WRONG = {"by": "cong", "verb": "receive", "event": "dossier:received", "codes": ["c"], "code": 1}
AGAIN = {"digest": "aa", "before": [2, 2], "after": [2, 2]}
COPY = {"acknowledged": 5, "size": 6, "entries": 6, "same": True, "at": 9.0, "known": ["c"]}
DID = {
    "seq": 1,
    "event": "dossier:received",
    "dossier": "c",
    "actor": {"id_hash": sha256(b"H49.21/cong").hexdigest()},
}


@pytest.mark.parametrize(
    ("check", "line", "entries", "rule"),
    [
        (trials.poison, POISON, [], ""),
        (trials.poison, {**POISON, "parked": False}, [], "POISON"),
        (trials.poison, {**POISON, "others": 0}, [], "POISON"),
        (trials.oversized, FILE, [], ""),
        (trials.oversized, {**FILE, "code": 4, "rule": ""}, [], ""),
        (trials.oversized, {**FILE, "code": 0}, [], "SIZES"),
        (trials.oversized, {**FILE, "rule": ""}, [], "SIZES"),
        (trials.oversized, {**FILE, "left": 1}, [], "SIZES"),
        (trials.forbidden, WRONG, [], ""),
        (trials.forbidden, WRONG, [{**DID, "dossier": "another"}], ""),
        (trials.forbidden, WRONG, [DID], "RIGHTS"),
        (trials.forbidden, {**WRONG, "code": 0}, [], "RIGHTS"),
        (trials.replayed, AGAIN, [], ""),
        (trials.replayed, {**AGAIN, "after": [2, 3]}, [], "RIGHTS"),
        (trials.restored, COPY, [], ""),
        (trials.restored, {**COPY, "size": 4, "entries": 4}, [], "RESTORE"),
        (trials.restored, {**COPY, "entries": 5}, [], "RESTORE"),
        (trials.restored, {**COPY, "same": False}, [], "RESTORE"),
        (trials.restored, {**COPY, "known": []}, [], "RESTORE"),
    ],
)
def test_the_checker_judges_what_was_tried_on_purpose(
    check: Any, line: dict[str, Any], entries: list[dict[str, Any]], rule: str
) -> None:
    evidence = _Kept(Path())
    evidence.entries = entries
    acts = [
        {"kind": "act", "code": 0, "s": 8.0, "codes": ["c"]},
        {"kind": "act", "code": 0, "s": 10.0, "codes": ["d"]},
    ]
    evidence.journal = acts
    check(evidence, line)
    assert [said.partition(":")[0] for said in evidence.wrong] == ([rule] if rule else [])
