"""
What a PDF may not carry through the door, whatever its pages show.

Although only pixels are taken, a file with a program, an attachment, a form or a signature is not what a
scanner makes: either it is not a scan, or somebody means harm, so a person looks at it (INTAKE-02, SIG-10).
"""

from __future__ import annotations

from collections.abc import Iterator

import pikepdf

from infra.pdf.pages import Unfit

_ACTIONS = {
    "/JavaScript", "/Launch", "/SubmitForm", "/ImportData", "/Rendition", "/Movie", "/Sound",
    "/GoToE", "/GoToR", "/RichMediaExecute", "/ResetForm", "/Hide", "/SetOCGState", "/GoTo3DView",
}  # fmt: skip
_MEDIA = {"/RichMedia", "/Screen", "/Movie", "/Sound", "/3D"}
_DEEPEST = 30


def screen(pdf: pikepdf.Pdf, data: bytes, name: str) -> None:
    """Return if the file holds pages only; raise `Unfit` naming the file and the first offence found."""
    root = pdf.Root
    for found in _dictionaries(pdf):
        _refuse_signature(found, name)
    for found in _dictionaries(pdf):
        _refuse_program_or_file(found, name)
    form = root.get("/AcroForm")
    if isinstance(form, pikepdf.Dictionary):
        if "/XFA" in form:
            raise Unfit(f"{name} holds an XFA form, which is a program.", code="active-content")
        if len(form.get("/Fields", [])):
            raise Unfit(f"{name} holds form fields.", code="form")
    if "/Collection" in root:
        raise Unfit(f"{name} is a portfolio of other files.", code="attachment")
    if "/OCProperties" in root:
        raise Unfit(f"{name} holds layers that can be shown or hidden.", code="layers")
    if b"/XRefStm" in data:
        # Two tables of contents in one file: two readers may see two different documents.
        raise Unfit(f"{name} is a hybrid PDF that readers may understand in two ways.", code="too-complex")
    _refuse_annotations(pdf, name)


def programs(pdf: pikepdf.Pdf) -> Iterator[str]:
    """Yield the kinds of programs, forms and media that a document holds, for whoever only reports them."""
    for found in _dictionaries(pdf):
        kind = found.get("/S")
        if kind in _ACTIONS:
            yield str(kind)
        if "/JS" in found or "/JavaScript" in found:
            yield "/JavaScript"
        if "/AA" in found:
            yield "/AA"
        if found.get("/Subtype") in _MEDIA:
            yield str(found.get("/Subtype"))
    form = pdf.Root.get("/AcroForm")
    if isinstance(form, pikepdf.Dictionary) and "/XFA" in form:
        yield "/XFA"
    if "/OCProperties" in pdf.Root:
        yield "/OCProperties"


def _dictionaries(pdf: pikepdf.Pdf) -> Iterator[pikepdf.Object]:
    """Yield every dictionary of the file, those nested inside others and those nobody refers to included."""
    for item in pdf.objects:
        yield from _nested(item, 0)


def _nested(item: pikepdf.Object, depth: int) -> Iterator[pikepdf.Object]:
    """Yield an object's dictionaries; indirect children are left to the caller, who sees each object once."""
    if depth > _DEEPEST:
        return
    if isinstance(item, pikepdf.Dictionary | pikepdf.Stream):
        yield item
        children = [child for _, child in item.items()]
    elif isinstance(item, pikepdf.Array):
        children = list(item)
    else:
        return
    for child in children:
        if isinstance(child, pikepdf.Dictionary | pikepdf.Array) and not child.is_indirect:
            yield from _nested(child, depth + 1)


def _refuse_signature(found: pikepdf.Object, name: str) -> None:
    """Refuse signature values and time-stamps, also those of a field that lost its form."""
    if "/ByteRange" in found and "/Contents" in found:
        raise Unfit(f"{name} is already signed.", code="signed")


def _refuse_program_or_file(found: pikepdf.Object, name: str) -> None:
    """Refuse actions, automatic actions, scripts and embedded files."""
    if found.get("/S") in _ACTIONS or "/JS" in found or "/JavaScript" in found or "/AA" in found:
        raise Unfit(f"{name} holds a program or an automatic action.", code="active-content")
    opening = found.get("/OpenAction")
    # An array only says which page a viewer shows first; scanners write that.
    if opening is not None and not isinstance(opening, pikepdf.Array):
        raise Unfit(f"{name} does something by itself when it is opened.", code="active-content")
    if "/EF" in found or "/EmbeddedFiles" in found or found.get("/Type") == "/EmbeddedFile":
        raise Unfit(f"{name} holds other files.", code="attachment")


def _refuse_annotations(pdf: pikepdf.Pdf, name: str) -> None:
    """Refuse whatever lies on a page without being part of it."""
    for number, page in enumerate(pdf.pages, start=1):
        notes = page.obj.get("/Annots")
        if not isinstance(notes, pikepdf.Array):
            continue
        for note in notes:
            kind = note.get("/Subtype") if isinstance(note, pikepdf.Dictionary) else None
            if kind in _MEDIA:
                raise Unfit(f"Page {number} of {name} holds sound, film or 3D.", code="active-content")
            if kind == "/FileAttachment":
                raise Unfit(f"Page {number} of {name} holds another file.", code="attachment")
            raise Unfit(f"Page {number} of {name} holds a form field, link or note.", code="form")
