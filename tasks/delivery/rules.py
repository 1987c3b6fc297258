"""How a leg goes on after each answer, and what never changes between two tries (RFC 5321, RFC 1047)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid5

from infra.mail import Outcome

#: The name space of our Message-IDs: the same errand has the same id over all tries.
_ERRANDS = UUID("6f1f7c0e-4c8e-5b52-9b57-3f1f6d0c2a61")

#: How long to wait after the first, second, … try that a server put off; then a clerk is asked.
PATIENCE: tuple[timedelta, ...] = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=8),
    timedelta(hours=24),
    timedelta(hours=24),
    timedelta(hours=24),
)

#: How often a message may be sent again whose answer was lost; each may arrive twice.
AMBIGUOUS_TRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What a leg becomes after an answer: its state, and when to try again if ever."""

    state: str
    wait: timedelta | None = None
    fall_back: bool = False


def message_id(errand: str, mailbox: str) -> str:
    """
    Return the Message-ID of an errand: constant over retries, and telling nothing about it.

    >>> message_id("H49-261123-0001/email", "motcua@example.gov.vn") == message_id(
    ...     "H49-261123-0001/email", "motcua@example.gov.vn")
    True
    """
    return f"<{uuid5(_ERRANDS, errand)}@{mailbox.partition('@')[2]}>"


def after(outcome: Outcome, *, attempts: int, ambiguous: int) -> Next:
    """
    Return what follows an answer to try number `attempts`.

    >>> after(Outcome.DEFERRED, attempts=1, ambiguous=0)
    Next(state='deferred', wait=datetime.timedelta(seconds=60), fall_back=False)
    >>> after(Outcome.REFUSED, attempts=1, ambiguous=0)
    Next(state='refused', wait=None, fall_back=True)
    """
    if outcome is Outcome.ACCEPTED:
        return Next(state="accepted")
    if outcome is Outcome.DEFERRED and attempts <= len(PATIENCE):
        return Next(state="deferred", wait=PATIENCE[attempts - 1])
    if outcome is Outcome.AMBIGUOUS and ambiguous <= AMBIGUOUS_TRIES:
        return Next(state="ambiguous", wait=PATIENCE[min(ambiguous, len(PATIENCE)) - 1])
    if outcome is Outcome.AMBIGUOUS:
        # It may have arrived: a person asks the applicant instead of sending it a fourth time.
        return Next(state="ambiguous", fall_back=True)
    return Next(state="refused", fall_back=True)
