"""A small stack of its own for the tests of the stack: the servers that hold data, and the tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.stack.run import down, up

PARTS = ("database", "store", "pki", "token")


@pytest.fixture(scope="session")
def stack_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a stack that is up; tests that kill a part bring it up again."""
    root = tmp_path_factory.mktemp("embedded") / "stack"
    up(root, PARTS)
    yield root
    down(root, patience=3)
