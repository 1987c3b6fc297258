"""
Lines of text as the appearance of a signature: upright, black, in the Times-like face of all our papers (SIG-07).

The face is embedded with the characters of the text alone, in form of glyph numbers with a table back to
Unicode, so the text can be searched, copied and shown by any reader. What is embedded depends on the
characters only and is made once for each set of them, because making it takes longer than the signature.
"""

from __future__ import annotations

import io
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.writer import BasePdfFileWriter

from infra.errors import Forbidden

_FACE = Path(__file__).with_name("fonts") / "LiberationSerif-Regular.ttf"

#: Distance of two lines, in parts of the size.
_LEADING = 1.15
#: What stands above the first baseline and below the last: “Ế” is as high as the size, and a marked “g” hangs deep.
_ABOVE, _BELOW = 1.0, 0.25

#: What a signing time can consist of is always embedded, so that one face serves every signature of an office.
_ALWAYS = frozenset("0123456789/:.+- T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lettering:
    """Lines from top to bottom, at a size in points, and how wide the widest may be, in points."""

    lines: tuple[str, ...]
    size: float
    width: float

    @property
    def height(self) -> float:
        """Return how high the lines stand together, in points."""
        return round(((len(self.lines) - 1) * _LEADING + _ABOVE + _BELOW) * self.size, 3)


def lettering(lines: Sequence[str], *, size: float, width: float, height: float) -> Lettering:
    """
    Return lines broken between words where they are too wide, and refuse what does not fit.

    `size`, `width` and `height` are in points. Raises `Forbidden` (SIG-07) when the text needs more room,
    or has characters that the face does not have.

    >>> lettering(["SAO Y", "Ủy ban nhân dân xã Bình Liêu"], size=10, width=90, height=50).lines
    ('SAO Y', 'Ủy ban nhân dân xã', 'Bình Liêu')
    """
    broken: list[str] = []
    for line in lines:
        words = unicodedata.normalize("NFC", line).split()
        row = ""
        for word in words:
            longer = f"{row} {word}".strip()
            if row and _width(longer, size) > width:
                broken.append(row)
                row = word
            else:
                row = longer
        broken.append(row)
    made = Lettering(lines=tuple(broken), size=size, width=width)
    if made.height > height or any(_width(line, size) > width for line in broken):
        raise Forbidden(
            f"The text of the signature ({' / '.join(lines)}) has no room in its field.",
            rule="SIG-07",
            way_out="Shorten the names in the office's file, or widen the place in the appearance profile.",
        )
    return made


def _width(text: str, size: float) -> float:
    """Return how wide a text is, in points; refuses characters that cannot be shown."""
    widths, units = _metrics()
    if missing := sorted({c for c in text if ord(c) not in widths}):
        raise Forbidden(
            f"The text of the signature holds “{missing[0]}” (U+{ord(missing[0]):04X}), which cannot be shown.",
            rule="SIG-07",
            way_out="Write the names in the office's file in Vietnamese or Latin letters.",
        )
    return sum(widths[ord(c)] for c in text) * size / units


@cache
def _metrics() -> tuple[dict[int, int], int]:
    """Return the advance of each character of the whole face, and how many units its size has."""
    with TTFont(_FACE, lazy=True) as font:
        advances = font["hmtx"].metrics
        return {code: advances[glyph][0] for code, glyph in font.getBestCmap().items()}, font[
            "head"
        ].unitsPerEm


@dataclass(frozen=True, slots=True, kw_only=True)
class _Face:
    """The part of the face that some characters need, as it is embedded."""

    name: str
    program: bytes  # deflated
    length: int  # of the program before it was deflated
    glyphs: dict[str, int]
    widths: tuple[int, ...]  # by glyph, in thousandths of the size
    box: tuple[int, ...]
    ascent: int
    descent: int


@lru_cache(maxsize=128)
def _face(characters: frozenset[str]) -> _Face:
    """Return the face for some characters; the same characters give the same bytes."""
    options = subset.Options(
        hinting=False,
        layout_features=[],
        name_IDs=[],
        notdef_outline=True,
        glyph_names=False,
        legacy_kern=False,
    )
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "OS/2", "post", "name", "FFTM", "gasp"]
    with TTFont(_FACE, recalcTimestamp=False) as font:
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=[ord(c) for c in characters])
        cutter.subset(font)
        scale = 1000 / font["head"].unitsPerEm
        order = {glyph: number for number, glyph in enumerate(font.getGlyphOrder())}
        glyphs = {chr(code): order[glyph] for code, glyph in font.getBestCmap().items()}
        advances = font["hmtx"].metrics
        head, lines = font["head"], font["hhea"]
        widths = tuple(round(advances[glyph][0] * scale) for glyph in font.getGlyphOrder())
        box = tuple(round(edge * scale) for edge in (head.xMin, head.yMin, head.xMax, head.yMax))
        ascent, descent = round(lines.ascent * scale), round(lines.descent * scale)
        del font["cmap"]  # Glyphs are named by their numbers.
        out = io.BytesIO()
        font.save(out, reorderTables=True)
    program = out.getvalue()
    tag = "".join(chr(65 + digit % 26) for digit in zlib.crc32(program).to_bytes(4, "big") + b"\x00\x11")
    return _Face(
        name=f"/{tag}+LiberationSerif",
        program=zlib.compress(program, 9),
        length=len(program),
        glyphs=glyphs,
        widths=widths,
        box=box,
        ascent=ascent,
        descent=descent,
    )


