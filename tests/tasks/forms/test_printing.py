"""The office's papers: what is on them, how large they are, and where the signatures go."""

from __future__ import annotations

import dataclasses
import io
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pikepdf
import pytest
import zxingcpp
from PIL import Image

from infra.errors import Forbidden
from infra.pdf.fields import FieldPlace, place_fields
from infra.pdf.intake import read_scans
from infra.stack.sample_scans import make_scans
from tasks.forms import (
    OFFICIAL_BOX,
    Applicant,
    ECopy,
    Letter,
    Letterhead,
    LetterKind,
    PresentedOriginal,
    Receipt,
    Signatory,
    e_copy,
    letter,
    official_boxes,
    overlap_is_right,
    receipt,
    seal_box,
)

MM = 72 / 25.4
WHEN = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
OFFICE = Letterhead(
    above="UBND xã Bình Liêu",
    agency="Trung tâm Phục vụ hành chính công xã Bình Liêu",
    place="Bình Liêu",
)
APPLICANT = Applicant(full_name="Lưu Thị Sao Mai", address="Thôn Nà Ếch", telephone="0912 345 678")
SIGNATORY = Signatory(title_lines=("KT. CHỦ TỊCH", "PHÓ CHỦ TỊCH"), full_name="Hoàng Thị Thu Hà")
RECEIPT = Receipt(
    head=OFFICE,
    number="0007/TTPVHCC",
    code="H49.61-261123-0007",
    procedure_code="2.000815",
    procedure="Chứng thực bản sao điện tử từ bản chính",
    applicant=APPLICANT,
    originals=(PresentedOriginal(kind="Giấy khai sinh", pages=2, fee_vnd=4000),),
    received=WHEN,
    due=WHEN,
    time_limit="trong ngày làm việc",
    return_by="Tài khoản trên Cổng Dịch vụ công quốc gia",
    clerk="Tằng Văn Sơn",
)
LETTER = Letter(
    head=OFFICE,
    number="12/TB-TTPVHCC",
    date=WHEN,
    code="H49.61-261123-0007",
    procedure="Chứng thực bản sao điện tử từ bản chính",
    applicant=APPLICANT,
    signatory=SIGNATORY,
    points=("Bản chính bị hư hỏng", "Thiếu trang"),
)


@pytest.fixture(scope="module")
def birth(tmp_path_factory: pytest.TempPathFactory) -> ECopy:
    """A certified copy of the sample birth certificate, two pages."""
    originals = make_scans(tmp_path_factory.mktemp("scans"))
    files = next(original.files for original in originals if original.pages == 2)
    return ECopy(
        head=Letterhead(agency="Ủy ban nhân dân xã Bình Liêu", place="Bình Liêu"),
        pages=tuple(read_scans([(path.name, path.read_bytes()) for path in files])),
        kind="Giấy khai sinh",
        number="Số chứng thực: 123 quyển số 01/2026-SCT/BS",
        date=WHEN,
        signatories=(SIGNATORY,),
        code="H49.61-261123-0007",
        verify_url="https://ca.gov.vn",
    )


def _sizes(pdf: bytes) -> list[tuple[float, float]]:
    """Page sizes in millimetres."""
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        return [(float(p.mediabox[2]) / MM, float(p.mediabox[3]) / MM) for p in opened.pages]


def test_each_page_has_the_size_of_its_paper_and_the_first_a_strip_more(birth: ECopy) -> None:
    first, second, attestation = _sizes(e_copy(birth))
    paper = (birth.pages[0].width_mm, birth.pages[0].height_mm)
    assert second == pytest.approx(paper, abs=0.05)
    assert first == pytest.approx((paper[0], paper[1] + 19), abs=0.05)
    assert attestation == pytest.approx((210, 297), abs=0.05)


def test_the_scans_are_in_the_copy_byte_for_byte_and_nothing_is_scaled(birth: ECopy) -> None:
    with pikepdf.open(io.BytesIO(e_copy(birth))) as opened:
        for page, scan in zip(list(opened.pages)[:2], birth.pages, strict=True):
            (image,) = (i for i in page.get_images().values() if i.get("/Filter") == "/DCTDecode")
            assert image.read_raw_bytes() == scan.content
            scales = [
                [float(number) for number in step.operands]
                for step in pikepdf.parse_content_stream(page)
                if str(step.operator) == "cm"
            ]
            wide, tall = scan.width_mm * MM, scan.height_mm * MM
            assert any(abs(m[0] - wide) < 0.2 and abs(abs(m[3]) - tall) < 0.2 for m in scales)


def test_a_turned_page_is_shown_turned(birth: ECopy) -> None:
    with pikepdf.open(io.BytesIO(e_copy(birth))) as opened:
        upright = opened.pages[1].Contents.read_bytes()
    exif = b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0"
    scan = birth.pages[1]
    turned = dataclasses.replace(
        scan,
        content=b"\xff\xd8" + exif + scan.content[2:],
        width_px=scan.height_px,
        height_px=scan.width_px,
        width_mm=scan.height_mm,
        height_mm=scan.width_mm,
    )
    pdf = e_copy(dataclasses.replace(birth, pages=(birth.pages[0], turned)))
    assert _sizes(pdf)[1] == pytest.approx((scan.height_mm, scan.width_mm), abs=0.05)
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        assert opened.pages[1].Contents.read_bytes() != upright


