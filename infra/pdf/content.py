"""
Reads a page's content stream far enough to know whether the page is a picture of a paper.

An interpreter of ISO 32000-1 §8.4 (graphics state), §8.5 (paths), §8.8 (pictures), §8.10 (forms) and §9.3
(text state). It paints nothing; it finds where pictures are placed and refuses every other visible mark.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import pikepdf

from infra.pdf.pages import Unfit

#: Invisible text, as text recognition lays it under a scan (§9.3.6). It is dropped.
_INVISIBLE = 3
_DEEPEST_FORM = 6
_MOST_STATES = 200

_PAINTS = {"S", "s", "f", "F", "f*", "B", "B*", "b", "b*", "sh"}
_SHOWS_TEXT = {"Tj", "TJ", "'", '"'}
_OTHER_PATHS = {"m", "l", "c", "v", "y", "h"}


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in points, left ≤ right and bottom ≤ top."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        """Return the width in points."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Return the height in points."""
        return self.top - self.bottom

    def meet(self, other: Box) -> Box:
        """Return the common part; its area is 0 where there is none."""
        left, bottom = max(self.left, other.left), max(self.bottom, other.bottom)
        return Box(
            left, bottom, max(left, min(self.right, other.right)), max(bottom, min(self.top, other.top))
        )


def box_under(matrix: pikepdf.Matrix, box: Box) -> Box:
    """Return where an axis-aligned matrix puts a box."""
    corners = [matrix.transform((x, y)) for x in (box.left, box.right) for y in (box.bottom, box.top)]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return Box(min(xs), min(ys), max(xs), max(ys))


