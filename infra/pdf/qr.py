"""QR codes (ISO/IEC 18004), drawn as vectors so that they print sharply at any size."""

from __future__ import annotations

import io

import segno

from infra.errors import Broken


def qr_svg(text: str) -> bytes:
    """
    Return an SVG of the QR code that holds `text` as UTF-8, without a quiet zone: the page leaves it free.

    Error correction is M (15 %), or better where it costs no room. Raises `Broken` if the text is too
    long for any QR code (about 2,300 bytes).
    """
    try:
        code = segno.make(text, error="m", encoding="utf-8", mode="byte", micro=False, eci=False)
    except segno.DataOverflowError as error:
        raise Broken("The text is too long for a QR code") from error
    out = io.BytesIO()
    code.save(out, kind="svg", border=0, xmldecl=False, svgns=True, dark="#000")
    return out.getvalue()
