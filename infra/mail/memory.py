"""The mail server in this process's memory: the double, with a script of outcomes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from threading import Lock

from infra.mail import MailAnswer, Outcome

#: What a server would say.
_CODES = {
    Outcome.ACCEPTED: 250,
    Outcome.DEFERRED: 450,
    Outcome.REFUSED: 550,
    Outcome.TOO_BIG: 552,
    Outcome.AMBIGUOUS: 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line of the script."""

    outcome: Outcome
    taken: bool


class MemoryMail:
    """
    Takes messages and keeps them, unless its script says otherwise.

    `kept` is what the citizen's mailbox would hold: also what was taken though the answer was lost, and twice
    what was taken twice.
    """

    def __init__(self, *, limit_bytes: int | None = None) -> None:
        """Start with an empty mailbox and no script."""
        self._limit = limit_bytes
        self._script: list[_Line] = []
        self._lock = Lock()
        self.kept: list[EmailMessage] = []

    def answer_next(self, outcome: Outcome, *, taken: bool = False, times: int = 1) -> None:
        """Let the next tries end so; with `taken` the message is kept all the same."""
        self._script.extend([_Line(outcome=outcome, taken=taken)] * times)

    def send(self, message: EmailMessage) -> MailAnswer:
        """See `Mail.send`."""
        content = message.as_bytes(policy=policy.SMTP.clone(cte_type="7bit"))
        with self._lock:
            if self._limit is not None and len(content) > self._limit:
                return _answer(Outcome.TOO_BIG)
            line = self._script.pop(0) if self._script else _Line(outcome=Outcome.ACCEPTED, taken=True)
            if line.taken or line.outcome is Outcome.ACCEPTED:
                # A copy, as it would travel: later changes by the sender change nothing here.
                self.kept.append(message_from_bytes(content, policy=policy.default))
            return _answer(line.outcome)

    def connected(self) -> AbstractContextManager[None]:
        """See `Mail.connected`: there is no connection to keep."""
        return nullcontext()

    def greet(self) -> MailAnswer | None:
        """See `Mail.greet`: what the next line of the script would object, which stays in the script."""
        with self._lock:
            line = self._script[0] if self._script else None
        return None if line is None or line.outcome is Outcome.ACCEPTED else _answer(line.outcome)


def _answer(outcome: Outcome) -> MailAnswer:
    """Say an outcome as a server would."""
    return MailAnswer(outcome=outcome, code=_CODES[outcome], text="scripted")