def is_upright(matrix: pikepdf.Matrix) -> bool:
    """Tell whether a matrix keeps rectangles upright: quarter turns, mirrors and scales only."""
    a, b, c, d = matrix.a, matrix.b, matrix.c, matrix.d
    size = max(abs(a), abs(b), abs(c), abs(d))
    slack = size / 1000
    return size > 0 and (max(abs(b), abs(c)) <= slack or max(abs(a), abs(d)) <= slack)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A picture on a page: the image object, the matrix that places its unit square, and what clips it."""

    image: pikepdf.Object
    matrix: pikepdf.Matrix
    clip: Box


@dataclass(slots=True)
class _State:
    """What `q` saves and `Q` restores."""

    matrix: pikepdf.Matrix
    clip: Box
    render_mode: int = 0
    #: Type 3 fonts paint whatever the mode says (§9.3.6).
    paints_always: bool = False
    see_through: bool = False


@dataclass(slots=True)
class _Path:
    """The path under construction, as far as clipping needs it."""

    rectangles: list[Box] = field(default_factory=list)
    has_other: bool = False
    clips: bool = False


def placed_images(page: pikepdf.Page, visible: Box, where: str) -> list[Placement]:
    """
    Return the pictures of a page in painting order; `visible` is the page's visible box.

    Raises `Unfit`: visible text or drawing (born digital), layers, transparency, a clip that is no
    rectangle. Damaged content raises whatever the parser does; the caller knows what that means.
    """
    reader = _Reader(where)
    resources = page.obj.get("/Resources", pikepdf.Dictionary())
    reader.read(page, resources, _State(pikepdf.Matrix(), visible), 0)
    return reader.found


class _Reader:
    """Walks through one page and the forms that it uses."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.found: list[Placement] = []

    def read(
        self, source: pikepdf.Page | pikepdf.Object, resources: pikepdf.Object, state: _State, depth: int
    ) -> None:
        """Read one content stream, beginning in the given state."""
        saved: list[_State] = []
        path = _Path()
        for instruction in pikepdf.parse_content_stream(source):
            name, operands = str(instruction.operator), list(instruction.operands)
            if name == "q":
                if len(saved) >= _MOST_STATES:
                    raise Unfit(f"The content of {self.where} is nested too deeply.", code="nesting")
                saved.append(copy.copy(state))
            elif name == "Q":
                state = saved.pop() if saved else state
            elif name == "Do":
                self._use(resources["/XObject"][str(operands[0])], resources, state, depth)
            elif name == "re" or name in _OTHER_PATHS or name in ("W", "W*", "n"):
                path = self._follow(path, name, operands, state)
            else:
                self._step(name, operands, resources, state)

    def _step(
        self, name: str, operands: list[pikepdf.Object], resources: pikepdf.Object, state: _State
    ) -> None:
        """Apply one operator that changes the state, or refuse one that paints."""
        if name == "cm":
            state.matrix = pikepdf.Matrix(*(float(number) for number in operands)) @ state.matrix
        elif name == "Tr":
            state.render_mode = int(operands[0])
        elif name == "Tf":
            font = resources["/Font"][str(operands[0])]
            state.paints_always = font.get("/Subtype") == "/Type3"
        elif name == "gs":
            settings = resources["/ExtGState"][str(operands[0])]
            state.see_through = state.see_through or _is_see_through(settings)
            if "/Font" in settings:
                raise Unfit(
                    f"{self.where} is not a scan: it sets type in an unusual way.", code="born-digital"
                )
        elif name in _SHOWS_TEXT and (state.render_mode != _INVISIBLE or state.paints_always):
            raise Unfit(f"{self.where} is not a scan: it holds visible text.", code="born-digital")
        elif name in _PAINTS:
            raise Unfit(f"{self.where} is not a scan: it holds drawn lines or areas.", code="born-digital")
        elif name == "INLINE IMAGE":
            raise Unfit(f"{self.where} holds a small picture inside its text.", code="not-a-scan")
        elif name in ("BDC", "DP") and operands and operands[0] == "/OC":
            raise Unfit(f"{self.where} holds layers that can be shown or hidden.", code="layers")

    def _follow(self, path: _Path, name: str, operands: list[pikepdf.Object], state: _State) -> _Path:
        """Follow a path that paints nothing, because it may clip; return the path for the next operator."""
        if name == "re":
            x, y, width, height = (float(number) for number in operands)
            rectangle = Box(min(x, x + width), min(y, y + height), max(x, x + width), max(y, y + height))
            path.rectangles.append(box_under(state.matrix, rectangle))
            path.has_other = path.has_other or not is_upright(state.matrix)
        elif name in _OTHER_PATHS:
            path.has_other = True
        elif name != "n":
            path.clips = True
        if name != "n":
            return path
        if path.clips:
            if path.has_other or len(path.rectangles) != 1:
                raise Unfit(f"The picture of {self.where} is cut to a shape.", code="not-a-scan")
            state.clip = state.clip.meet(path.rectangles[0])
        return _Path()

    def _use(self, thing: pikepdf.Object, resources: pikepdf.Object, state: _State, depth: int) -> None:
        """Take note of a picture, or go into a form."""
        if "/OC" in thing:
            raise Unfit(f"{self.where} holds layers that can be shown or hidden.", code="layers")
        if thing.get("/Subtype") == "/Image":
            if state.see_through:
                raise Unfit(f"The picture of {self.where} is partly transparent.", code="not-a-scan")
            self.found.append(Placement(image=thing, matrix=state.matrix, clip=state.clip))
            return
        if depth >= _DEEPEST_FORM:
            raise Unfit(f"The content of {self.where} is nested too deeply.", code="nesting")
        inner = copy.copy(state)
        if "/Matrix" in thing:
            inner.matrix = pikepdf.Matrix(*(float(number) for number in thing["/Matrix"])) @ state.matrix
        if not is_upright(inner.matrix):
            raise Unfit(f"The picture of {self.where} is placed askew.", code="not-a-scan")
        left, bottom, right, top = (float(number) for number in thing["/BBox"])
        inner.clip = state.clip.meet(box_under(inner.matrix, Box(left, bottom, right, top)))
        self.read(thing, thing.get("/Resources", resources), inner, depth + 1)


def _is_see_through(settings: pikepdf.Object) -> bool:
    """Tell whether a graphics state makes pictures anything but opaque."""
    mask, mode = settings.get("/SMask", "/None"), settings.get("/BM", "/Normal")
    return bool(
        float(settings.get("/ca", 1)) < 1 or mask != "/None" or mode not in ("/Normal", "/Compatible")
    )
