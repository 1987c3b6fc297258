"""Prints a consolidated list: data in, a workbook or a PDF/A-2b page with its empty signature fields out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from pathlib import Path

from infra.clock import HANOI
from infra.pdf.places import FieldPlace, Rect
from infra.pdf.typeset import typeset
from infra.sheets import Column, workbook
from tasks.forms.printing import printed_date
from tasks.forms.rules import seal_box
from tasks.forms.values import Letterhead, Signatory
from tasks.registration.form_sets import Form, FormSet, Subject
from tasks.registration.round_data import RoundData

_TEMPLATE = Path(__file__).with_name("forms") / "list.typ"
_LAYOUT = Path(__file__).resolve().parents[1] / "forms" / "layout.typ"

#: The official's handwriting on the last page of a list (A4 on its side), above the full name.
OFFICIAL_BOX = Rect(left=205.0, bottom=27.0, width=60.0, height=28.0)

_WORDS: Mapping[Subject, str] = {"individual": "cá nhân", "organisation": "cơ quan, tổ chức"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolidatedList:
    """A list as it is printed: its number, its day, and the rows of each unit in order."""

    data: RoundData
    forms: FormSet
    subject: Subject
    number: str
    day: date
    head: Letterhead
    #: The official that signs it; nobody where the seal alone does.
    signatory: Signatory | None
    seal_diameter_mm: float
    #: Unit's name → its rows, as their values by field.
    groups: Sequence[tuple[str, Sequence[Mapping[str, str]]]]

    @property
    def form(self) -> Form:
        """The form of its subject."""
        return self.forms.form(self.subject)

    @property
    def date(self) -> datetime:
        """The beginning of its day at the office."""
        return datetime.combine(self.day, time(), HANOI)


def list_pdf(made: ConsolidatedList) -> bytes:
    """Return the list as a page for signing, without its fields; the same list gives the same bytes."""
    columns = [column for column in made.form.columns if column.printed]
    number, groups = 0, []
    for unit, rows in made.groups:
        printed = []
        for values in rows:
            number += 1
            printed.append(
                [str(number), *(_printed(values, column.field, column.type) for column in columns)]
            )
        groups.append({"unit": unit, "rows": printed})
    letter = made.data.letter
    return typeset(
        _TEMPLATE,
        values={
            "head": asdict(made.head),
            "number": made.number,
            "title": made.form.list_title,
            "form": f"{made.form.list_form}, {made.forms.title}",
            "date": printed_date(made.date),
            "letter": f"{letter.number} ngày {letter.date:%d/%m/%Y}",
            "round": made.data.name,
            "basis": list(made.data.legal_basis),
            "provider": made.forms.provider,
            "columns": [{"heading": c.heading, "width": c.width} for c in columns],
            "groups": groups,
            "total": f"{number:02d} {_WORDS[made.subject]}",
            "signatory": asdict(made.signatory) if made.signatory else None,
            "official": asdict(OFFICIAL_BOX) if made.signatory else None,
        },
        images={},
        date=made.date,
        imports=(_LAYOUT,),
    )


def list_fields(made: ConsolidatedList) -> tuple[FieldPlace, ...]:
    """
    Return the signature fields of a list, in the order of signing and of painting (SIG-02, SIG-03, SIG-12).

    Without an official the seal lies over the agency's name at the head of the first page, as the stamp of a
    paper that nobody signs does (SIG-16).
    """
    if made.signatory is None:
        size = made.seal_diameter_mm
        head = Rect(left=38.0, bottom=196.0 - size, width=size, height=size)
        return (FieldPlace(name="seal", page=0, rect=head),)
    return (
        FieldPlace(name="official_1", page=-1, rect=OFFICIAL_BOX),
        FieldPlace(name="seal", page=-1, rect=seal_box(made.seal_diameter_mm, OFFICIAL_BOX)),
    )


def list_workbook(made: ConsolidatedList) -> bytes:
    """Return the same list as a workbook whose cells are all text; the same list gives the same bytes."""
    columns = [column for column in made.form.columns if column.printed]
    rows: list[list[str]] = []
    for _, group in made.groups:
        rows += [
            [str(len(rows) + n), *(_printed(values, c.field, c.type) for c in columns)]
            for n, values in enumerate(group, start=1)
        ]
    title = [
        made.head.agency.upper(),
        made.form.list_title.upper(),
        f"Số: {made.number}, ngày {made.day:%d/%m/%Y} ({made.form.list_form}, {made.forms.title})",
    ]
    headings = [Column(heading="STT", width=6)]
    headings += [Column(heading=c.heading, width=max(12, c.width * 0.75)) for c in columns]
    return workbook(headings, rows, sheet="Danh sách", made_at=made.date, title=title)


def _printed(values: Mapping[str, str], field: str, kind: str) -> str:
    """Return a value as the form shows it: days as day/month/year."""
    text = values.get(field, "")
    return f"{date.fromisoformat(text):%d/%m/%Y}" if text and kind in ("birthday", "past") else text
