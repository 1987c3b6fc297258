"""Other agencies' signed files: each signature judged, and whether ours may follow (SIG-10, SIG-19, PKI-08)."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pikepdf
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import FieldMDPAction, FieldMDPSpec, MDPPerm, SigFieldSpec, append_signature_field
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner

from infra.clock import HANOI
from infra.pdf.checking import check_signed
from infra.pdf.cms import TokenSigner
from infra.pdf.confined import Cost
from infra.pdf.foreign import Answered, Examined, Wanted, examine
from infra.pdf.signing import sign_field
from infra.token import Token
from infra.token.software import SoftwareDevice
from tests.attacks.target import Target

if TYPE_CHECKING:
    from tests.conftest import Authority

AT = datetime(2026, 11, 20, 9, 15, 30, tzinfo=HANOI)
CORNERS = ("top-right", "top-left", "bottom-right", "bottom-left")
WANTED = Wanted(field="centre", width=66, height=24, margin=3, corners=CORNERS)


@pytest.fixture(scope="module")
def token(authority: Authority) -> Token:
    key = rsa.generate_private_key(65537, 2048)
    device = SoftwareDevice(label="agency", pin="428571", keys={b"\x01": key})
    certificate = authority.issue("Sở Xây dựng", key.public_key())
    return device.open("pkcs11:token=agency;id=%01", pin="428571", certificate=certificate)


def signed(token: Token, authority: Authority, pdf: bytes, field: str = "official", **changes: Any) -> bytes:
    arguments: dict[str, Any] = {
        "field": field, "token": token, "image": None, "at": AT, "certify": False, "name": None,
        "location": None, "reason": None, "chain": authority.chain,
    }  # fmt: skip
    return sign_field(pdf, **{**arguments, **changes})


def seen(authority: Authority, pdf: bytes, **changes: Any) -> Examined:
    arguments: dict[str, Any] = {
        "anchors": authority.anchors, "chain": (), "wanted": WANTED, "at": AT + timedelta(hours=2),
        "answered": Answered(crls=[one.dump() for one in Target(authority, b"", b"").crls]),
    }  # fmt: skip
    return examine(pdf, **{**arguments, **changes})


def test_a_sound_result_is_told_to_be_so_and_gets_an_empty_field_behind_it(
    authority: Authority, token: Token, form: bytes
) -> None:
    pdf = signed(token, authority, signed(token, authority, form), "seal")
    found = seen(authority, pdf)
    assert not found.unreadable
    assert [(s.field, s.intact, s.trusted, s.weak, s.problems) for s in found.signatures] == [
        ("official", True, True, False, ()), ("seal", True, True, False, ()),
    ]  # fmt: skip
    assert found.signatures[0].signer == "Sở Xây dựng"
    assert found.signatures[0].at == AT
    assert (found.unreadable, found.faults, found.why_not) == ("", (), None)
    assert found.prepared is not None
    ours = signed(token, authority, found.prepared, "centre", at=AT + timedelta(hours=1))
    assert ours.startswith(pdf)
    check_signed(
        found.prepared, ours, field="centre", certificate=token.certificate, anchors=authority.anchors,
        chain=authority.chain, at=AT,
    )  # fmt: skip
    again = seen(authority, ours)
    assert [(s.intact, s.trusted, s.problems) for s in again.signatures] == [(True, True, ())] * 3
    assert again.faults == ()


def test_the_field_goes_to_a_corner_that_nobody_signed_in(
    authority: Authority, token: Token, form: bytes
) -> None:
    with pikepdf.open(io.BytesIO(form)) as opened:
        opened.Root.AcroForm.Fields[0].Rect = [400, 760, 590, 840]
        out = io.BytesIO()
        opened.save(out)
    found = seen(authority, signed(token, authority, out.getvalue()))
    assert found.prepared is not None
    with pikepdf.open(io.BytesIO(found.prepared)) as opened:
        (mine,) = [note for note in opened.pages[0].Annots if str(note.T) == "centre"]
        assert float(mine.Rect[0]) == pytest.approx(3 * 72 / 25.4, abs=0.01), "top left"
        assert float(mine.Rect[3]) == pytest.approx(842 - 3 * 72 / 25.4, abs=0.01)


def test_no_corner_left_is_no_room(authority: Authority, token: Token, form: bytes) -> None:
    with pikepdf.open(io.BytesIO(form)) as opened:
        opened.Root.AcroForm.Fields[0].Rect = [0, 0, 595, 842]
        out = io.BytesIO()
        opened.save(out)
    found = seen(authority, signed(token, authority, out.getvalue()))
    assert (found.why_not, found.prepared) == ("no-room", None)


def test_after_a_certification_nothing_is_added(authority: Authority, token: Token, form: bytes) -> None:
    found = seen(authority, signed(token, authority, form, certify=True))
    assert (found.why_not, found.prepared) == ("certified", None)
    assert found.signatures[0].kind == "certification"
    assert found.signatures[0].intact


@pytest.mark.parametrize(
    "spec",
    [
        {"field_mdp_spec": FieldMDPSpec(FieldMDPAction.ALL)},
        {"field_mdp_spec": FieldMDPSpec(FieldMDPAction.EXCLUDE, fields=["other"])},
        {
            "field_mdp_spec": FieldMDPSpec(FieldMDPAction.INCLUDE, fields=["mine"]),
            "doc_mdp_update_value": MDPPerm.NO_CHANGES,
        },
    ],
)
def test_after_a_signature_that_locks_the_fields_nothing_is_added(
    authority: Authority, token: Token, form: bytes, spec: dict[str, Any]
) -> None:
    writer = IncrementalPdfFileWriter(io.BytesIO(form))
    append_signature_field(writer, SigFieldSpec("mine", box=(10, 10, 60, 60), **spec))
    signer = PdfSigner(
        PdfSignatureMetadata(field_name="mine", md_algorithm="sha256"), TokenSigner.of(token, authority.chain)
    )
    found = seen(authority, signer.sign_pdf(writer).getvalue(), at=datetime.now(HANOI))
    assert (found.why_not, found.prepared) == ("locked", None)
    assert found.signatures[0].intact


def test_a_page_that_is_turned_takes_no_field(authority: Authority, token: Token, form: bytes) -> None:
    with pikepdf.open(io.BytesIO(form)) as opened:
        opened.pages[0].Rotate = 90
        out = io.BytesIO()
        opened.save(out)
    assert seen(authority, signed(token, authority, out.getvalue())).why_not == "turned"


def test_a_changed_byte_an_addition_and_a_stranger_are_told_apart(
    authority: Authority, token: Token, form: bytes
) -> None:
    pdf = signed(token, authority, form)
    changed = bytearray(pdf)
    changed[changed.index(b"842")] = ord("9")
    torn = seen(authority, bytes(changed))
    assert not torn.unreadable
    assert not torn.signatures[0].intact
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    page = writer.root["/Pages"]["/Kids"][0]
    page["/Contents"] = writer.add_object(generic.StreamObject(stream_data=b"0 0 100 100 re f"))
    writer.update_container(page)
    out = io.BytesIO()
    writer.write(out)
    added = seen(authority, out.getvalue())
    assert not added.unreadable
    assert added.signatures[0].intact
    assert added.faults == ("The document was changed after it was signed, in revision 2 (pages: 1)",)
    stranger = seen(authority, pdf, anchors=())
    assert stranger.signatures[0].intact
    assert not stranger.signatures[0].trusted
    assert any("leads to none of those given" in problem for problem in stranger.signatures[0].problems)


def test_a_certificate_that_was_not_valid_yet_is_not_trusted(
    authority: Authority, token: Token, form: bytes
) -> None:
    early = signed(token, authority, form, at=AT - timedelta(days=4000))
    assert not seen(authority, early).signatures[0].trusted


def test_a_signature_over_sha_1_is_told_to_be_weak(authority: Authority, token: Token, form: bytes) -> None:
    class OldSigner(TokenSigner):
        async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
            if dry_run:
                return bytes(256)
            from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
            from cryptography.hazmat.primitives.hashes import SHA1

            return key.sign(data, PKCS1v15(), SHA1())

    key = rsa.generate_private_key(65537, 2048)
    certificate = authority.issue("Sở cũ", key.public_key())
    old = OldSigner(certificate, authority.chain, sign=lambda data: data)
    meta = PdfSignatureMetadata(field_name="official", md_algorithm="sha1")
    pdf = PdfSigner(meta, old).sign_pdf(IncrementalPdfFileWriter(io.BytesIO(form))).getvalue()
    (one,) = seen(authority, pdf, at=datetime.now(HANOI)).signatures
    assert (one.digest, one.weak, one.intact) == ("sha1", True, True)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\nnothing", b"not a pdf"])
def test_what_is_no_signed_pdf_is_unreadable(authority: Authority, content: bytes) -> None:
    found = seen(authority, content)
    assert found.unreadable
    assert found.signatures == ()


def test_an_unsigned_file_and_an_encrypted_one_are_unreadable(authority: Authority, form: bytes) -> None:
    assert "unsigned" in seen(authority, form).unreadable
    with pikepdf.open(io.BytesIO(form)) as opened:
        out = io.BytesIO()
        opened.save(out, encryption=pikepdf.Encryption(owner="a", user=""))
    assert "encrypted" in seen(authority, out.getvalue()).unreadable


def test_a_file_that_costs_too_much_is_ended_and_said_to_be_unreadable(
    authority: Authority, token: Token, form: bytes
) -> None:
    pdf = signed(token, authority, form)
    assert "longer than" in seen(authority, pdf, cost=Cost(wall_seconds=0.05)).unreadable