def operators(text: Lettering, *, bottom: float, font: str) -> bytes:
    """Return the operators that draw the lines, the lowest standing at `bottom`, with the font of that name."""
    face = _face(_characters(text))
    drawn = [b"BT", b"%s %s Tf" % (font.encode(), _plain(text.size)), b"0 g"]
    baseline = bottom + text.height - _ABOVE * text.size
    for line in text.lines:
        codes = "".join(f"{face.glyphs[c]:04X}" for c in line)
        drawn += [b"1 0 0 1 0 %s Tm" % _plain(baseline), b"<%s> Tj" % codes.encode()]
        baseline -= text.size * _LEADING
    return b"\n".join([*drawn, b"ET"])


def _plain(number: float) -> bytes:
    """Return a number as content streams hold it."""
    return f"{number:.3f}".rstrip("0").rstrip(".").encode()


def _characters(text: Lettering) -> frozenset[str]:
    """Return what must be embedded for a text."""
    return _ALWAYS | frozenset("".join(text.lines))


def embedded(text: Lettering, writer: BasePdfFileWriter) -> generic.IndirectObject:
    """Add the font of a text to a document (ISO 32000-2 §9.7) and return the reference to it."""
    face = _face(_characters(text))
    program = generic.StreamObject(
        {pdf_name("/Filter"): pdf_name("/FlateDecode"), pdf_name("/Length1"): _number(face.length)},
        encoded_data=face.program,
    )
    descriptor = {
        "/Type": pdf_name("/FontDescriptor"),
        "/FontName": pdf_name(face.name),
        "/Flags": _number(6),  # serifs, and glyphs of its own numbering
        "/FontBBox": generic.ArrayObject([_number(edge) for edge in face.box]),
        "/ItalicAngle": _number(0),
        "/Ascent": _number(face.ascent),
        "/Descent": _number(face.descent),
        "/CapHeight": _number(662),
        "/StemV": _number(84),
        "/FontFile2": writer.add_object(program),
    }
    system = {
        "/Registry": generic.pdf_string("Adobe"),
        "/Ordering": generic.pdf_string("Identity"),
        "/Supplement": _number(0),
    }
    widths = generic.ArrayObject([_number(width) for width in face.widths])
    descendant: Mapping[str, generic.PdfObject] = {
        "/Type": pdf_name("/Font"),
        "/Subtype": pdf_name("/CIDFontType2"),
        "/BaseFont": pdf_name(face.name),
        "/CIDSystemInfo": _dictionary(system),
        "/FontDescriptor": writer.add_object(_dictionary(descriptor)),
        "/W": generic.ArrayObject([_number(0), widths]),
        "/DW": _number(1000),
        "/CIDToGIDMap": pdf_name("/Identity"),
    }
    font: Mapping[str, generic.PdfObject] = {
        "/Type": pdf_name("/Font"),
        "/Subtype": pdf_name("/Type0"),
        "/BaseFont": pdf_name(face.name),
        "/Encoding": pdf_name("/Identity-H"),
        "/DescendantFonts": generic.ArrayObject([writer.add_object(_dictionary(descendant))]),
        "/ToUnicode": writer.add_object(_to_unicode(face)),
    }
    return writer.add_object(_dictionary(font))


def _to_unicode(face: _Face) -> generic.StreamObject:
    """Return the table from glyph numbers back to Unicode."""
    pairs = [
        f"<{number:04X}> <{ord(c):04X}>" for c, number in sorted(face.glyphs.items(), key=lambda p: p[1])
    ]
    blocks = [pairs[at : at + 100] for at in range(0, len(pairs), 100)]
    table = [
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
        "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
        "1 begincodespacerange <0000> <FFFF> endcodespacerange",
        *("\n".join([f"{len(block)} beginbfchar", *block, "endbfchar"]) for block in blocks),
        "endcmap CMapName currentdict /CMap defineresource pop end end",
    ]
    return generic.StreamObject(
        {pdf_name("/Filter"): pdf_name("/FlateDecode")},
        encoded_data=zlib.compress("\n".join(table).encode(), 9),
    )


def _dictionary(entries: Mapping[str, generic.PdfObject]) -> generic.DictionaryObject:
    """Return a dictionary as pyHanko writes it."""
    named = {pdf_name(name): value for name, value in entries.items()}
    return generic.DictionaryObject(named)  # type: ignore[no-untyped-call]


def _number(value: int) -> generic.NumberObject:
    """Return a whole number as PDF writes it."""
    return generic.NumberObject(value)  # type: ignore[no-untyped-call]
