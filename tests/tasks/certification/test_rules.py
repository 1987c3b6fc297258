"""What may be certified and what it costs (CERT-02, CERT-16, CERT-31, CERT-32, SIG-08, R5)."""

from __future__ import annotations

import pytest

from infra.errors import Forbidden
from tasks.certification.rules import (
    check_legalised,
    check_pages,
    check_resolution,
    comparison_is_complete,
    fee,
)
from tasks.dossier.procedures import SHIPPED, read_procedure

TT226 = read_procedure(SHIPPED / "e-copy.v1.yaml").fee
assert TT226 is not None


@pytest.mark.parametrize(
    ("pages", "price"),
    [(1, 2000), (2, 4000), (3, 5000), (10, 12_000), (197, 199_000), (198, 200_000), (199, 200_000)],
)
def test_cert_32_the_fee_of_one_copy(pages: int, price: int) -> None:
    assert fee(pages, 1, TT226) == price


def test_cert_32_three_copies_of_a_three_page_original_cost_15000() -> None:
    assert fee(3, 3, TT226) == 15_000


def test_cert_31_the_cap_holds_for_each_copy_and_not_for_all_of_them() -> None:
    assert fee(500, 2, TT226) == 400_000


@pytest.mark.parametrize(("counted", "declared"), [(1, 2), (3, 2), (0, 1)])
def test_cert_16_a_scan_shows_exactly_the_declared_pages(counted: int, declared: int) -> None:
    check_pages(declared, declared, ordinal=1)
    with pytest.raises(Forbidden) as refusal:
        check_pages(counted, declared, ordinal=2)
    assert refusal.value.rule == "CERT-16"
    assert "original 2" in refusal.value.message


def test_sig_08_half_a_dot_is_forgiven_and_no_more() -> None:
    check_resolution([200.0, 199.5, 600.0], 200, ordinal=1)
    with pytest.raises(Forbidden) as refusal:
        check_resolution([200.0, 199.4], 200, ordinal=1)
    assert refusal.value.rule == "SIG-08"
    assert "page 2" in refusal.value.message


@pytest.mark.parametrize(
    ("foreign", "legalised", "exempt", "refused"),
    [
        (False, False, False, False),
        (True, True, False, False),
        (True, False, True, False),
        (True, False, False, True),
    ],
)
def test_r5_a_foreign_original_is_legalised_or_exempt(
    foreign: bool, legalised: bool, exempt: bool, refused: bool
) -> None:
    if not refused:
        check_legalised(foreign, legalised, exempt, ordinal=1)
        return
    with pytest.raises(Forbidden) as refusal:
        check_legalised(foreign, legalised, exempt, ordinal=1)
    assert refusal.value.rule == "R5"


@pytest.mark.parametrize("compared", [0, 1, 3])
def test_cert_02_every_page_is_compared(compared: int) -> None:
    comparison_is_complete(2, 2, ordinal=1)
    with pytest.raises(Forbidden) as refusal:
        comparison_is_complete(compared, 2, ordinal=1)
    assert refusal.value.rule == "CERT-02"
