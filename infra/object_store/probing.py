"""
What a locked bucket must refuse, tried out.

A lock is worth what the store does when somebody attacks it, and stores have had doors beside the
locked one. So the attacks are made, on a one-byte object that nobody needs, before anything is
archived. The attacker here holds our own credentials: a stolen key must not be enough either.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from typing import Protocol

from infra.object_store import Absent, ProbeResult, Stored, Unsafe

#: What a probe object holds.
PROBE_CONTENT = b"?"

#: Seconds that a door is given to answer; a door that says nothing has served nothing.
_DOOR_PATIENCE = 2.0

#: Bytes of an answer that are looked at.
_HEAD = 1024

#: Routes by which a stranger reads or empties stores that leave their inner doors open: a filer's listing
#: and deletion, a master's tables, a volume server's chunk. None of them changes anything that exists. Pages
#: that only say how a server is (`/`, `/healthz`) are not among them: SeaweedFS shows them with its HTTP off.
_ROUTES = (
    "GET /buckets/",
    "DELETE /buckets/no-such-bucket/no-such-object",
    "GET /dir/status",
    "GET /vol/status",
    "GET /1,000000000000",
)
#: A volume server that asks for no ticket does not say 401 when asked for a chunk, even one that it lacks.
_CHUNK_KEEPER = b"Server: SeaweedFS Volume"

#: The first bytes of an HTTP/2 connection (RFC 9113 §3.4) with an empty SETTINGS frame: how gRPC begins.
_GRPC_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS_FRAME = 4


class Refused(Exception):  # The ending that was hoped for is no error.
    """The store said no to an attack; the message is its answer."""


class Intruder(Protocol):
    """
    Somebody who has got hold of the store's credentials, or has none.

    Every method raises `Refused` when the store says no, and `Unavailable` when it does not say.
    """

    def delete_version(self, key: str, version_id: str, *, bypass: bool) -> None:
        """Delete one version for good, with the governance bypass or without."""
        ...

    def set_retention(self, key: str, version_id: str, *, mode: str, retain_until: datetime) -> None:
        """Give a version another lock."""
        ...

    def put_damaged(self, key: str) -> None:
        """Send bytes with the checksum of others, as if they had changed on the way."""
        ...

    def as_stranger(self, method: str, key: str, version_id: str | None) -> None:
        """Send one request (GET, PUT or DELETE) without credentials."""
        ...


def probe_key(now: datetime) -> str:
    """
    Return the key of the day's probe object: probes of one day share one, so they do not pile up.

    >>> probe_key(datetime(2026, 11, 22, 23, 30, tzinfo=UTC))
    'probe/2026-11-22'
    """
    return f"probe/{now.astimezone(UTC).date().isoformat()}"


def probe_retention(now: datetime) -> datetime:
    """Return until when the day's probe object is locked: a full day after the day's end, in UTC."""
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=2), time(), UTC)


def probe_lock(intruder: Intruder, locked: Stored, read_back: Callable[[], Stored]) -> list[ProbeResult]:
    """
    Attack one locked version in every known way and report each answer, in a fixed order.

    `read_back` tells how the version stands afterwards: a store that says no and deletes all the same is
    found out by the last result. Raises `Unavailable` when the store does not answer: nothing is known then.
    """
    key, version, until = locked.key, locked.version_id, locked.retain_until
    if until is None:
        return [_result("keep a lock", refused=False, answer="the probe object has no lock")]
    earlier = until - timedelta(hours=1)
    attacks: Sequence[tuple[str, Callable[[], None]]] = (
        ("delete a locked version", lambda: intruder.delete_version(key, version, bypass=False)),
        ("delete it with the governance bypass", lambda: intruder.delete_version(key, version, bypass=True)),
        (
            "shorten its retention",
            lambda: intruder.set_retention(key, version, mode="COMPLIANCE", retain_until=earlier),
        ),
        (
            "weaken its lock to GOVERNANCE",
            lambda: intruder.set_retention(key, version, mode="GOVERNANCE", retain_until=until),
        ),
        ("store bytes under a wrong checksum", lambda: intruder.put_damaged(f"{key}-damaged")),
        ("read without credentials", lambda: intruder.as_stranger("GET", key, version)),
        ("write without credentials", lambda: intruder.as_stranger("PUT", f"{key}-stranger", None)),
        ("delete without credentials", lambda: intruder.as_stranger("DELETE", key, version)),
    )
    results = [_attempt(what, attack) for what, attack in attacks]
    return [*results, _aftermath(locked, read_back)]


def probe_doors(doors: Sequence[str]) -> list[ProbeResult]:
    """
    Knock at each `host:port` as a stranger: HTTP and gRPC, in the clear and over TLS without a certificate.

    A door refuses when it is closed, hangs up, stays silent or answers with an HTTP error; it serves when
    it answers with content or as an HTTP/2 server. Never raises for what a door does.
    """
    results = []
    for door in doors:
        results += [_knock_http(door, secure=False), _knock_http(door, secure=True)]
        results += [_knock_grpc(door, secure=False), _knock_grpc(door, secure=True)]
    return results


def require_safe(results: Sequence[ProbeResult]) -> None:
    """Raise `Unsafe`, naming everything that was allowed; nothing may be archived in such a store."""
    allowed = [f"{result.what} ({result.answer})" for result in results if not result.refused]
    if not results:
        allowed = ["nothing was tried"]
    if allowed:
        raise Unsafe(
            f"The object store would let a locked object be lost or seen: {'; '.join(allowed)}.",
            rule="WORM",
            way_out="An engineer closes what is named here; archival goes on when the probe passes.",
        )


def _aftermath(locked: Stored, read_back: Callable[[], Stored]) -> ProbeResult:
    """Look at the version that was attacked."""
    what = "change it by any of these"
    try:
        after = read_back()
    except Absent:
        return _result(what, refused=False, answer="it is gone")
    if after != locked:
        return _result(what, refused=False, answer=f"now {after.mode} until {after.retain_until}")
    return _result(what, refused=True, answer="still there, locked as before")


def _attempt(what: str, attack: Callable[[], None]) -> ProbeResult:
    """Make one attack."""
    try:
        attack()
    except Refused as refusal:
        return _result(what, refused=True, answer=str(refusal))
    return _result(what, refused=False, answer="allowed")


def _result(what: str, *, refused: bool, answer: str) -> ProbeResult:
    """Write one result down."""
    return ProbeResult(what=what, refused=refused, answer=answer)


def _knock_http(door: str, *, secure: bool) -> ProbeResult:
    """Ask a door for every known route; the first one that is served is the answer."""
    what = f"{'HTTPS without a certificate' if secure else 'plain HTTP'} at {door}"
    said = "closed"
    for route in _ROUTES:
        request = f"{route} HTTP/1.1\r\nHost: {door}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        answer = _knock(door, request.encode(), tls="http/1.1" if secure else None)
        said = _first_line(answer)
        if _served(answer):
            return _result(what, refused=False, answer=f"{route}: {said}")
    return _result(what, refused=True, answer=said)


def _knock_grpc(door: str, *, secure: bool) -> ProbeResult:
    """Greet a door as gRPC does; a server that lets us in greets back with its settings."""
    what = f"{'gRPC without a certificate' if secure else 'gRPC without TLS'} at {door}"
    answer = _knock(door, _GRPC_HELLO, tls="h2" if secure else None)
    served = len(answer) >= 9 and answer[3] == _SETTINGS_FRAME and not answer.startswith(b"HTTP/")
    return _result(what, refused=not served, answer="speaks HTTP/2" if served else _first_line(answer))


def _served(answer: bytes) -> bool:
    """Tell whether an HTTP answer is anything but a refusal."""
    status = answer.split(b" ", 2)[1:2] if answer.startswith(b"HTTP/") else []
    if not status:
        return False
    return status[0] < b"400" or (_CHUNK_KEEPER in answer and status[0] not in (b"400", b"401", b"403"))


def _knock(door: str, request: bytes, *, tls: str | None) -> bytes:
    """Return the first bytes that a door says to a request; nothing when it is closed, or hangs up."""
    host, _, port = door.rpartition(":")
    answer = b""
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), _DOOR_PATIENCE) as plain:
        connection = _stranger_tls(tls).wrap_socket(plain, server_hostname=host) if tls else plain
        with connection:
            connection.sendall(request)
            while len(answer) < _HEAD and (part := connection.recv(_HEAD)):
                answer += part
    return answer


def _stranger_tls(protocol: str) -> ssl.SSLContext:
    """Return TLS as somebody speaks it who has no certificate and believes everybody's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


def _first_line(answer: bytes) -> str:
    """Return the first line of an answer for a report."""
    line = answer.split(b"\r\n", 1)[0][:80].decode("ascii", "replace")
    return line if line.isprintable() and line else "closed"
