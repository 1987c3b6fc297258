"""A result and the files that are attached to it: each signed, all returned and archived together (SIG-06)."""

from __future__ import annotations

import io
from pathlib import Path

import pikepdf
import pytest

from infra.errors import Forbidden
from tasks.archival.steps import ask_for_archive
from tasks.certification.examining import decline_original
from tasks.certification.receiving import Receipt, receive_walk_in
from tasks.certification.scanning import Presented
from tasks.dossier.opening import Opening
from tasks.dossier.papers import newest, read
from tasks.dossier.refusals import Refusal
from tasks.signing.steps import sign_original
from tests.tasks.delivery.test_return_of_result import signatures, signed_result, text_of
from tests.tasks.signing.test_appearances import fields, shows_image
from tests.world import RETURN, World, refused, somebody

NUMBER = "Số: 12/QĐ-UBND"


def given(world: World, office: str, result: bytes, *attached: bytes, number: str = NUMBER) -> str:
    """Take in a result with its attachments; return the dossier's code."""
    opening = Opening(
        office=office, procedure=RETURN, applicant=somebody(email="x@citizen.example"), channels=("email",)
    )
    main = Presented(kind="Giấy phép xây dựng", files=(("result.pdf", result),), pages=1)
    more = [
        Presented(kind=f"Phụ lục {n}", files=((f"{n}.pdf", content),), attached=True, number=number)
        for n, content in enumerate(attached, start=1)
    ]
    return receive_walk_in(opening, [main, *more], Receipt(), by=world.officer(office)).code


def sealed(world: World, code: str, ordinal: int) -> bytes:
    """Return what the agency has signed."""
    with world.parts.database.transaction() as session:
        row = newest(session, code, ordinal, "sealed")
    assert row is not None
    return read(row)


@pytest.fixture(scope="module")
def drawing() -> bytes:
    """An attachment that nobody has signed: a page with a line on it."""
    document = pikepdf.new()
    document.add_blank_page(page_size=(595.28, 841.89)).Contents = document.make_stream(
        b"72 72 m 500 700 l S"
    )
    out = io.BytesIO()
    document.save(out, deterministic_id=True)
    return out.getvalue()


def test_sig_06_each_attachment_is_signed_in_its_corner_and_goes_with_the_result(
    world: World, form: bytes, drawing: bytes, tmp_path: Path
) -> None:
    office = world.office()
    signed = signed_result(world, office, form)
    code = given(world, office, signed, drawing, signed)
    world.carry(code)
    assert world.stage(code) == "Returned", [one.reason for one in world.originals(code)]
    for ordinal, brought, others in ((2, drawing, 0), (3, signed, 1)):
        pdf = sealed(world, code, ordinal)
        assert pdf.startswith(brought)
        found = signatures(world, pdf)
        assert len(found) == others + 1
        assert all(one.intact and one.trusted for one in found)
        page, rect, (width, height) = fields(pdf)["attachment"]
        assert page == 0
        assert (round(width - rect.right, 1), round(height - rect.top, 1)) == (2.0, 2.0)
        assert not shows_image(pdf, "attachment")
        at = found[-1].time
        assert f"{NUMBER} {at:%d/%m/%Y %H:%M:%S} +07:00" in text_of(pdf, tmp_path)
        assert "KẾT QUẢ GIẢI QUYẾT" not in text_of(pdf, tmp_path)
    assert [one.field for one in signatures(world, sealed(world, code, 1))] == ["official", "centre"]
    (mail,) = [m for m in world.mails(code) if str(m["Subject"]).startswith("Kết quả")]
    sent = [part.get_content() for part in mail.iter_attachments()]
    assert sent == [sealed(world, code, ordinal) for ordinal in (1, 2, 3)]
    ask_for_archive(code, by=world.officer(office))
    world.carry(code)
    assert world.stage(code) == "Archived"


def test_the_agency_signs_the_document_before_what_is_attached_to_it(
    world: World, form: bytes, drawing: bytes
) -> None:
    office = world.office()
    code = given(world, office, signed_result(world, office, form), drawing)
    with world.having(foreign_anchors=()):
        world.carry(code)
    assert [one.standing for one in world.originals(code)] == ["left-out", "approved"]
    assert not sign_original(code, 2, world.signer(office, "seal"))
    assert "signature:refused" not in world.events(code)
    decline_original(code, 1, Refusal.R1, "", by=world.officer(office))
    assert [one.standing for one in world.originals(code)] == ["declined", "declined"]


@pytest.mark.parametrize(
    ("procedure", "attached", "number", "said"),
    [
        (RETURN, (False, True), "", "belongs to"),
        (RETURN, (True, False), NUMBER, "before its document"),
        ("e-copy", (False, True), NUMBER, "takes no attachments"),
    ],
)
def test_an_attachment_needs_a_document_before_it_a_number_and_a_procedure_that_takes_it(
    world: World, form: bytes, procedure: str, attached: tuple[bool, ...], number: str, said: str
) -> None:
    office = world.office()
    content = signed_result(world, office, form) if procedure == RETURN else world.scan
    shown = [
        Presented(kind="Giấy", files=(("1.pdf", content),), attached=one, number=number) for one in attached
    ]
    opening = Opening(office=office, procedure=procedure, applicant=somebody(), channels=())
    before = world.picture()
    refusal = refused(Forbidden, lambda: receive_walk_in(opening, shown, Receipt(), by=world.officer(office)))
    assert "[SIG-06]" in str(refusal)
    assert said in str(refusal)
    assert world.picture() == before


def test_a_clerk_names_attachments_behind_their_result(
    world: World, form: bytes, drawing: bytes, tmp_path: Path
) -> None:
    office = world.office()
    for name, content in (("result", signed_result(world, office, form)), ("drawing", drawing)):
        (tmp_path / f"{name}.pdf").write_bytes(content)
    said = world.type(
        "receive", "--walk-in", office, "--procedure", RETURN, "--applicant", "tests/vectors/sen.yaml",
        "--channel", "paper", "--original", "Giấy phép", tmp_path / "result.pdf",
        "--attachment", "Bản vẽ", tmp_path / "drawing.pdf", "--number", NUMBER, "--json", by="mai",
    )  # fmt: skip
    assert said.code == 0, said.err
    _, drawn = world.originals(said.json["code"])
    assert (drawn.kind, drawn.attached_to, drawn.notation) == ("Bản vẽ", 1, NUMBER)
