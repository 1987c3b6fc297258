"""What the contract suites run against besides the doubles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.environment import environment
from infra.settings import Settings
from infra.stack.run import down, up


@pytest.fixture(scope="session")
def store_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """
    Settings of a running S3 server whose archive bucket has object lock.

    `HOSO_TEST_STORE` may name an environment file that describes one (this is how MinIO is tested);
    otherwise an S3 server of our own is started, and ended with the session.
    """
    given = environment().get("HOSO_TEST_STORE")
    if given:
        yield Settings.read(Path(given))
        return
    root = tmp_path_factory.mktemp("store")
    try:
        yield Settings.read(up(root, parts={"store"}))
    finally:
        # It is asked nicely elsewhere; nothing of this store is needed again.
        down(root, patience=0.5)
