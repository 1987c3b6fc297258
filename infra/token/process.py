"""
A PKCS#11 module in a process of its own, which is ended when the token does not answer.

PKCS#11 has no time limits: a call to a token that hangs never returns, and a module that crashes takes its
process along. So whoever signs keeps the module at arm's length. There is one such process for each
module and each process of ours; it is started when a key is first asked for, it is the one lane to the
module, and it ends with us, however we end. What it cannot give in time is `TokenHung`; the next request
starts a new one, after a rest that grows as long as the token keeps hanging, so that others are not held
up by it again and again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from infra.chance import random_bytes
from infra.environment import environment
from infra.errors import Broken
from infra.token import KeyDescription, PinNotTried, Token, TokenAbsent, TokenHung, WrongPin

log = logging.getLogger("hoso.token")

_ROOT = Path(__file__).resolve().parents[2]
#: Seconds for a new process to be ready, and the longest rest after hanging.
_START, _LONGEST_REST = 20.0, 300.0
_SECRET = random_bytes(32)


class _Restarted(Exception):
    """The process that knew a key runs no longer."""


class TokenProcess:
    """The process that holds one module, as seen from ours; every call goes through `ask`."""

    def __init__(self, module: Path, conf: Path | None) -> None:
        """Prepare to start it; nothing runs before the first request."""
        self.module = module
        self.generation = 0
        self.refused: set[bytes] = set()
        self._conf = conf
        self._pid = os.getpid()
        self._lane = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._line: Connection[Any, Any] | None = None
        self._hung = 0
        self._rests_until = 0.0

    def ask(self, limit: float, name: str, *words: object, generation: int = 0, **named: object) -> Any:
        """
        Return the answer to one request, or raise what it raised; other threads wait for their turn.

        A request that is meant for a process that runs no longer (`generation`) raises `_Restarted`. Raises
        `TokenHung` after `limit` seconds, and `TokenAbsent` at once while a token that hung rests or when
        the process died.
        """
        with self._lane:
            if time.monotonic() < self._rests_until:
                raise TokenAbsent("The token hung a moment ago and is left alone for a while.")
            if generation and (self._line is None or generation != self.generation):
                raise _Restarted
            try:
                went_well, said = self._exchange(self._line or self._start(), limit, (name, words, named))
            except (EOFError, OSError) as error:
                raise TokenAbsent(f"The process of the token ended ({self._end()}).") from error
            except BaseException:
                # An answer that is still to come must never be taken for that of the next request.
                self._end()
                raise
            self._hung = 0
        if not went_well:
            raise said
        return said

    def _exchange(self, line: Connection[Any, Any], limit: float, request: object) -> tuple[bool, Any]:
        """Send a request and return whether it went well, and what was said."""
        line.send(request)
        if not line.poll(limit):
            self._rest(limit)
            raise TokenHung(
                f"The token did not answer within {limit:g} s; the process that asked it was ended."
            )
        answer: tuple[bool, Any] = line.recv()
        return answer

    def _start(self) -> Connection[Any, Any]:
        """Start the process and wait until it listens; the module is loaded at its first request."""
        if not self.module.exists():
            raise Broken(f"There is no PKCS#11 module at {self.module}.")
        if self._conf is not None and not self._conf.exists():
            raise Broken(f"There is no SoftHSM2 configuration at {self._conf}.")
        changes = {"PYTHONPATH": str(_ROOT)} | ({"SOFTHSM2_CONF": str(self._conf)} if self._conf else {})
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "infra.token.process_child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment(changes),
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the person's command, which ends this one itself.
            )
        self.generation += 1
        self._line = line = Connection(ours.detach())
        if not line.poll(_START):
            raise TokenAbsent(f"The process of the token did not start within {_START:g} s.")
        line.recv()
        return line

    def _rest(self, limit: float) -> None:
        """End a process that hangs, and leave the token alone for a while: longer each time."""
        self._hung += 1
        rest = min(limit * self._hung, _LONGEST_REST)
        self._rests_until = time.monotonic() + rest
        log.warning("the token of %s does not answer; it rests for %g s", self.module, rest)

    def _end(self) -> str:
        """End the process, whatever it is doing; return how it ended."""
        child, line, self._child, self._line = self._child, self._line, None, None
        if line is not None:
            with suppress(OSError):
                line.close()
        if child is None:
            return "before it began"
        with suppress(subprocess.TimeoutExpired):
            # A process that died by itself says how, if it is asked before it is killed.
            return f"exit code {child.wait(0.2)}"
        child.kill()
        return f"exit code {child.wait()}"

    def close(self) -> None:
        """End the process; it is started again when somebody asks for a key."""
        with self._lane:
            if self._pid == os.getpid():
                self._end()

    def is_ours(self) -> bool:
        """Tell whether this process started it: after a fork the child needs one of its own."""
        return self._pid == os.getpid()


class DistantToken:
    """One key in a `TokenProcess`; see `infra.token.Token` for what is promised."""

    def __init__(
        self,
        process: TokenProcess,
        uri: str,
        pin: str | None,
        certificate: bytes,
        limits: tuple[float, float],
    ) -> None:
        """Remember which key; `limits` are the seconds for a call and for one in which somebody types."""
        self._process = process
        self._uri = uri
        self._pin = pin
        self._certificate = certificate
        self._limits = limits
        self._number = self._generation = 0
        self._asks_each_time = False
        self._closed = False
        self._calls = 0

    def __repr__(self) -> str:
        """Name the key and nothing secret."""
        return f"<key {self._uri} after {self._calls} calls, asks_each_time={self._asks_each_time}>"

    @property
    def certificate(self) -> bytes:
        """The certificate (DER) registered for this key."""
        return self._certificate

    @property
    def calls(self) -> int:
        """How many signatures were asked of the key, kept or not."""
        return self._calls

    def open(self, *, last_try: bool = False) -> None:
        """Open the key in the process that runs now; a PIN that was refused is not offered again."""
        digest = hashlib.blake2b(f"{self._uri}\0{self._pin}".encode(), key=_SECRET).digest()
        if self._pin is not None and digest in self._process.refused:
            raise PinNotTried(
                "The PIN was refused before; it is not tried again.",
                rule="SIG-13",
                way_out="Start again with the right PIN; a few wrong ones lock the token.",
            )
        limit = self._limits[self._pin is None]
        words = (self._uri, str(self._process.module), self._pin, self._certificate)
        try:
            self._number, self._asks_each_time = self._process.ask(limit, "open", *words, last_try=last_try)
        except WrongPin as error:
            if not isinstance(error, PinNotTried):
                self._process.refused.add(digest)
            raise
        self._generation = self._process.generation

    def sign(self, content: bytes) -> bytes:
        """
        Return the signature over the SHA-256 of `content`, verified with the certificate.

        When the process of the token was started anew meanwhile, the key is opened again, once. Raises
        `TokenAbsent` (`TokenHung`), `WrongPin`, `PinLocked`, `KeyAbsent`, `Broken`.
        """
        if self._closed:
            raise Broken("The token was closed before this signature was asked for.")
        try:
            return self._use(content)
        except _Restarted:
            self.open()
            return self._use(content)

    def _use(self, content: bytes) -> bytes:
        """Ask for one signature; it counts as soon as it may have reached the token."""
        self._calls += 1
        limit = self._limits[self._asks_each_time and self._pin is None]
        try:
            signature: bytes = self._process.ask(
                limit, "sign", self._number, content, generation=self._generation
            )
        except _Restarted:
            self._calls -= 1
            raise
        return signature

    def describe(self) -> KeyDescription:
        """Return what the token says of this key and of itself."""
        if self._closed:
            raise Broken("The token was closed before its key was asked about.")
        try:
            said: KeyDescription = self._process.ask(
                self._limits[0], "describe", self._number, generation=self._generation
            )
        except _Restarted as error:
            raise TokenAbsent("The process that knew the key runs no longer.") from error
        return said

    def close(self) -> None:
        """Log out, when no other key of the token is in use; closing twice is closing once."""
        if self._closed:
            return
        self._closed = True
        self._pin = None
        with suppress(TokenAbsent, _Restarted):
            self._process.ask(self._limits[0], "close", self._number, generation=self._generation)


_processes: dict[tuple[Path, Path | None], TokenProcess] = {}
_registry = threading.Lock()


def process_of(module: Path, conf: Path | None) -> TokenProcess:
    """Return this process's door to a module."""
    with _registry:
        found = _processes.get((module, conf))
        if found is None or not found.is_ours():
            found = _processes[module, conf] = TokenProcess(module, conf)
        return found


def open_token(
    uri: str,
    *,
    module: Path,
    pin: str | None,
    certificate: bytes,
    softhsm2_conf: Path | None = None,
    seconds: float = 30.0,
    pad_seconds: float = 120.0,
    last_try: bool = False,
) -> Token:
    """
    Return the key that `uri` names, as `infra.token.pkcs11.open_token` does, in a process that can be ended.

    `seconds` is how long the token may take for a call, `pad_seconds` for one in which somebody types the
    PIN on the token's pad. Raises `TokenHung` besides what that one raises.
    """
    key = DistantToken(process_of(module, softhsm2_conf), uri, pin, certificate, (seconds, pad_seconds))
    key.open(last_try=last_try)
    return key


def has_pad(uri: str, *, module: Path, softhsm2_conf: Path | None = None, seconds: float = 30.0) -> bool:
    """Tell whether the PIN of a token is typed on the token itself."""
    process = process_of(module, softhsm2_conf)
    answer: bool = process.ask(seconds, "has_pad", uri, str(module))
    return answer
