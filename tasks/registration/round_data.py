"""A round and its units as data: what the files say that open it (CER-12)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from infra.errors import Forbidden
from infra.sheets import Row
from tasks.registration.values import folded


class _Data(BaseModel):
    """Checked data: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class UnitData(_Data):
    """A unit that must answer."""

    code: str = Field(pattern=r"^[A-Z0-9][A-Z0-9.-]{0,34}$")
    name: str = Field(min_length=2, max_length=200)
    #: Where reminders go; an official mailbox.
    mailbox: str = ""
    #: The agency that confirms its list, if it has no seal of its own (CER-01).
    managed_by: str = ""


class Letter(_Data):
    """The letter that asks the units for their lists."""

    number: str
    date: date


class RoundData(_Data):
    """A round, as its file describes it."""

    code: str = Field(pattern=r"^[A-Z0-9][A-Z0-9-]{1,30}$")
    #: The office that collects and passes on (ORG-05).
    office: str
    name: str
    letter: Letter
    legal_basis: tuple[str, ...] = Field(min_length=1)
    #: Code of a form set; without it, the one that is in force on the letter's date.
    forms: str | None = None
    deadline: datetime
    #: Domains of official mailboxes (CER-14): `gov.vn`, a Party's or a union's own.
    official_domains: tuple[str, ...] = Field(min_length=1)
    #: Who signs the consolidated list: an official and then the seal (SIG-12), or the seal alone where nobody
    #: signs it because the letter that it belongs to is signed (SIG-16).
    signed_by: Literal["official-and-seal", "seal"] = "official-and-seal"
    #: In which capacities an official may sign the list, preferred ones first (AUTH-01).
    capacities: tuple[str, ...] = ("TM.", "KT.", "TL.", "TUQ.", "own")
    units: tuple[UnitData, ...] = ()

    @field_validator("deadline")
    @classmethod
    def _aware(cls, moment: datetime) -> datetime:
        """Refuse a deadline that does not say in which time zone it is."""
        if moment.utcoffset() is None:
            raise ValueError("write the deadline with its time zone: 2026-12-25T17:00:00+07:00")
        return moment

    @field_validator("official_domains")
    @classmethod
    def _small(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        """Return domains as addresses are compared with them."""
        return tuple(domain.lower().strip(".@ ") for domain in domains)


def read_round(path: Path) -> RoundData:
    """Return the round in a YAML file; refuses one that breaks the schema (CER-12)."""
    try:
        return RoundData.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise Forbidden(
            f"{path.name} does not describe a round: {error}.",
            rule="CER-12",
            way_out="Correct the file; docs/registration.md shows a complete one.",
        ) from error


_UNIT_HEADINGS = {
    "code": ("Mã đơn vị", "Mã", "code"),
    "name": ("Tên đơn vị", "Đơn vị", "Tên", "name"),
    "mailbox": ("Thư điện tử", "Email", "mailbox"),
    "managed_by": ("Cơ quan quản lý trực tiếp", "managed_by"),
}


def read_units(rows: Sequence[Row]) -> list[UnitData]:
    """
    Return the units in a file's rows below the headings “Mã đơn vị” and “Tên đơn vị”.

    “Thư điện tử” and “Cơ quan quản lý trực tiếp” may be there too. Refuses with every row that is wrong (CER-12).
    """
    names = {folded(text): name for name, texts in _UNIT_HEADINGS.items() for text in texts}
    places = {names.get(folded(cell.text), ""): n for n, cell in enumerate(rows[0].cells)} if rows else {}
    if not {"code", "name"} <= set(places):
        raise Forbidden(
            "the first row must hold the headings “Mã đơn vị” and “Tên đơn vị”.",
            rule="CER-12",
            way_out="Add the headings; “Thư điện tử” and “Cơ quan quản lý trực tiếp” may follow.",
        )
    units: list[UnitData] = []
    wrong: list[str] = []
    for row in rows[1:]:
        said = {name: row.cell(place).text for name, place in places.items() if name}
        try:
            if any(cell.typed == "formula" for cell in row.cells):
                raise ValueError("a formula")
            units.append(UnitData(**{**said, "code": said["code"].upper()}))
        except ValueError:
            wrong.append(str(row.number))
    codes = [unit.code for unit in units]
    wrong += sorted({f"{code} twice" for code in codes if codes.count(code) > 1})
    if wrong or not units:
        raise Forbidden(
            f"these rows name no unit, or one twice: {', '.join(wrong) or 'there are none'}.",
            rule="CER-12",
            way_out="A code has capital letters, digits, dots and hyphens; every unit has a name.",
        )
    return units
