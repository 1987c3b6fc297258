"""Packages of the exchange: written, signed, taken apart and read again, whoever made them (EDX-01 to EDX-13)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from infra.edxml import splitting
from infra.edxml.faults import Faulty
from infra.edxml.reading import Opened, read_package
from infra.edxml.signature import DS, sign_envelope
from infra.edxml.splitting import Most, split
from infra.edxml.values import Business, Entry, Letter, Organ, Replaced, Response, Staff, Status, document_id
from infra.edxml.writing import write_letter, write_status
from tests.conftest import Authority

DAY = date(2026, 11, 22)
AT = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 40
KEY = rsa.generate_private_key(65537, 2048)
CERTIFICATE = Authority().issue("UBND xã A", KEY.public_key())


def sign(content: bytes) -> bytes:
    return KEY.sign(content, padding.PKCS1v15(), hashes.SHA256())


def letter(**changes: object) -> Letter:
    made = Letter(
        document_id=document_id("H49.21", DAY, "12", "UBND-VP"),
        sender=Organ(code="H49.21", name="Ủy ban nhân dân xã A"),
        to=(Organ(code="000.00.00.G22", name="Văn phòng Chính phủ"), Organ(code="H49.31")),
        number="12",
        notation="UBND-VP",
        place="Bình Liêu",
        day=DAY,
        type_code="1",
        type_name="Công văn",
        subject="Về việc liên thông văn bản",
        priority=2,
        answers=(Response(organ="H49.31", code="7/BC", day=DAY, document_id="H49.31,2026/11/22,7/BC"),),
        staff=Staff(department="Văn thư", staff="mai"),
        attachments=(Entry(content_id="a-1", name="cong-van.pdf", media_type="application/pdf"),),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def package(folder: Path, what: Letter | None = None, *contents: bytes) -> Path:
    """Write a signed package."""
    what = what or letter()
    contents = contents or (PDF,) * len(what.attachments)
    files = []
    for number, content in enumerate(contents):
        files.append(folder / f"file-{number}")
        files[-1].write_bytes(content)
    shas = {
        e.content_id: hashlib.sha256(c).hexdigest() for e, c in zip(what.attachments, contents, strict=True)
    }
    out = folder / "package.xml"
    write_letter(
        what, files, out, made_at=AT,
        sign=lambda envelope: sign_envelope(envelope, shas, certificate=CERTIFICATE, sign=sign),
    )  # fmt: skip
    return out


def opened(path: Path) -> Opened:
    folder = path.parent / "parts"
    folder.mkdir(exist_ok=True)
    return read_package(split(path, folder))


def codes(path: Path) -> list[str]:
    """The codes of what is wrong with a package, however early it is refused."""
    try:
        return [fault.code for fault in opened(path).faults]
    except Faulty as error:
        return [fault.code for fault in error.faults]


def changed(path: Path, change: Callable[[str], str]) -> Path:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    return path


def test_what_was_written_is_read_again_and_its_signature_covers_every_attachment(tmp_path: Path) -> None:
    found = opened(package(tmp_path))
    assert found.faults == ()
    assert found.letter is not None
    assert found.signed is not None
    assert replace(found.letter, traces=()) == letter()
    assert [(t.organ, t.at) for t in found.letter.traces] == [("H49.21", AT)]
    assert found.signed.covered == {"a-1"}
    assert (found.signed.certificate, found.signed.weak) == (CERTIFICATE, False)
    (one,) = found.attached
    assert (one.part.path.read_bytes(), one.part.sha256) == (PDF, hashlib.sha256(PDF).hexdigest())


def test_edx_01_it_writes_bussiness_and_reads_both_spellings(tmp_path: Path) -> None:
    written = package(tmp_path).read_text(encoding="utf-8")
    assert "<edXML:Bussiness>" in written
    assert "rsa-sha256" in written
    other = changed(tmp_path / "package.xml", lambda text: text.replace("Bussiness", "Business"))
    read = opened(other).letter
    assert read is not None
    assert (read.business, read.staff.staff) == (Business.NEW, "mai")


def test_edx_07_both_forms_of_dates_are_read(tmp_path: Path) -> None:
    other = changed(
        package(tmp_path), lambda text: text.replace("2026/11/22 08:30:00", "22/11/2026 08:30:00")
    )
    read = opened(other).letter
    assert read is not None
    assert read.traces[0].at == AT


def test_edx_04_a_recall_an_update_and_a_replacement_say_what_they_are_about(tmp_path: Path) -> None:
    for business, more in (
        (Business.RECALL, {"reason": "Sai thể thức", "about": "H49.21,2026/11/20,9/UBND-VP"}),
        (Business.UPDATE, {"about": "H49.21,2026/11/20,9/UBND-VP"}),
        (Business.REPLACE, {"replaces": (Replaced(document_id="H49.21,2026/11/20,9/UBND-VP", organs=("H49.31",)),)}),
    ):  # fmt: skip
        wanted = letter(business=business, **more)
        read = opened(package(tmp_path, wanted))
        assert read.faults == ()
        assert read.letter is not None
        assert replace(read.letter, traces=()) == wanted
        bare = codes(package(tmp_path, letter(business=business)))
        assert bare, f"{business.name} without what it is about has a fault"


def test_sta_01_a_status_is_read_again_and_14_is_15(tmp_path: Path) -> None:
    answers = Response(organ="H49.21", code="12/UBND-VP", day=DAY, document_id=letter().document_id)
    said = Status(code="15", sender=Organ(code="H49.31"), answers=answers, at=AT, description="Đồng ý")
    out = tmp_path / "status.xml"
    write_status(said, out, sign=lambda e: sign_envelope(e, {}, certificate=CERTIFICATE, sign=sign))
    found = opened(out)
    assert (found.faults, found.status) == ((), said)
    other = changed(out, lambda text: text.replace("<edXML:StatusCode>15<", "<edXML:StatusCode>14<"))
    read = opened(other).status
    assert read is not None
    assert read.code == "15"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda t: t.replace("Về việc", "Về viêc"), "M.edXMLHeader.Signature"),
        (lambda t: re.sub("<ds:Signature .*</ds:Signature>", "", t, flags=re.S), "N.edXMLHeader.Signature"),
        (lambda t: t.replace("<edXML:OrganId>H49.31<", "<edXML:OrganId>000.00.00.G22<", 1), "R.MessageHeader.To.OrganId"),
        (lambda t: t.replace("<edXML:OrganId>H49.21<", "<edXML:OrganId>h49 21<", 1), "R.MessageHeader.From.OrganId"),
        (lambda t: re.sub("<edXML:To>.*</edXML:To>", "", t, flags=re.S), "N.MessageHeader.To"),
        (lambda t: re.sub("<edXML:Subject>.*?</edXML:Subject>", "", t), "N.MessageHeader.Subject"),
        (lambda t: t.replace("Về việc", "Về việc " * 80), "R.MessageHeader.Subject"),
        (lambda t: t.replace("<edXML:PromulgationDate>2026/11/22<", "<edXML:PromulgationDate>2026/13/22<", 1),
         "R.MessageHeader.PromulgationInfo.PromulgationDate"),
        (lambda t: t.replace("cid:a-1", "cid:a-2"), "M.edXMLManifest.Reference.ContentId"),
        (lambda t: t.replace("cong-van.pdf", "cong-van.docx"), "M.AttachmentEncoded.Attachment.AttachmentName"),
        (lambda t: t.replace("cong-van.pdf", "../van.pdf"), "R.AttachmentEncoded.Attachment.AttachmentName"),
        (lambda t: t.replace("<edXML:Priority>2<", "<edXML:Priority>9<"), "R.MessageHeader.OtherInfo.Priority"),
        (lambda t: t.replace("12/UBND-VP<", "13/UBND-VP<"), "M.MessageHeader.DocumentId"),
    ],
)  # fmt: skip
def test_edx_08_each_fault_has_its_code(change: Callable[[str], str], code: str, tmp_path: Path) -> None:
    assert code in codes(changed(package(tmp_path), change))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "M.edXML"),
        (b"not xml", "M.edXML"),
        (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "M.edXML"),
        (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>', "M.edXML"),
        ('<?xml version="1.0" encoding="UTF-16"?><edXML/>'.encode("utf-16"), "M.edXML"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><edXML/>', "M.edXML"),
        (b"<edXML/>", "N.edXML.edXMLEnvelope"),
        (b"<a>" * 40 + b"</a>" * 40, "R.edXML"),
        (b"<edXML>" + b"<a/>" * 30_000 + b"</edXML>", "R.edXML"),
        (b"<edXML a='" + b"x" * 3_000_000 + b"'/>", "R.edXML"),
        (b"<edXML><AttachmentEncoded><Attachment><ContentTransferEncoded><b/>", "M.AttachmentEncoded.Attachment"),
        (b"<edXML><AttachmentEncoded><Attachment><ContentTransferEncoded>QUJD=QUJD</ContentTransferEncoded>",
         "M.AttachmentEncoded.Attachment.ContentTransferEncoded"),
        (b"<edXML><AttachmentEncoded><Attachment><ContentTransferEncoded><!--" + b"x" * 3_000_000,
         "M.AttachmentEncoded.Attachment"),
    ],
)  # fmt: skip
def test_edx_13_what_is_no_package_is_refused_before_anything_is_expanded(
    content: bytes, code: str, tmp_path: Path
) -> None:
    path = tmp_path / "package.xml"
    path.write_bytes(content)
    assert codes(path)[0] == code


def test_edx_13_sizes_are_counted_while_they_come_in(tmp_path: Path) -> None:
    path = package(tmp_path)
    folder = tmp_path / "parts"
    folder.mkdir()
    for most in (
        Most(attachment_bytes=100),
        Most(file_bytes=5000),
        Most(rest_bytes=300),
        Most(attachments=0),
    ):
        with pytest.raises(Faulty, match=r"^R\."):
            split(path, folder, most)


def test_an_attachment_that_was_exchanged_for_another_breaks_the_signature(tmp_path: Path) -> None:
    other = base64.b64encode(b"%PDF-1.7 other").decode()
    path = changed(
        package(tmp_path),
        lambda t: re.sub(r"(<edXML:ContentTransferEncoded>)[^<]*", rf"\g<1>{other}", t),
    )  # fmt: skip
    assert "M.edXMLHeader.Signature" in codes(path)


def test_an_attachment_that_the_signature_does_not_cover_is_a_fault(tmp_path: Path) -> None:
    more = "<edXML:Attachment><edXML:ContentId>b</edXML:ContentId><edXML:ContentTransferEncoded>QUJD</edXML:ContentTransferEncoded><edXML:AttachmentName>b.txt</edXML:AttachmentName></edXML:Attachment></edXML:AttachmentEncoded>"
    path = changed(package(tmp_path), lambda t: t.replace("</edXML:AttachmentEncoded>", more))
    assert "M.edXMLHeader.Signature" in codes(path)


def test_a_second_envelope_around_a_signed_one_is_never_read(tmp_path: Path) -> None:
    def wrapped(text: str) -> str:
        envelope = re.search("<edXML:edXMLEnvelope.*</edXML:edXMLEnvelope>", text, flags=re.S)
        assert envelope is not None
        forged = re.sub("<ds:Signature .*</ds:Signature>", "", envelope[0], flags=re.S)
        forged = forged.replace('Id="envelope"', 'Id="forged"').replace("Về việc", "Giả mạo")
        return text.replace(envelope[0], forged + envelope[0])

    found = codes(changed(package(tmp_path), wrapped))
    assert "R.edXML.edXMLEnvelope" in found


def test_a_comment_does_not_cut_a_text_in_two(tmp_path: Path) -> None:
    path = changed(package(tmp_path), lambda t: t.replace("Về việc liên", "Về việc <!-- x -->liên"))
    read = opened(path).letter
    assert read is not None
    assert read.subject == letter().subject


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_done_to_a_package_it_is_read_or_refused_and_never_believed(
    data: st.DataObject, tmp_path: Path
) -> None:
    path = tmp_path / "package.xml"
    whole = path.read_bytes() if path.exists() else package(tmp_path).read_bytes()
    head = whole.index(b"<edXML:edXMLEnvelope")
    place = data.draw(st.integers(head, len(whole) - 1))
    length = data.draw(st.integers(0, 60))
    piece = data.draw(
        st.binary(max_size=40) | st.sampled_from([b"<!--x-->", b"&amp;", b"<a/>", b"]]>", b"&x;"])
    )
    made = whole[:place] + piece + whole[place + length :]
    path = tmp_path / "changed.xml"
    path.write_bytes(made)
    try:
        found = opened(path)
    except Faulty:
        return
    if not found.faults:
        assert found.letter is not None
        assert replace(found.letter, traces=()) == letter(), "what is taken is what was signed"
        assert found.attached[0].part.path.read_bytes() == PDF


#: What stands between two tags of an attachment, or pretends to.
SCRAPS = [
    b"QUJD", b"QU JD\r\n", b"QQ==", b"&#65;AAA", b"<!--ContentTransferEncoded>QUJD-->", b"<!-->-->", b"<![CDATA[QUJD]]>",
    b"</e:ContentTransferEncoded>", b"<e:ContentTransferEncoded>", b'<e:ContentTransferEncoded a="&gt;>">',
    b"<ContentTransferEncoded/>", b"</e:Attachment><e:Attachment>", b"ContentTransferEncoded>", b"<?x > ?>", b"\xff", b"<e:x/>",
]  # fmt: skip


def taken_apart(path: Path, folder: Path, piece: int, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(splitting, "_PIECE", piece)
    folder.mkdir(exist_ok=True)
    try:
        found = split(path, folder)
    except Faulty:
        return "refused"
    return found.rest, [(part.sha256, part.size, part.path.read_bytes()) for part in found.parts]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scraps=st.lists(st.sampled_from(SCRAPS), max_size=6), piece=st.integers(2, 400))
def test_an_attachment_is_the_same_whether_it_is_read_past_the_parser_or_through_it(
    scraps: list[bytes], piece: int, tmp_path: Path
) -> None:
    path = tmp_path / "package.xml"
    start = b'<e:edXML xmlns:e="e"><e:AttachmentEncoded><e:Attachment><e:ContentTransferEncoded>'
    end = b"</e:ContentTransferEncoded></e:Attachment></e:AttachmentEncoded></e:edXML>"
    path.write_bytes(start + b"".join(scraps) + end)
    with pytest.MonkeyPatch.context() as patch:
        # Byte by byte no tag comes whole, so that everything goes through the parser.
        through = taken_apart(path, tmp_path / "through", 1, patch)
        assert taken_apart(path, tmp_path / "past", 1 << 18, patch) == through
        assert taken_apart(path, tmp_path / "pieces", piece, patch) == through


def test_sha_1_in_a_package_is_taken_and_told(tmp_path: Path) -> None:
    older = {
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": f"{DS}rsa-sha1",
        "http://www.w3.org/2001/04/xmlenc#sha256": f"{DS}sha1",
    }

    def sign_as_older_software(envelope: etree._Element, *, over: str) -> None:
        sign_envelope(envelope, {"a-1": hashlib.sha256(PDF).hexdigest()}, certificate=CERTIFICATE, sign=sign)
        info = next(envelope.iter(f"{{{DS}}}SignedInfo"))
        method = next(info.iter(f"{{{DS}}}SignatureMethod"))
        reference = next(info.iter(f"{{{DS}}}Reference"))
        if over == "envelope":
            signature = info.getparent()
            assert signature is not None
            header = signature.getparent()
            assert header is not None
            header.remove(signature)
            said = etree.tostring(envelope, method="c14n", exclusive=True)
            header.append(signature)
            next(reference.iter(f"{{{DS}}}DigestMethod")).set(
                "Algorithm", older["http://www.w3.org/2001/04/xmlenc#sha256"]
            )
            next(reference.iter(f"{{{DS}}}DigestValue")).text = base64.b64encode(
                hashlib.sha1(said).digest()
            ).decode()
        algorithm: hashes.HashAlgorithm = hashes.SHA256()
        if over == "value":
            method.set("Algorithm", older["http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"])
            algorithm = hashes.SHA1()
        said = etree.tostring(info, method="c14n", exclusive=True)
        value = base64.b64encode(KEY.sign(said, padding.PKCS1v15(), algorithm)).decode()
        next(envelope.iter(f"{{{DS}}}SignatureValue")).text = value

    file = tmp_path / "file"
    file.write_bytes(PDF)
    for over, weak in (("nothing", False), ("envelope", True), ("value", True)):
        path = tmp_path / "package.xml"
        write_letter(letter(), [file], path, made_at=AT, sign=partial(sign_as_older_software, over=over))
        found = opened(path)
        assert not found.faults, found.faults
        assert found.signed is not None
        assert found.signed.weak is weak, over


def test_the_certificate_in_the_package_is_the_one_that_signed(tmp_path: Path) -> None:
    other = rsa.generate_private_key(65537, 2048)
    strange = base64.b64encode(Authority().issue("Kẻ lạ", other.public_key())).decode()
    path = changed(
        package(tmp_path), lambda t: re.sub("(X509Certificate>)[^<]*", rf"\g<1>{strange}", t, count=1)
    )
    assert "M.edXMLHeader.Signature" in codes(path)
    assert x509.load_der_x509_certificate(CERTIFICATE).subject
