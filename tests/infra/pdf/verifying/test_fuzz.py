"""Any byte that is changed, dropped or put in anywhere in a signed file is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.pdf.verifying.findings import Verdict
from tests.attacks.target import Target, gaps

if TYPE_CHECKING:
    from tests.conftest import Authority

FEW = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


@pytest.fixture(scope="session")
def target(authority: Authority, form: bytes, picture: bytes) -> Target:
    return Target(authority, form, picture)


@pytest.mark.parametrize("which", ["once", "twice", "approved", "stamped", "lta"])
def test_no_file_with_a_changed_byte_is_valid(target: Target, which: str) -> None:
    good = getattr(target, which)
    values = gaps(good)
    plain = [at for at in range(len(good)) if not any(a < at < b for a, b in values)]
    places = st.one_of(st.sampled_from(plain), st.integers(0, len(good) - 1))

    @FEW
    @given(at=places, byte=st.integers(1, 255), how=st.sampled_from(["change", "drop", "insert"]))
    def noticed(at: int, byte: int, how: str) -> None:
        bad = bytearray(good)
        if how == "change":
            bad[at] ^= byte
        elif how == "drop":
            del bad[at]
        else:
            bad.insert(at, byte)
        if bytes(bad) == good:
            return
        assert target.examined(bytes(bad)).verdict is not Verdict.VALID, (at, byte, how)

    noticed()


@FEW
@given(content=st.binary(max_size=400), tail=st.binary(max_size=60))
def test_no_bytes_make_the_examination_fail(target: Target, content: bytes, tail: bytes) -> None:
    for pdf in (content, b"%PDF-1.7\n" + content, b"%PDF-1.7\n" + content + b"\nstartxref\n9\n%%EOF" + tail):
        assert target.examined(pdf).verdict in (Verdict.UNREADABLE, Verdict.NOT_VALID)
