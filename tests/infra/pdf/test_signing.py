"""Signatures as they are made: by the double, then looked at with tools that know nothing of us."""

from __future__ import annotations

import asyncio
import hashlib
import io
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from PIL import Image
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner

from infra.clock import HANOI
from infra.errors import Broken, Forbidden
from infra.pdf.cms import TokenSigner, blank_cms
from infra.pdf.signing import check_certificate, sign_field
from infra.token import Token, TokenAbsent
from infra.token.pkcs11 import open_token
from infra.token.software import SoftwareDevice

if TYPE_CHECKING:
    from tests.conftest import Authority, SoftHsm

PIN = "428571"
MORNING = datetime(2026, 11, 20, 9, 15, 30, 250_000, tzinfo=HANOI)


class Desk:
    """An official and a seal, each with a key of their own."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.devices: dict[str, SoftwareDevice] = {}
        self.tokens: dict[str, Token] = {}
        for name in ("Trần Thị Bình", "UBND phường Thử"):
            key = rsa.generate_private_key(65537, 2048)
            device = SoftwareDevice(label="desk", pin=PIN, keys={b"\x01": key})
            certificate = authority.issue(name, key.public_key())
            self.devices[name] = device
            self.tokens[name] = device.open("pkcs11:token=desk;id=%01", pin=PIN, certificate=certificate)
        self.official, self.seal = self.tokens.values()

    def sign(self, pdf: bytes, field: str = "official", token: Token | None = None, **changes: Any) -> bytes:
        arguments: dict[str, Any] = {
            "field": field,
            "token": token or (self.official if field == "official" else self.seal),
            "image": None,
            "at": MORNING,
            "certify": field == "official",
            "name": None,
            "location": None,
            "reason": None,
            "chain": self.authority.chain,
        }
        return sign_field(pdf, **{**arguments, **changes})


@pytest.fixture(scope="module")
def desk(authority: Authority) -> Desk:
    return Desk(authority)


@pytest.fixture(scope="module")
def signed(desk: Desk, form: bytes, picture: bytes) -> bytes:
    """The form with both signatures and both pictures."""
    once = desk.sign(form, image=picture, name="Trần Thị Bình", location="Hà Nội", reason="Chứng thực")
    return desk.sign(once, "seal", image=picture, at=MORNING + timedelta(minutes=2))


@contextmanager
def field_of(pdf: bytes, field: str) -> Iterator[pikepdf.Object]:
    """Give a field's dictionary, as somebody else's library reads it."""
    with pikepdf.open(io.BytesIO(pdf)) as document:
        (found,) = (entry for entry in document.Root.AcroForm.Fields if str(entry.T) == field)
        yield found


def test_the_previous_bytes_are_the_beginning_of_the_signed_document(
    desk: Desk, form: bytes, picture: bytes
) -> None:
    once = desk.sign(form, image=picture)
    twice = desk.sign(once, "seal", image=picture)
    assert once.startswith(form)
    assert twice.startswith(once)


def test_the_signature_dictionary_says_what_was_given(signed: bytes) -> None:
    with field_of(signed, "official") as field:
        assert field.V.SubFilter == pikepdf.Name("/ETSI.CAdES.detached")
        assert str(field.V.M) == "D:20261120091530+07'00'"
        texts = [str(text) for text in (field.V.Name, field.V.Location, field.V.Reason)]
    assert texts == ["Trần Thị Bình", "Hà Nội", "Chứng thực"]


def test_a_time_in_another_zone_is_written_as_in_ha_noi(desk: Desk, form: bytes) -> None:
    with field_of(desk.sign(form, at=datetime(2026, 11, 20, 18, 0, tzinfo=UTC)), "official") as field:
        assert str(field.V.M) == "D:20261121010000+07'00'"


def test_a_time_without_a_zone_is_refused(desk: Desk, form: bytes) -> None:
    with pytest.raises(Broken):
        desk.sign(form, at=datetime(2026, 11, 20, 9, 0))


def test_the_first_signature_certifies_and_lets_fields_be_filled_in(signed: bytes) -> None:
    with pikepdf.open(io.BytesIO(signed)) as document, field_of(signed, "official") as field:
        certifying = document.Root.Perms.DocMDP
        assert certifying.objgen == field.V.objgen
        assert certifying.Reference[0].TransformParams.P == 2
    with field_of(signed, "seal") as field:
        assert "/Reference" not in field.V


def test_the_picture_alone_is_shown(signed: bytes) -> None:
    with field_of(signed, "seal") as field:
        appearance = field.AP.N
        (image,) = appearance.Resources.XObject.values()
        assert (int(image.Width), int(image.Height)) == (240, 240)
        assert image.SMask.ColorSpace == pikepdf.Name.DeviceGray
        assert "/Font" not in appearance.Resources
        operators = [str(drawn.operator) for drawn in pikepdf.parse_content_stream(appearance)]
    assert operators.count("Do") == 1
    assert not {"Tj", "TJ", "S", "f", "re"} & set(operators)


@pytest.mark.parametrize("pixels", [240, 48], ids=["large", "small"])
def test_the_picture_fills_its_field_when_it_is_drawn(
    desk: Desk, form: bytes, picture: bytes, tmp_path: Path, pixels: int
) -> None:
    out = io.BytesIO()
    Image.open(io.BytesIO(picture)).resize((pixels, pixels)).save(out, "PNG")
    signed = desk.sign(desk.sign(form, image=out.getvalue()), "seal", image=out.getvalue())
    (tmp_path / "signed.pdf").write_bytes(signed)
    subprocess.run(["pdftoppm", "-r", "72", "-png", "signed.pdf", "page"], cwd=tmp_path, check=True)
    page = Image.open(next(tmp_path.glob("page*.png"))).convert("RGB")
    red = [
        (x, y)
        for x in range(page.width)
        for y in range(page.height)
        if page.getpixel((x, y))[0] > 150 and page.getpixel((x, y))[1] < 100  # type: ignore[index]
    ]
    seal = [(x, y) for x, y in red if x < 300]
    assert 240 <= min(x for x, _ in seal) <= 246
    assert 842 - 282 <= min(y for _, y in seal) <= 842 - 276
    assert 842 - 188 <= max(y for _, y in seal) <= 842 - 180
    # The official's ring, 60 pt high, in the middle of a field 120 pt wide.
    assert 384 <= max(x for x, _ in red) <= 391


def test_a_field_without_a_picture_still_has_an_appearance(desk: Desk, form: bytes) -> None:
    with field_of(desk.sign(form), "official") as field:
        assert "/N" in field.AP


def test_metadata_is_left_as_it_was(form: bytes, signed: bytes) -> None:
    before, after = (pikepdf.open(io.BytesIO(pdf)) for pdf in (form, signed))
    assert dict(before.docinfo) == dict(after.docinfo)


@pytest.mark.parametrize(
    "damage", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n broken"], ids=["empty", "gif", "broken png"]
)
def test_a_picture_that_is_no_png_is_refused_before_the_token_is_touched(
    desk: Desk, form: bytes, damage: bytes
) -> None:
    calls = desk.official.calls
    with pytest.raises(Forbidden) as caught:
        desk.sign(form, image=damage)
    assert caught.value.rule == "SIG-01"
    assert desk.official.calls == calls


def test_a_picture_without_transparency_is_refused(desk: Desk, form: bytes) -> None:
    out = io.BytesIO()
    Image.new("RGB", (50, 50), (255, 255, 255)).save(out, "PNG")
    with pytest.raises(Forbidden):
        desk.sign(form, image=out.getvalue())


def test_each_signature_calls_the_token_once(desk: Desk, form: bytes) -> None:
    for _ in range(3):
        calls = desk.official.calls
        desk.sign(form)
        assert desk.official.calls == calls + 1


@pytest.mark.parametrize(
    ("given", "field", "certify"),
    [("signed", "official", False), ("once", "official", True), ("once", "seal", True)],
    ids=["field filled", "field filled again", "second certification"],
)
def test_what_may_not_be_signed_is_refused_before_the_token_is_touched(
    desk: Desk, form: bytes, signed: bytes, given: str, field: str, certify: bool
) -> None:
    pdf = signed if given == "signed" else desk.sign(form)
    calls = desk.official.calls, desk.seal.calls
    with pytest.raises(Forbidden):
        desk.sign(pdf, field, certify=certify)
    assert (desk.official.calls, desk.seal.calls) == calls


def test_a_document_that_forbids_further_signatures_is_left_alone(desk: Desk, form: bytes) -> None:
    metadata = PdfSignatureMetadata(
        field_name="official", md_algorithm="sha256", certify=True, docmdp_permissions=MDPPerm.NO_CHANGES
    )
    signer = PdfSigner(metadata, TokenSigner.of(desk.official, desk.authority.chain))
    closed = signer.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(form))).getvalue()
    with pytest.raises(Forbidden, match="nobody may sign"):
        desk.sign(closed, "seal")


def test_a_field_that_does_not_exist_is_a_bug(desk: Desk, form: bytes) -> None:
    with pytest.raises(Broken):
        desk.sign(form, "elsewhere")


@pytest.mark.parametrize("harm", [lambda pdf: pdf[: len(pdf) // 2], lambda _: b"", lambda _: b"not a PDF"])
def test_a_damaged_pdf_is_refused(desk: Desk, form: bytes, harm: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Broken):
        desk.sign(harm(form))


def test_a_token_that_is_gone_is_reported_as_such(desk: Desk, form: bytes) -> None:
    device = desk.devices["Trần Thị Bình"]
    device.present = False
    try:
        with pytest.raises(TokenAbsent):
            desk.sign(form)
    finally:
        device.present = True


def test_it_signs_inside_a_running_event_loop_too(desk: Desk, form: bytes) -> None:
    async def inside() -> bytes:
        return desk.sign(form)

    assert asyncio.run(inside()).startswith(form)


def test_the_cms_object_is_byte_for_byte_that_of_the_general_path(desk: Desk) -> None:
    token, chain = desk.official, desk.authority.chain

    async def both(digest: bytes) -> tuple[bytes, bytes]:
        signer = TokenSigner.of(token, chain)
        options: dict[str, Any] = {"use_pades": True, "timestamper": None}
        quick = await signer.async_sign(digest, "sha256", **options)
        general = await Signer.async_sign(signer, digest, "sha256", **options)
        return quick.dump(), general.dump()

    for number in range(20):
        quick, general = asyncio.run(both(hashlib.sha256(b"%d" % number).digest()))
        assert quick == general


def test_roots_are_not_put_into_the_document(desk: Desk, form: bytes) -> None:
    authority = desk.authority
    signed = desk.sign(form, chain=[*authority.chain, *authority.anchors])
    with field_of(signed, "official") as field:
        cms = bytes(field.V.Contents)
    assert authority.chain[0] in cms
    assert authority.anchors[0] not in cms


def test_a_blank_is_encoded_once_a_signer(desk: Desk) -> None:
    chain = tuple(desk.authority.chain)
    assert blank_cms(desk.official.certificate, chain) is blank_cms(desk.official.certificate, chain)
    assert blank_cms(desk.official.certificate, chain) is not blank_cms(desk.seal.certificate, chain)


def test_another_request_than_level_b_takes_the_general_path(desk: Desk) -> None:
    """A signature that states its time in the CMS object is not PAdES, so the blank would be wrong."""

    async def plain() -> Any:
        return await TokenSigner.of(desk.official, desk.authority.chain).async_sign(b"\x01" * 32, "sha256")

    kinds = {
        attribute["type"].native
        for attribute in asyncio.run(plain())["content"]["signer_infos"][0]["signed_attrs"]
    }
    assert "signing_certificate_v2" in kinds
    assert "cms_algorithm_protection" in kinds


def test_a_document_of_thirty_megabytes_is_signed(desk: Desk, form: bytes) -> None:
    document = pikepdf.open(io.BytesIO(form))
    noise = b"".join(hashlib.sha512(b"%d" % number).digest() for number in range(30_000_000 // 64))
    document.Root.Ballast = document.make_stream(noise)
    out = io.BytesIO()
    document.save(out, compress_streams=False)
    large = out.getvalue()
    assert len(large) > 29_000_000
    assert desk.sign(desk.sign(large), "seal").startswith(large)


# The tools of others.


@pytest.fixture(scope="module")
def nss(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate store for poppler that trusts the tests' root."""
    if not shutil.which("certutil") or not shutil.which("pdfsig"):
        pytest.skip("certutil or pdfsig is not installed")
    folder = tmp_path_factory.mktemp("nss")
    store = f"sql:{folder}"
    subprocess.run(["certutil", "-N", "-d", store, "--empty-password"], check=True)
    for name, trust, certificate in (
        ("root", "CT,C,C", authority.anchors[0]),
        ("ca", ",,", authority.chain[0]),
    ):
        path = folder / f"{name}.der"
        path.write_bytes(certificate)
        subprocess.run(["certutil", "-A", "-d", store, "-n", name, "-t", trust, "-i", path], check=True)
    return folder


