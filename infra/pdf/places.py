"""Where something lies on a page: plain measures, shared by templates, fields and rules."""

from __future__ import annotations

from dataclasses import dataclass

_POINTS_PER_MM = 72 / 25.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Rect:
    """An upright rectangle on a page, in millimetres from the page's lower left corner."""

    left: float
    bottom: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Return the right edge."""
        return self.left + self.width

    @property
    def top(self) -> float:
        """Return the top edge."""
        return self.bottom + self.height

    @property
    def points(self) -> tuple[float, float, float, float]:
        """Return left, bottom, right, top in points, as PDF wants them."""
        edges = (self.left, self.bottom, self.right, self.top)
        left, bottom, right, top = (round(edge * _POINTS_PER_MM, 3) for edge in edges)
        return left, bottom, right, top


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPlace:
    """A signature field: its name, its page (0 is the first, -1 the last) and its rectangle."""

    name: str
    page: int
    rect: Rect
