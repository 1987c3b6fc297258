"""Where the fields of a certified copy lie: the officials' in their blocks, the agency's as its look says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from infra.pdf.lettering import lettering
from infra.pdf.pages import PageImage
from infra.pdf.places import FieldPlace, Rect
from tasks.dossier.offices import OfficeData
from tasks.dossier.procedures import SignatureStep
from tasks.forms.appearances import Corner, Inscription, Look, corner_of
from tasks.forms.rules import STRIP_HEIGHT, hung_seal, least_width, official_boxes, seal_box

_POINTS = 72 / 25.4
#: Lines under a seal may take so much room, in millimetres.
_UNDER_A_SEAL = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The fields of a copy in the order of signing, and what the pages must leave room for."""

    fields: tuple[FieldPlace, ...]
    #: What the lines of the agency's signature may take (mm): width and height.
    room: tuple[float, float]
    #: Whether the copy has an attestation page; a copy that only the agency marks has none.
    attested: bool
    #: Whether the agency's mark takes the place of the printed copy mark on the first page.
    marked_by_agency: bool


def place_copy_fields(
    steps: Sequence[SignatureStep],
    first_page: PageImage,
    office: OfficeData,
    text: Inscription,
    at: datetime,
) -> Placed:
    """
    Return the fields of a copy whose route has these steps, the agency's last.

    `text` is what the agency's signature says; it must fit its field as of `at`, or is refused (SIG-07).
    """
    *officials, agency = steps
    boxes = official_boxes(len(officials))
    fields = [FieldPlace(name=s.field, page=-1, rect=box) for s, box in zip(officials, boxes, strict=True)]
    corner = corner_for(agency, text.look)
    if corner is None:
        below = boxes[-1] if boxes else None
        square = seal_box(office.seal.diameter_mm, below) if below else hung_seal(office.seal.diameter_mm)
        rect = with_lines_under(square, text, at)
        fields.append(FieldPlace(name=agency.field, page=-1, rect=rect))
        return Placed(
            fields=tuple(fields), room=room_in(rect, text.look), attested=True, marked_by_agency=False
        )
    width = max(first_page.width_mm, least_width(marked=True))
    height = first_page.height_mm + STRIP_HEIGHT
    rect = corner_box(text, corner, width=width, height=height, office=office, at=at)
    fields.append(FieldPlace(name=agency.field, page=0, rect=rect))
    return Placed(
        fields=tuple(fields), room=room_in(rect, text.look), attested=bool(officials), marked_by_agency=True
    )


def room_in(rect: Rect, look: Look) -> tuple[float, float]:
    """Return what the lines of a look may take of its field (mm): width and height."""
    return rect.width, rect.height - rect.width if look.image else rect.height


def corner_for(step: SignatureStep, look: Look) -> Corner | None:
    """Return the corner of the first page that an agency's field lies in; `None`: over the last official's image."""
    if step.place is not None:
        return None if step.place == "block" else step.place
    return look.corners[0] if look.corners else None


def corner_box(
    text: Inscription, corner: Corner, *, width: float, height: float, office: OfficeData, at: datetime
) -> Rect:
    """Return a look's field in a corner of a page of that size (mm), once what it says was found to fit."""
    look = text.look
    if look.image:
        real = look.model_copy(update={"width": office.seal.diameter_mm, "height": office.seal.diameter_mm})
        return with_lines_under(corner_of(real, corner, width=width, height=height), text, at)
    rect = corner_of(look, corner, width=width, height=height)
    lettering(text.lines(at), size=look.size, width=rect.width * _POINTS, height=rect.height * _POINTS)
    return rect


def with_lines_under(square: Rect, text: Inscription, at: datetime) -> Rect:
    """Return a seal's field, longer below by the lines that stand under its image (SIG-05)."""
    lines = text.lines(at)
    if not lines:
        return square
    fitted = lettering(
        lines, size=text.look.size, width=square.width * _POINTS, height=_UNDER_A_SEAL * _POINTS
    )
    more = fitted.height / _POINTS
    return Rect(
        left=square.left, bottom=square.bottom - more, width=square.width, height=square.height + more
    )
