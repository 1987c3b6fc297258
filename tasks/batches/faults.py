"""Whose fault it is: a dossier's own, which is set aside, or that of something every dossier needs."""

from __future__ import annotations

from dataclasses import dataclass

from infra.errors import Broken, Forbidden, HosoError, Unavailable
from infra.object_store import Unsafe
from infra.revocation import NoRevocationAnswer
from infra.timestamp import NoTimestamp
from infra.token import KeyAbsent, PinLocked, TokenAbsent, WrongPin


class MailAway(Unavailable):
    """The mail server gave no answer at all; what was to be sent was put off and is tried again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What keeps every dossier from going on: whose it is, what was said, and whether time may cure it."""

    owner: str
    said: str
    curable: bool

    def __str__(self) -> str:
        """Return it as one sentence."""
        return f"{self.owner}: {self.said}"


#: Errors whose type says whose fault they are; the most special first.
_OWNERS: tuple[tuple[type[HosoError], str], ...] = (
    (WrongPin, "PIN"),
    (PinLocked, "PIN"),
    (KeyAbsent, "token"),
    (TokenAbsent, "token"),
    (NoTimestamp, "time-stamp"),
    (NoRevocationAnswer, "revocation"),
    (Unsafe, "store"),
    (MailAway, "mail"),
)

#: The library that an adapter's error came from says the same where its type does not.
_LIBRARIES = {"minio": "store", "urllib3": "store", "sqlalchemy": "database", "psycopg": "database"}


def fault_of(error: BaseException) -> Fault | None:
    """
    Return whose fault an error is, or `None` where it is about the one dossier only.

    What time cures is tried again; a PIN never is. A refusal by a rule and damage are the dossier's own.
    """
    for kind, owner in _OWNERS:
        if isinstance(error, kind):
            return Fault(owner=owner, said=_said(error), curable=isinstance(error, Unavailable))
    if not isinstance(error, Unavailable):
        return None
    cause: BaseException | None = error.__cause__
    library = type(cause).__module__.partition(".")[0] if cause is not None else ""
    return Fault(owner=_LIBRARIES.get(library, "a service"), said=_said(error), curable=True)


def cause_of(error: BaseException) -> str:
    """Return what may be told to everybody of an error: a rule's sentence, or the kind of a bug."""
    if isinstance(error, Forbidden):
        return f"{error.message} [{error.rule}]"
    if isinstance(error, Broken | Unavailable):
        return _said(error)
    # What a library says may hold anything; the worker's log has it.
    return f"{type(error).__name__}; see the worker's log"


def _said(error: BaseException) -> str:
    """Return an error's own words, without line breaks and not too many."""
    return " ".join(str(error).split())[:300]
