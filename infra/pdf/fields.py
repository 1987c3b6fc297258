"""
Places empty signature fields on a PDF, before anybody signs.

A field made after a certifying signature breaks that signature, so every field of a document exists before
the first of them is used; whoever signs later only fills one in.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigFieldSpec, append_signature_field

from infra.errors import Broken
from infra.pdf.places import FieldPlace, Rect

__all__ = ["FieldPlace", "Rect", "place_fields"]


class _Increment(IncrementalPdfFileWriter):
    """An update that adds fields and nothing else: no new producer, no date of this machine's clock."""

    def _update_meta(self) -> None:
        """Leave the document's metadata as its author wrote it."""

    @classmethod
    def _handle_id(cls, prev: PdfFileReader) -> generic.ArrayObject:
        """Return the document's identifier; this revision's half follows from the bytes before it."""
        prev.stream.seek(0)
        revision = hashlib.sha256(b"fields after " + prev.stream.read()).digest()[:16]
        first = prev.trailer["/ID"][0] if "/ID" in prev.trailer else None
        # An identifier made of letters is read as text; its bytes count (ISO 32000-1 §14.4).
        kept = revision if first is None else getattr(first, "original_bytes", first)
        return generic.ArrayObject([generic.ByteStringObject(kept), generic.ByteStringObject(revision)])


def place_fields(pdf: bytes, fields: Sequence[FieldPlace]) -> bytes:
    """
    Return the PDF with one more revision that holds the empty fields, in their order.

    The order is the order of painting: a field placed later lies over an earlier one. The file given is a
    prefix of the result, and the same input gives the same bytes. Raises `Broken` if the file cannot be
    parsed or already has a field of that name.
    """
    try:
        writer = _Increment(io.BytesIO(pdf))
        for place in fields:
            # pyHanko takes fractions of points, whatever its annotation says.
            spec = SigFieldSpec(place.name, on_page=place.page, box=place.rect.points)  # type: ignore[arg-type]
            append_signature_field(writer, spec)
        out = io.BytesIO()
        writer.write(out)  # type: ignore[no-untyped-call]
    except (PdfError, ValueError, IndexError) as error:
        raise Broken("Signature fields cannot be placed on this PDF") from error
    return out.getvalue()
