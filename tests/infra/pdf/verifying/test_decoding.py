"""Damage in a DER structure is found wherever it is, as the library itself finds it when everything is asked for."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from asn1crypto import cms, x509  # type: ignore[import-untyped]
from pyhanko.pdf_utils.reader import PdfFileReader

from infra.pdf.verifying.decoding import read_whole
from tests.attacks import Target

if TYPE_CHECKING:
    from tests.conftest import Authority

FAULTS = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


def fault(kind: Any, content: bytes, *, by_library: bool) -> type[BaseException] | None:
    try:
        value = kind.load(content, strict=True)
        if by_library:
            value.native  # noqa: B018
        else:
            read_whole(value)
    except FAULTS as error:
        return type(error)
    return None


def same_faults(kind: Any, content: bytes, step: int) -> set[type[BaseException] | None]:
    found = set()
    for place in range(0, len(content), step):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        ours = fault(kind, bytes(damaged), by_library=False)
        theirs = fault(kind, bytes(damaged), by_library=True)
        assert (ours is None) == (theirs is None), (place, ours, theirs)
        found.add(ours)
    return found


def test_a_certificate_that_is_damaged_anywhere_is_found_damaged_where_the_library_finds_it(
    authority: Authority,
) -> None:
    found = same_faults(x509.Certificate, authority.chain[0], 1)
    assert {None, ValueError} <= found


def test_a_signature_that_is_damaged_anywhere_is_found_damaged_where_the_library_finds_it(
    authority: Authority, form: bytes, picture: bytes
) -> None:
    pdf = Target(authority, form, picture).once
    content = PdfFileReader(io.BytesIO(pdf)).embedded_signatures[0].pkcs7_content
    found = same_faults(cms.ContentInfo, content, 37)
    assert {None, ValueError} <= found


@pytest.mark.parametrize("kind", [cms.ContentInfo, x509.Certificate])
def test_what_is_no_structure_at_all_is_a_fault(kind: Any) -> None:
    assert fault(kind, b"0\x03abc", by_library=False) is not None
