"""
Offices as data: hours, capacity, people and where their keys are.

The file is loaded into the database with `hoso office load`; certificates are bound by their bytes.
"""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from infra.errors import Forbidden
from tasks.dossier.calendar import Calendar, Hours
from tasks.dossier.posts import AuthoritySaid, RegimeSaid

Role = Literal["clerk", "official", "supervisor", "administrator", "auditor", "portal"]


class _Data(BaseModel):
    """Checked data: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Span(_Data):
    """One span of opening hours."""

    opens: time
    closes: time


class Officer(_Data):
    """Somebody who works at the office; what may be signed from which post is `tasks.authority`'s to say."""

    staff: str = Field(pattern=r"^[a-z0-9-]{2,32}$")
    name: str
    #: What the person is called in the history and on receipts: `Công chức Tư pháp – Hộ tịch`.
    post: str
    roles: frozenset[Role]
    #: The procedures that the roles hold for; none named: all.
    procedures: frozenset[str] = frozenset()
    #: The person's official address.
    email: str = ""
    #: Identity number, so that nobody certifies papers of their own (CERT-10).
    identity: str = ""
    key: str | None = None
    image: str | None = None


class Seal(_Data):
    """The agency's signature."""

    key: str
    image: str
    diameter_mm: float = Field(gt=0)


class OfficeData(_Data):
    """One office, as its file describes it."""

    code: str = Field(pattern=r"^(\d{3}\.\d{2}\.\d{2}\.[A-Z]\d{2}|[A-Z]\d{2}(\.[0-9A-Z]+)*)$", max_length=35)
    name: str
    unit: str
    parent: str
    place: str
    address: str
    mailbox: str
    telephone: str
    slot_minutes: int = Field(gt=0, le=240)
    capacity: int = Field(gt=0)
    hours: dict[int, tuple[Span, ...]]
    holidays: frozenset[date] = frozenset()
    make_up: dict[date, tuple[Span, ...]] = {}
    sequence_width: int = Field(default=4, ge=4, le=7)
    seal: Seal
    officers: tuple[Officer, ...]
    #: Who is told of what is late for long, by staff code; empty: the office's mailbox only.
    superior: str = ""
    #: Whether the head decides alone or a collective does, and how signature blocks are worded (AUTH-01).
    regime: RegimeSaid = RegimeSaid()
    #: Posts, who holds them, mandates: kept as rows of their own, so what is stored of an office leaves them out.
    authority: AuthoritySaid = Field(default=AuthoritySaid(), exclude=True)

    @model_validator(mode="after")
    def _superior_works_here(self) -> Self:
        """Refuse a superior whom nobody could write to."""
        if self.superior and not any(o.staff == self.superior and o.email for o in self.officers):
            raise ValueError(f"superior {self.superior} is no officer of {self.code} with an e-mail address")
        return self

    def calendar(self) -> Calendar:
        """Return the office's working days and hours."""
        return Calendar(
            weekly={day: _spans(spans) for day, spans in self.hours.items()},
            holidays=self.holidays,
            make_up={day: _spans(spans) for day, spans in self.make_up.items()},
        )

    def officer(self, staff: str, role: Role) -> Officer:
        """Return a person of this office who holds a role, and refuse anybody else."""
        for officer in self.officers:
            if officer.staff == staff and role in officer.roles:
                return officer
        raise Forbidden(
            f"“{staff}” is not a {role} of {self.code}.",
            rule="AUTH-06",
            way_out=f"Those who are: {', '.join(o.staff for o in self.officers if role in o.roles) or 'nobody'}.",
        )


def _spans(spans: tuple[Span, ...]) -> tuple[Hours, ...]:
    """Return opening hours in order."""
    return tuple(sorted((Hours(opens=s.opens, closes=s.closes) for s in spans), key=lambda h: h.opens))


def read_office(path: Path) -> OfficeData:
    """Return the office in a YAML file; refuses one that breaks the schema."""
    try:
        return OfficeData.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise Forbidden(
            f"{path.name} does not describe an office: {error}.",
            rule="DOS-18",
            way_out="Correct the file; docs/operations.md shows a complete one.",
        ) from error
