"""Incremental saving (ISA): something is appended after the signature, more or less by the rules."""

from __future__ import annotations

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from tests.attacks.target import (
    Attack,
    Target,
    attack,
    body_of,
    changed,
    number_of,
    raw_increment,
    startxref,
)

ATTACKS: list[Attack] = []

_BLACK = b"0 g 0 0 595 842 re f"


def _stream(data: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(data), data)


def dictionary(**entries: generic.PdfObject) -> generic.DictionaryObject:
    return generic.DictionaryObject(  # type: ignore[no-untyped-call]
        {pdf_name("/" + name): value for name, value in entries.items()}
    )


def numbers(*values: float) -> generic.ArrayObject:
    return generic.ArrayObject([generic.FloatObject(value) for value in values])  # type: ignore[no-untyped-call]


def _page(writer: IncrementalPdfFileWriter) -> generic.DictionaryObject:
    return writer.root["/Pages"]["/Kids"][0]


def overlay(writer: IncrementalPdfFileWriter, kind: str) -> None:
    """Put an annotation with a picture of its own over the page."""
    shown = generic.StreamObject(
        dictionary(Type=pdf_name("/XObject"), Subtype=pdf_name("/Form"), BBox=numbers(0, 0, 595, 842)),
        stream_data=_BLACK,
    )
    note = writer.add_object(
        dictionary(
            Type=pdf_name("/Annot"),
            Subtype=pdf_name(kind),
            Rect=numbers(0, 0, 595, 842),
            AP=dictionary(N=writer.add_object(shown)),
            Contents=generic.TextStringObject("x"),
            F=generic.NumberObject(4),  # type: ignore[no-untyped-call]
        )
    )
    page = _page(writer)
    notes = page["/Annots"]
    notes.append(note)
    writer.update_container(notes)


@attack("ISA", "another page content", ATTACKS)
def page_content(target: Target) -> bytes:
    number = number_of(target.twice, lambda pdf: pdf.pages[0].Contents)
    return raw_increment(target.twice, {number: _stream(_BLACK)})


@attack("ISA", "another page content, after the official alone", ATTACKS)
def page_content_before_the_seal(target: Target) -> bytes:
    number = number_of(target.once, lambda pdf: pdf.pages[0].Contents)
    return raw_increment(target.once, {number: _stream(_BLACK)})


@attack("ISA", "another page content, then a seal over it all", ATTACKS)
def page_content_then_sealed(target: Target) -> bytes:
    number = number_of(target.once, lambda pdf: pdf.pages[0].Contents)
    return target.sign(raw_increment(target.once, {number: _stream(_BLACK)}), "seal")


@attack("ISA", "another page content, with no table at all", ATTACKS)
def without_table_and_trailer(target: Target) -> bytes:
    number = number_of(target.twice, lambda pdf: pdf.pages[0].Contents)
    return target.twice + b"%d 0 obj\n" % number + _stream(_BLACK) + b"\nendobj\n"


@attack("ISA", "another page content, with the old table named again", ATTACKS)
def without_table(target: Target) -> bytes:
    number = number_of(target.twice, lambda pdf: pdf.pages[0].Contents)
    body = b"%d 0 obj\n" % number + _stream(_BLACK) + b"\nendobj\n"
    return target.twice + body + b"startxref\n%d\n%%%%EOF\n" % startxref(target.twice)


@attack("ISA", "another page content that no table lists, for readers that repair", ATTACKS)
def unlisted(target: Target) -> bytes:
    number = number_of(target.twice, lambda pdf: pdf.pages[0].Contents)
    return raw_increment(target.twice, {number: _stream(_BLACK)}, listed=False)


@attack("ISA", "another page content behind evidence that is allowed", ATTACKS)
def hidden_in_evidence(target: Target) -> bytes:
    number = number_of(target.twice, lambda pdf: pdf.pages[0].Contents)
    extra = b"%d 0 obj\n" % number + _stream(_BLACK) + b"\nendobj\n"
    pdf = target.with_evidence
    table = startxref(pdf)
    assert table > len(target.twice)
    # The object stands between those of the increment and its table, which moves on by as much.
    moved = pdf[:table] + extra + pdf[table:]
    return moved.replace(b"startxref\n%d" % table, b"startxref\n%d" % (table + len(extra)))


@attack("ISA", "a comment after the end that holds an object", ATTACKS)
def comment(target: Target) -> bytes:
    return target.twice + b"%1 0 obj << /Type /Catalog >> endobj\n"


@attack("ISA", "a comment that says that the file ends here", ATTACKS)
def comment_and_end(target: Target) -> bytes:
    return target.twice + b"%% nothing\nstartxref\n%d\n%%%%EOF\n" % startxref(target.twice)


@attack("ISA", "an empty increment", ATTACKS)
def empty_increment_with_comment(target: Target) -> bytes:
    pdf = raw_increment(target.twice, {})
    return pdf.replace(
        b"xref\n0 1\n0000000000 65535 f \ntrailer\n<< /Root",
        b"xref\n0 1\n0000000000 65535 f \ntrailer\n<< /X 1 /Root",
    )


