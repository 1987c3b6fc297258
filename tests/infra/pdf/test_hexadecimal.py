"""Hexadecimal strings read at once, beside pyHanko's own reading of the same bytes."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic

from infra.pdf.hexadecimal import digit_by_digit, read_hexadecimal


def outcome(content: bytes, *, start: int, at_once: bool) -> tuple[object, ...]:
    """Return the string and where the stream stands, or what was raised."""
    stream = io.BytesIO(content)
    stream.seek(start)
    with digit_by_digit():
        read = read_hexadecimal if at_once else generic.read_hex_string_from_stream
        try:
            found = read(stream)
        except Exception as error:
            return type(error), str(error)
    return type(found), found, stream.tell()


@given(
    content=st.lists(
        st.sampled_from([b"<", b">", b"4", b"aF", b"09", b" ", b"\n", b"\x00", b"g", b"%", b"FEFF00C1"])
    ).map(b"".join),
    before=st.binary(max_size=3),
)
@example(content=b"", before=b"")
@example(content=b"12" * 8192 + b">", before=b"x")
@example(content=b"12" * 20_000 + b"3>", before=b"")
@example(content=b"12" * 8192, before=b"")
def test_every_string_is_read_as_pyhanko_reads_it(content: bytes, before: bytes) -> None:
    written = before + b"<" + content
    assert outcome(written, start=len(before), at_once=True) == outcome(
        written, start=len(before), at_once=False
    )


def test_pyhanko_reads_at_once_wherever_signatures_are_looked_at() -> None:
    import infra.pdf.checking  # noqa: F401

    assert generic.read_hex_string_from_stream is read_hexadecimal
    with digit_by_digit():
        assert generic.read_hex_string_from_stream is not read_hexadecimal
    assert generic.read_hex_string_from_stream is read_hexadecimal


@pytest.mark.parametrize("text", ["Tiếng Việt", ""])
def test_a_text_string_stays_one(text: str) -> None:
    written = b"<" + b"FEFF" + text.encode("utf-16-be").hex().encode() + b">"
    found = read_hexadecimal(io.BytesIO(written))
    assert isinstance(found, generic.TextStringObject)
    assert found == text