def test_pdfsig_says_that_both_signatures_are_valid_and_trusted(
    signed: bytes, nss: Path, tmp_path: Path
) -> None:
    (tmp_path / "signed.pdf").write_bytes(signed)
    said = subprocess.run(
        ["pdfsig", "-nssdir", f"sql:{nss}", tmp_path / "signed.pdf"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert said.count("Signature Validation: Signature is Valid.") == 2, said
    assert said.count("Certificate Validation: Certificate is Trusted.") == 2, said
    assert said.count("Total document signed") == 1, said


def test_pdfsig_says_that_both_signatures_are_valid(signed: bytes, tmp_path: Path) -> None:
    (tmp_path / "signed.pdf").write_bytes(signed)
    said = subprocess.run(
        ["pdfsig", "-nocert", tmp_path / "signed.pdf"], check=True, capture_output=True, text=True
    ).stdout
    assert said.count("Signature Validation: Signature is Valid.") == 2, said
    assert said.count("ETSI.CAdES.detached") == 2, said


@pytest.mark.parametrize("field", ["official", "seal"])
def test_openssl_verifies_each_signature_up_to_the_root(
    signed: bytes, authority: Authority, tmp_path: Path, field: str
) -> None:
    with field_of(signed, field) as found:
        start, opening, closing, rest = (int(number) for number in found.V.ByteRange)
        (tmp_path / "cms").write_bytes(bytes(found.V.Contents))
    (tmp_path / "content").write_bytes(signed[start:opening] + signed[closing : closing + rest])
    for name, certificate in (("root", authority.anchors[0]), ("ca", authority.chain[0])):
        pem = x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
        (tmp_path / name).write_bytes(pem)
    command = (
        "openssl cms -verify -inform DER -in cms -content content -binary -CAfile root -certfile ca "
        "-purpose any -attime 1795000000 -out /dev/null"
    )
    done = subprocess.run(command.split(), cwd=tmp_path, check=False, capture_output=True, text=True)
    assert "CMS Verification successful" in done.stderr, done.stderr


def test_qpdf_finds_nothing_wrong_with_the_structure(signed: bytes, tmp_path: Path) -> None:
    (tmp_path / "signed.pdf").write_bytes(signed)
    done = subprocess.run(
        ["qpdf", "--check", tmp_path / "signed.pdf"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_key_on_softhsm2_signs_a_document(
    desk: Desk, authority: Authority, softhsm: SoftHsm, form: bytes, tmp_path: Path
) -> None:
    softhsm.make_token("paper")
    certificate = authority.issue("Lê Văn Cường", softhsm.make_key("paper", "0a"))
    token = open_token(
        "pkcs11:token=paper;id=%0A",
        module=softhsm.module, softhsm2_conf=softhsm.conf, pin=PIN, certificate=certificate,
    )  # fmt: skip
    (tmp_path / "signed.pdf").write_bytes(desk.sign(form, token=token))
    assert token.calls == 1
    token.close()
    said = subprocess.run(
        ["pdfsig", "-nocert", tmp_path / "signed.pdf"], check=True, capture_output=True, text=True
    ).stdout
    assert "Signature is Valid" in said


# Certificates, before anything is signed.


def certificate_for(authority: Authority, **wrong: Any) -> bytes:
    bits = wrong.pop("bits", 2048)
    return authority.issue("Ai đó", rsa.generate_private_key(65537, bits).public_key(), **wrong)


def test_a_good_certificate_may_sign(desk: Desk) -> None:
    authority = desk.authority
    check_certificate(desk.official.certificate, anchors=authority.anchors, chain=authority.chain, at=MORNING)


@pytest.mark.parametrize(
    ("wrong", "rule", "word"),
    [
        ({"days": 10}, "PKI-05", "expired on 11/01/2026"),
        ({"start": datetime(2026, 12, 1, tzinfo=UTC)}, "PKI-05", "not valid before 01/12/2026"),
        ({"non_repudiation": False}, "PKI-05", "non-repudiation"),
        ({"bits": 1024}, "PKI-07", "2048 bits"),
    ],
)
def test_a_certificate_that_would_not_stand_is_refused_with_the_reason(
    authority: Authority, wrong: dict[str, Any], rule: str, word: str
) -> None:
    with pytest.raises(Forbidden) as caught:
        check_certificate(
            certificate_for(authority, **wrong), anchors=authority.anchors, chain=authority.chain, at=MORNING
        )
    assert caught.value.rule == rule
    assert word in caught.value.message


def test_a_certificate_is_good_until_its_last_second(authority: Authority) -> None:
    certificate = certificate_for(authority, days=10)
    last = x509.load_der_x509_certificate(certificate).not_valid_after_utc

    def check(at: datetime) -> None:
        check_certificate(certificate, anchors=authority.anchors, chain=authority.chain, at=at)

    check(last)
    with pytest.raises(Forbidden):
        check(last + timedelta(seconds=1))


def test_a_certificate_that_stood_a_moment_ago_is_refused_outside_its_time_and_under_other_anchors(
    authority: Authority,
) -> None:
    certificate = certificate_for(authority, start=MORNING - timedelta(days=1), days=2)
    for _ in range(2):
        check_certificate(certificate, anchors=authority.anchors, chain=authority.chain, at=MORNING)
    for at in (MORNING - timedelta(days=2), MORNING + timedelta(days=2)):
        with pytest.raises(Forbidden):
            check_certificate(certificate, anchors=authority.anchors, chain=authority.chain, at=at)
    stranger = type(authority)()
    with pytest.raises(Forbidden, match="trusted"):
        check_certificate(certificate, anchors=stranger.anchors, chain=authority.chain, at=MORNING)


def test_a_certificate_of_a_stranger_is_refused(authority: Authority) -> None:
    stranger = type(authority)()
    with pytest.raises(Forbidden, match="trusted"):
        check_certificate(
            certificate_for(stranger), anchors=authority.anchors, chain=stranger.chain, at=MORNING
        )


def test_bytes_that_are_no_certificate_are_a_bug(authority: Authority) -> None:
    with pytest.raises(Broken):
        check_certificate(b"0\x03abc", anchors=authority.anchors, chain=authority.chain, at=MORNING)
