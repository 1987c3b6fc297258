"""The sample papers can be certified: they pass the same door as everything that citizens bring."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from infra.pdf.intake import read_scans
from infra.stack.sample_scans import make_scans

OFFICE = Path(__file__).parents[3] / "infra" / "stack" / "sample_office"


def test_the_sample_scans_are_fit_for_certification(tmp_path: Path) -> None:
    for original in make_scans(tmp_path):
        pages = read_scans([(path.name, path.read_bytes()) for path in original.files])
        assert len(pages) == original.pages
        assert all(page.dpi >= 200 and page.media_type == "image/jpeg" for page in pages)


def test_the_seal_is_printed_in_its_real_size() -> None:
    seal = Image.open(OFFICE / "seal.png")
    assert seal.mode == "RGBA"
    assert abs(seal.width / seal.info["dpi"][0] * 25.4 - 36) < 0.1
    assert seal.getpixel((2, 2))[3] == 0, "the corners are transparent"
