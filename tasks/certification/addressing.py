"""To whom the fields of a page are addressed: the officials who may sign it now, and in which capacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from infra.errors import Forbidden
from tasks.authority.records import OnRecord, ask, records_once
from tasks.authority.rules import choose
from tasks.authority.values import Decision
from tasks.certificates.choosing import can_sign
from tasks.dossier.offices import OfficeData, Officer
from tasks.dossier.procedures import Procedure, SignatureStep
from tasks.dossier.routes import addressed_to
from tasks.dossier.tables import DocumentRow, OriginalRow


class NobodyMaySign(Forbidden):
    """No official of the office may give a signature that is needed; a person has to change that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressed:
    """Whom a field of the page is addressed to, and by which authority."""

    field: str
    officer: Officer
    decision: Decision


def address_fields(
    session: Session,
    original: OriginalRow,
    office: OfficeData,
    procedure: Procedure,
    route: Sequence[SignatureStep],
    wanted: str | None,
) -> tuple[Addressed, ...]:
    """
    Return who each field of the page is addressed to, in order; nobody signs it twice.

    Somebody `wanted` takes the first step that they may sign now; refused where there is none.
    """
    steps = [step for step in route if step.role == "official"]
    known = records_once(session, office.code)

    def may(officer: Officer, step: SignatureStep) -> Addressed:
        decision = ask(session, office, officer, procedure, step, original, read=known)
        return Addressed(field=step.field, officer=officer, decision=decision)

    named: dict[str, Addressed] = {}
    if wanted is not None and steps:
        taker = office.officer(wanted, "official")
        tries = [may(taker, step) for step in steps]
        found = choose([one.decision for one in tries]).or_refuse()
        taken = next(one for one in tries if one.decision is found)
        named[taken.field] = taken
    for step in steps:
        if step.field not in named:
            others = {one.officer.staff for one in named.values()}
            free = [
                officer
                for officer in office.officers
                if officer.staff not in others
                and known.official_for(officer.staff, procedure.code)
                and can_sign(session, office.code, officer.staff)
            ]
            named[step.field] = _first([may(officer, step) for officer in free], step, original, office)
    return tuple(named[step.field] for step in steps)


def _first(
    tries: Sequence[Addressed], step: SignatureStep, original: OriginalRow, office: OfficeData
) -> Addressed:
    """Return the first official who may sign a step now; refuses with everybody's reason where nobody may."""
    for one in tries:
        if one.decision.allowed:
            return one
    why = " ".join(f"{one.decision.message} [{one.decision.rule}]" for one in tries)
    raise NobodyMaySign(
        f"no official of {office.code} may sign {step.field} of original {original.ordinal} of"
        f" {original.dossier} now. {why}".strip(),
        rule="CERT-08",
        way_out="Register another authorised official of the office, or record a post or a mandate"
        " (hoso post give, hoso mandate give).",
    )


def as_printed(
    session: Session,
    original: OriginalRow,
    office: OfficeData,
    procedure: Procedure,
    frozen: DocumentRow,
    *,
    read: OnRecord,
) -> bool:
    """Tell whether everybody whom a page names may sign it now, in the capacity that it prints."""
    steps = {step.field: step for step in procedure.signature_steps}
    people = {officer.staff: officer for officer in office.officers}
    printed = frozen.facts.get("lines", {})
    for field, staff in addressed_to(frozen):
        if field not in steps or staff not in people:
            return False
        decision = ask(session, office, people[staff], procedure, steps[field], original, read=read)
        if not decision.allowed or list(decision.lines) != printed.get(field):
            return False
    return True
