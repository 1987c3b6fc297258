"""
Whether reading a PDF comes to an end, at a bearable cost.

Trees must not run in circles, pages must have a size that paper has, and data must not unpack to more than
it may. Runs inside a child process only, before anything interprets what the file shows. qpdf's own limits
(`prepare_libraries`) and the limits of the process stand behind it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pikepdf
from pikepdf.exceptions import PikepdfError

from infra.pdf.pages import Limits, Unfit

#: What all streams but pictures may unpack to: fonts, page contents, tables.
_MOST_UNPACKED = 200_000_000  # bytes
_MOST_FILTERS = 4
_DEEPEST_TREE = 50
_MM_PER_POINT = 25.4 / 72

#: What qpdf says when it meets a circle or a nesting without end.
_LOOPS = ("loop detected", "loop in", "circular")
_NESTED = ("excessively deeply nested", "nesting", "maximum nesting")


def explained(error: Exception, name: str) -> Unfit:
    """Return the refusal for what a library says of a file that it cannot read."""
    said = str(error).lower()
    if any(words in said for words in _LOOPS):
        return Unfit(f"{name} runs in circles.", code="loop")
    if any(words in said for words in _NESTED):
        return Unfit(f"{name} is nested more deeply than any document.", code="nesting")
    if "memory limit" in said or "limits" in said:
        return Unfit(f"{name} unpacks to more than a document ever should.", code="bomb")
    return Unfit(f"{name} is a damaged or incomplete PDF.", code="truncated")


def check_structure(pdf: pikepdf.Pdf, data: bytes, name: str, limits: Limits) -> None:
    """Return if a PDF can be read to its end at a bearable cost; raises `Unfit`."""
    if b"/XRefStm" in data:
        # Two tables of contents in one file: two readers may see two different documents.
        raise Unfit(f"{name} is a hybrid PDF that readers may understand in two ways.", code="hybrid")
    if len(pdf.objects) > limits.objects:
        raise Unfit(f"{name} has more than {limits.objects} objects.", code="too-many-objects")
    _check_trees(pdf, name)
    count = len(pdf.pages)
    if count == 0:
        raise Unfit(f"{name} has no page.", code="empty")
    if count > limits.pages:
        raise Unfit(f"{name} has {count} pages, more than the {limits.pages} allowed.", code="too-large")
    for number, page in enumerate(pdf.pages, start=1):
        _check_size(page, f"{name}, page {number}", limits)
    _check_streams(pdf, name, limits)


def _check_trees(pdf: pikepdf.Pdf, name: str) -> None:
    """Refuse pages, fields, names, outlines and forms that contain themselves."""
    root = pdf.Root
    trees: list[tuple[pikepdf.Object | None, tuple[str, ...]]] = [(root.get("/Pages"), ("/Kids",))]
    form = root.get("/AcroForm")
    if isinstance(form, pikepdf.Dictionary):
        trees += [(field, ("/Kids",)) for field in form.get("/Fields", [])]
    names = root.get("/Names")
    if isinstance(names, pikepdf.Dictionary):
        trees += [(tree, ("/Kids",)) for _, tree in names.items()]
    trees += [(root.get(key), ("/Kids",)) for key in ("/PageLabels", "/Dests")]
    trees += [(root.get("/Outlines"), ("/First", "/Next")), (root.get("/StructTreeRoot"), ("/K",))]
    for tree, ways in trees:
        _walk(tree, ways, name)
    for item in pdf.objects:
        if isinstance(item, pikepdf.Stream) and item.get("/Subtype") == "/Form":
            _check_form(item, name)


def _walk(tree: pikepdf.Object | None, ways: tuple[str, ...], name: str) -> None:
    """Walk a tree; refuse it when a node comes again, or when it is deeper than any real one."""
    seen: set[tuple[int, int]] = set()
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if not isinstance(node, pikepdf.Dictionary):
            continue
        if node.is_indirect:
            if node.objgen in seen:
                raise Unfit(f"{name} runs in circles.", code="loop")
            seen.add(node.objgen)
        if depth > _DEEPEST_TREE and "/Next" not in ways:
            raise Unfit(f"{name} is nested more deeply than any document.", code="nesting")
        for way in ways:
            below = node.get(way)
            if isinstance(below, pikepdf.Array):
                waiting += [(one, depth + 1) for one in below]
            elif below is not None:
                waiting.append((below, depth + 1))


def _check_form(form: pikepdf.Object, name: str) -> None:
    """Refuse a form that draws itself, at whatever distance."""
    path: list[tuple[int, int]] = []
    finished: set[tuple[int, int]] = set()

    def visit(one: pikepdf.Object) -> None:
        if one.objgen in path:
            raise Unfit(f"{name} holds a drawing that contains itself.", code="loop")
        if one.objgen in finished:
            return
        if len(path) > _DEEPEST_TREE:
            raise Unfit(f"{name} is nested more deeply than any document.", code="nesting")
        path.append(one.objgen)
        for inner in _drawn_in(one):
            visit(inner)
        finished.add(path.pop())

    visit(form)


def _drawn_in(form: pikepdf.Object) -> Iterator[pikepdf.Object]:
    """Yield the forms that a form names among its resources."""
    resources = form.get("/Resources")
    named = resources.get("/XObject") if isinstance(resources, pikepdf.Dictionary) else None
    for _, one in named.items() if isinstance(named, pikepdf.Dictionary) else ():
        if isinstance(one, pikepdf.Stream) and one.get("/Subtype") == "/Form":
            yield one


def _check_size(page: pikepdf.Page, where: str, limits: Limits) -> None:
    """Refuse pages of no size, of a size that no paper has, and units that blow a page up."""
    corners = [float(number) for number in page.mediabox]
    unit = float(page.obj.get("/UserUnit", 1)) * _MM_PER_POINT
    if len(corners) != 4 or not all(abs(number) < 1e6 for number in corners) or not unit > 0:
        raise Unfit(f"{where} has no sensible size.", code="page-size")
    width, height = (abs(corners[n + 2] - corners[n]) * unit for n in (0, 1))
    if min(width, height) <= 0:
        raise Unfit(f"{where} has no size at all.", code="page-size")
    if max(width, height) > limits.page_mm:
        raise Unfit(f"{where} is {max(width, height):.0f} mm long: no paper is.", code="too-large")


def _check_streams(pdf: pikepdf.Pdf, name: str, limits: Limits) -> None:
    """Refuse streams that unpack to too much, by what they say and by what they do."""
    left = _MOST_UNPACKED
    for item in pdf.objects:
        if not isinstance(item, pikepdf.Stream):
            continue
        filters = _listed(item, "/Filter")
        if len(filters) > _MOST_FILTERS:
            raise Unfit(f"{name} packs data {len(filters)} times over.", code="bomb")
        _check_predictor(item, name, limits)
        if item.get("/Subtype") == "/Image":
            _check_picture(item, filters, name, limits)
        elif "/FlateDecode" in filters or "/Fl" in filters:
            left -= _unpacked(item, filters, left)
            if left < 0:
                raise Unfit(f"{name} unpacks to more than a document ever should.", code="bomb")


def _listed(stream: pikepdf.Object, key: str) -> list[str]:
    """Return a stream's filters, one or several."""
    value = stream.get(key)
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, pikepdf.Array) else [str(value)]


