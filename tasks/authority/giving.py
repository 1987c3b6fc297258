"""
What may be put on record about posts and mandates: overlaps, two heads, mandates of what nobody holds (AUTH-01).

Pure; raises `Forbidden` with both officials where there are two. What is missing is found at the signature.
"""

from __future__ import annotations

from datetime import datetime

from infra.errors import Forbidden
from tasks.authority.case import BASES, BASES_SAID
from tasks.authority.values import Holding, Mandate, Post, Records, wall

#: Ranks of which only one person holds a post at a time.
SINGLE = ("head", "unit-head")
DEPUTIES = ("deputy", "unit-deputy")

#: Which rank gives a mandate in a capacity, and which ranks may get it.
_GIVERS = {"KT.": ("head", "unit-head"), "own": ("head",), "TL.": ("head",), "TUQ.": ("head",)}
_GETTERS = {
    "KT.": ("deputy", "unit-deputy"),
    "own": ("deputy",),
    "TL.": ("unit-head",),
    "TUQ.": ("unit-head", "civil-servant"),
}


def check_post(post: Post, records: Records) -> None:
    """Refuse a post that stands under none, or under one that cannot be above it."""
    above = {
        "head": (),
        "deputy": ("head",),
        "unit-head": ("head",),
        "unit-deputy": ("unit-head",),
        "civil-servant": ("head", "unit-head"),
    }[post.rank]
    if not above and not post.under:
        return
    if not above or not post.under or records.post(post.under).rank not in above:
        raise Forbidden(
            f"the post “{post.code}” ({post.rank}) cannot stand under “{post.under or 'nothing'}”.",
            rule="AUTH-01",
            way_out=f"Put it under a post of rank {' or '.join(above)}."
            if above
            else "A head is under nobody.",
        )


def check_holding(new: Holding, records: Records) -> None:
    """Refuse that a post is given twice at a time, or in a manner that does not fit it."""
    post = records.post(new.post)
    _check_span(new.since, new.before)
    if new.manner == "acting" and post.rank not in SINGLE:
        raise Forbidden(
            f"{new.staff} cannot act in the post {post.title}: Q. is for the post of a head.",
            rule="AUTH-01",
            way_out="Give the post itself, or name the head's post.",
        )
    if new.manner == "in-charge" and post.rank not in DEPUTIES:
        raise Forbidden(
            f"{new.staff} cannot be in charge as {post.title}: a deputy is put in charge while there is no head.",
            rule="AUTH-01",
            way_out="Give the head's post as acting (--manner acting).",
        )
    for other in records.holdings:
        if new.meets(other):
            _check_beside(new, other, records)


def _check_beside(new: Holding, other: Holding, records: Records) -> None:
    """Refuse a holding that cannot stand beside another one of the same time."""
    post, beside = records.post(new.post), records.post(other.post)
    said = f"{other.staff} holds {beside.title} {other.said()} ({other.decision})"
    same = other.staff == new.staff and other.manner == new.manner
    if post.code == beside.code and (same or post.rank in SINGLE):
        raise Forbidden(
            f"{new.staff} cannot be given the post {post.title} {new.said()}: {said}.",
            rule="AUTH-01",
            way_out="End that first (hoso post end); the next one begins a second later.",
        )
    deputy, head = (new, other) if post.under == beside.code else (other, new)
    under = records.post(deputy.post).under == head.post and records.post(deputy.post).rank in DEPUTIES
    # Who acts in the head's post meanwhile stays a deputy; who is appointed to it does not.
    if other.staff == new.staff and under and head.manner == "appointed":
        raise Forbidden(
            f"{new.staff} cannot be {post.title} and {beside.title} at a time: {said}.",
            rule="AUTH-01",
            way_out="End the other post first (hoso post end).",
        )
    in_charge = next((h for h in (new, other) if h.manner == "in-charge"), None)
    if in_charge is None:
        return
    rest = other if in_charge is new else new
    top = records.post(in_charge.post).under
    if rest.post == top or (rest.manner == "in-charge" and records.post(rest.post).under == top):
        raise Forbidden(
            f"{in_charge.staff} is in charge only while nobody holds the post {records.post(top).title};"
            f" {rest.staff} {'is in charge' if rest.manner == 'in-charge' else 'holds it'} {rest.said()}"
            f" ({rest.decision}).",
            rule="AUTH-01",
            way_out="End one of them first (hoso post end).",
        )


