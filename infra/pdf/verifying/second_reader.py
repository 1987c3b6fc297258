"""
A second reader, which shares no code with the first: two that disagree mean a file that deceives.

qpdf reads the file without repairing it. What both must agree on is what people look at: the pages, what
is drawn on them, and the signature fields. It also sees every object of the file, used or not.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pikepdf
from pikepdf.exceptions import PikepdfError
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from infra.pdf.screening import programs
from infra.pdf.verifying.findings import Finding, found
from infra.pdf.verifying.objects import pages_of, resolved

_DAMAGE = (PikepdfError, OSError, ValueError, TypeError, KeyError, AttributeError, IndexError)


def damage(pdf: bytes) -> Finding | None:
    """
    Return what qpdf finds damaged, every object read once; to be asked first.

    A file that one reader would have to repair is not read by the other.
    """
    try:
        with pikepdf.open(io.BytesIO(pdf), attempt_recovery=False, suppress_warnings=True) as document:
            for _ in document.objects:
                pass
            warnings = document.get_warnings()
    except pikepdf.PasswordError:
        return found("encrypted")
    except _DAMAGE as error:
        return found("damaged", why=type(error).__name__)
    return found("damaged", why=f"{len(warnings)}") if warnings else None


def second_opinion(pdf: bytes, reader: PdfFileReader, signature_objects: set[int]) -> list[Finding]:
    """
    Return what a second reader holds against the file.

    `signature_objects` are the numbers of the objects that the first reader took for signatures of fields.
    """
    try:
        with pikepdf.open(io.BytesIO(pdf), attempt_recovery=False) as document:
            return list(_opinion(document, reader, signature_objects))
    except _DAMAGE as error:
        return [found("damaged", why=type(error).__name__)]


def _opinion(document: pikepdf.Pdf, reader: PdfFileReader, signatures: set[int]) -> Iterator[Finding]:
    """Yield what is wrong."""
    if document.Root.objgen[0] != reader.root_ref.idnum:
        yield found("two-readings", what="/Root")
    ours = [_drawn(page) for page in pages_of(reader)]
    theirs = [_drawn_by_qpdf(page) for page in document.pages]
    if ours != theirs:
        yield found("two-readings", what="/Pages")
    if _fields(document) != signatures:
        yield found("two-readings", what="/AcroForm")
    for item in document.objects:
        signs = isinstance(item, pikepdf.Dictionary) and "/ByteRange" in item and "/Contents" in item
        if signs and item.objgen[0] not in signatures:
            yield found("stray-signature")
    doing = sorted(set(programs(document)))
    if doing:
        yield found("active-content", what=", ".join(doing))


def _drawn(page: generic.DictionaryObject) -> tuple[int, ...]:
    """Return the numbers of a page's object and of what is drawn on it."""
    own = page.container_ref
    number = own.idnum if isinstance(own, generic.Reference) else 0
    contents = page.raw_get("/Contents") if "/Contents" in page else None
    if isinstance(resolved(contents), generic.ArrayObject):
        contents = resolved(contents)
    if isinstance(contents, generic.ArrayObject):
        items = [contents.raw_get(n) for n in range(len(contents))]
    else:
        items = [contents] if contents is not None else []
    return (number, *(one.idnum for one in items if isinstance(one, generic.IndirectObject)))


def _drawn_by_qpdf(page: pikepdf.Page) -> tuple[int, ...]:
    """Return the same, as qpdf reads it."""
    contents = page.obj.get("/Contents")
    items = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
    return (page.obj.objgen[0], *(one.objgen[0] for one in items if isinstance(one, pikepdf.Object)))


def _fields(document: pikepdf.Pdf) -> set[int]:
    """Return the numbers of the objects that are values of signature fields."""
    found_values: set[int] = set()
    form = document.Root.get("/AcroForm")
    waiting: list[tuple[pikepdf.Object, pikepdf.Object | None]] = []
    if isinstance(form, pikepdf.Dictionary):
        waiting += [(one, None) for one in form.get("/Fields", [])]
    seen: set[tuple[int, int]] = set()
    while waiting:
        field, inherited = waiting.pop()
        if not isinstance(field, pikepdf.Dictionary) or (field.is_indirect and field.objgen in seen):
            continue
        seen.add(field.objgen)
        kind = field.get("/FT", inherited)
        value = field.get("/V")
        if kind == "/Sig" and isinstance(value, pikepdf.Dictionary):
            found_values.add(value.objgen[0])
        waiting += [(kid, kind) for kid in field.get("/Kids", [])]
    return found_values
