"""
The forms of a registration as data: which columns they have, what may stand in them, from when they hold.

A round keeps the set that it was opened under. A new law is a further file, never a change of the code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from infra.errors import Forbidden

SHIPPED = Path(__file__).parent

#: For whom a certificate is asked: a person, or an agency with its own seal.
Subject = Literal["individual", "organisation"]

#: What a column holds; each type has one check in `tasks.registration.rules`.
ColumnType = Literal[
    "name",
    "text",
    "birthday",
    "past",
    "identity",
    "unit-code",
    "mailbox",
    "telephone",
    "choice",
    "serial",
    "sim",
]

#: The columns by which a row is known, and matched with what the provider issued.
_NEEDED = {"name", "identity", "email", "old_serial"}


class _Data(BaseModel):
    """Checked data: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Choice(_Data):
    """One value that a column may have: how it is printed, what else people write, what it asks for besides."""

    text: str
    also: tuple[str, ...] = ()
    #: Another column that must then be filled in.
    needs: str | None = None


class FormColumn(_Data):
    """One column of a form."""

    field: str = Field(pattern=r"^[a-z_]+$")
    type: ColumnType
    heading: str
    #: Other headings that units use for it.
    also: tuple[str, ...] = ()
    #: Share of the sheet's width.
    width: float = Field(gt=0)
    required: bool = False
    #: Whether it stands on the list that goes to the provider; others serve our checks only.
    printed: bool = True
    choices: dict[str, Choice] = {}


class Form(_Data):
    """The two forms of one kind of subject: the request, and the list that the managing agency makes."""

    request_form: str
    list_form: str
    list_title: str
    columns: tuple[FormColumn, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Refuse a form whose rows could not be told apart, or whose choices need what it does not have."""
        fields = [column.field for column in self.columns]
        needs = {c.needs for column in self.columns for c in column.choices.values() if c.needs}
        if len(set(fields)) != len(fields) or not (_NEEDED | needs) <= set(fields):
            raise ValueError(f"columns must be different, and include {', '.join(sorted(_NEEDED | needs))}")
        if any((column.type == "choice") != bool(column.choices) for column in self.columns):
            raise ValueError("a column of type choice has choices, and no other has")
        return self

    def column(self, field: str) -> FormColumn:
        """Return a column by its field."""
        return next(column for column in self.columns if column.field == field)


class IdentityForm(_Data):
    """What counts as an identity number."""

    pattern: str
    text: str
    vi: str
    #: Whether digits 4 to 6 tell the century and the year of birth, as in a citizen's identity card.
    tells_birth: bool = False

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        """Refuse what is no regular expression."""
        re.compile(pattern)
        return pattern


class FormSet(_Data):
    """The forms of one circular or decree."""

    code: str = Field(pattern=r"^[a-z0-9-]{2,32}$")
    title: str
    provider: str
    effective_from: date
    effective_until: date | None = None
    #: For so many months after the last that happened in a round its personal data is kept `[M]`.
    keep_months: int = Field(default=24, ge=1)
    individual: Form
    organisation: Form
    identity: IdentityForm

    def form(self, subject: Subject) -> Form:
        """Return the form for a kind of subject."""
        return self.individual if subject == "individual" else self.organisation

    def holds_on(self, day: date) -> bool:
        """Tell whether the set is in force on a day."""
        return self.effective_from <= day and (self.effective_until is None or day <= self.effective_until)


def read_form_set(path: Path) -> FormSet:
    """Return the form set in a YAML file; refuses one that breaks the schema."""
    try:
        return FormSet.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise Forbidden(
            f"{path.name} does not describe a set of forms: {error}.",
            rule="CER-12",
            way_out="Correct the file; docs/registration.md says what it holds.",
        ) from error


def shipped_form_sets() -> Sequence[FormSet]:
    """Return the form sets that come with this release, oldest first."""
    found = [read_form_set(path) for path in SHIPPED.glob("*.yaml")]
    return sorted(found, key=lambda one: one.effective_from)


def form_set_on(day: date, code: str | None = None) -> FormSet:
    """Return the shipped set that is in force on a day, or the one named if it is; refuses otherwise (CER-12)."""
    sets = shipped_form_sets()
    for one in sets:
        if one.holds_on(day) and code in (None, one.code):
            return one
    raise Forbidden(
        f"the forms “{code}” are not in force on {day}." if code else f"no forms are in force on {day}.",
        rule="CER-12",
        way_out="In force: "
        + "; ".join(f"{s.code} from {s.effective_from} until {s.effective_until or 'now'}" for s in sets)
        + ".",
    )