def test_a_small_card_gets_a_first_page_wide_enough_for_its_strip(birth: ECopy) -> None:
    card = dataclasses.replace(birth.pages[0], width_mm=85.6, height_mm=54.0)
    assert _sizes(e_copy(dataclasses.replace(birth, pages=(card,))))[0] == pytest.approx((120, 73), abs=0.05)


def test_a_certified_copy_is_made_twice_alike_also_with_its_fields(birth: ECopy) -> None:
    place = FieldPlace(name="official_1", page=-1, rect=OFFICIAL_BOX)
    one, two = (place_fields(e_copy(birth), [place]) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("count", [1, 2, 3])
def test_three_officials_have_room_beside_each_other_also_under_a_long_name(birth: ECopy, count: int) -> None:
    lines = ("TM. ỦY BAN NHÂN DÂN", "KT. CHỦ TỊCH", "PHÓ CHỦ TỊCH")
    signatories = (Signatory(title_lines=lines, full_name="Nguyễn Thị Ngọc Ánh"),) * count
    assert e_copy(dataclasses.replace(birth, kind="Giấy " * 39, signatories=signatories))


def test_an_original_whose_name_fills_the_page_is_refused(birth: ECopy) -> None:
    assert e_copy(dataclasses.replace(birth, kind="Giấy " * 40))
    with pytest.raises(Forbidden, match="201 characters"):
        e_copy(dataclasses.replace(birth, kind="a" * 201))


@pytest.mark.parametrize("diameter", [34, 35, 36])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_sig_03_the_seal_covers_a_third_of_the_last_official_s_image_and_nobody_else_s(
    count: int, diameter: float
) -> None:
    *others, last = official_boxes(count)
    seal = seal_box(diameter, last)
    assert seal.width == seal.height == diameter
    assert overlap_is_right(last, seal)
    for box in others:
        assert seal.left >= box.right or seal.bottom >= box.top or seal.top <= box.bottom
        assert last.left >= box.right or last.top <= box.bottom


def test_a_receipt_for_many_originals_goes_on_on_a_second_page() -> None:
    assert len(_sizes(receipt(RECEIPT))) == 1
    many = dataclasses.replace(RECEIPT, originals=RECEIPT.originals * 40)
    assert len(_sizes(receipt(many))) >= 2


def test_a_receipt_without_returned_originals_has_no_slip() -> None:
    kept = receipt(dataclasses.replace(RECEIPT, originals_returned=False))
    assert len(kept) < len(receipt(RECEIPT))
    assert kept != receipt(RECEIPT)


@pytest.mark.parametrize("kind", LetterKind)
def test_every_letter_is_one_page_and_the_same_each_time(kind: LetterKind) -> None:
    full = dataclasses.replace(
        LETTER,
        received=WHEN,
        original="Giấy phép",
        until=WHEN,
        promised=WHEN,
        amount_vnd=6000,
        advice="Xin mời.",
    )
    assert len(_sizes(letter(kind, LETTER))) == 1, "optional parts may be missing"
    assert letter(kind, full) == letter(kind, full)
    assert letter(kind, full) != letter(kind, LETTER)


def test_every_letter_has_its_own_template() -> None:
    folder = Path(__file__).parents[3] / "tasks" / "appointment" / "forms"
    assert {kind.value for kind in LetterKind} <= {path.stem for path in folder.glob("*.typ")}


def test_dos_05_the_codes_of_a_printed_receipt_and_copy_are_read_as_they_were_written(
    birth: ECopy, tmp_path: Path
) -> None:
    title = "Giấy tiếp nhận hồ sơ và hẹn trả kết quả"
    asked = f"{RECEIPT.code}\n{RECEIPT.procedure_code}\n{title}\n{RECEIPT.number}"
    assert _codes_on(receipt(RECEIPT), tmp_path) == {asked}
    lines = (birth.number, birth.kind, f"Mã hồ sơ: {birth.code}", birth.verify_url)
    assert _codes_on(e_copy(birth), tmp_path) == {"\n".join(lines)}


def _codes_on(pdf: bytes, folder: Path) -> set[str]:
    """The texts of the QR codes that a scanner finds on a document's pages as they are printed."""
    (folder / "paper.pdf").write_bytes(pdf)
    subprocess.run(["pdftoppm", "-r", "150", "-png", "paper.pdf", "page"], cwd=folder, check=True)
    pages = [Image.open(page) for page in sorted(folder.glob("page-*.png"))]
    found = {code.text for page in pages for code in zxingcpp.read_barcodes(page)}
    for page in folder.glob("page-*.png"):
        page.unlink()
    return found
