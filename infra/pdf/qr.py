"""QR codes (ISO/IEC 18004), drawn as vectors so that they print sharply at any size."""

from __future__ import annotations

import zxingcpp

from infra.errors import Broken


def qr_svg(text: str) -> bytes:
    """
    Return an SVG of the QR code that holds `text` as UTF-8, without a quiet zone: the page leaves it free.

    Error correction is M (15 %). Raises `Broken` if the text is too long for any QR code (about 2,300 bytes).
    """
    try:
        code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    except ValueError as error:
        raise Broken("The text is too long for a QR code") from error
    return code.to_svg(add_quiet_zones=False).encode()
