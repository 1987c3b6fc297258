"""
A mail server that keeps every message in a folder, and fails as it is told.

`python -m infra.stack.mail_sink --port 2525 --folder DIR` listens on loopback until it is terminated. Each
message is a file `*.eml`; `index.jsonl` has a line for each, with a hash in place of the address. A fault is
taken from the folder's `faults` file (see `infra.stack.scripted`), else from the recipient: mail to
`450@example.org` is answered 450.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import signal
from collections.abc import Collection
from email import message_from_bytes
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from infra.clock import SystemClock
from infra.stack.scripted import next_fault

#: Answers to RCPT; the message is not taken.
_AT_RECIPIENT = {
    "450": "450 4.2.0 mailbox busy",
    "451": "451 4.3.0 local error",
    "452": "452 4.3.1 no space now",
    "550": "550 5.1.1 no such user <{address}>",
    "554": "554 5.7.1 refused",
}
#: Answers to the final dot; the message is not taken.
_AT_DOT = {"552": "552 5.3.4 message too big", "data-451": "451 4.3.0 local error"}
#: The message is taken, and the sender does not learn it.
_TAKEN = ("deliver-but-450", "hang-after-data", "close-before-250")
#: The message is not taken, and the sender does not learn that either.
_LOST = ("close-and-lose",)
#: Answered in place of a greeting; from the `faults` file only, for nobody is named yet.
_AT_CONNECT = "421-at-connect"


class Sink:
    """Keeps messages in a folder; the handler that aiosmtpd calls."""

    def __init__(self, folder: Path) -> None:
        """Keep messages in `folder`, which is made."""
        self._folder = folder
        self._clock = SystemClock()
        self._kept = 0
        folder.mkdir(parents=True, exist_ok=True)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        fault = self._fault([address], _AT_RECIPIENT)
        if fault:
            return _AT_RECIPIENT[fault].format(address=address)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Keep a message before saying so, or fail."""
        fault = self._fault(envelope.rcpt_tos, (*_AT_DOT, *_TAKEN, *_LOST))
        if fault in _AT_DOT:
            return _AT_DOT[fault]
        if fault not in _LOST:
            self._keep(envelope, fault)
        if fault == "deliver-but-450":
            return "450 4.3.0 try later"
        if fault in ("close-before-250", "close-and-lose"):
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        if fault is not None:
            # The client leaves first, or was left; its going cancels this.
            await asyncio.Event().wait()
        return "250 2.0.0 kept"

    def greeting_fault(self) -> bool:
        """Tell whether the next client is turned away at the door; the fault is used up."""
        return next_fault(self._folder, (_AT_CONNECT,)) is not None

    def _fault(self, addresses: list[str], kinds: Collection[str]) -> str | None:
        """Return how this step fails: as scripted, else as a recipient's name says."""
        named = (address.partition("@")[0] for address in addresses)
        return next_fault(self._folder, kinds) or next((name for name in named if name in kinds), None)

    def _keep(self, envelope: Envelope, fault: str | None) -> None:
        """Write the message, whole, and then its line in the index."""
        content = envelope.original_content or b""
        now = self._clock.now()
        self._kept += 1
        name = f"{now:%Y%m%dT%H%M%S.%fZ}-{self._kept:05d}.eml"
        draft = self._folder / f"{name}.draft"
        draft.write_bytes(content)
        draft.rename(self._folder / name)
        line = {
            "file": name,
            "message_id": message_from_bytes(content.partition(b"\r\n\r\n")[0])["Message-ID"],
            "to": [hashlib.sha256(address.lower().encode()).hexdigest() for address in envelope.rcpt_tos],
            "size": len(content),
            "received_at": now.isoformat(timespec="milliseconds"),
            "fault": fault,
        }
        with (self._folder / "index.jsonl").open("a", encoding="utf-8") as index:
            index.write(json.dumps(line) + "\n")


class _TurnedAway(asyncio.Protocol):
    """The other end of a connection that gets 421 in place of a greeting."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say no and hang up."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"421 4.3.2 too busy\r\n")
        transport.close()


async def serve(port: int, folder: Path, limit_bytes: int) -> None:
    """Listen until SIGTERM or SIGINT; port 0 chooses a free one. The start line names it."""
    loop = asyncio.get_running_loop()
    sink = Sink(folder)

    def connection() -> asyncio.Protocol:
        """Return what speaks with the next client."""
        if sink.greeting_fault():
            return _TurnedAway()
        return SMTP(
            sink, hostname="sink.localhost", ident="sink", enable_SMTPUTF8=True, data_size_limit=limit_bytes
        )

    server = await loop.create_server(connection, "127.0.0.1", port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    host, chosen = server.sockets[0].getsockname()[:2]
    print(f"mail sink listens on {host}:{chosen}", flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description="A mail server that keeps every message in a folder.")
    parser.add_argument("--port", type=int, required=True, help="TCP port on loopback; 0 chooses a free one")
    parser.add_argument("--folder", type=Path, required=True, help="where messages are kept")
    parser.add_argument("--limit-bytes", type=int, default=25_000_000, help="the SIZE that it announces")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.folder, arguments.limit_bytes))


if __name__ == "__main__":
    main()
