"""One office with the whole stack, for all tests of what Prefect shows and of how workers share the work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.services import using
from tests.conftest import Authority
from tests.flows.live import Live, live_office


@pytest.fixture(scope="session")
def running_office(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The running office."""
    with live_office(tmp_path_factory.mktemp("office") / "stack", authority) as office:
        yield office


@pytest.fixture
def office(running_office: Live) -> Iterator[Live]:
    """The running office, whose parts the test's own calls use."""
    with using(running_office.parts):
        yield running_office
