"""
The axis between agencies (Trục liên thông văn bản): packages are left there and fetched from there.

Its operations follow the public descriptions of the axis's SDK: send, list what waits, fetch, confirm, ask for the
states of what was sent. How a particular axis spells them over the wire is an adapter's affair [M].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from infra.errors import Forbidden

Kind = Literal["edoc", "status"]


class AxisRefused(Forbidden):
    """The axis does not take a package: its own checks, or a sender that is not this system's (EDX-12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """A package that waits for an agency."""

    axis_id: str
    kind: Kind
    sender: str
    sent_at: datetime
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SentOn:
    """A package that the axis took, and how it stands with each agency: `waiting`, `done` or `fail`."""

    axis_id: str
    key: str
    sha256: str
    sent_at: datetime
    states: Mapping[str, str]


class Axis(Protocol):
    """Stores packages and forwards them; a package is there until everybody it is for has confirmed it."""

    def send(self, package: Path, *, key: str, kind: Kind, sender: str, to: Sequence[str]) -> str:
        """
        Leave a package for some agencies; return the axis's own id of it.

        The same `key` again returns the same id and sends nothing twice. It is durable when this returns.
        Raises `AxisRefused` when the axis will never take it, `Unavailable` when it may have been taken or not.
        """
        ...

    def waiting(self, organ: str) -> list[Waits]:
        """Return what waits for an agency, the oldest first unless the axis has lost the order; may repeat."""
        ...

    def fetch(self, axis_id: str, organ: str, into: Path) -> str:
        """
        Write a package's bytes to a file and return their SHA-256 as they came.

        Whether they are the bytes that were sent is for the caller to compare. Raises `Unavailable`.
        """
        ...

    def confirm(self, axis_id: str, organ: str, state: Literal["done", "fail"]) -> None:
        """Say that an agency has a package for good, or cannot take it; it waits no longer. Twice is once."""
        ...

    def sent(self, sender: str, since: datetime) -> list[SentOn]:
        """Return what the axis took from an agency since a moment, for comparing both books."""
        ...
