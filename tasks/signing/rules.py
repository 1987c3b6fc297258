"""Who may sign what, in which order: asked again at the moment of every signature."""

from __future__ import annotations

from collections.abc import Sequence

from infra.errors import Forbidden
from tasks.dossier.offices import OfficeData, Officer


def may_certify(officer: Officer, *, identity: str, kin_of: Sequence[str]) -> None:
    """
    Refuse a certifier who asks for the copy, or whom the applicant declared as kin (CERT-10).

    `identity` is the applicant's identity number; `kin_of` the staff codes declared as relatives.
    """
    if officer.identity and officer.identity == identity:
        raise Forbidden(
            f"{officer.staff} is the applicant and cannot certify papers of their own.",
            rule="CERT-10",
            way_out="Another authorised official must sign.",
        )
    if officer.staff in kin_of:
        raise Forbidden(
            f"{officer.staff} is declared as a relative of the applicant.",
            rule="CERT-10",
            way_out="Another authorised official must sign.",
        )


def four_eyes(office: OfficeData, officer: Officer, examiner: str) -> None:
    """Refuse the one who compared the original as the one who signs, unless the office decided otherwise."""
    if officer.staff == examiner and not office.examiner_may_sign:
        raise Forbidden(
            f"{officer.staff} compared this original and cannot also sign its copy.",
            rule="AUTH-06",
            way_out="Another official must sign, or the office puts its decision on record (examiner_may_sign).",
        )


def capacity_fits(officer: Officer, allowed: Sequence[str]) -> None:
    """Refuse a capacity that the procedure does not know for this signature (AUTH-01, CERT-08)."""
    if officer.capacity not in allowed:
        raise Forbidden(
            f"{officer.staff} signs as {officer.capacity}, but this step takes {', '.join(allowed)}.",
            rule="AUTH-01",
            way_out="An official with such a capacity must sign.",
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


def kept_key(document_sha256: str, field: str, certificate_sha256: str) -> str:
    """
    Return the key under which the one kept signature of a step is stored, computed from the intent.

    >>> kept_key("ab" * 32, "seal", "cd" * 32)[:21]
    'signed/ababababababab'
    """
    return f"signed/{document_sha256}/{field}-{certificate_sha256[:16]}.pdf"
