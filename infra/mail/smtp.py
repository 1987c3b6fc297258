"""
E-mail over SMTP (RFC 5321), one honest answer a try.

Everything before the final dot is undone by the server when the connection ends, so it may be repeated; once
the dot is sent only the server's answer tells whether it took the message. All recipients or none: a message
refused for one of them is sent to nobody, so that a later try doubles nothing.
"""

from __future__ import annotations

import hashlib
import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import getaddresses
from pathlib import Path

from infra.errors import Broken
from infra.mail import MailAnswer, Outcome
from infra.settings import read_secret

#: Anything that may be an address in a server's answer.
_ADDRESS = re.compile(r"[^\s<>:;,\"']+@[^\s<>:;,\"']+")
_LONGEST_TEXT = 200
#: Seconds for the connection and each answer where no message is to be sent.
_GREETING = 10.0

#: The server ends the connection (RFC 5321 §3.8).
_ENDING = 421

#: RFC 3463: the message is too big for the system or for the mailbox; and the mailbox is full.
_TOO_BIG = ("5.3.4", "5.2.3")
_MAILBOX_FULL = "5.2.2"


class SmtpMail:
    """An SMTP server that takes messages; safe to share between threads."""

    def __init__(
        self,
        host: str,
        port: int,
        limit_bytes: int,
        timeout: float = 30.0,
        *,
        hello: str | None = None,
        tls: ssl.SSLContext | None = None,
        login: tuple[str, Path] | None = None,
    ) -> None:
        """
        Say where the server is; nothing is sent yet.

        `limit_bytes` bounds a whole message as it travels, `timeout` is in seconds for the connection and for
        each answer, `hello` is the name given in EHLO (else this machine's). With `tls` nothing is said
        before STARTTLS (RFC 3207) has succeeded; a server without it gets no message. `login` is a user and
        the file of the password, read at each try.
        """
        self._tls = tls
        self._login = login
        self._host = host
        self._port = port
        self._limit = limit_bytes
        self._timeout = timeout
        self._hello = hello
        self._shared: ContextVar[_Connection | None] = ContextVar("connection", default=None)

    @contextmanager
    def connected(self) -> Iterator[None]:
        """See `Mail.connected`; the connection is had by whoever runs the `with` block, and by nobody else."""
        connection = _Connection()
        token = self._shared.set(connection)
        try:
            yield
        finally:
            self._shared.reset(token)
            connection.leave()

    def send(self, message: EmailMessage) -> MailAnswer:
        """
        See `Mail.send`; the message must have a Message-ID, the same over all tries.

        A server that greets with 5xx is `DEFERRED` too: that is about the server, not about the message.
        On a connection that has carried messages and is gone, or that the server wants to end, nothing of this one was
        offered: it goes by a new one. Raises `Broken` for a message without sender, recipient or Message-ID.
        """
        envelope = _Envelope.of(message)
        if len(envelope.content) > self._limit:
            return MailAnswer(outcome=Outcome.TOO_BIG, code=0, text="larger than our own limit")
        connection = self._shared.get()
        if connection is None:
            with self.connected():
                return self.send(message)
        used = connection.smtp is not None
        answer = self._hand_over(connection, envelope)
        if used and connection.smtp is None and not connection.offered:
            answer = self._hand_over(connection, envelope)
        return answer

    def _hand_over(self, connection: _Connection, envelope: _Envelope) -> MailAnswer:
        """
        Hand a message over, on a connection that is made if there is none; it is closed where nothing more goes by it.

        Whatever breaks before the final dot leaves nothing behind.
        """
        connection.offered = False
        try:
            if connection.smtp is None:
                connection.smtp = smtplib.SMTP(self._host, self._port, self._hello, timeout=self._timeout)
                trouble = self._enter(connection.smtp)
                if trouble is not None:
                    connection.close()
                    return trouble
            answer = _prepare(connection.smtp, envelope)
            if answer is None:
                connection.offered = True
                connection.smtp.send(_dotted(envelope.content))
        except smtplib.SMTPResponseException as error:
            connection.close()
            return _answer(Outcome.DEFERRED, error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException) as error:
            connection.close()
            return MailAnswer(outcome=Outcome.DEFERRED, code=0, text=type(error).__name__)
        answer = answer or _answered(connection.smtp)
        if answer.outcome is Outcome.AMBIGUOUS or answer.code == _ENDING:
            connection.close()
        return answer

    def greet(self) -> MailAnswer | None:
        """See `Mail.greet`: connects, encrypts, logs in, and says good-bye."""
        try:
            smtp = smtplib.SMTP(self._host, self._port, self._hello, timeout=min(self._timeout, _GREETING))
        except smtplib.SMTPResponseException as error:
            return _answer(Outcome.DEFERRED, error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException) as error:
            return MailAnswer(outcome=Outcome.DEFERRED, code=0, text=type(error).__name__)
        try:
            smtp.ehlo_or_helo_if_needed()
            trouble = self._enter(smtp)
            with suppress(OSError, smtplib.SMTPException):
                smtp.quit()
        except smtplib.SMTPResponseException as error:
            return _answer(Outcome.DEFERRED, error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException) as error:
            return MailAnswer(outcome=Outcome.DEFERRED, code=0, text=type(error).__name__)
        else:
            return trouble
        finally:
            smtp.close()

    def _enter(self, smtp: smtplib.SMTP) -> MailAnswer | None:
        """Encrypt the connection and log in, where that is asked for; return the answer if the server will not."""
        try:
            if self._tls is not None:
                smtp.starttls(context=self._tls)
            if self._login is not None:
                user, password = self._login
                smtp.login(user, read_secret(password))
        except smtplib.SMTPResponseException as error:
            return _answer(Outcome.DEFERRED, error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException) as error:
            return MailAnswer(outcome=Outcome.DEFERRED, code=0, text=type(error).__name__)
        return None


