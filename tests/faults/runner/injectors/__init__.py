"""
What is broken, one kind a module: each breaks one thing for a while and makes it whole again.

An injector is a function of the site, the workers and a source of chance. It returns when the fault is over and
says what it did; whatever happens meanwhile, it heals what it broke. `FAULTS` names the row of the fault matrix
that each stands for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.faults.runner.office import Office
from tests.faults.runner.people import Life
from tests.faults.runner.site import Site
from tests.faults.runner.workers import Keeper


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that an injector may touch."""

    site: Site
    office: Office
    keeper: Keeper
    random: random.Random
    #: What people bring, and the numbers of those who come besides the lives that the seed gave.
    scans: Sequence[Path] = ()
    numbers: Iterator[int] = field(default_factory=lambda: count(9001))

    def somebody(self, kind: str) -> Life:
        """Return an applicant with a dossier that a fault needs for itself."""
        return Life.beside(self.office, kind, self.scans, next(self.numbers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault: its row in the matrix, its name, and what it does."""

    row: str
    name: str
    inject: Callable[[Scene], Any]
    #: Whether it takes minutes, so that others do not wait for it.
    slow: bool = False


def all_faults() -> list[Fault]:
    """Return every kind that this machine allows, in the order of the matrix."""
    from importlib import import_module

    names = ("workers", "database", "store", "token", "mail", "authorities", "twice", "office_data", "paused", "redeploy",
             "prefect", "disk", "revoked", "starved", "sizes", "restored", "rights")  # fmt: skip
    found: list[Fault] = []
    for name in names:
        try:
            found += import_module(f"tests.faults.runner.injectors.{name}").FAULTS
        except ModuleNotFoundError as error:
            if error.name != f"tests.faults.runner.injectors.{name}":
                raise
    return found
