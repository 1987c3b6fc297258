"""One office with the whole stack on a busy morning, and a browser, for all tests of what people look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.services import using
from tests.browser.chromium import Page, browser
from tests.browser.morning import Morning, live_through
from tests.conftest import Authority
from tests.flows.live import Live, live_office


@pytest.fixture(scope="session")
def office(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The running office."""
    with live_office(tmp_path_factory.mktemp("office") / "stack", authority) as office, using(office.parts):
        yield office


@pytest.fixture(scope="session")
def morning(office: Live) -> Morning:
    """The dossiers of the morning."""
    return live_through(office)


@pytest.fixture(scope="session")
def page() -> Iterator[Page]:
    """The browser's page."""
    with browser() as page:
        yield page
