"""May this official, or the agency, sign a list now, and in which capacity: asked of posts and mandates (AUTH-06)."""

from __future__ import annotations

from sqlmodel import Session

from infra.database import now
from tasks.authority.records import read_records
from tasks.authority.rules import decide, decide_seal
from tasks.authority.seal import seal_keeper
from tasks.authority.values import Asked, Decision, SealAsked
from tasks.dossier.looking import office_of
from tasks.registration.round_data import RoundData

#: What mandates name when they cover the lists of registration rounds, beside procedures and their kinds.
REGISTRATION = "registration"


def ask_official(session: Session, data: RoundData, staff: str) -> Decision:
    """Return whether an official may sign the lists of a round now, by PostgreSQL's clock, and as what."""
    office = office_of(session, data.office)
    officer = office.officer(staff, "official")
    known = read_records(session, office.code)
    return decide(
        Asked(
            office=office.code,
            regime=office.regime,
            staff=officer.staff,
            name=officer.name,
            procedure=REGISTRATION,
            kind=REGISTRATION,
            capacities=data.capacities,
            records=known.records,
            moment=known.moment,
        )
    )


def ask_agency(session: Session, data: RoundData, *, signed: bool) -> Decision:
    """Return whether the agency may seal a list now: after the official, or alone where nobody signs it (SIG-16)."""
    office = office_of(session, data.office)
    keeper = seal_keeper(session, office.code)
    alone = data.signed_by == "seal"
    return decide_seal(
        SealAsked(
            office=office.code,
            agency=office.unit,
            procedure=REGISTRATION,
            officials=0 if alone else 1,
            signed=int(signed and not alone),
            alone="SIG-16" if alone else "",
            keeper=keeper.keeper if keeper else "",
            moment=now(session),
        )
    )
