"""
Sets pages: a Typst template and values in, a PDF/A-2b file out.

Values reach the template as data (`json("values.json")`), so nothing in them is ever read as markup. The
template sees one temporary folder with its own text, what it imports, the values and the pictures, and
the fonts that are shipped here; no system font, no package, no other file. The same input gives the same
bytes: the time inside the file is the document's own date.

Load this module after a fork, never before: the compiler keeps threads.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import typst
from fontTools.ttLib import TTFont

from infra.errors import Broken, Forbidden, Unavailable
from infra.pdf.stand_ins import stand_ins, take_their_places

JSON: TypeAlias = "str | int | float | bool | Mapping[str, JSON] | Sequence[JSON] | None"

FONTS = Path(__file__).with_name("fonts")
#: The faces that values are printed in, upright or not, bold or not.
_TEXT_FACES = "LiberationSerif-*.ttf"

# One compiler a process keeps fonts and unchanged pictures parsed; entering it twice at once fails.
_ONE_AT_A_TIME = threading.Lock()


class Unprintable(Forbidden):
    """A value holds characters that no font of ours can show; a document never shows boxes in a name."""


def typeset(
    template: Path,
    *,
    values: Mapping[str, JSON],
    images: Mapping[str, bytes],
    date: datetime,
    stretched: Mapping[str, bytes] = MappingProxyType({}),
    imports: Sequence[Path] = (),
) -> bytes:
    """
    Return the PDF/A-2b file that `template` makes of `values`.

    The template reads `json("values.json")` and `image("images/NAME")`, and may import each file of
    `imports` by its name. Pictures that it stretches to a size of its own (`stretched`) go into the file
    unread if they are JPEGs. Strings are normalised to NFC. `date` (aware) is the file's creation time.
    Raises `Unprintable`, `Unavailable` (no room for the temporary folder), `Broken` (the template fails,
    or warns, or its result is no PDF/A-2b). Calling again costs nothing but time.
    """
    data = json.dumps(_printable(values), ensure_ascii=False)
    stood = stand_ins(stretched)
    try:
        with tempfile.TemporaryDirectory(prefix="typeset-") as name:
            folder = Path(name)
            for source in (template, *imports):
                shutil.copyfile(source, folder / source.name)
            (folder / "values.json").write_text(data, encoding="utf-8")
            (folder / "images").mkdir()
            for image, content in {**images, **stretched, **stood}.items():
                (folder / "images" / Path(image).name).write_bytes(content)
            pdf = _compile(folder, template.name, date)
    except FileNotFoundError as error:
        raise Broken(f"The template {template.name} lacks a file: {error.filename}") from error
    except OSError as error:
        raise Unavailable("No temporary folder can be written to set a page") from error
    # A later revision starts right after these bytes, and its first object needs a line of its own
    # (ISO 19005-2 §6.1.9).
    pdf = pdf if pdf.endswith(b"\n") else pdf + b"\n"
    return take_their_places(pdf, stood, stretched) if stood else pdf


def _compile(folder: Path, name: str, date: datetime) -> bytes:
    """Run the compiler over a prepared folder."""
    try:
        with _ONE_AT_A_TIME:
            pdf, warnings = _compiler().compile_with_warnings(
                input=str(folder / name),
                root=str(folder),
                format="pdf",
                pdf_standards="a-2b",
                timestamp=_with_fixed_offset(date.replace(microsecond=0)),
                # Tags would promise a reading order to screen readers that a scan cannot keep.
                pdf_tags=False,
            )
    except typst.TypstError as error:
        raise Broken(f"The template {name} failed: {error.message} {_place_of(error)}") from error
    if warnings:
        # Unknown fonts are warnings only, and would change the look of every document silently.
        raise Broken(f"The template {name} warned: {warnings[0]}")
    if not isinstance(pdf, bytes):
        raise Broken(f"The template {name} gave no PDF")
    return pdf


def _place_of(error: typst.TypstError) -> str:
    """Return file, line and column of an error, without the text that stands there."""
    found = re.search(r"┌─ (?:\S*/)?(\S+:\d+:\d+)", error.diagnostic)
    return f"({found[1]})" if found else ""


@cache
def _compiler() -> typst.Compiler:
    """Return this process's compiler; it knows the shipped fonts and nothing else."""
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(FONTS)])
    return typst.Compiler(font_paths=fonts)


def _with_fixed_offset(date: datetime) -> datetime:
    """Return the same moment with a plain offset: Typst knows no time zone rules."""
    offset = date.utcoffset()
    if offset is None:
        raise Broken("A document's date needs its time zone")
    return date.astimezone(timezone(offset if offset else timedelta(0)))


def _printable(value: JSON) -> JSON:
    """Return the value with every string in NFC and without invisible characters; raises `Unprintable`."""
    if isinstance(value, str):
        text = unicodedata.normalize("NFC", value)
        # Zero-width and direction marks show nothing, and could make a name look like another.
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
        missing = sorted({c for c in text if ord(c) not in _repertoire()})
        if missing:
            names = ", ".join(f"“{c}” (U+{ord(c):04X})" for c in missing[:5])
            raise Unprintable(
                f"The text holds characters that cannot be printed: {names}.",
                rule="PRINT-01",
                way_out="Write it in Latin letters, as in the passport.",
            )
        return text
    if isinstance(value, Mapping):
        return {key: _printable(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_printable(item) for item in value]
    return value


@cache
def _repertoire() -> frozenset[int]:
    """Return the code points that every face can print, the line break and the tabulator with them."""
    faces = []
    for path in FONTS.glob(_TEXT_FACES):
        with TTFont(path, lazy=True) as font:
            faces.append(frozenset(font.getBestCmap()))
    return frozenset.intersection(*faces) | {0x09, 0x0A}
