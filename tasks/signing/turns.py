"""Whose turn it is to sign an original, in which field, on which bytes, and what the signature will show."""

from __future__ import annotations

from datetime import date, datetime

from sqlmodel import Session

from infra.database import now
from infra.errors import Broken, Forbidden
from tasks.authority.values import Decision
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import PAUSED, Standing
from tasks.dossier.looking import original_of
from tasks.dossier.offices import OfficeData
from tasks.dossier.procedures import Procedure
from tasks.dossier.register import number_of
from tasks.dossier.routes import addressed_to, approvals, frozen_of, route_of, steps_for
from tasks.dossier.tables import DocumentRow, DossierRow, OriginalRow
from tasks.signing.authorising import Signer, signed_fields
from tasks.signing.looks import Shown, shown_by
from tasks.signing.rules import agrees_with_page, order_holds


def next_field(
    session: Session, dossier: DossierRow, original: OriginalRow, procedure: Procedure, role: str
) -> str | None:
    """Return the field that this role signs next on an original, or `None` when nothing is left for it."""
    if dossier.stage in PAUSED:
        raise Forbidden(
            f"dossier {dossier.code} stands at {dossier.stage}; nothing of it is signed now.",
            rule="DOS-06",
            way_out="“hoso show” says what it waits for.",
        )
    signed = signed_fields(session, original)
    route = route_of(session, original, procedure)
    open_fields = [s.field for s in route if s.role == role and s.field not in signed]
    if not open_fields or not _main_is_sealed(session, original):
        return None
    if original.standing == Standing.RECEIVED:
        raise Forbidden(
            f"original {original.ordinal} of {original.dossier} is not certified yet.",
            rule="SIG-12",
            way_out="Wait until its copy is made and frozen; “hoso show” says what it waits for.",
        )
    order_holds([s.field for s in route], signed, open_fields[0])
    if original.standing not in (Standing.CERTIFIED, Standing.APPROVED):
        raise Forbidden(
            f"original {original.ordinal} of {original.dossier} is {original.standing}.",
            rule="SIG-12",
            way_out="“hoso show” says what it waits for.",
        )
    return open_fields[0]


def _main_is_sealed(session: Session, original: OriginalRow) -> bool:
    """Whether what an original is attached to carries the agency's signature; the document comes first (SIG-06)."""
    if original.attached_to is None:
        return True
    main = original_of(session, original.dossier, original.attached_to)
    return main.standing in (Standing.SEALED, Standing.VALID)


def document_to_sign(session: Session, original: OriginalRow, expected: str | None) -> DocumentRow:
    """Return the bytes to be signed next: exactly those that were listed, and dated today."""
    frozen = frozen_of(session, original)
    if frozen is None:
        raise Broken(f"{original.dossier}/{original.ordinal} is certified but has no frozen document")
    signed = approvals(session, original)
    document = signed[-1] if signed else frozen
    if expected is not None and document.sha256 != expected:
        raise Forbidden(
            f"original {original.ordinal} of {original.dossier} changed after the list was written.",
            rule="SIG-12",
            way_out="Write a new list with “hoso sign --list” and review it.",
        )
    if document.for_day is not None and document.for_day != local(now(session)).date():
        raise Forbidden(
            f"the page of {original.dossier}/{original.ordinal} is dated {document.for_day}.",
            rule="CERT-26",
            way_out="Write today's list with “hoso sign --list”; it issues the page anew under its number.",
        )
    return document


def is_addressed(
    session: Session,
    original: OriginalRow,
    procedure: Procedure,
    signer: Signer,
    field: str,
    decision: Decision,
) -> None:
    """Refuse whom, or whose capacity, the page does not print under this field, and one of another route."""
    frozen = frozen_of(session, original)
    named = dict(addressed_to(frozen)) if frozen is not None else {}
    route = [s.field for s in route_of(session, original, procedure) if s.role == "official"]
    where = f"the page of {original.dossier}/{original.ordinal}"
    if list(named) != route:
        raise Forbidden(
            f"{where} was made for another route.",
            rule="SIG-12",
            way_out="It is made anew by itself; write a new list with “hoso sign --list”.",
        )
    if signer.role == "official" and named[field] != signer.staff:
        raise Forbidden(
            f"{where} names {named[field]} for {field}, not {signer.staff}.",
            rule="SIG-12",
            way_out="Take it over with “hoso sign --list --take CODE” before anybody has signed it.",
        )
    if frozen is not None and signer.role == "official":
        agrees_with_page(frozen.facts, field, decision)


def is_the_day(for_day: date | None, signed: datetime, where: str) -> None:
    """Refuse a signature that was made on another day than the page says."""
    if for_day is not None and local(signed).date() != for_day:
        raise Forbidden(
            f"{where} was signed after midnight; its page is dated {for_day}.",
            rule="CERT-26",
            way_out="Write today's list with “hoso sign --list”; it issues the page anew under its number.",
        )


def what_is_shown(
    session: Session, original: OriginalRow, office: OfficeData, procedure: Procedure, field: str
) -> Shown:
    """Return what a field's signature will show."""
    step = next(s for s in steps_for(original, procedure) if s.field == field)
    frozen = frozen_of(session, original)
    if frozen is None:
        raise Broken(f"{original.dossier}/{original.ordinal} has no frozen document")
    number = original.notation or number_of(session, original.dossier, original.ordinal) or original.dossier
    return shown_by(step, frozen, office, form=procedure.copy_form, number=number)
