"""How long a package is kept (ARC-03, ARC-04)."""

from __future__ import annotations

from datetime import datetime

import pytest

from tasks.archival.rules import package_id, retain_until


@pytest.mark.parametrize(
    ("ended", "years", "until"),
    [
        ("2026-11-23T10:00:00+07:00", 20, "2046-12-31T23:59:59+07:00"),
        ("2026-01-01T00:00:00+07:00", 10, "2036-12-31T23:59:59+07:00"),
        ("2026-12-31T23:59:59+07:00", 10, "2036-12-31T23:59:59+07:00"),
        # Half past midnight in Hà Nội is still last year in UTC, and this year at the office.
        ("2026-12-31T17:30:00+00:00", 10, "2037-12-31T23:59:59+07:00"),
        ("2026-11-23T10:00:00+07:00", 1, "2027-12-31T23:59:59+07:00"),
        ("2026-11-23T10:00:00+07:00", None, "2126-12-31T23:59:59+07:00"),
    ],
)
def test_arc_03_retention_counts_from_the_year_in_which_the_work_ends(
    ended: str, years: int | None, until: str
) -> None:
    assert retain_until(datetime.fromisoformat(ended), years) == datetime.fromisoformat(until)


def test_a_package_is_named_by_its_dossier() -> None:
    assert package_id("H49.21-261123-0001") == "urn:hoso:H49.21-261123-0001"
