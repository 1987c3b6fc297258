"""
What a PDF may not carry through the door, whatever its pages show.

Of a scan only pixels are taken; still, a file with a program, an attachment, a form or a signature is not
what a scanner makes: either it is not a scan, or somebody means harm, so a person looks at it (INTAKE-02,
SIG-10). Another agency's signed result stays as it is, with everything that is inside, so it may hold
nothing but pages, signatures, and links to addresses.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pikepdf
from pikepdf.exceptions import PikepdfError

from infra.pdf.pages import Limits, Unfit
from infra.pdf.structure import check_structure, explained

#: Actions that a signed result may hold: going to a page, or to an address that the reader is asked about.
_HARMLESS = {"/GoTo", "/URI", "/Named"}
_ACTIONS = {
    "/JavaScript", "/Launch", "/SubmitForm", "/ImportData", "/Rendition", "/Movie", "/Sound", "/GoToE", "/GoToR",
    "/RichMediaExecute", "/ResetForm", "/Hide", "/SetOCGState", "/GoTo3DView", "/Trans", "/Thread",
}  # fmt: skip
_MEDIA = {"/RichMedia", "/Screen", "/Movie", "/Sound", "/3D"}
_DEEPEST = 30

#: What the libraries raise when a PDF's objects are not what they must be. A hostile file chooses freely
#: among these, so none of them is taken for a bug of ours.
DAMAGE = (
    PikepdfError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError,
)  # fmt: skip


def opened(name: str, content: bytes) -> pikepdf.Pdf:
    """Return a PDF as qpdf reads it, without repairing it; raises `Unfit` for what is damaged or locked."""
    try:
        pdf = pikepdf.open(io.BytesIO(content), attempt_recovery=False)
    except pikepdf.PasswordError as error:
        raise Unfit(f"{name} is encrypted.", code="encrypted") from error
    except DAMAGE as error:
        raise explained(error, name) from error
    if pdf.is_encrypted:
        raise Unfit(f"{name} is encrypted.", code="encrypted")
    return pdf


def screen(pdf: pikepdf.Pdf, data: bytes, name: str, limits: Limits) -> None:
    """Return if the file holds pages only; raise `Unfit` naming the file and the first offence found."""
    try:
        check_structure(pdf, data, name, limits)
        for found in _dictionaries(pdf):
            if "/ByteRange" in found and "/Contents" in found:
                raise Unfit(f"{name} is already signed.", code="signed")
        _refuse_contents(pdf, name, _ACTIONS | _HARMLESS)
        form = pdf.Root.get("/AcroForm")
        if isinstance(form, pikepdf.Dictionary) and len(form.get("/Fields", [])):
            raise Unfit(f"{name} holds form fields.", code="form")
        for number, page in enumerate(pdf.pages, start=1):
            notes = page.obj.get("/Annots")
            if isinstance(notes, pikepdf.Array) and len(notes):
                raise Unfit(f"Page {number} of {name} holds a form field, link or note.", code="form")
    except DAMAGE as error:
        raise explained(error, name) from error


def screen_signed(name: str, content: bytes, limits: Limits | None = None, *, unsigned: bool = False) -> None:
    """
    Return if another agency's signed PDF may come in as it is; raises `Unfit` with the first offence found.

    Call it in a child process with limits, before anything else reads the file. Whether its signatures
    hold is asked afterwards. With `unsigned` a file that nobody has signed may come in too.
    """
    limits = limits or Limits()
    with opened(name, content) as pdf:
        try:
            check_structure(pdf, content, name, limits)
            _refuse_contents(pdf, name, _ACTIONS)
            _refuse_fields(pdf, name)
            if not unsigned and not any(
                "/ByteRange" in found and "/Contents" in found for found in _dictionaries(pdf)
            ):
                raise Unfit(f"{name} is not signed.", code="unsigned")
        except DAMAGE as error:
            raise explained(error, name) from error


def programs(pdf: pikepdf.Pdf) -> Iterator[str]:
    """Yield the kinds of programs, forms and media that a document holds, for whoever only reports them."""
    for found in _dictionaries(pdf):
        kind = found.get("/S")
        if isinstance(kind, pikepdf.Name) and str(kind) in _ACTIONS:
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


def _refuse_contents(pdf: pikepdf.Pdf, name: str, actions: set[str]) -> None:
    """Refuse programs, other files, media and layers, wherever in the file they are."""
    root = pdf.Root
    form = root.get("/AcroForm")
    if isinstance(form, pikepdf.Dictionary) and "/XFA" in form:
        raise Unfit(f"{name} holds an XFA form, which is a program.", code="xfa")
    if "/Collection" in root:
        raise Unfit(f"{name} is a portfolio of other files.", code="portfolio")
    if "/OCProperties" in root:
        raise Unfit(f"{name} holds layers that can be shown or hidden.", code="layers")
    for found in _dictionaries(pdf):
        if "/JS" in found or "/JavaScript" in found or found.get("/S") == "/JavaScript":
            raise Unfit(f"{name} holds a script (JavaScript).", code="javascript")
    for found in _dictionaries(pdf):
        _refuse_action(found, name, actions)
        if found.get("/Subtype") in _MEDIA:
            raise Unfit(f"{name} holds sound, film or 3D.", code="media")
        embeds = "/EF" in found or "/EmbeddedFiles" in found or found.get("/Type") == "/EmbeddedFile"
        if embeds or found.get("/Subtype") == "/FileAttachment":
            raise Unfit(f"{name} holds other files.", code="attachment")


def _refuse_action(found: pikepdf.Object, name: str, actions: set[str]) -> None:
    """Refuse actions and whatever triggers them; a destination only says which page a viewer shows first."""
    kind = found.get("/S")
    acts = isinstance(kind, pikepdf.Name) and str(kind) in actions and found.get("/Type") in (None, "/Action")
    opening = found.get("/OpenAction")
    starts = isinstance(opening, pikepdf.Dictionary) and opening.get("/S") != "/GoTo"
    if "/AA" in found or acts or starts:
        raise Unfit(
            f"{name} does something by itself, or when it is touched ({_called(found)}).", code="action"
        )


def _called(found: pikepdf.Object) -> str:
    """Return what an action is called in the file."""
    for key in ("/AA", "/OpenAction"):
        if key in found:
            return key
    return str(found.get("/S"))


def _refuse_fields(pdf: pikepdf.Pdf, name: str) -> None:
    """Refuse what a signed result may not have on its pages: values that can be filled in, and notes."""
    form = pdf.Root.get("/AcroForm")
    waiting: list[tuple[pikepdf.Object, pikepdf.Object | None]] = []
    if isinstance(form, pikepdf.Dictionary):
        waiting += [(one, None) for one in form.get("/Fields", [])]
    while waiting:
        field, above = waiting.pop()
        kind = field.get("/FT", above)
        kids = list(field.get("/Kids", []))
        if kind != "/Sig" and (kind is not None or not kids):
            raise Unfit(f"{name} holds form fields whose values can be changed.", code="form")
        waiting += [(kid, kind) for kid in kids]
    for number, page in enumerate(pdf.pages, start=1):
        for note in page.obj.get("/Annots", []):
            if note.get("/Subtype") not in ("/Widget", "/Link"):
                raise Unfit(f"Page {number} of {name} holds a note or a stamp.", code="form")
