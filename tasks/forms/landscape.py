"""A report of the office on A4 on its side, with the agency's empty field at its top (TT 01/2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from infra.pdf.fields import place_fields
from infra.pdf.places import FieldPlace, Rect
from infra.pdf.typeset import JSON, typeset
from tasks.dossier.calendar import local
from tasks.dossier.offices import OfficeData
from tasks.forms.heads import letterhead_of
from tasks.forms.printing import printed_date

#: The field that the agency signs.
FIELD = "agency"

#: The page's height and its margins, in millimetres; `landscape.typ` has the same.
_HEIGHT, _TOP, _LEFT = 210.0, 20.0, 20.0

_IMPORTS = tuple(Path(__file__).with_name(name) for name in ("layout.typ", "landscape.typ"))


def landscape_page(
    template: Path,
    values: Mapping[str, JSON],
    *,
    office: OfficeData,
    title: str,
    period: str,
    made_at: datetime,
) -> bytes:
    """
    Return the report that a template makes of `values`, with the office's letterhead and the agency's empty field.

    The same input gives the same bytes.
    """
    size = office.seal.diameter_mm
    page = typeset(
        template,
        values={
            "head": asdict(letterhead_of(office)),
            "date": printed_date(local(made_at)),
            "title": title,
            "period": period,
            "seal": size,
            **values,
        },
        images={},
        date=local(made_at),
        imports=_IMPORTS,
    )
    rect = Rect(left=_LEFT, bottom=_HEIGHT - _TOP - size, width=size, height=size)
    return place_fields(page, [FieldPlace(name=FIELD, page=0, rect=rect)])
