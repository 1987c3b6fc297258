"""Who may take back or replace what an office has issued: whoever may sign it now, asked at that moment."""

from __future__ import annotations

from sqlmodel import Session

from infra.database import now
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from tasks.authority.records import may_sign, refusal_facts
from tasks.authority.rules import choose
from tasks.authority.values import Decision
from tasks.dossier.looking import office_of, procedure_of
from tasks.dossier.moves import Actor
from tasks.dossier.procedures import SignatureStep
from tasks.dossier.tables import DossierRow

#: What is asked where no official signs: any post or mandate of the office will do.
_ANY = SignatureStep(
    field="official_1", role="official", capacities=("own", "KT.", "TM.", "TL.", "TUQ.", "Q.")
)


def authority_over(session: Session, dossier: DossierRow, by: Actor, act: str) -> Decision:
    """
    Return by which authority an official does an act on a dossier's issued results, now by PostgreSQL's clock.

    It is the authority to sign one of its steps, whoever signed then. Raises `NoAuthority`; the refusal is
    written into the history in a transaction of its own, so ask before this one has written there.
    """
    office, procedure = office_of(session, dossier.office), procedure_of(session, dossier)
    steps = [step for step in procedure.signature_steps if step.role == "official"] or [_ANY]
    moment = now(session)
    decision = choose([may_sign(session, office, by.staff, procedure, step, moment) for step in steps])
    if not decision.allowed:
        facts: dict[str, Json] = {
            "event": "authority:refused",
            "actor": by.facts(),
            "dossier": dossier.code,
            "act": act,
            "from": str(dossier.stage),
            "to": str(dossier.stage),
            **refusal_facts(office.code, decision),
        }
        with services().database.transaction() as own:
            record(own, dossier.code, facts)
    return decision.or_refuse()
