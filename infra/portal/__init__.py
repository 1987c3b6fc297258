"""The portal that keeps results in citizens' accounts."""

from __future__ import annotations

from typing import Protocol

from infra.errors import Forbidden


class AccountUnknown(Forbidden):
    """The portal knows no such account."""


class Portal(Protocol):
    """Takes results into accounts, and the status codes of the cases they belong to."""

    def deposit(self, *, account: str, deposit_id: str, filename: str, content: bytes) -> str:
        """
        Put one file into an account; return the portal's receipt number.

        The same `deposit_id` again returns the same receipt and stores nothing twice. Raises
        `AccountUnknown` (404), `Forbidden` (other 4xx), `Unavailable` (5xx, no answer).
        """
        ...

    def report(self, *, reference: str, sequence: int, code: int, at: str) -> None:
        """
        Tell the portal that the case `reference` reached a status code (1–10).

        The same sequence again is ignored. Errors as for `deposit`.
        """
        ...
