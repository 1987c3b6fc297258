"""
What a signature looks like on the page: a picture, lines of text, or a picture with lines under it.

Which of them is a rule of the law (SIG-01, SIG-02, SIG-05, SIG-07) and said by the caller. The picture is
compressed once for all documents that it is put on; putting it on one costs a copy.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, UnidentifiedImageError
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.content import PdfContent, ResourceType
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.layout import AxisAlignment, BoxConstraints, InnerScaling, SimpleBoxLayoutRule
from pyhanko.stamp import StaticStampStyle

from infra.errors import Forbidden
from infra.pdf.lettering import Lettering, embedded, operators

#: A seal of 36 mm at 600 dpi has 0.7 million pixels; more than this is a photograph or an attack.
_MOST_PIXELS = 4_000_000

#: The whole field, in the picture's own proportions, in the middle.
_FILL_THE_FIELD = SimpleBoxLayoutRule(
    x_align=AxisAlignment.ALIGN_MID,
    y_align=AxisAlignment.ALIGN_MID,
    inner_content_scaling=InnerScaling.STRETCH_TO_FIT,
)


#: In its own size, in the upper left corner of the field.
_AS_IT_IS = SimpleBoxLayoutRule(
    x_align=AxisAlignment.ALIGN_MIN,
    y_align=AxisAlignment.ALIGN_MAX,
    inner_content_scaling=InnerScaling.NO_SCALING,
)


def appearance(image: bytes | None, text: Lettering | None = None) -> StaticStampStyle:
    """
    Return the appearance that shows `image` (PNG with a transparent background) or `text` in the field's box.

    No border. A picture alone fills the box in its own proportions. Text stands in the upper left corner, in its
    own size; with a picture, under it, and the picture is as wide as the text may be. Without either the appearance
    is empty, yet there, because PDF/A asks every visible field for one. Raises `Forbidden` for anything else
    than such a picture.
    """
    picture = None if image is None else _compressed(image)
    if text is not None:
        return StaticStampStyle(
            border_width=0, background=_Lettered(text, picture), background_layout=_AS_IT_IS
        )
    shown = None if picture is None else _Picture(picture)
    return StaticStampStyle(border_width=0, background=shown, background_layout=_FILL_THE_FIELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compressed:
    """The two layers of a picture as PDF keeps them, deflated: 8 bits a sample, rows from the top."""

    width: int  # pixels
    height: int  # pixels
    colour: bytes  # RGB
    alpha: bytes


@lru_cache(maxsize=64)
def _compressed(image: bytes) -> _Compressed:
    """Decode a PNG and compress its layers; one office has a few such pictures, so they are kept."""
    try:
        found = Image.open(io.BytesIO(image), formats=["PNG"])
        if found.width * found.height > _MOST_PIXELS:
            raise _unfit("The picture of the signature has too many pixels.")
        if not found.has_transparency_data:
            raise _unfit("The picture of the signature has no transparent background.")
        picture = found.convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise _unfit("The picture of the signature is not a PNG file that can be read.") from error
    return _Compressed(
        width=picture.width,
        height=picture.height,
        colour=zlib.compress(picture.convert("RGB").tobytes(), 9),
        alpha=zlib.compress(picture.getchannel("A").tobytes(), 9),
    )


def _unfit(message: str) -> Forbidden:
    """Refuse a picture."""
    return Forbidden(
        message, rule="SIG-01", way_out="Register a PNG of the signature or seal on a transparent background."
    )


class _Picture(PdfContent):
    """A compressed picture, as content of an appearance; made anew for every document."""

    def __init__(self, picture: _Compressed) -> None:
        """Take the picture's pixels as its natural size."""
        super().__init__(box=BoxConstraints(picture.width, picture.height))
        self._picture = picture

    def render(self) -> bytes:
        """Add the image to the document and return the operators that draw it."""
        picture = self._picture
        mask = self._layer(picture.alpha, {"/ColorSpace": pdf_name("/DeviceGray")})
        image = self._layer(picture.colour, {"/ColorSpace": pdf_name("/DeviceRGB"), "/SMask": mask})
        self.set_resource(ResourceType.XOBJECT, pdf_name("/Picture"), image)
        return b"q %d 0 0 %d 0 0 cm /Picture Do Q" % (picture.width, picture.height)

    def _layer(self, deflated: bytes, entries: dict[str, generic.PdfObject]) -> generic.IndirectObject:
        """Add one image XObject (ISO 32000-2 §8.9.5) and return the reference to it."""
        dictionary = {
            "/Type": pdf_name("/XObject"),
            "/Subtype": pdf_name("/Image"),
            "/Width": _number(self._picture.width),
            "/Height": _number(self._picture.height),
            "/BitsPerComponent": _number(8),
            "/Filter": pdf_name("/FlateDecode"),
            **entries,
        }
        stream = generic.StreamObject(
            {pdf_name(name): value for name, value in dictionary.items()}, encoded_data=deflated
        )
        return self._ensure_writer.add_object(stream)


class _Lettered(_Picture):
    """Lines of text, with a picture above them or without; made anew for every document."""

    def __init__(self, text: Lettering, picture: _Compressed | None) -> None:
        """Take the size of the text, and of the picture as wide as the text may be."""
        tall = 0.0 if picture is None else text.width * picture.height / picture.width
        PdfContent.__init__(self, box=BoxConstraints(text.width, text.height + tall))
        self._text, self._above, self._tall = text, picture, tall

    def render(self) -> bytes:
        """Add font and image to the document and return the operators that draw them."""
        self.set_resource(
            ResourceType.FONT, pdf_name("/Lettering"), embedded(self._text, self._ensure_writer)
        )
        drawn = b"q %s Q" % operators(self._text, bottom=0, font="/Lettering")
        if self._above is None:
            return drawn
        self._picture = self._above
        scale = (self._text.width / self._above.width, self._tall / self._above.height)
        return b"q %.5f 0 0 %.5f 0 %.3f cm %s Q\n%s" % (*scale, self._text.height, super().render(), drawn)


def _number(value: int) -> generic.NumberObject:
    """Return a whole number as PDF writes it."""
    return generic.NumberObject(value)  # type: ignore[no-untyped-call]