@dataclass(slots=True)
class _Connection:
    """The connection that some messages share, once there is one."""

    smtp: smtplib.SMTP | None = None
    #: Whether the server was given the content of the message that goes by it now.
    offered: bool = False

    def leave(self) -> None:
        """Say good-bye: good manners only, for every answer stands whatever the server says to QUIT."""
        if self.smtp is not None:
            with suppress(OSError, smtplib.SMTPException):
                self.smtp.quit()
        self.close()

    def close(self) -> None:
        """End the connection without a word."""
        if self.smtp is not None:
            self.smtp.close()
            self.smtp = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    """A message as it travels."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes  # CRLF between lines, dots not yet doubled
    utf8: bool  # whether an address needs SMTPUTF8 (RFC 6531)

    @classmethod
    def of(cls, message: EmailMessage) -> _Envelope:
        """Read sender and recipients from the message; raises `Broken` when something is missing."""
        senders = _addresses(message, "Sender") or _addresses(message, "From")
        recipients = (*_addresses(message, "To"), *_addresses(message, "Cc"))
        if not senders or not recipients or not message["Message-ID"]:
            raise Broken("a message needs a sender, a recipient and a Message-ID")
        if message["Bcc"]:
            raise Broken("a message with hidden recipients would show them")
        utf8 = not all(address.isascii() for address in (senders[0], *recipients))
        # Seven bits travel through every server; eight would need 8BITMIME.
        _bound(message)
        policy = (SMTPUTF8 if utf8 else SMTP).clone(cte_type="7bit")
        return cls(
            sender=senders[0], recipients=recipients, content=message.as_bytes(policy=policy), utf8=utf8
        )


def _bound(message: EmailMessage) -> None:
    """
    Put between the parts of a message a line that is a hash of them, so that none of them holds it (RFC 2046 §5.1.1).

    None has to be searched for it, and a message that is sent again is the same to the byte.
    """
    if not message.is_multipart() or message.get_boundary() is not None:
        return
    digest = hashlib.sha256()
    for part in message.walk():
        if not part.is_multipart():
            digest.update(str(part.get_payload()).encode("utf-8", "surrogateescape"))
    message.set_boundary(f"=_{digest.hexdigest()[:48]}")


def _addresses(message: EmailMessage, header: str) -> tuple[str, ...]:
    """Return the addresses of a header, without names."""
    found = getaddresses([str(value) for value in message.get_all(header, [])])
    return tuple(address for _, address in found if address)


def _answered(smtp: smtplib.SMTP) -> MailAnswer:
    """Return what a server says to the final dot."""
    try:
        code, text = smtp.getreply()
    except (OSError, smtplib.SMTPException) as error:
        return MailAnswer(outcome=Outcome.AMBIGUOUS, code=0, text=type(error).__name__)
    # A server that leaves the protocol here may have taken the message or not.
    return _judged(code, text, otherwise=Outcome.AMBIGUOUS)


def _prepare(smtp: smtplib.SMTP, envelope: _Envelope) -> MailAnswer | None:
    """
    Say everything up to DATA; return the answer of a server that will not have the message.

    EHLO makes it forget what was said of a message before (RFC 5321 §4.1.4).
    """
    code, text = smtp.ehlo()
    if code >= 400:
        return _answer(Outcome.DEFERRED, code, text)
    limit = smtp.esmtp_features.get("size", "").split(" ")[0]
    if limit.isdigit() and 0 < int(limit) < len(envelope.content):
        return MailAnswer(outcome=Outcome.TOO_BIG, code=0, text=f"larger than the server's SIZE {limit}")
    options = [f"SIZE={len(envelope.content)}"] if smtp.has_extn("size") else []
    if envelope.utf8:
        if not smtp.has_extn("smtputf8"):
            return MailAnswer(outcome=Outcome.REFUSED, code=0, text="the server takes no addresses in UTF-8")
        smtp.command_encoding = "utf-8"
        options.append("SMTPUTF8")
    code, text = smtp.mail(envelope.sender, options)
    if code >= 400:
        return _judged(code, text)
    answers = [smtp.rcpt(recipient) for recipient in envelope.recipients]
    # The worst answer counts for all: a 5xx will not go away, a 4xx may.
    code, text = max(answers, key=lambda answer: answer[0])
    if code < 400:
        code, text = smtp.docmd("DATA")
    return None if code == 354 else _judged(code, text)


def _dotted(content: bytes) -> bytes:
    """Return what follows DATA: leading dots doubled, a dot alone at the end (RFC 5321 §4.5.2)."""
    body = content.replace(b"\n.", b"\n..")
    if body.startswith(b"."):
        body = b"." + body
    return (body if body.endswith(b"\r\n") else body + b"\r\n") + b".\r\n"


def _judged(code: int, text: bytes, *, otherwise: Outcome = Outcome.DEFERRED) -> MailAnswer:
    """Say what a reply means for this message; before the final dot nothing is an acceptance."""
    said = text.decode("utf-8", "replace")
    full = said.startswith(_MAILBOX_FULL)
    if code == 250 and otherwise is Outcome.AMBIGUOUS:
        outcome = Outcome.ACCEPTED
    elif 400 <= code < 500:
        outcome = Outcome.DEFERRED
    elif 500 <= code < 600:
        too_big = said.startswith(_TOO_BIG) or (code == 552 and not full)
        outcome = Outcome.TOO_BIG if too_big else Outcome.REFUSED
    else:
        outcome = otherwise
    return _answer(outcome, code, text)


def _answer(outcome: Outcome, code: int, text: bytes | str) -> MailAnswer:
    """Write a server's answer down, without addresses and without what cannot be printed."""
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    clean = "".join(char if char.isprintable() else " " for char in _ADDRESS.sub("(address)", said))
    return MailAnswer(outcome=outcome, code=code, text=clean[:_LONGEST_TEXT])
