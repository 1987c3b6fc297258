"""
What a scan becomes: full-page images, or a refusal that says what to do.

Shared by the caller and by the child process that reads hostile files, so it imports nothing heavy.
Rules quoted by refusals: SIG-08 (a digitised file is PDF, colour, at least 200 dpi, 100 % scale),
SIG-10 (what is already signed is not signed again), CERT-01 (the original is paper), and three of this
module: INTAKE-01 (a file is whole and not locked), INTAKE-02 (a scan is pictures and nothing else: no
program, attachment, form, layer or note), INTAKE-03 (sizes, pixels, pages, time and memory are limited).
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
    output_bytes: int = 400_000_000
    memory_bytes: int = 2_000_000_000
    cpu_seconds: int = 60
    wall_seconds: float = 120.0


#: Each refusal's rule and way out; the sentence itself names the file and the page.
REFUSALS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "empty": ("INTAKE-01", "Scan the original and give the file that holds its pages."),
        "not-a-scan": ("SIG-08", "Scan the paper in colour as a plain PDF, JPEG or PNG, one picture a page."),
        "truncated": ("INTAKE-01", "The file was cut off or damaged on its way: copy or scan it again."),
        "encrypted": ("INTAKE-01", "Save the file without a password and give it again."),
        "active-content": ("INTAKE-02", "Scan the paper again; a scan needs no program inside."),
        "attachment": ("INTAKE-02", "Scan the paper again; give other files as originals of their own."),
        "form": ("INTAKE-02", "Scan the paper again, without form fields or notes."),
        "layers": ("INTAKE-02", "Scan the paper again as plain pictures, without layers."),
        "signed": ("SIG-10", "A signed document is not certified as a copy: hand on the signed file itself."),
        "born-digital": ("CERT-01", "Only a paper original is certified: scan the paper itself."),
        "grey": ("SIG-08", "Scan the paper again in colour (RGB), at 200 dpi or more."),
        "resolution": ("SIG-08", "Scan the paper again at 200 dpi or more, at 100 % scale."),
        "too-large": ("INTAKE-03", "Scan at 200 to 300 dpi, or give the original in fewer or smaller files."),
        "too-complex": ("INTAKE-03", "Scan the paper again as a plain PDF, JPEG or PNG."),
    }
)


class Unfit(Forbidden):
    """
    A file that cannot become the pages of a certified copy.

    `code` is a key of `REFUSALS`, stable for tests and statistics; the message names file and page.
    """

    def __init__(self, message: str, *, code: str) -> None:
        self.code = code
        rule, way_out = REFUSALS[code]
        super().__init__(message, rule=rule, way_out=way_out)

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes."""
        return (_unfit, (self.message, self.code))


def _unfit(message: str, code: str) -> Unfit:
    """Rebuild a refusal that came from another process."""
    return Unfit(message, code=code)
