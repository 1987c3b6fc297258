"""Damage, and structures that two readers understand in two ways."""

from __future__ import annotations

import re

from tests.attacks.target import Attack, Target, attack, body_of, gaps, number_of, raw_increment, startxref

ATTACKS: list[Attack] = []


@attack("damage", "one bit of the first byte", ATTACKS)
def flip_first(target: Target) -> bytes:
    return bytes([target.twice[0] ^ 1]) + target.twice[1:]


@attack("damage", "one bit in the page", ATTACKS)
def flip_in_the_page(target: Target) -> bytes:
    at = target.twice.index(b"stream") + 20
    return target.twice[:at] + bytes([target.twice[at] ^ 8]) + target.twice[at + 1 :]


@attack("damage", "one bit between the signatures", ATTACKS)
def flip_between(target: Target) -> bytes:
    at = len(target.once) + 40
    return target.twice[:at] + bytes([target.twice[at] ^ 4]) + target.twice[at + 1 :]


@attack("damage", "one bit of the first signature's value", ATTACKS)
def flip_in_the_first_value(target: Target) -> bytes:
    before, _ = gaps(target.twice)[0]
    at = before + 600
    digit = b"%X" % (int(target.twice[at : at + 1], 16) ^ 1)
    return target.twice[:at] + digit + target.twice[at + 1 :]


@attack("damage", "one bit of the last signature's value", ATTACKS)
def flip_in_the_last_value(target: Target) -> bytes:
    _, behind = gaps(target.twice)[-1]
    at = behind - 20
    digit = b"%X" % (int(target.twice[at : at + 1], 16) ^ 1)
    return target.twice[:at] + digit + target.twice[at + 1 :]


@attack("damage", "a capital letter of the value made small", ATTACKS)
def letter_case(target: Target) -> bytes:
    before, behind = gaps(target.twice)[-1]
    at = next(i for i in range(before + 1, behind) if target.twice[i : i + 1] in b"ABCDEF")
    return target.twice[:at] + target.twice[at : at + 1].lower() + target.twice[at + 1 :]


@attack("damage", "the last byte is missing", ATTACKS)
def truncated_by_one(target: Target) -> bytes:
    return target.twice[:-1]


@attack("damage", "the last thousand bytes are missing", ATTACKS)
def truncated(target: Target) -> bytes:
    return target.twice[:-1000]


@attack("damage", "a line appended", ATTACKS)
def appended_line(target: Target) -> bytes:
    return target.twice + b"\n"


@attack("damage", "a kilobyte of zeros appended", ATTACKS)
def appended_zeros(target: Target) -> bytes:
    return target.twice + bytes(1024)


@attack("damage", "another PDF appended", ATTACKS)
def appended_document(target: Target) -> bytes:
    return target.twice + target.form


@attack("damage", "another PDF put in front", ATTACKS)
def document_in_front(target: Target) -> bytes:
    return target.form + target.twice


@attack("damage", "a line put in front", ATTACKS)
def line_in_front(target: Target) -> bytes:
    return b"\n" + target.twice


@attack("structure", "a value taken from another document of the same people", ATTACKS)
def swapped_values(target: Target) -> bytes:
    before, behind = gaps(target.twice)[-1]
    start, end = gaps(target.other)[-1]
    return target.twice[:before] + target.other[start:end] + target.twice[behind:]


@attack("structure", "the first signature's value in both places", ATTACKS)
def doubled_value(target: Target) -> bytes:
    (start, end), (before, behind) = gaps(target.twice)
    value = target.twice[start : end - 1].ljust(behind - before - 1, b"0")[: behind - before - 1] + b">"
    return target.twice[:before] + value + target.twice[behind:]


@attack("structure", "a table that points at itself", ATTACKS)
def loop(target: Target) -> bytes:
    pdf = raw_increment(target.twice, {})
    table = startxref(pdf)
    return re.sub(rb"/Prev \d+", b"/Prev %d" % table, pdf[table:]).join([pdf[:table], b""])


@attack("structure", "two tables that point at each other", ATTACKS)
def loop_of_two(target: Target) -> bytes:
    first = raw_increment(target.twice, {})
    second = raw_increment(first, {})
    at, table = startxref(first), startxref(second)
    cut = len(first)
    return first[:at] + re.sub(rb"/Prev \d+", b"/Prev %d" % table, first[at:]).ljust(cut - at) + second[cut:]


@attack("structure", "a second table for modern readers only (hybrid)", ATTACKS)
def hybrid(target: Target) -> bytes:
    pdf = raw_increment(target.twice, {})
    return pdf[: len(target.twice)] + pdf[len(target.twice) :].replace(b"/Prev", b"/XRefStm 15 /Prev")


@attack("structure", "the same key twice in the catalogue", ATTACKS)
def key_twice(target: Target) -> bytes:
    root = number_of(target.twice, lambda pdf: pdf.Root)
    old = body_of(target.twice, root)
    return raw_increment(target.twice, {root: old[: old.rindex(b">>")] + b" /AcroForm null >>"})


@attack("structure", "the same object twice in an increment", ATTACKS)
def object_twice(target: Target) -> bytes:
    pdf = target.with_evidence
    table = startxref(pdf)
    start = len(target.twice)
    first = pdf[start : pdf.index(b"endobj", start) + 7]
    extra = first.lstrip()
    moved = pdf[:table] + extra + pdf[table:]
    return moved.replace(b"startxref\n%d" % table, b"startxref\n%d" % (table + len(extra)))


@attack("structure", "an increment without a name for its end", ATTACKS)
def no_end(target: Target) -> bytes:
    return target.with_evidence.rstrip()[: -len(b"%%EOF")]


@attack("structure", "the certification is said to be another signature's", ATTACKS)
def certification_moved(target: Target) -> bytes:
    root = number_of(target.twice, lambda pdf: pdf.Root)
    seal = number_of(target.twice, lambda pdf: pdf.Root.AcroForm.Fields[1].V)
    official = number_of(target.twice, lambda pdf: pdf.Root.AcroForm.Fields[0].V)
    old = body_of(target.twice, root)
    new = old.replace(b"/DocMDP %d 0 R" % official, b"/DocMDP %d 0 R" % seal)
    assert new != old
    return raw_increment(target.twice, {root: new})


@attack("structure", "the certification is dropped, so that everything is allowed", ATTACKS)
def certification_dropped(target: Target) -> bytes:
    root = number_of(target.twice, lambda pdf: pdf.Root)
    old = body_of(target.twice, root)
    new = re.sub(rb"/Perms << .*? >>", b"", old)
    if new == old:
        new = re.sub(rb"/Perms \d+ 0 R", b"", old)
    assert new != old
    return raw_increment(target.twice, {root: new})
