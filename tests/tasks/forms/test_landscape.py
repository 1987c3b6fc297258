"""A report on its side leaves its place to the seal: nothing is printed where the agency signs."""

from __future__ import annotations

import io
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

import pikepdf
import pytest
import yaml
from PIL import Image

from infra.stack.layout import PROJECT
from tasks.dossier.offices import OfficeData
from tasks.exchange.reporting import Line, Report, report_pdf
from tasks.forms.landscape import FIELD

SAMPLE = PROJECT / "infra" / "stack" / "sample_office" / "office.yaml"
LONG = "Trung tâm Phục vụ hành chính công xã Một Cái Tên Rất Dài Ở Miền Núi Phía Bắc"


@pytest.mark.parametrize("unit", ["UBND xã", LONG])
@pytest.mark.parametrize("diameter", [36.0, 40.0])
def test_nothing_is_printed_where_the_agency_signs(tmp_path: Path, unit: str, diameter: float) -> None:
    said = yaml.safe_load(SAMPLE.read_text())
    known = OfficeData.model_validate(said)
    seal = known.seal.model_copy(update={"diameter_mm": diameter})
    office = known.model_copy(update={"unit": unit, "seal": seal})
    report = Report(
        office=office.code, first=date(2026, 11, 1), last=date(2026, 11, 30),
        lines=(Line(agency="H49.31", name="Ủy ban nhân dân xã bên"),), missing=(), wrong=(),
    )  # fmt: skip
    (tmp_path / "a.pdf").write_bytes(report_pdf(report, office, datetime(2026, 12, 1, tzinfo=UTC)))
    with pikepdf.open(tmp_path / "a.pdf") as pdf:
        (field,) = [one for one in pdf.Root.AcroForm.Fields if one.T == FIELD]
        left, bottom, right, top = (float(value) for value in field.Rect)
        height = float(pdf.pages[0].MediaBox[3])
    assert (right - left) * 25.4 / 72 == pytest.approx(diameter, abs=0.1)
    drawn = subprocess.run(
        ["pdftoppm", "-r", "72", "-gray", "-singlefile", tmp_path / "a.pdf"], capture_output=True, check=True
    ).stdout
    page = Image.open(io.BytesIO(drawn))
    around = 4  # points
    under = page.crop(
        (int(left), int(height - top), int(right) + around, int(height - bottom) + around)
    )  # fmt: skip
    assert under.getextrema() == (255, 255)
    beside = page.crop((int(right), int(height - top), page.width, int(height - bottom)))
    assert beside.getextrema()[0] < 128, "the letterhead stands beside it"
