"""Dossier codes (DOS-01 to DOS-04)."""

from __future__ import annotations

from datetime import date

import pytest

from infra.errors import Forbidden
from tasks.dossier.codes import check_code, dossier_code


@pytest.mark.parametrize(
    "code",
    ["000.00.01.H40-200101-0001", "G09.20-20260609-0092637", "H40.01-200101-0001", "H49.21-261123-9999"],
)
def test_dos_02_both_ways_of_writing_a_code_are_read(code: str) -> None:
    assert check_code(code) == code


@pytest.mark.parametrize(
    "code",
    [
        "H40-200101",
        "000.00.1.H40-200101-0001",
        "H40-209999-0001",
        "H40-260230-0001",
        "h40-200101-0001",
        "H40..1-200101-0001",
        "H40.-200101-0001",
        "H40-200101-001",
        "H40-200101-00000001",
        "H40-2001011-0001",
        " H40-200101-0001",
        "H40-200101-0001\n",
        "H40-２００１０１-0001",
        "",
    ],
)
def test_dos_02_anything_else_is_no_code(code: str) -> None:
    with pytest.raises(Forbidden) as refusal:
        check_code(code)
    assert refusal.value.rule == "DOS-02"
    assert refusal.value.way_out


def test_dos_01_a_code_is_office_date_and_sequence() -> None:
    assert dossier_code("000.00.01.H40", date(2020, 1, 1), 1) == "000.00.01.H40-200101-0001"
    assert dossier_code("H49.21", date(2026, 11, 23), 12345, width=5) == "H49.21-261123-12345"


@pytest.mark.parametrize(("sequence", "width"), [(10_000, 4), (0, 4), (10_000_000, 7)])
def test_dos_04_a_sequence_that_does_not_fit_fails_loudly(sequence: int, width: int) -> None:
    with pytest.raises(Forbidden) as refusal:
        dossier_code("H49.21", date(2026, 11, 23), sequence, width=width)
    assert refusal.value.rule == "DOS-04"


def test_every_code_that_is_made_can_be_read() -> None:
    for width in (4, 5, 6, 7):
        code = dossier_code("H49.21", date(2026, 2, 28), 10**width - 1, width=width)
        assert check_code(code) == code
