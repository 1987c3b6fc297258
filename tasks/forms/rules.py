"""Where the official and the agency sign on the attestation page (SIG-01 to SIG-04)."""

from __future__ import annotations

from infra.pdf.places import FieldPlace, Rect

#: Field names, in the order of signing and of painting.
OFFICIAL_FIELD = "official_1"
SEAL_FIELD = "seal"

#: The official's handwriting: between the title and the full name, in the right half of an A4 page.
OFFICIAL_BOX = Rect(left=118.0, bottom=100.0, width=60.0, height=28.0)

#: A third of the official's image lies under the seal (SIG-02).
_OVERLAP = 1 / 3


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


def attestation_fields(seal_diameter_mm: float = 36.0) -> tuple[FieldPlace, FieldPlace]:
    """Return the fields of a certified e-copy: the official's, then the seal's, which lies over it."""
    return (
        FieldPlace(name=OFFICIAL_FIELD, page=-1, rect=OFFICIAL_BOX),
        FieldPlace(name=SEAL_FIELD, page=-1, rect=seal_box(seal_diameter_mm)),
    )
