"""Signature wrapping (SWA): the signed bytes are kept, and something else is put where nobody signed."""

from __future__ import annotations

from tests.attacks.target import Attack, Target, attack, gaps, number_of, startxref

ATTACKS: list[Attack] = []

_BLACK = b"0 g 0 0 595 842 re f"


def _wrapped(pdf: bytes, *, closes: bool, range_first: bool) -> bytes:
    """
    Move the signed end of the file back, and write into the gap what readers will find in its place.

    The last line of the file still points at the old place of the table, where there is a new one now.
    """
    before, behind = gaps(pdf)[-1]
    table, tail = startxref(pdf), pdf[behind:]
    content = number_of(pdf, lambda document: document.pages[0].Contents)
    evil = b"%d 0 obj\n<< /Length %d >>\nstream\n%s\nendstream\nendobj\n" % (content, len(_BLACK), _BLACK)
    dictionary_end = pdf[behind : pdf.index(b"endobj", behind) + 6]
    value = pdf[before:behind]
    old_range = dictionary_end[dictionary_end.index(b"[") : dictionary_end.index(b"]") + 1]
    rest = pdf[table : pdf.index(b"startxref", table)]
    evil_table = rest.replace(b"trailer", b"%d 1\n%%010d 00000 n \ntrailer" % content, 1)

    def lay(shift: int) -> tuple[bytes, int]:
        new_range = b"[0 %d %d %d]" % (before, behind + shift, len(tail))
        new_range += b" " * max(0, len(old_range) - len(new_range))
        ending = dictionary_end.replace(old_range, new_range) if closes else b""
        if range_first:
            ending = b"\n/ByteRange " + new_range + ending
        start = before + len(value) + len(ending) + 1
        laid = value + ending + b"\n" + evil
        laid += b"\n" * max(0, table - before - len(laid)) + (evil_table % start)
        return laid, start

    shift, previous = 0, -1
    laid = b""
    while shift != previous:
        laid, _ = lay(shift)
        previous, shift = shift, before + len(laid) - behind
    return pdf[:before] + laid + tail


@attack("SWA", "another page content between value and signed end, dictionary closed anew", ATTACKS)
def wrapped_content(target: Target) -> bytes:
    return _wrapped(target.twice, closes=True, range_first=False)


@attack("SWA", "the same, with a second /ByteRange before the signed one", ATTACKS)
def second_byte_range(target: Target) -> bytes:
    return _wrapped(target.twice, closes=False, range_first=True)


@attack("SWA", "the same, with both", ATTACKS)
def both_byte_ranges(target: Target) -> bytes:
    return _wrapped(target.twice, closes=True, range_first=True)


@attack("SWA", "the same, over a document with one signature", ATTACKS)
def wrapped_single(target: Target) -> bytes:
    return _wrapped(target.once, closes=True, range_first=False)


@attack("SWA", "objects hidden behind the value, inside its own brackets", ATTACKS)
def slack_in_the_value(target: Target) -> bytes:
    before, behind = gaps(target.lta)[-1]
    value = target.lta[before:behind]
    end = len(value.rstrip(b">").rstrip(b"0")) + 200
    hidden = b"900 0 obj << /Type /Catalog >> endobj".hex().upper().encode()
    assert end + len(hidden) < len(value)
    return target.lta[:before] + value[:end] + hidden + value[end + len(hidden) :] + target.lta[behind:]


@attack("SWA", "white space inside the value, where something could be put", ATTACKS)
def white_space_in_the_value(target: Target) -> bytes:
    _before, behind = gaps(target.lta)[-1]
    return target.lta[: behind - 9] + b"        >" + target.lta[behind:]


@attack("SWA", "a comment in place of the zeros behind the value", ATTACKS)
def comment_in_the_value(target: Target) -> bytes:
    _, behind = gaps(target.lta)[-1]
    return target.lta[: behind - 12] + b">% 900 0 obj"[:12] + target.lta[behind:]


@attack("SWA", "a second /Contents after the first", ATTACKS)
def second_contents(target: Target) -> bytes:
    before, behind = gaps(target.lta)[-1]
    value = target.lta[before:behind]
    short = value[: len(value) - 40] + b">/Contents <" + b"0" * 27 + b">"
    assert len(short) == len(value)
    return target.lta[:before] + short + target.lta[behind:]
