"""What is found in signed documents, and that nothing which should not be there goes unnoticed."""

from __future__ import annotations

import hashlib
import io
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter, append_signature_field
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner

from infra.clock import HANOI
from infra.errors import Broken
from infra.pdf import checking
from infra.pdf.checking import SignatureFound, check_signed, signatures_of
from infra.pdf.cms import TokenSigner
from infra.pdf.signing import sign_field
from infra.token.software import SoftwareDevice, SoftwareToken

if TYPE_CHECKING:
    from tests.conftest import Authority

#: A moment in the life of the tests' certificates.
MORNING = datetime(2026, 11, 20, 9, 15, 30, tzinfo=HANOI)


@dataclass(frozen=True)
class Paper:
    """One document at each of its three moments."""

    form: bytes
    once: bytes
    twice: bytes
    official: SoftwareToken
    seal: SoftwareToken
    authority: Authority

    def check(self, previous: bytes, signed: bytes, **changes: Any) -> SignatureFound:
        arguments: dict[str, Any] = {
            "field": "official",
            "certificate": self.official.certificate,
            "anchors": self.authority.anchors,
            "chain": self.authority.chain,
            "at": MORNING,
        }
        return check_signed(previous, signed, **{**arguments, **changes})

    def check_seal(self, signed: bytes, **changes: Any) -> SignatureFound:
        return self.check(
            self.once, signed, **{"field": "seal", "certificate": self.seal.certificate, **changes}
        )

    def found(self, pdf: bytes) -> list[SignatureFound]:
        return signatures_of(pdf, anchors=self.authority.anchors, chain=self.authority.chain)


def token_for(authority: Authority, name: str, **wrong: Any) -> SoftwareToken:
    key = rsa.generate_private_key(65537, 2048)
    certificate = authority.issue(name, key.public_key(), **wrong)
    return SoftwareToken(
        device=SoftwareDevice(label=name, pin=""), key=key, key_id="01", certificate=certificate
    )


def sign(pdf: bytes, field: str, token: Any, authority: Authority, **changes: Any) -> bytes:
    arguments: dict[str, Any] = {
        "image": None,
        "at": MORNING,
        "certify": field == "official",
        "name": None,
        "location": None,
        "reason": None,
        "chain": authority.chain,
    }
    return sign_field(pdf, field=field, token=token, **{**arguments, **changes})


@pytest.fixture(scope="module")
def paper(authority: Authority, form: bytes, picture: bytes) -> Paper:
    official, seal = token_for(authority, "Trần Thị Bình"), token_for(authority, "UBND phường Thử")
    once = sign(form, "official", official, authority, image=picture)
    twice = sign(once, "seal", seal, authority, image=picture, at=MORNING + timedelta(minutes=2))
    return Paper(form, once, twice, official, seal, authority)