@attack("ISA", "other pages", ATTACKS)
def page_swap(target: Target) -> bytes:
    pages = number_of(target.twice, lambda pdf: pdf.Root.Pages)
    page = (
        b"<< /Type /Page /MediaBox [0 0 595 842] /Parent %d 0 R /Contents 900 0 R /Resources << >> >>" % pages
    )
    tree = b"<< /Type /Pages /Count 1 /Kids [901 0 R] >>"
    return raw_increment(target.twice, {900: _stream(_BLACK), 901: page, pages: tree})


@attack("ISA", "another catalogue with other pages, fields kept", ATTACKS)
def catalogue_swap(target: Target) -> bytes:
    root = number_of(target.twice, lambda pdf: pdf.Root)
    old = body_of(target.twice, root)
    pages = number_of(target.twice, lambda pdf: pdf.Root.Pages)
    page = b"<< /Type /Page /MediaBox [0 0 595 842] /Parent 902 0 R /Contents 900 0 R /Resources << >> >>"
    tree = b"<< /Type /Pages /Count 1 /Kids [901 0 R] >>"
    swapped = old.replace(b"/Pages %d 0 R" % pages, b"/Pages 902 0 R")
    assert swapped != old
    return raw_increment(target.twice, {900: _stream(_BLACK), 901: page, 902: tree, root: swapped})


@attack("ISA", "a stamp over the page", ATTACKS)
def annotation_overlay(target: Target) -> bytes:
    return changed(target.twice, lambda writer: overlay(writer, "/Stamp"))


@attack("ISA", "a new text field with a value, over the page", ATTACKS)
def form_value(target: Target) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        new = writer.add_object(
            dictionary(
                Type=pdf_name("/Annot"), Subtype=pdf_name("/Widget"), FT=pdf_name("/Tx"),
                T=generic.TextStringObject("amount"), V=generic.TextStringObject("1.000.000.000"),
                Rect=numbers(50, 700, 250, 780), F=generic.NumberObject(4),  # type: ignore[no-untyped-call]
            )
        )  # fmt: skip
        form = writer.root["/AcroForm"]
        form["/Fields"].append(new)
        writer.update_container(form)
        notes = _page(writer)["/Annots"]
        notes.append(new)
        writer.update_container(notes)

    return changed(target.twice, change)


@attack("ISA", "another look of a signature that is there", ATTACKS)
def signature_appearance(target: Target) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        field = writer.root["/AcroForm"]["/Fields"][0]
        shown = generic.StreamObject(
            dictionary(Type=pdf_name("/XObject"), Subtype=pdf_name("/Form"), BBox=numbers(0, 0, 600, 600)),
            stream_data=_BLACK,
        )
        field["/AP"] = dictionary(N=writer.add_object(shown))
        writer.update_container(field)

    return changed(target.twice, change)


@attack("ISA", "a signature's field, moved and made as large as the page", ATTACKS)
def field_moved(target: Target) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        field = writer.root["/AcroForm"]["/Fields"][1]
        field["/Rect"] = numbers(0, 0, 595, 842)
        writer.update_container(field)

    return changed(target.twice, change)


@attack("ISA", "a script that runs when the file is opened", ATTACKS)
def open_action(target: Target) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        script = generic.TextStringObject("app.alert(1)")
        writer.root["/OpenAction"] = dictionary(S=pdf_name("/JavaScript"), JS=script)
        writer.update_root()  # type: ignore[no-untyped-call]

    return changed(target.twice, change)


@attack("ISA", "a page that is taken out of the table", ATTACKS)
def freed_object(target: Target) -> bytes:
    number = number_of(target.twice, lambda pdf: pdf.pages[0].Contents)
    pdf = raw_increment(target.twice, {})
    table = startxref(pdf)
    return pdf[:table] + pdf[table:].replace(b"trailer", b"%d 1\n0000000000 00001 f \ntrailer" % number, 1)


@attack("ISA", "another title", ATTACKS)
def title(target: Target) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        info = writer.trailer["/Info"]
        info["/Title"] = generic.TextStringObject("Bằng tiến sĩ")
        writer.update_container(info)

    return changed(target.twice, change)


@attack("ISA", "a copy of the signature in an increment of its own", ATTACKS)
def signature_copied(target: Target) -> bytes:
    number = number_of(target.twice, lambda pdf: pdf.Root.AcroForm.Fields[1].V)
    content = number_of(target.twice, lambda pdf: pdf.pages[0].Contents)
    start = target.twice.index(b"%d 0 obj" % number)
    body = target.twice[start : target.twice.index(b"endobj", start)].partition(b"obj")[2].strip()
    return raw_increment(target.twice, {number: body, content: _stream(_BLACK)})


@attack("ISA", "notes appended after the time-stamp over everything", ATTACKS)
def after_the_time_stamp(target: Target) -> bytes:
    return changed(target.lta, lambda writer: overlay(writer, "/FreeText"))


@attack("ISA", "another page content after the time-stamp over everything", ATTACKS)
def content_after_the_time_stamp(target: Target) -> bytes:
    number = number_of(target.lta, lambda pdf: pdf.pages[0].Contents)
    return raw_increment(target.lta, {number: _stream(_BLACK)})


@attack("ISA", "another page content, then a time-stamp over it", ATTACKS)
def content_then_time_stamped(target: Target) -> bytes:
    return target.timestamp(page_content(target))
