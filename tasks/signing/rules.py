"""Who may sign what, in which order: asked again at the moment of every signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from infra.errors import Forbidden
from tasks.authority.values import Decision, NoAuthority


def agrees_with_page(facts: Mapping[str, Any], field: str, decision: Decision) -> None:
    """
    Refuse to sign a page that names another capacity than the signer has now (AUTH-01).

    `facts` are those of the document; what a page says of a field was fixed when it was frozen.
    """
    said = facts.get("lines", {}).get(field)
    if said is not None and tuple(said) != decision.lines:
        raise NoAuthority(
            replace(
                decision,
                message=f"the page says “{' / '.join(said)}”, but {decision.staff} signs now as"
                f" “{' / '.join(decision.lines)}”.",
                way_out="Write today's list with “hoso sign --list”; it issues the page anew under its number.",
                officials=(decision.staff,),
            )
        )


def order_holds(route: Sequence[str], signed: Sequence[str], field: str) -> None:
    """
    Refuse a signature out of order: persons first, the agency last (SIG-12).

    >>> order_holds(["official_1", "seal"], ["official_1"], "seal")
    >>> order_holds(["official_1", "seal"], [], "seal")
    Traceback (most recent call last):
    infra.errors.Forbidden: “seal” cannot be signed before official_1. [SIG-12] Let official_1 be signed first.
    """
    missing = [step for step in route[: route.index(field)] if step not in signed]
    if missing:
        raise Forbidden(
            f"“{field}” cannot be signed before {missing[0]}.",
            rule="SIG-12",
            way_out=f"Let {missing[0]} be signed first.",
        )


def kept_key(document_sha256: str, field: str, certificate_sha256: str, rests_on: str = "") -> str:
    """
    Return the key under which the one kept signature of a step is stored, computed from the intent.

    Post and mandate are part of it (`Decision.rests_on`): what was signed under a mandate that ended before
    the result was kept is not taken for the signature of one who was given another mandate since.

    >>> kept_key("ab" * 32, "seal", "cd" * 32)[72:]
    'seal-cdcdcdcdcdcdcdcd.pdf'
    >>> kept_key("ab" * 32, "official_1", "cd" * 32, "2.1")[72:]
    'official_1-cdcdcdcdcdcdcdcd-2.1.pdf'
    """
    name = "-".join(one for one in (field, certificate_sha256[:16], rests_on) if one)
    return f"signed/{document_sha256}/{name}.pdf"
