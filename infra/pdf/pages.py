"""
What a scan becomes: full-page images, or a refusal that says what to do.

Shared by the caller and by the child process that reads hostile files, so it imports nothing heavy.
Rules quoted by refusals: SIG-08 (a digitised file is PDF, colour, at least 200 dpi, 100 % scale),
SIG-10 (what is already signed is not signed again), SIG-20 (a result is signed by who issued it), CERT-01
(the original is paper), and three of this module: INTAKE-01 (a file is whole and not locked), INTAKE-02 (a
scan is pictures and nothing else: no program, attachment, form, layer or note), INTAKE-03 (sizes, pixels,
pages, time and memory are limited, and reading comes to an end).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from infra.errors import Forbidden

MediaType = Literal["image/jpeg", "image/png"]

#: Resolution that SIG-08 asks for, in dots an inch; half a dot is forgiven, because A4 has no whole pixels.
REQUIRED_DPI = 200.0
FORGIVEN_DPI = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PageImage:
    """
    One page of an original: a clean RGB picture without metadata, and the size of the paper under it.

    `content` is shown as it is, except that the EXIF orientation of a JPEG turns it; `width_px` and
    `height_px` are what is seen after that turn. Millimetres are those of the picture at 100 % scale.
    """

    content: bytes
    media_type: MediaType
    width_px: int
    height_px: int
    width_mm: float
    height_mm: float
    #: The lower of the two effective resolutions, pixels by inch of paper.
    dpi: float
    #: Where it came from, for messages: `bang-cu-nhan.pdf, page 2`.
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one original may cost; a file that wants more is refused, not served slowly."""

    file_bytes: int = 100_000_000
    total_bytes: int = 200_000_000
    pages: int = 200
    #: Pixels of one page: A3 at 600 dpi has 70 million.
    pixels: int = 80_000_000
    page_mm: float = 1200.0
    #: Objects of one PDF; a page of a scan takes about five.
    objects: int = 200_000
    output_bytes: int = 400_000_000
    memory_bytes: int = 2_000_000_000
    cpu_seconds: int = 60
    wall_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file is not taken, by which rule, and what may be done."""

    why: str
    rule: str
    way_out: str


_AGAIN = "Scan the paper again as a plain PDF, JPEG or PNG."

#: Every refusal by its code, which is stable for tests and statistics; the sentence names the file and the page.
REFUSALS: Mapping[str, Refusal] = MappingProxyType(
    {
        "empty": Refusal(
            "there is no file, or nothing in it, or no page",
            "INTAKE-01",
            "Scan the original and give the file that holds its pages.",
        ),
        "not-a-scan": Refusal(
            "a page is not one picture that fills it, or the file is neither PDF nor JPEG nor PNG",
            "SIG-08",
            "Scan the paper in colour as a plain PDF, JPEG or PNG, one picture a page.",
        ),
        "truncated": Refusal(
            "the file is damaged or cut off, or its table of contents is broken",
            "INTAKE-01",
            "The file was cut off or damaged on its way: copy or scan it again.",
        ),
        "encrypted": Refusal(
            "the file is locked, also where no password is asked for",
            "INTAKE-01",
            "Save the file without a password and give it again.",
        ),
        "javascript": Refusal(
            "there is a script inside", "INTAKE-02", "Scan the paper again; a scan needs no program inside."
        ),
        "action": Refusal(
            "the file does something by itself, when it is opened, printed, turned or touched",
            "INTAKE-02",
            "Scan the paper again; a scan needs no program inside.",
        ),
        "xfa": Refusal("there is an XFA form inside, which is a program", "INTAKE-02", _AGAIN),
        "media": Refusal("there is sound, film or 3D inside", "INTAKE-02", _AGAIN),
        "attachment": Refusal(
            "there are other files inside",
            "INTAKE-02",
            "Scan the paper again; give other files as originals of their own.",
        ),
        "portfolio": Refusal(
            "the file is a folder of other files",
            "INTAKE-02",
            "Scan the paper again; give other files as originals of their own.",
        ),
        "form": Refusal(
            "there are form fields, links or notes on a page",
            "INTAKE-02",
            "Scan the paper again, without form fields or notes.",
        ),
        "layers": Refusal(
            "there are layers that can be shown and hidden",
            "INTAKE-02",
            "Scan the paper again as plain pictures, without layers.",
        ),
        "signed": Refusal(
            "the file is signed already",
            "SIG-10",
            "A signed document is not certified as a copy: hand on the signed file itself.",
        ),
        "unsigned": Refusal(
            "a result of another agency carries no signature",
            "SIG-20",
            "Ask the issuing agency for the file that it signed.",
        ),
        "born-digital": Refusal(
            "a page holds text or drawings instead of a scan",
            "CERT-01",
            "Only a paper original is certified: scan the paper itself.",
        ),
        "grey": Refusal(
            "a page is grey or black and white",
            "SIG-08",
            "Scan the paper again in colour (RGB), at 200 dpi or more.",
        ),
        "resolution": Refusal(
            "a page has less than 200 dpi",
            "SIG-08",
            "Scan the paper again at 200 dpi or more, at 100 % scale.",
        ),
        "page-size": Refusal("a page has no size, or one that cannot be told", "INTAKE-03", _AGAIN),
        "too-large": Refusal(
            "there are too many bytes, pages or pixels, or a page is larger than paper",
            "INTAKE-03",
            "Scan at 200 to 300 dpi, or give the original in fewer or smaller files.",
        ),
        "too-many-objects": Refusal("there are more objects than any document has", "INTAKE-03", _AGAIN),
        "hybrid": Refusal(
            "there are two tables of contents, so that two readers may see two documents", "INTAKE-03", _AGAIN
        ),
        "loop": Refusal(
            "pages, fields, names, outlines, tables or drawings run in circles", "INTAKE-03", _AGAIN
        ),
        "nesting": Refusal("things are nested more deeply than in any document", "INTAKE-03", _AGAIN),
        "bomb": Refusal("data unpacks to more than a document ever should", "INTAKE-03", _AGAIN),
        "too-complex": Refusal(
            "reading takes more time or memory than it may, or breaks the reader", "INTAKE-03", _AGAIN
        ),
    }
)


class Unfit(Forbidden):
    """
    A file that cannot become the pages of a certified copy.

    `code` is a key of `REFUSALS`, stable for tests and statistics; the message names file and page.
    """

    def __init__(self, message: str, *, code: str) -> None:
        self.code = code
        refusal = REFUSALS[code]
        super().__init__(message, rule=refusal.rule, way_out=refusal.way_out)

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes."""
        return (_unfit, (self.message, self.code))


def _unfit(message: str, code: str) -> Unfit:
    """Rebuild a refusal that came from another process."""
    return Unfit(message, code=code)
