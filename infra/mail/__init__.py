"""
E-mail, with an honest answer.

An accepted message may still be lost or doubled (RFC 5321 §6.1, RFC 1047): the sender keeps one
Message-ID over all tries, and an answer lost after the final dot is called ambiguous, not failed.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from email.message import EmailMessage
from enum import StrEnum
from typing import Protocol


class Outcome(StrEnum):
    """How one try to hand a message over ended."""

    ACCEPTED = "accepted"  # 250 after the final dot
    DEFERRED = "deferred"  # 4xx, or no connection: nothing was taken, try later
    REFUSED = "refused"  # 5xx: never try this again by e-mail
    TOO_BIG = "too-big"  # larger than the server's SIZE or our own limit: another channel
    AMBIGUOUS = "ambiguous"  # the answer to the final dot was lost: it may have been taken


@dataclass(frozen=True, slots=True, kw_only=True)
class MailAnswer:
    """What the mail server said; `text` carries no address and no content of the message."""

    outcome: Outcome
    code: int  # SMTP reply code, 0 when there was none
    text: str


class Mail(Protocol):
    """A server that takes messages."""

    def send(self, message: EmailMessage) -> MailAnswer:
        """Try once to hand one message over; never raises for what the server says."""
        ...

    def connected(self) -> AbstractContextManager[None]:
        """Let what is sent in a `with` block share one connection; each message still has its own honest answer."""
        ...

    def greet(self) -> MailAnswer | None:
        """Go as far as a message's beginning and send none; return what the server objects, `None` for nothing."""
        ...
