"""Walking through a PDF's objects as the first reader gives them, without running in circles."""

from __future__ import annotations

from collections.abc import Iterator

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import HistoricalResolver, PdfFileReader


def resolved(value: generic.PdfObject | None) -> generic.PdfObject | None:
    """Return what a reference refers to; other values as they are."""
    if isinstance(value, generic.IndirectObject):
        target: generic.PdfObject = value.get_object()  # type: ignore[no-untyped-call]
        return target
    return value


def pages_of(resolver: HistoricalResolver | PdfFileReader) -> Iterator[generic.DictionaryObject]:
    """Yield a document's pages; a tree that runs in circles ends where it comes back."""
    seen: set[tuple[int, int]] = set()
    waiting: list[generic.PdfObject | None] = [resolver.root.raw_get("/Pages")]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, generic.IndirectObject):
            key = (node.idnum, node.generation)
            if key in seen:
                continue
            seen.add(key)
            node = resolved(node)
        if not isinstance(node, generic.DictionaryObject):
            continue
        if "/Kids" in node:
            waiting[:0] = list(node["/Kids"])
        else:
            yield node
