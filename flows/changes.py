"""What is to be changed on a Prefect server: said before it is done, and after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

#: What can be done to something: as a plan says it, and as it is said when it is over.
MAKE, CHANGE, REMOVE, RESUME = (
    ("make", "made"),
    ("change", "changed"),
    ("remove", "removed"),
    ("resume", "resumed"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """Something on the server that is not as it should be, and what puts it right."""

    verb: tuple[str, str]
    what: str
    make: Callable[[], Awaitable[object]]

    @property
    def ahead(self) -> str:
        """What will be done, as a plan says it."""
        return f"{self.verb[0]} {self.what}"

    @property
    def over(self) -> str:
        """What was done."""
        return f"{self.verb[1]} {self.what}"
