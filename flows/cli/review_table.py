"""A long list as an official looks through it: narrowed by words, sorted, a page at a time; the list itself stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flows.cli.printing import say, table
from infra.errors import Forbidden
from tasks.dossier.calendar import local
from tasks.signing.lists import Listed, SignList

#: Rows that are shown at once.
PAGE = 40

#: What a list may be sorted by, and how a document is placed by it.
_ORDERS = ("number", "due", "kind", "pages", "dossier")


@dataclass(slots=True)
class ReviewTable:
    """How a list is shown now; the numbers in the first column are those of the list, whatever is hidden."""

    chosen: SignList
    narrowed_to: str = ""
    sorted_by: str = "number"
    first: int = 0

    def obey(self, word: str, rest: str) -> bool:
        """Carry out one word of the review and show the table; return whether it was one of the table's."""
        if word == "f":
            self.narrowed_to, self.first = rest.strip().casefold(), 0
        elif word == "t":
            if rest.strip() not in _ORDERS:
                raise Forbidden(
                    f"a list is not sorted by “{rest.strip()}”.",
                    rule="SIG-12",
                    way_out=f"Sort it by {', '.join(_ORDERS)}.",
                )
            self.sorted_by, self.first = rest.strip(), 0
        elif word == "n":
            self.first = self.first + PAGE if self.first + PAGE < len(self.rows()) else 0
        elif word != "l":
            return False
        self.show()
        return True

    def rows(self) -> list[tuple[int, Listed]]:
        """Return the documents that are shown with their numbers in the list, in the order in which they are."""
        numbered = list(enumerate(self.chosen.documents, start=1))
        found = [(n, d) for n, d in numbered if self.narrowed_to in _said(d).casefold()]
        return sorted(found, key=lambda pair: _place(self.sorted_by, *pair))

    def show(self, *, every: bool = False) -> None:
        """Print one page and how much there is besides it, or every row where nobody can ask for more."""
        rows = self.rows()
        page = rows if every else rows[self.first : self.first + PAGE]
        columns = ("", "dossier", "original", "kind", "pages", "due", "SHA-256")
        cells = [(n, d.dossier, d.original, d.kind, d.pages, d.due_at, d.sha256[:16]) for n, d in page]
        table(f"For {self.chosen.official}, {self.chosen.for_day}", columns, cells)
        whole, pages = len(self.chosen.documents), sum(d.pages for _, d in rows)
        narrowed = f", {len(rows)} of them with “{self.narrowed_to}”" if self.narrowed_to else ""
        rest = "; “n” shows more" if len(rows) > len(page) else ""
        say(f"{whole} documents{narrowed}; {pages} pages{rest}")


def _said(document: Listed) -> str:
    """Return what a document is found by."""
    due = f"{local(document.due_at):%Y-%m-%d %H:%M}" if document.due_at else ""
    return f"{document.dossier}/{document.original} {document.kind} {due}"


def _place(order: str, number: int, document: Listed) -> tuple[object, ...]:
    """Return where a document comes in an order; by its number where that says nothing."""
    due = document.due_at.timestamp() if isinstance(document.due_at, datetime) else float("inf")
    first: dict[str, object] = {
        "due": due,
        "kind": document.kind.casefold(),
        "pages": -document.pages,
        "dossier": document.dossier,
    }
    return (first.get(order, number), number)
