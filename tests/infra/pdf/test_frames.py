"""What is remembered of a signer's signatures says the same as pyHanko asked anew, whatever was done to them."""

from __future__ import annotations

import io
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from pyhanko.pdf_utils.reader import PdfFileReader

from infra.clock import HANOI
from infra.pdf import frames
from infra.pdf.frames import certificates_in, judge
from infra.pdf.signing import sign_field
from infra.token.software import SoftwareDevice, SoftwareToken

if TYPE_CHECKING:
    from tests.conftest import Authority

MORNING = datetime(2026, 11, 20, 9, 15, 30, tzinfo=HANOI)


class Signer:
    """One signer, and two documents of theirs."""

    def __init__(self, authority: Authority, form: bytes) -> None:
        key = rsa.generate_private_key(65537, 2048)
        self.authority = authority
        self.certificate = authority.issue("Trần Thị Bình", key.public_key())
        self.token = SoftwareToken(
            device=SoftwareDevice(label="", pin=""), key=key, key_id="01", certificate=self.certificate
        )
        self.first, self.second = self.sign(form, MORNING), self.sign(form, MORNING + timedelta(minutes=1))

    def sign(self, pdf: bytes, at: datetime) -> bytes:
        return sign_field(
            pdf, field="official", token=self.token, image=None, at=at, certify=True, name=None, location=None,
            reason=None, chain=self.authority.chain,
        )  # fmt: skip

    def verdict(self, pdf: bytes, at: datetime = MORNING, *, anew: bool = False) -> tuple[object, ...]:
        """Return what is said of a file's signature, with what the first document taught or without it."""
        frames._trusted.clear()
        frames._certificates.cache_clear()
        if not anew:
            assert self._ask(self.first, MORNING)[:2] == (True, True)
            assert len(frames._trusted) == 1
        return self._ask(pdf, at)

    def _ask(self, pdf: bytes, at: datetime) -> tuple[object, ...]:
        try:
            (embedded,) = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
            said = judge(embedded, anchors=self.authority.anchors, chain=self.authority.chain, at=at)
            return said.holds, said.trusted, certificates_in(embedded).signer_cert.dump()
        except Exception:
            return ("unreadable",)


@pytest.fixture(scope="module")
def signer(authority: Authority, form: bytes) -> Signer:
    return Signer(authority, form)


def test_the_next_document_of_a_signer_gets_the_same_verdict(signer: Signer) -> None:
    assert signer.verdict(signer.second) == (True, True, signer.certificate)
    assert signer.verdict(signer.second) == signer.verdict(signer.second, anew=True)
    assert len(frames._trusted) == 1


def test_a_digit_changed_anywhere_in_a_signature_gets_the_same_verdict(signer: Signer) -> None:
    room = re.search(rb"<([0-9A-F]{3000,})>", signer.second)
    assert room is not None
    for position in range(room.start(1), room.end(1), 131):
        harmed = bytearray(signer.second)
        harmed[position] = ord("1") if harmed[position] != ord("1") else ord("2")
        assert signer.verdict(bytes(harmed)) == signer.verdict(bytes(harmed), anew=True), position


def test_a_byte_changed_in_what_was_signed_breaks_it(signer: Signer) -> None:
    harmed = signer.second.replace(b"\xbf\xf7\xa2\xfe", b"\xbf\xf7\xa2\xff", 1)
    assert harmed != signer.second
    assert signer.verdict(harmed)[:2] == (False, False) == signer.verdict(harmed, anew=True)[:2]


def test_the_signature_of_another_document_is_not_taken_for_this_ones(signer: Signer) -> None:
    room = re.compile(rb"<[0-9A-F]{3000,}>")
    theirs = room.search(signer.first)
    assert theirs is not None
    mixed = room.sub(theirs.group(), signer.second)
    assert signer.verdict(mixed)[:2] == (False, False) == signer.verdict(mixed, anew=True)[:2]


@pytest.mark.parametrize("later", [0, 1])
def test_a_moment_out_of_force_is_asked_about_anew(signer: Signer, later: int) -> None:
    end = x509.load_der_x509_certificate(signer.certificate).not_valid_after_utc
    at = end + timedelta(seconds=later)
    assert signer.verdict(signer.second, at)[:2] == (True, not later)
    assert signer.verdict(signer.second, at) == signer.verdict(signer.second, at, anew=True)


def test_what_is_trusted_by_some_anchors_is_not_by_others(signer: Signer) -> None:
    assert signer.verdict(signer.second)[1]
    (embedded,) = PdfFileReader(io.BytesIO(signer.second)).embedded_signatures
    stranger = type(signer.authority)()
    said = judge(embedded, anchors=stranger.anchors, chain=signer.authority.chain, at=MORNING)
    assert (said.holds, said.trusted) == (True, False)
    assert len(frames._trusted) == 1