def appended(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    """Return the document with a change appended as an increment of its own."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    out = io.BytesIO()
    writer.write(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def other_page(writer: IncrementalPdfFileWriter) -> None:
    """Put something else on the page."""
    page = writer.root["/Pages"]["/Kids"][0]
    page["/Contents"] = writer.add_object(generic.StreamObject(stream_data=b"0 0 595 842 re f"))
    writer.update_container(page)


def other_title(writer: IncrementalPdfFileWriter) -> None:
    info = writer.trailer["/Info"]
    info["/Title"] = generic.TextStringObject("Khác")
    writer.update_container(info)


def new_field(writer: IncrementalPdfFileWriter) -> None:
    append_signature_field(writer, SigFieldSpec("more", box=(0, 0, 10, 10)))


def moved_field(writer: IncrementalPdfFileWriter) -> None:
    fields = [one.get_object() for one in writer.root["/AcroForm"]["/Fields"]]
    (field,) = (one for one in fields if one["/T"] == "official")
    field["/Rect"] = generic.ArrayObject([generic.FloatObject(x) for x in (0, 0, 500, 500)])  # type: ignore[no-untyped-call]
    writer.update_container(field)


def dictionary(**entries: generic.PdfObject) -> generic.DictionaryObject:
    return generic.DictionaryObject(  # type: ignore[no-untyped-call]
        {pdf_name("/" + name): value for name, value in entries.items()}
    )


def open_action(writer: IncrementalPdfFileWriter) -> None:
    script = generic.TextStringObject("app.alert(1)")
    writer.root["/OpenAction"] = dictionary(S=pdf_name("/JavaScript"), JS=script)
    writer.update_root()  # type: ignore[no-untyped-call]


def other_permissions(writer: IncrementalPdfFileWriter) -> None:
    if "/Perms" not in writer.root:
        writer.root["/Perms"] = dictionary()
    writer.root["/Perms"]["/UR3"] = dictionary()
    writer.update_root()  # type: ignore[no-untyped-call]


def lost_flags(writer: IncrementalPdfFileWriter) -> None:
    """Say that the document need not be appended to only."""
    writer.root["/AcroForm"]["/SigFlags"] = generic.NumberObject(1)  # type: ignore[no-untyped-call]
    writer.update_container(writer.root["/AcroForm"])


def smuggled(
    previous: bytes,
    field: str,
    token: SoftwareToken,
    authority: Authority,
    change: Callable[[IncrementalPdfFileWriter], None] | None,
) -> bytes:
    """Return the document signed in `field`, the official's certifying, with a change slipped into the same increment."""
    changes = [] if change is None else [change]

    class Smuggler(IncrementalPdfFileWriter):
        def _update_meta(self) -> None:
            """Leave the metadata alone, as the honest one does, and slip the change in at the end."""
            if changes:
                changes.pop()(self)

    metadata = PdfSignatureMetadata(
        field_name=field, md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES,
        certify=field == "official", docmdp_permissions=MDPPerm.FILL_FORMS,
    )  # fmt: skip
    signer = PdfSigner(metadata, TokenSigner.of(token, authority.chain))
    return bytes(signer.sign_pdf(Smuggler(io.BytesIO(previous))).getvalue())


CHANGES = [other_page, other_title, new_field, moved_field, open_action, other_permissions, lost_flags]


def test_a_good_signature_is_described(paper: Paper) -> None:
    certificate = paper.official.certificate
    assert paper.check(paper.form, paper.once) == SignatureFound(
        field="official",
        signer="Trần Thị Bình",
        kind="certification",
        level="B",
        time=MORNING,
        certificate_sha256=hashlib.sha256(certificate).hexdigest(),
        intact=True,
        trusted=True,
        covers_whole_file=True,
        changed_after=None,
    )


def test_a_second_signature_is_good_and_leaves_the_first_good(paper: Paper) -> None:
    seal = paper.check_seal(paper.twice)
    assert (seal.kind, seal.time) == ("approval", MORNING + timedelta(minutes=2))
    first, second = paper.found(paper.twice)
    assert (first.field, second) == ("official", seal)
    assert first.intact
    assert first.trusted
    assert not first.covers_whole_file
    assert first.changed_after == "it was signed again, or a form field was filled in"


def test_a_document_without_signatures_has_none(paper: Paper) -> None:
    assert paper.found(paper.form) == []


def test_checking_again_gives_the_same_answer(paper: Paper) -> None:
    assert paper.check_seal(paper.twice) == paper.check_seal(paper.twice)


def test_what_the_check_remembers_of_a_document_is_what_a_fresh_look_finds_and_only_for_its_anchors(
    paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "_remembered", OrderedDict())
    paper.check_seal(paper.twice)
    remembered = paper.found(paper.twice)
    assert len(checking._remembered) == 1
    assert not any(one.trusted for one in signatures_of(paper.twice, anchors=[], chain=[]))
    monkeypatch.setattr(checking, "_remembered", OrderedDict())
    assert paper.found(paper.twice) == remembered


def test_no_more_documents_are_remembered_than_a_process_has_in_hand(
    paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "_remembered", OrderedDict())
    monkeypatch.setattr(checking, "_MOST_REMEMBERED", 1)
    assert paper.found(paper.form) == []
    assert len(paper.found(paper.once)) == 1
    assert len(checking._remembered) == 1
    assert paper.found(paper.form) == []


def test_a_byte_changed_anywhere_in_the_document_is_noticed(paper: Paper) -> None:
    """Every 101st byte that is not a signature's own."""
    gaps = [range(*match.span()) for match in re.finditer(rb"<[0-9A-F]{3000,}>", paper.twice)]
    assert len(gaps) == 2
    for position in range(0, len(paper.twice), 101):
        if any(position in gap for gap in gaps):
            continue
        harmed = bytearray(paper.twice)
        harmed[position] ^= 1
        try:
            found = paper.found(bytes(harmed))
        except Broken:
            continue
        assert len(found) < 2 or not all(one.intact for one in found), position


def test_a_byte_changed_in_the_value_of_a_signature_is_noticed(paper: Paper) -> None:
    """The value is the last thing in the CMS object, which fills its room to the last digit."""
    room = re.search(rb"<[0-9A-F]{3000,}>", paper.once)
    assert room is not None
    for back in (2, 90, 300, 500):
        harmed = bytearray(paper.once)
        position = room.end() - back
        harmed[position] = ord("1") if harmed[position] != ord("1") else ord("2")
        (found,) = paper.found(bytes(harmed))
        assert not found.intact, back


def test_a_byte_changed_in_the_signed_part_fails_the_check(paper: Paper) -> None:
    harmed = bytearray(paper.twice)
    harmed[len(paper.once) + 20] ^= 1
    with pytest.raises(Broken):
        paper.check_seal(bytes(harmed))


def test_the_previous_bytes_must_be_the_beginning(paper: Paper) -> None:
    other = bytearray(paper.form)
    other[-200] ^= 1
    for previous in (bytes(other), paper.once + b"\n", paper.once):
        with pytest.raises(Broken):
            paper.check(previous, paper.once)


def test_a_signature_in_another_field_is_refused(paper: Paper) -> None:
    signed = sign(paper.form, "seal", paper.official, paper.authority, certify=True)
    with pytest.raises(Broken, match="in the field official"):
        paper.check(paper.form, signed)


def test_two_signatures_at_once_are_refused(paper: Paper) -> None:
    with pytest.raises(Broken, match="number of increments"):
        paper.check(paper.form, paper.twice, field="seal", certificate=paper.seal.certificate)


def test_no_new_signature_is_refused(paper: Paper) -> None:
    with pytest.raises(Broken):
        paper.check(paper.once, appended(paper.once, other_title))


def test_another_certificate_than_the_registered_one_is_refused(paper: Paper) -> None:
    with pytest.raises(Broken, match="another certificate"):
        paper.check(paper.form, paper.once, certificate=paper.seal.certificate)


def test_a_signature_by_another_key_than_the_certificates_is_refused(paper: Paper) -> None:
    """pyHanko does not notice this when it signs."""
    key = rsa.generate_private_key(65537, 2048)
    forger = SoftwareToken(
        device=SoftwareDevice(label="", pin=""), key=key, key_id="01", certificate=paper.official.certificate
    )
    with pytest.raises(Broken, match="does not verify"):
        paper.check(paper.form, sign(paper.form, "official", forger, paper.authority))


def test_a_signature_that_leads_to_no_anchor_is_refused(paper: Paper) -> None:
    stranger = type(paper.authority)()
    with pytest.raises(Broken, match="not trusted"):
        paper.check(paper.form, paper.once, anchors=stranger.anchors)
    (found,) = signatures_of(paper.once, anchors=stranger.anchors, chain=[])
    assert (found.intact, found.trusted) == (True, False)


def test_a_certificate_that_is_out_of_force_at_the_moment_is_refused(paper: Paper) -> None:
    end = x509.load_der_x509_certificate(paper.official.certificate).not_valid_after_utc
    assert paper.check(paper.form, paper.once, at=end).trusted
    with pytest.raises(Broken, match="not trusted"):
        paper.check(paper.form, paper.once, at=end + timedelta(seconds=1))


def test_a_certificate_that_is_not_for_signing_is_not_trusted(paper: Paper) -> None:
    token = token_for(paper.authority, "Máy chủ", non_repudiation=False)
    signed = sign(paper.form, "official", token, paper.authority)
    with pytest.raises(Broken, match="not trusted"):
        paper.check(paper.form, signed, certificate=token.certificate)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_appended_after_the_signature_fails_the_check(
    paper: Paper, change: Callable[[IncrementalPdfFileWriter], None]
) -> None:
    with pytest.raises(Broken):
        paper.check(paper.form, appended(paper.once, change))


@pytest.mark.parametrize("change", [other_page, new_field, moved_field, open_action])
def test_a_change_appended_later_is_named_and_breaks_both_signatures(
    paper: Paper, change: Callable[[IncrementalPdfFileWriter], None]
) -> None:
    found = paper.found(appended(paper.twice, change))
    assert len(found) == 2
    for one in found:
        if one.field == "official" or change is not new_field:
            assert not one.intact
        assert one.changed_after is not None
        assert not one.covers_whole_file


@pytest.mark.parametrize("change", [*CHANGES, None])
@pytest.mark.parametrize("field", ["official", "seal"])
def test_a_change_made_together_with_a_signature_fails_the_check(
    paper: Paper, field: str, change: Callable[[IncrementalPdfFileWriter], None] | None
) -> None:
    """The increment is signed too, so only a comparison with what was to be signed can notice it."""
    token = paper.official if field == "official" else paper.seal
    previous = paper.form if field == "official" else paper.once
    signed = smuggled(previous, field, token, paper.authority, change)
    arguments = {"field": field, "certificate": token.certificate, "at": MORNING}
    if change is None:
        assert paper.check(previous, signed, **arguments).intact
    else:
        with pytest.raises(Broken, match=r"changed|only be appended"):
            paper.check(previous, signed, **arguments)


def test_a_signature_that_is_not_pades_is_refused(paper: Paper) -> None:
    metadata = PdfSignatureMetadata(
        field_name="official", md_algorithm="sha256", subfilter=SigSeedSubFilter.ADOBE_PKCS7_DETACHED
    )
    signer = PdfSigner(metadata, TokenSigner.of(paper.official, paper.authority.chain))

    class Quiet(IncrementalPdfFileWriter):
        def _update_meta(self) -> None:
            """Leave the metadata alone."""

    signed = signer.sign_pdf(Quiet(io.BytesIO(paper.form))).getvalue()
    assert paper.found(signed)[0].level == "none"
    with pytest.raises(Broken, match="not a PAdES signature"):
        paper.check(paper.form, signed)


def test_a_change_and_a_signature_in_two_increments_fail_the_check(paper: Paper) -> None:
    signed = sign(appended(paper.form, other_page), "official", paper.official, paper.authority)
    assert signed.startswith(paper.form)
    with pytest.raises(Broken, match="increments"):
        paper.check(paper.form, signed)


def test_bytes_after_the_last_signature_are_noticed(paper: Paper) -> None:
    longer = paper.twice + b"\n% more\n"
    with pytest.raises(Broken):
        paper.check_seal(longer)
    try:
        assert not any(one.covers_whole_file for one in paper.found(longer))
    except Broken:
        pass


def test_an_earlier_signature_that_does_not_hold_is_refused(paper: Paper) -> None:
    """The first signature was harmed, and the harmed document was signed and offered as the previous one."""
    harmed = bytearray(paper.once)
    harmed[paper.form.index(b"/Rect") + 9] ^= 1
    previous = bytes(harmed)
    signed = sign(previous, "seal", paper.seal, paper.authority)
    with pytest.raises(Broken, match="earlier signature in official"):
        paper.check(previous, signed, field="seal", certificate=paper.seal.certificate)


@pytest.mark.parametrize("rubbish", [b"", b"not a PDF", b"%PDF-1.7\n%%EOF\n"])
def test_a_file_that_is_no_pdf_is_refused(paper: Paper, rubbish: bytes) -> None:
    with pytest.raises(Broken):
        paper.found(rubbish)


def test_the_time_of_a_signature_is_what_it_states(paper: Paper) -> None:
    first, second = paper.found(paper.twice)
    assert [first.time, second.time] == [MORNING, MORNING + timedelta(minutes=2)]
    assert replace(first, time=second.time) != first