def check_mandate(new: Mandate, records: Records) -> None:
    """
    Refuse a mandate by somebody who does not hold the post, to themselves, of a wrong form, or given already.

    The giver must hold the post when the mandate begins; a delegate has nothing to give on (AUTH-01).
    """
    post = records.post(new.giver_post)
    _check_span(new.since, new.before)
    if new.to == new.giver:
        raise Forbidden(
            f"{new.giver} cannot give themselves a mandate.",
            rule="AUTH-01",
            way_out="The holder of the post above gives it.",
        )
    holders = records.holders(post.code, new.since)
    if not any(h.staff == new.giver for h in holders):
        held = ", ".join(h.staff for h in holders) or "nobody"
        raise Forbidden(
            f"{new.giver} does not hold the post {post.title} at {wall(new.since)} and cannot give"
            f" {new.to or new.to_post} a mandate from it; {held} does.",
            rule="AUTH-01",
            way_out="Let the holder of the post give it.",
        )
    _check_ranks(new, post, records)
    _check_form(new)
    _check_known(new, records)


def _check_ranks(new: Mandate, post: Post, records: Records) -> None:
    """Refuse a giver or a receiver whose post has no part in this capacity."""
    if post.rank not in _GIVERS[new.capacity]:
        again = "what was delegated is not delegated again: " if new.capacity == "TUQ." else ""
        raise Forbidden(
            f"{again}{new.giver} as {post.title} cannot give {new.to or new.to_post} a mandate {new.capacity}",
            rule="AUTH-01",
            way_out="The holder of the head's post gives it.",
        )
    if new.to_post:
        getters = [records.post(new.to_post)]
    else:
        held = [h for h in records.holdings if h.staff == new.to and h.meets(new)]
        getters = [records.post(h.post) for h in held]
    fits = [p for p in getters if p.rank in _GETTERS[new.capacity] and _is_below(p, post, records)]
    if new.capacity == "KT.":
        fits = [p for p in fits if p.under == post.code]
    if not fits:
        titles = ", ".join(p.title for p in getters) or "no post"
        raise Forbidden(
            f"{new.giver} cannot give {new.to or new.to_post} ({titles}) a mandate {new.capacity}"
            f" from the post {post.title}.",
            rule="AUTH-01",
            way_out="KT. is for a deputy of that head, TL. for the head of a unit, TUQ. for the head of a unit or"
            " (CERT-08) a civil servant; record their post first (hoso post give).",
        )


def _is_below(post: Post, head: Post, records: Records) -> bool:
    """Tell whether a post stands under another, however far."""
    seen: set[str] = set()
    while post.under and post.under not in seen:
        if post.under == head.code:
            return True
        seen.add(post.under)
        post = records.post(post.under)
    return False


def _check_form(new: Mandate) -> None:
    """Refuse a mandate that rests on the wrong kind of document, or an authorisation without limits."""
    if new.basis.kind != BASES[new.capacity]:
        raise Forbidden(
            f"a mandate {new.capacity} from {new.giver} to {new.to or new.to_post} needs"
            f" {BASES_SAID[new.capacity]}, not: {new.basis.kind}.",
            rule="AUTH-01",
            way_out=f"Name the document as {BASES[new.capacity]}.",
        )
    if new.capacity == "TUQ." and (new.before is None or not new.limits.strip() or not new.to):
        raise Forbidden(
            f"the authorisation from {new.giver} to {new.to or new.to_post} is not limited.",
            rule="AUTH-01",
            way_out="TUQ. names a person, the end (--until) and the limits of its content (--limits).",
        )


def _check_known(new: Mandate, records: Records) -> None:
    """Refuse a second mandate of the same kind over the same procedure and time."""
    for other in records.mandates:
        same = (other.capacity, other.to, other.to_post) == (new.capacity, new.to, new.to_post)
        both = sorted(set(other.covers) & set(new.covers))
        if same and both and new.meets(other):
            raise Forbidden(
                f"{new.to or new.to_post} has a mandate {new.capacity} for {', '.join(both)} on record already:"
                f" number {other.id} from {other.giver}, {other.said()} ({other.basis.number}).",
                rule="AUTH-01",
                way_out="Revoke that one first (hoso mandate revoke), or begin after it ends.",
            )


def _check_span(since: datetime, before: datetime | None) -> None:
    """Refuse an end that lies before the beginning."""
    if before is not None and before <= since:
        raise Forbidden(
            f"it would end before it begins ({wall(since)}).",
            rule="AUTH-01",
            way_out="Give an end that lies after the beginning.",
        )
