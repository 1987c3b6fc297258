"""Shadow attacks: what will be seen later is hidden in the document before it is signed."""

from __future__ import annotations

import io
from collections.abc import Callable

import pikepdf
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from tests.attacks.saving import dictionary, numbers
from tests.attacks.target import Attack, Target, attack, changed, number_of, raw_increment, startxref

ATTACKS: list[Attack] = []


def _prepared(target: Target, prepare: Callable[[pikepdf.Pdf], None]) -> bytes:
    """Return the document as the attacker hands it in for signing, signed and sealed."""
    with pikepdf.open(io.BytesIO(target.form)) as document:
        prepare(document)
        out = io.BytesIO()
        document.save(out, min_version="1.7")
    return target.sign(target.sign(out.getvalue(), "official"), "seal")


@attack("shadow", "hide: a picture that covered the page is gone", ATTACKS)
def hide_a_cover(target: Target) -> bytes:
    def prepare(document: pikepdf.Pdf) -> None:
        page = document.pages[0]
        cover = document.make_stream(b"1 g 0 0 595 842 re f", Type=pikepdf.Name.XObject)
        cover.Subtype, cover.BBox = pikepdf.Name.Form, [0, 0, 595, 842]
        page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Cover=cover))
        page.Contents = document.make_stream(b"0 g 50 700 200 80 re f /Cover Do")

    pdf = _prepared(target, prepare)
    number = number_of(pdf, lambda document: document.pages[0].Resources.XObject.Cover)
    empty = b"<< /Type /XObject /Subtype /Form /BBox [0 0 1 1] /Length 0 >>\nstream\n\nendstream"
    return raw_increment(pdf, {number: empty})


@attack("shadow", "replace: the font draws other letters", ATTACKS)
def replace_a_font(target: Target) -> bytes:
    def prepare(document: pikepdf.Pdf) -> None:
        page = document.pages[0]
        font = document.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
            )
        )
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F0=font))
        page.Contents = document.make_stream(b"BT /F0 20 Tf 50 700 Td (100) Tj ET")

    pdf = _prepared(target, prepare)
    number = number_of(pdf, lambda document: document.pages[0].Resources.Font.F0)
    other = b"<< /Type /Font /Subtype /Type1 /BaseFont /ZapfDingbats >>"
    return raw_increment(pdf, {number: other})


@attack("shadow", "replace: a text field gets another value and look", ATTACKS)
def replace_a_form_value(target: Target) -> bytes:
    def prepare(document: pikepdf.Pdf) -> None:
        field = document.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, FT=pikepdf.Name.Tx, T="amount",
                V="100", Rect=[50, 600, 250, 640], F=4, P=document.pages[0].obj,
            )
        )  # fmt: skip
        document.Root.AcroForm.Fields.append(field)
        document.pages[0].Annots.append(field)

    pdf = _prepared(target, prepare)

    def change(writer: IncrementalPdfFileWriter) -> None:
        fields = [one.get_object() for one in writer.root["/AcroForm"]["/Fields"]]
        (field,) = (one for one in fields if one["/T"] == "amount")
        field["/V"] = generic.TextStringObject("1000000")
        shown = generic.StreamObject(
            dictionary(Type=pdf_name("/XObject"), Subtype=pdf_name("/Form"), BBox=numbers(0, 0, 200, 40)),
            stream_data=b"0 g 0 0 200 40 re f",
        )
        field["/AP"] = dictionary(N=writer.add_object(shown))
        writer.update_container(field)

    return changed(pdf, change)


@attack("shadow", "hide and replace: the table points at a page that was signed but never shown", ATTACKS)
def hide_and_replace(target: Target) -> bytes:
    def prepare(document: pikepdf.Pdf) -> None:
        # An object that looks like the page's content, kept alive by a key that nobody looks at.
        hidden = document.make_stream(b"0 g 0 0 595 842 re f")
        document.pages[0].obj["/PieceInfo"] = pikepdf.Dictionary(X=hidden)

    pdf = _prepared(target, prepare)
    shown = number_of(pdf, lambda document: document.pages[0].Contents)
    hidden = number_of(pdf, lambda document: document.pages[0].PieceInfo.X)
    place = pdf.index(b"\n%d 0 obj" % hidden) + 1
    out = bytearray(raw_increment(pdf, {}))
    table = startxref(bytes(out))
    entry = b"%d 1\n%010d 00000 n \ntrailer" % (shown, place)
    return bytes(out[:table]) + bytes(out[table:]).replace(b"trailer", entry, 1)


@attack("shadow", "hide and replace: the hidden page is named by the tree of pages", ATTACKS)
def hidden_page_named(target: Target) -> bytes:
    def prepare(document: pikepdf.Pdf) -> None:
        hidden = document.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Page, MediaBox=[0, 0, 595, 842], Resources=pikepdf.Dictionary(),
                Contents=document.make_stream(b"0 g 0 0 595 842 re f"),
            )
        )  # fmt: skip
        document.pages[0].obj["/PieceInfo"] = pikepdf.Dictionary(X=hidden)

    pdf = _prepared(target, prepare)
    tree = number_of(pdf, lambda document: document.Root.Pages)
    hidden = number_of(pdf, lambda document: document.pages[0].PieceInfo.X)
    return raw_increment(pdf, {tree: b"<< /Type /Pages /Count 1 /Kids [%d 0 R] >>" % hidden})
