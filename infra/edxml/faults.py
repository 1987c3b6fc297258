"""What is wrong with a package, in the codes that agencies' validators answer with (EDX-08)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong: missing (N), out of range (R) or at odds with another (M), where, and a sentence."""

    kind: Literal["N", "R", "M"]
    path: str
    sentence: str

    @property
    def code(self) -> str:
        """
        Return the code that the sender's software knows.

        >>> Fault(kind="N", path="MessageHeader.Subject", sentence="it has no subject").code
        'N.MessageHeader.Subject'
        """
        return f"{self.kind}.{self.path}"

    def __str__(self) -> str:
        """Return code and sentence."""
        return f"{self.code}: {self.sentence}"


class Faulty(Exception):
    """A package that cannot be taken; `faults` say why, `str()` is the first of them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Keep the faults."""
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in faults))


def missing(path: str, sentence: str) -> Fault:
    """Return the fault of something that is not there."""
    return Fault(kind="N", path=path, sentence=sentence)


def out_of_range(path: str, sentence: str) -> Fault:
    """Return the fault of something that is too long, too large or none of what is known."""
    return Fault(kind="R", path=path, sentence=sentence)


def mismatch(path: str, sentence: str) -> Fault:
    """Return the fault of two things that do not agree."""
    return Fault(kind="M", path=path, sentence=sentence)
