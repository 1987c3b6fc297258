"""
What stands between the office and its object store: an HTTP proxy of ours that fails as it is told.

Requests are read whole, then passed on whole, so that “stored, but the answer was lost” is exactly that. The
signature of a request covers the name of the host that the client sees, which is passed on untouched.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

#: How a request fails: told by `HttpDoor.fail`.
#:   500, 503     answered so, nothing is passed on
#:   cut          the connection ends in the middle of the request, nothing is passed on
#:   lose-answer  passed on and done; the connection ends instead of the answer
#:   cut-answer   passed on and done; half of the answer arrives
#:   lie          a PUT is answered 200 with a version id, nothing is passed on
#:   garble       the body of a GET's answer has one bit flipped
#:   slow         passed on and answered at some KB/s
KINDS = ("500", "503", "cut", "lose-answer", "cut-answer", "lie", "garble", "slow")

_SLOW = 20_000  # bytes a second


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer: its first line, its headers as they came, its body."""

    first: bytes
    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        """The method of a request."""
        return self.first.split(b" ", 1)[0].decode()

    @property
    def raw(self) -> bytes:
        """All of it."""
        return self.first + self.head + self.body


class HttpDoor:
    """One port of this machine that leads to a server's, for HTTP/1.1."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._rule: Callable[[Message], str | None] = lambda _: None
        self._lock = threading.Lock()
        self.failed: Counter[str] = Counter()
        self._open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def fail(self, how: str, *, share: float = 1.0, chance: Callable[[], float] = lambda: 0.0) -> None:
        """From now on let a share of the requests that it can happen to fail so; see `KINDS`."""
        fits = {"lie": ("PUT",), "garble": ("GET",)}

        def rule(request: Message) -> str | None:
            if request.method not in fits.get(how, (request.method,)) or b"stack-readiness" in request.first:
                return None
            return how if chance() < share else None

        self._rule = rule

    def fail_once(self, how: str, fits: Callable[[Message], bool]) -> None:
        """Let the next request that fits fail so, and no other."""

        def rule(request: Message) -> str | None:
            with self._lock:
                if not fits(request):
                    return None
                self.heal()
            return how

        self._rule = rule

    def shut(self) -> None:
        """Let nobody in."""
        self._open = False

    def heal(self) -> None:
        """Do nothing but pass on."""
        self._rule = lambda _: None
        self._open = True

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(here,), daemon=True).start()

    def _serve(self, here: socket.socket) -> None:
        """Pass on one connection's requests, one after the other."""
        there: socket.socket | None = None
        with suppress(OSError, ValueError), here:
            source = here.makefile("rb")
            while self._open and (request := _read(source)):
                if there is None:
                    there = socket.create_connection(self._target, timeout=60)
                    answers = there.makefile("rb")
                if not self._pass_on(request, here, there, answers):
                    break
        if there is not None:
            there.close()

    def _pass_on(self, request: Message, here: socket.socket, there: socket.socket, answers: object) -> bool:
        """Pass one request on, or fail; return whether the connection is still good."""
        how = self._rule(request)
        if how is not None:
            self.failed[how] += 1
        if how in ("500", "503"):
            here.sendall(_refusal(how))
            return True
        if how == "lie":
            here.sendall(
                b'HTTP/1.1 200 OK\r\nETag: "0"\r\nx-amz-version-id: 7f3a9b2c5d6e8f01\r\nContent-Length: 0\r\n\r\n'
            )
            return True
        if how == "cut":
            return False
        there.sendall(request.raw)
        answer = _read(answers, of=request.method)
        if answer is None or how == "lose-answer":
            return False
        raw = answer.raw
        if how == "garble" and answer.body:
            raw = raw[:-1] + bytes([raw[-1] ^ 1])
        if how == "cut-answer":
            here.sendall(raw[: len(raw) // 2])
            return False
        if how == "slow":
            for start in range(0, len(raw), 2000):
                here.sendall(raw[start : start + 2000])
                time.sleep(2000 / _SLOW)
        else:
            here.sendall(raw)
        return b"connection: close" not in answer.head.lower()


def _refusal(how: str) -> bytes:
    """Return an answer of a server in trouble, as S3 words it."""
    code, status = {
        "500": ("InternalError", "500 Internal Server Error"),
        "503": ("SlowDown", "503 Slow Down"),
    }[how]
    body = f"<Error><Code>{code}</Code><Message>scripted</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _read(source: object, of: str = "") -> Message | None:
    """Read one request, or the answer to a request of a method (RFC 9112 §6); `None` at the end."""
    readline, read = source.readline, source.read  # type: ignore[attr-defined]
    first = readline()
    if not first:
        return None
    lines = []
    while (line := readline()) not in (b"\r\n", b""):
        lines.append(line)
    fields = {n.strip().lower(): v.strip() for n, _, v in (line.partition(b":") for line in lines)}
    status = first.split(b" ")[1] if of else b""
    if of == "HEAD" or status in (b"204", b"304") or status.startswith(b"1"):
        body = b""
    elif fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = _chunks(readline, read)
    elif b"content-length" in fields:
        body = read(int(fields[b"content-length"]))
    else:
        body = read() if of else b""
    return Message(first, b"".join(lines) + b"\r\n", body)


def _chunks(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> bytes:
    """Return a chunked body as it came, its frame included."""
    raw = b""
    while True:
        line = readline()
        size = int(line.split(b";")[0], 16)
        raw += line + read(size + 2)
        if size == 0:
            return raw
