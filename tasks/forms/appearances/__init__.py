"""
Appearance profiles: what a signature shows and where it stands, by the rules of its time.

A profile is a YAML file beside this module with the day from which it holds (SIG-09). A document keeps the
profile that it was frozen under. What a signature is for (`tasks.dossier.procedures.Purpose`) decides
which of the profile's looks it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from infra.errors import Broken, Forbidden
from infra.pdf.places import Rect
from tasks.dossier.offices import OfficeData

#: What a signature may be for: as in procedures, and on attachments and the office's own papers.
Kind = Literal["approve", "issue", "copy", "result", "attachment", "paper"]
Corner = Literal["top-right", "top-left", "bottom-right", "bottom-left"]

_POINTS = 72 / 25.4

SHIPPED = Path(__file__).parent


class _Data(BaseModel):
    """Checked data: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Look(_Data):
    """
    What one kind of signature shows, and where.

    Lines may name {form}, {agency}, {office}, {place}, {parent}, {mailbox}, {number} and {time}.
    """

    image: bool
    lines: tuple[str, ...] = ()
    size: float = Field(default=10, gt=3, le=14)  # points
    time_format: str = "%d/%m/%Y %H:%M:%S +07:00"  # SIG-11
    #: Corners to try, in order; without any the field lies over the last official's image.
    corners: tuple[Corner, ...] = ()
    width: float = Field(default=66, gt=0)  # mm
    height: float = Field(default=17, gt=0)  # mm
    margin: float = Field(default=4, ge=0)  # mm from the edges of the page


class Profile(_Data):
    """The looks of all kinds of signatures from a day on."""

    code: str
    effective_from: date
    source: str
    looks: Mapping[Kind, Look]

    def look(self, kind: Kind) -> Look:
        """Return what a kind of signature shows; refuses a kind that these rules do not know."""
        if kind not in self.looks:
            raise Forbidden(
                f"the appearance profile {self.code} does not say how a signature on a {kind} looks.",
                rule="SIG-09",
                way_out="Add it to the profile in tasks/forms/appearances.",
            )
        return self.looks[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inscription:
    """What the lines of a look say besides the time, fixed before the signature."""

    look: Look
    values: Mapping[str, str]

    def lines(self, at: datetime) -> tuple[str, ...]:
        """
        Return the lines as of a signing time, which is given in Hà Nội's time.

        >>> from datetime import UTC
        >>> look = Look(image=False, lines=("{form}", "{time}"))
        >>> Inscription(look=look, values={"form": "SAO Y"}).lines(datetime(2026, 11, 22, 9, 5, tzinfo=UTC))
        ('SAO Y', '22/11/2026 09:05:00 +07:00')
        """
        said = {**self.values, "time": at.strftime(self.look.time_format)}
        try:
            return tuple(line.format_map(said) for line in self.look.lines)
        except (KeyError, ValueError) as error:
            raise Broken(f"a look names {error}, which nothing is known of") from error


def inscription(look: Look, office: OfficeData, *, form: str = "", number: str = "") -> Inscription:
    """Return what a look says in an office's name."""
    values = {
        "form": form,
        "number": number,
        "agency": office.unit,
        "office": office.name,
        "place": office.place,
        "parent": office.parent,
        "mailbox": office.mailbox,
    }
    return Inscription(look=look, values=values)


def corner_of(look: Look, corner: Corner, *, width: float, height: float) -> Rect:
    """
    Return where a look stands in a corner of a page of that size; all in millimetres.

    >>> look = Look(image=False, corners=("top-right",), width=60, height=20, margin=5)
    >>> corner_of(look, "top-right", width=210, height=297)
    Rect(left=145.0, bottom=272.0, width=60.0, height=20.0)
    """
    left = look.margin if corner.endswith("left") else width - look.margin - look.width
    bottom = look.margin if corner.startswith("bottom") else height - look.margin - look.height
    return Rect(left=left, bottom=bottom, width=look.width, height=look.height)


@cache
def profiles() -> tuple[Profile, ...]:
    """Return the profiles that are shipped, oldest first."""
    read = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in SHIPPED.glob("*.yaml"))
    return tuple(sorted((Profile.model_validate(body) for body in read), key=lambda p: p.effective_from))


def profile_on(day: date) -> Profile:
    """
    Return the profile that holds on a day; refuses a day before all of them.

    >>> profile_on(date(2020, 3, 4)).code, profile_on(date(2020, 3, 5)).code
    ('tt-01-2019', 'nd-30-2020')
    """
    held = [profile for profile in profiles() if profile.effective_from <= day]
    if not held:
        raise Forbidden(
            f"no appearance profile holds on {day}.",
            rule="SIG-09",
            way_out="Add the rules of that time to tasks/forms/appearances.",
        )
    return held[-1]


def profile_called(code: str) -> Profile:
    """Return a profile by its code, as a frozen document names it."""
    return next(profile for profile in profiles() if profile.code == code)
