"""What may be certified, what it costs, and how it is numbered (NĐ 23/2015, TT 226/2016)."""

from __future__ import annotations

from collections.abc import Sequence

from infra.errors import Forbidden
from infra.pdf.foreign import Examined
from tasks.dossier.procedures import Fee


def fee(pages: int, copies: int, rule: Fee) -> int:
    """
    Return the fee in đồng for copies of one original (CERT-32).

    >>> tt226 = Fee(first_pages=2, first_price=2000, later_price=1000, cap=200_000)
    >>> [fee(p, 1, tt226) for p in (1, 2, 3, 10, 197, 198, 199)]
    [2000, 4000, 5000, 12000, 199000, 200000, 200000]
    >>> fee(3, 3, tt226)
    15000
    """
    first = min(pages, rule.first_pages) * rule.first_price
    later = max(pages - rule.first_pages, 0) * rule.later_price
    return min(rule.cap, first + later) * copies


def check_pages(counted: int, declared: int, *, ordinal: int) -> None:
    """Refuse a scan that does not show every page of the original (CERT-16)."""
    if counted != declared:
        raise Forbidden(
            f"original {ordinal} was declared with {declared} pages, its scan has {counted}.",
            rule="CERT-16",
            way_out="Scan every page that bears information, or correct the declared number of pages.",
        )


def check_resolution(found: Sequence[float], wanted: int, *, ordinal: int) -> None:
    """Refuse a scan with a page below the procedure's resolution, half a dot forgiven (SIG-08)."""
    for page, dpi in enumerate(found, start=1):
        if dpi + 0.5 < wanted:
            raise Forbidden(
                f"page {page} of original {ordinal} was scanned at {dpi:.0f} dpi, {wanted} are needed.",
                rule="SIG-08",
                way_out=f"Scan the paper again at {wanted} dpi or more, at 100 % scale.",
            )


def check_legalised(kind_is_foreign: bool, legalised: bool, exempt: bool, *, ordinal: int) -> None:
    """Refuse a foreign original that is neither legalised nor exempt (CERT-02, R5)."""
    if kind_is_foreign and not (legalised or exempt):
        raise Forbidden(
            f"original {ordinal} was issued abroad and is not consularly legalised.",
            rule="R5",
            way_out="Ask for the legalised paper, or decline the original with R5.",
        )


def comparison_is_complete(compared: int, pages: int, *, ordinal: int) -> None:
    """Refuse an original whose pages were not all compared with the scan (CERT-02)."""
    if compared != pages:
        raise Forbidden(
            f"original {ordinal} has {pages} pages, but {compared} were compared with the scan.",
            rule="CERT-02",
            way_out="Compare every page and say so with --compared.",
        )


def result_faults(examined: Examined, *, refuse_weak: bool) -> list[str]:
    """
    Return why another agency's result is not handed on, one sentence a fault; none: every signature holds.

    >>> broken = Examined(unreadable="it is not signed", signatures=(), faults=(), prepared=None, why_not=None)
    >>> result_faults(broken, refuse_weak=True)
    ['the result cannot be judged: it is not signed']
    """
    if examined.unreadable:
        return [f"the result cannot be judged: {examined.unreadable}"]
    faults: list[str] = []
    for one in examined.signatures:
        where = f"the signature in {one.field}"
        why = "; ".join(one.problems) or "a certificate rests on an algorithm that is too weak"
        if not one.intact:
            faults.append(f"{where} does not hold ({why})")
        elif not one.time:
            faults.append(f"{where} does not say when it was made")
        elif not one.trusted:
            faults.append(f"{where} is not trusted ({why})")
        if one.weak and refuse_weak:
            faults.append(f"{where} rests on {one.digest.upper()}, which is too weak")
    return [*faults, *examined.faults]


def check_attachments(attached: Sequence[bool], *, taken: bool) -> None:
    """
    Refuse attachments where the procedure takes none, and one that stands before what it is attached to (SIG-06).

    >>> check_attachments([False, True, True, False], taken=True)
    >>> check_attachments([True], taken=True)
    Traceback (most recent call last):
    infra.errors.Forbidden: an attachment stands before its document. [SIG-06] Name the document first.
    """
    if any(attached) and not taken:
        raise Forbidden(
            "this procedure takes no attachments.",
            rule="SIG-06",
            way_out="Give each paper as an original of its own.",
        )
    if attached and attached[0]:
        raise Forbidden(
            "an attachment stands before its document.", rule="SIG-06", way_out="Name the document first."
        )
