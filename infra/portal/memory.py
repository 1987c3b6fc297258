"""The portal in this process's memory: the double, with scripted failures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from threading import Lock

from infra.errors import Forbidden, Unavailable
from infra.portal import AccountUnknown


class Fault(StrEnum):
    """What the next call does wrong."""

    BEFORE = "before"  # no answer, and nothing happened
    AFTER = "after"  # it happened, and the answer was lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """One file in an account."""

    account: str
    filename: str
    content: bytes
    receipt: str


class MemoryPortal:
    """Knows every account but those that begin with `unknown`; keeps what it takes in plain sight."""

    def __init__(self) -> None:
        """Start empty."""
        self._faults: list[Fault] = []
        self._lock = Lock()
        #: What the accounts hold, by deposit id.
        self.deposits: dict[str, Deposit] = {}
        #: Status codes and their moments, by reference and sequence.
        self.reports: dict[tuple[str, int], tuple[int, str]] = {}

    def fail_next(self, fault: Fault, *, times: int = 1) -> None:
        """Let the next calls go wrong."""
        self._faults.extend([fault] * times)

    def deposit(self, *, account: str, deposit_id: str, filename: str, content: bytes) -> str:
        """See `Portal.deposit`."""
        with self._lock:
            fault = self._fault()
            if account.startswith("unknown"):
                raise AccountUnknown(
                    "The portal knows no such account.", rule="PORTAL", way_out="The account is corrected."
                )
            receipt = f"memory-{len(self.deposits) + 1:06d}"
            new = Deposit(account=account, filename=filename, content=content, receipt=receipt)
            held = self.deposits.setdefault(deposit_id, new)
            if (held.account, held.content) != (account, content):
                raise Forbidden("The portal refused with 409.", rule="PORTAL", way_out="An engineer looks.")
            _lose_answer(fault)
            return held.receipt

    def report(self, *, reference: str, sequence: int, code: int, at: str) -> None:
        """See `Portal.report`."""
        with self._lock:
            fault = self._fault()
            self.reports.setdefault((reference, sequence), (code, at))
            _lose_answer(fault)

    def _fault(self) -> Fault | None:
        """Take the next fault; one before the effect happens here."""
        fault = self._faults.pop(0) if self._faults else None
        if fault is Fault.BEFORE:
            raise Unavailable("the portal does not answer: scripted fault")
        return fault


def _lose_answer(fault: Fault | None) -> None:
    """Fail after the effect, if so scripted."""
    if fault is Fault.AFTER:
        raise Unavailable("the portal does not answer: scripted fault, the answer was lost")
