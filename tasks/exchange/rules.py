"""What may be exchanged, in which order, until when, and what a try that failed is followed by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal
from uuid import UUID, uuid5

from infra.clock import HANOI
from infra.edxml.limits import is_organ
from infra.errors import Forbidden
from tasks.dossier.calendar import Calendar

#: What a document says of its secrecy; everything else than this is kept off the systems (EXC-01).
OPEN_SECRECY = "none"
Secrecy = Literal["none", "Mật", "Tối mật", "Tuyệt mật"]

#: Whether a document takes the place of paper, or is to be known only (EXC-02).
LegalEffect = Literal["replaces-paper", "for-information"]

#: How often a package is tried before a person is asked (STA-05).
MOST_TRIES = 5

#: What urgency is called; the names of the two in the middle are [M] (EDX-06).
URGENCY = ("thường", "khẩn", "thượng khẩn", "hoả tốc")

_KEYS = UUID("3f4b1c36-5d1f-5d2a-8a52-8f8e5c3b7f10")


def refuse_secret(secrecy: str) -> None:
    """Refuse a document that holds a state secret, before anything of it is packed (EXC-01)."""
    if secrecy != OPEN_SECRECY:
        raise Forbidden(
            "a document with a mark of secrecy is not sent over the systems.",
            rule="EXC-01",
            way_out="Send it by the way that the law on state secrets says; nothing of it was read or kept.",
        )


def message_key(document: str, kind: str, to: Sequence[str], round_: int = 0) -> str:
    """
    Return the key of one sending, the same over all its tries, so that the axis takes it once.

    >>> message_key("H49.21-DI-261122-0001", "edoc", ["H49.31"]) == message_key(
    ...     "H49.21-DI-261122-0001", "edoc", ["H49.31"])
    True
    """
    return str(uuid5(_KEYS, "|".join((document, kind, str(round_), *sorted(to)))))


def send_by(
    signed_at: datetime, priority: int, calendar: Calendar, *, next_morning: time, urgent_minutes: int
) -> datetime:
    """
    Return until when a document must have been sent: urgent ones at once, others by the next working morning.

    `next_morning` and `urgent_minutes` are this installation's reading of EXC-04 and EXC-05 [M].
    """
    if priority > 0:
        return signed_at + timedelta(minutes=urgent_minutes)
    day = calendar.next_working(signed_at.astimezone(HANOI).date())
    return datetime.combine(day, next_morning, tzinfo=HANOI)


def acknowledge_by(arrived_at: datetime) -> datetime:
    """Return until when a document must have been acknowledged: the end of the day of its arrival (EXC-07)."""
    day = arrived_at.astimezone(HANOI).date()
    return datetime.combine(day, time(23, 59, 59), tzinfo=HANOI)


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What follows a try that failed: another one after a while, or a person."""

    dead: bool
    wait: timedelta = timedelta()


def after_failure(attempts: int, patience: Sequence[float]) -> Next:
    """
    Return what follows failed try number `attempts`; `patience` are the seconds after the first, second, … try.

    >>> after_failure(1, [60, 300, 1200, 3600]).wait.total_seconds(), after_failure(5, [60, 300, 1200, 3600]).dead
    (60.0, True)
    """
    if attempts >= MOST_TRIES:
        return Next(dead=True)
    return Next(dead=False, wait=timedelta(seconds=patience[min(attempts, len(patience)) - 1]))


def legal_effect(signed: bool) -> LegalEffect:
    """
    Return what a document is worth: only a signed one takes the place of paper (EXC-02).

    >>> legal_effect(True), legal_effect(False)
    ('replaces-paper', 'for-information')
    """
    return "replaces-paper" if signed else "for-information"


def converted(code: str) -> str:
    """
    Return the new form of an agency's code, where only the rule of conversion is known (ORG-03) [M].

    >>> [converted(c) for c in ("000.01.02.H41", "000.00.00.G22", "H55.242")]
    ['H41.02.01', 'G22', 'H55.242']
    """
    if not code[:1].isdigit():
        return code
    groups = code.split(".")[::-1]
    while groups and set(groups[-1]) == {"0"}:
        groups.pop()
    return ".".join(groups)


def check_organ(code: str) -> str:
    """Return an agency's code, or refuse one that has neither form (ORG-01, ORG-02)."""
    if not is_organ(code):
        raise Forbidden(
            f"“{code[:40]}” is no code of an agency.",
            rule="ORG-02",
            way_out="Write it as H49.21 or 000.21.00.H49; “hoso exchange organisations” lists those that are known.",
        )
    return code
