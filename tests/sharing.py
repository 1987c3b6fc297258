"""
Which tests run one after the other in one process, so that what is expensive to start is started once.

A file is the smallest share. Files that need the whole office with Prefect wait most of the time and come first, in
two processes; what is left fills the processors beside them and at the end in small pieces.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

LIVE = "tests/flows/test_live_"
#: The live files that stop and end parts of their office; the others share another one.
_ROUGH = ("buttons", "deploy", "without_prefect", "workers")
#: What takes longest comes first.
_ORDER = (LIVE, "tests/faults/", "tests/tasks/exchange/", "tests/flows/", "tests/infra/stack/")


class Shares(LoadFileScheduling):
    """Gives a process a file at a time, and all files of a live office."""

    def _split_scope(self, nodeid: str) -> str:
        """Return the name of the share that a test belongs to."""
        file: str = super()._split_scope(nodeid)
        if not file.startswith(LIVE):
            return file
        return "an office, treated roughly" if file.removeprefix(LIVE).startswith(_ROUGH) else "an office"


def in_order(items: list[pytest.Item]) -> None:
    """Put the tests that take longest first, whatever their number; files stay together."""

    def place(item: pytest.Item) -> int:
        starts = [n for n, start in enumerate(_ORDER) if item.nodeid.startswith(start)]
        return starts[0] if starts else len(_ORDER)

    items.sort(key=place)
