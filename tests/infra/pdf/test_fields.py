"""Empty signature fields: where they were asked for, in order, before any signature."""

from __future__ import annotations

import io

import pikepdf
import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import enumerate_sig_fields

from infra.errors import Broken
from infra.pdf.fields import FieldPlace, Rect, place_fields

PLACES = (
    FieldPlace(name="official_1", page=-1, rect=Rect(left=100, bottom=50, width=60, height=28)),
    FieldPlace(name="seal", page=0, rect=Rect(left=84, bottom=46, width=36, height=36)),
)


@pytest.fixture
def pdf() -> bytes:
    """Two empty A4 pages."""
    made = pikepdf.new()
    made.add_blank_page(page_size=(595, 842))
    made.add_blank_page(page_size=(595, 842))
    out = io.BytesIO()
    made.save(out, deterministic_id=True)
    return out.getvalue()


def test_fields_are_added_behind_the_file_in_their_order(pdf: bytes) -> None:
    result = place_fields(pdf, PLACES)
    assert result.startswith(pdf)
    reader = PdfFileReader(io.BytesIO(result), strict=True)
    assert [(name, value) for name, value, _ in enumerate_sig_fields(reader)] == [
        ("official_1", None),
        ("seal", None),
    ]


def test_millimetres_become_points_on_the_right_pages(pdf: bytes) -> None:
    with pikepdf.open(io.BytesIO(place_fields(pdf, PLACES))) as opened:
        first, last = opened.pages[0].Annots[0], opened.pages[1].Annots[0]
        assert str(first.T) == "seal"
        assert str(last.T) == "official_1"
        left, bottom, right, top = (float(edge) for edge in first.Rect)
        # A seal of 36 mm is 102.05 points wide (SIG-04).
        assert (right - left, top - bottom) == pytest.approx((102.047, 102.047), abs=0.01)
        assert (left, bottom) == pytest.approx((84 * 72 / 25.4, 46 * 72 / 25.4), abs=0.01)
        assert int(last.F) & 4, "the field must print"


def test_the_same_file_gives_the_same_bytes_and_keeps_its_metadata(pdf: bytes) -> None:
    once, again = place_fields(pdf, PLACES), place_fields(pdf, PLACES)
    assert once == again
    assert b"pyHanko" not in once


def test_a_name_used_twice_or_a_file_that_is_no_pdf_is_broken(pdf: bytes) -> None:
    with pytest.raises(Broken):
        place_fields(pdf, (PLACES[0], PLACES[0]))
    with pytest.raises(Broken):
        place_fields(b"not a pdf", PLACES)
    with pytest.raises(Broken):
        place_fields(pdf, (FieldPlace(name="a", page=9, rect=PLACES[0].rect),))