def _unpacked(stream: pikepdf.Object, filters: list[str], most: int) -> int:
    """Return how much a stream unpacks to, counting no further than `most` and one."""
    data = stream.read_raw_bytes()
    if filters[0] in ("/FlateDecode", "/Fl"):
        data, size = _inflated(data, most)
        if size > most or len(filters) == 1:
            return size
    if filters[-1] not in ("/FlateDecode", "/Fl") or len(filters) == 1:
        return len(data)
    if len(filters) == 2 and filters[0] in ("/FlateDecode", "/Fl"):
        return _inflated(data, most)[1]
    try:
        # Rare chains are left to qpdf, which has a limit of its own.
        return len(stream.read_bytes())
    except PikepdfError:
        return most + 1


def _inflated(data: bytes, most: int) -> tuple[bytes, int]:
    """Return what data inflates to and its size, giving up beyond `most`."""
    engine = zlib.decompressobj()
    try:
        out = engine.decompress(data, most + 1)
    except zlib.error:
        return b"", 0  # Damage is found by whoever reads the stream.
    return out, len(out)


def _check_predictor(stream: pikepdf.Object, name: str, limits: Limits) -> None:
    """Refuse rows that are longer than any picture is wide."""
    value = stream.get("/DecodeParms", stream.get("/DP"))
    for one in value if isinstance(value, pikepdf.Array) else [value]:
        if isinstance(one, pikepdf.Dictionary):
            row = (
                int(one.get("/Columns", 1))
                * int(one.get("/Colors", 1))
                * int(one.get("/BitsPerComponent", 8))
            )
            if not 0 < row <= limits.pixels * 8:
                raise Unfit(f"{name} holds rows of {row} bits.", code="bomb")


def _check_picture(stream: pikepdf.Object, filters: list[str], name: str, limits: Limits) -> None:
    """Refuse pictures with too many pixels: as the PDF says, and as the picture's own header does."""
    sizes = [(int(stream.get("/Width", 0)), int(stream.get("/Height", 0)))]
    if filters and filters[-1] in ("/JPXDecode", "/JBIG2Decode"):
        sizes += _own_size(stream.read_raw_bytes(), filters[-1])
    for width, height in sizes:
        if width * height > limits.pixels or width < 0 or height < 0:
            raise Unfit(f"A picture in {name} has {width} × {height} pixels.", code="too-large")


def _own_size(data: bytes, kind: str) -> list[tuple[int, int]]:
    """Return the size in a JPEG 2000 header (ISO 15444-1 §A.5.1) or a JBIG2 page (ISO 14492 §7.4.8), if it is there."""
    if kind == "/JPXDecode":
        at = data.find(b"\xff\x4f\xff\x51")
        return (
            [(int.from_bytes(data[at + 8 : at + 12]), int.from_bytes(data[at + 12 : at + 16]))]
            if at >= 0
            else []
        )
    if len(data) > 19 and data[4] & 0x3F == 48:
        return [(int.from_bytes(data[11:15]), int.from_bytes(data[15:19]) & 0x7FFFFFFF)]
    return []
