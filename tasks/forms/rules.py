"""Where the official and the agency sign on the attestation page (SIG-01 to SIG-04)."""

from __future__ import annotations

from dataclasses import replace

from infra.pdf.places import Rect

#: The official's handwriting: between the title and the full name, in the right half of an A4 page.
OFFICIAL_BOX = Rect(left=118.0, bottom=100.0, width=60.0, height=28.0)

#: A third of the official's image lies under the seal (SIG-02).
_OVERLAP = 1 / 3


#: The first page of a copy is taller by this strip with number and copy mark (mm).
STRIP_HEIGHT = 19.0


def least_width(*, marked: bool) -> float:
    """Return the least width of a copy's first page (mm): its strip needs room, more where the agency marks it."""
    return 165.0 if marked else 120.0


def hung_seal(diameter_mm: float) -> Rect:
    """
    Return where the seal goes that stands alone: over the beginning of the agency's name (SIG-16, *dấu treo*).

    >>> hung_seal(36).left
    22.0
    """
    return Rect(left=22.0, bottom=297.0 - 8.0 - diameter_mm, width=diameter_mm, height=diameter_mm)


def seal_box(diameter_mm: float = 36.0, official: Rect = OFFICIAL_BOX) -> Rect:
    """
    Return where the round seal goes, in its real size (SIG-04): on the left of the official's image.

    >>> round(seal_box().points[2] - seal_box().points[0], 2)
    102.05
    >>> overlap_is_right(OFFICIAL_BOX, seal_box())
    True
    """
    left = official.left + official.width * _OVERLAP - diameter_mm
    middle = official.bottom + official.height / 2
    return Rect(left=left, bottom=middle - diameter_mm / 2, width=diameter_mm, height=diameter_mm)


def overlap_is_right(person: Rect, seal: Rect) -> bool:
    """
    Tell whether a seal covers about a third of a person's image, on its left (SIG-02, SIG-03).

    >>> person = Rect(left=100, bottom=50, width=60, height=28)
    >>> overlap_is_right(person, Rect(left=84, bottom=46, width=36, height=36))
    True
    >>> overlap_is_right(person, Rect(left=140, bottom=46, width=36, height=36))
    False
    >>> overlap_is_right(person, Rect(left=70, bottom=46, width=36, height=36))
    False
    >>> overlap_is_right(person, Rect(left=84, bottom=90, width=36, height=36))
    False
    """
    overlap = min(person.right, seal.right) - max(person.left, seal.left)
    middles = abs((person.bottom + person.height / 2) - (seal.bottom + seal.height / 2))
    return 0.25 <= overlap / person.width <= 0.42 and seal.left < person.left and middles <= person.height / 2


def official_boxes(count: int) -> tuple[Rect, ...]:
    """
    Return where so many officials sign, in their order: the last, who decides, stands on the right below.

    One stands where `OFFICIAL_BOX` is; of two, the first stands on the left; of three, two stand in a row
    above the third, so that the seal lies over the last one's image and nobody else's.

    >>> [box == OFFICIAL_BOX for box in official_boxes(1)]
    [True]
    >>> [(box.left, box.bottom) for box in official_boxes(3)]
    [(39.0, 120.0), (125.0, 120.0), (125.0, 58.0)]
    """
    if count == 1:
        return (OFFICIAL_BOX,)
    left, right = Rect(left=39.0, bottom=0.0, width=56.0, height=25.0), 125.0
    if count == 2:
        return (replace(left, bottom=88.0), replace(left, left=right, bottom=88.0))
    if count == 3:
        return (
            replace(left, bottom=120.0),
            replace(left, left=right, bottom=120.0),
            replace(left, left=right, bottom=58.0),
        )
    return ()
