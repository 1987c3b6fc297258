"""Who keeps the token of the agency's seal, and whether the agency may seal (SIG-12, SIG-13, SIG-16)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.reading import read_once
from tasks.authority.acts import hold_office, known_person, tell_office
from tasks.authority.records import person_hash
from tasks.authority.rules import decide_seal
from tasks.authority.tables import SealKeeperRow
from tasks.authority.values import Decision, SealAsked, wall
from tasks.dossier.moves import Actor
from tasks.dossier.offices import OfficeData
from tasks.dossier.procedures import Procedure, SignatureStep


def hand_over_seal(
    session: Session,
    office: str,
    keeper: str,
    *,
    approved_by: str,
    minutes: str,
    by: Actor,
    handed_by: str = "",
    since: datetime | None = None,
) -> None:
    """
    Record that the token of the agency's seal goes to a keeper (SIG-13).

    `handed_by` must be the present keeper; somebody other than giver and taker, and of this office,
    must have approved it.
    """
    data, _ = hold_office(session, office)
    known_person(data, keeper)
    known_person(data, approved_by)
    present = seal_keeper(session, office)
    if present is not None and present.keeper != handed_by:
        raise Forbidden(
            f"{present.keeper} keeps the seal of {office} since {wall(present.since)} ({present.minutes}),"
            f" not {handed_by or 'nobody'}; {keeper} cannot take it over from there.",
            rule="SIG-13",
            way_out=f"Record the hand-over from {present.keeper}.",
        )
    if approved_by in (keeper, handed_by):
        raise Forbidden(
            f"{approved_by} cannot approve a hand-over between {handed_by or 'nobody'} and {keeper}.",
            rule="SIG-13",
            way_out="The competent person approves it in writing.",
        )
    moment = since or now(session)
    session.add(
        SealKeeperRow(
            office=office,
            keeper=keeper,
            handed_by=handed_by,
            approved_by=approved_by,
            minutes=minutes,
            since=moment,
            recorded_at=now(session),
            recorded_by=by.staff or by.role,
        )
    )
    facts: dict[str, Json] = {
        "event": "seal:handed-over",
        "from": person_hash(office, handed_by) if handed_by else None,
        "to": person_hash(office, keeper),
        "approved_by": person_hash(office, approved_by),
        "minutes": minutes,
        "since": wall(moment),
    }
    tell_office(session, office, by, facts)


def seal_keeper(session: Session, office: str) -> SealKeeperRow | None:
    """Return who keeps the token of the agency's seal now, as it was put on record last."""
    query = select(SealKeeperRow).where(SealKeeperRow.office == office).order_by(col(SealKeeperRow.id).desc())
    return read_once(session, (SealKeeperRow,), office, lambda: session.exec(query).first())


def ask_seal(
    session: Session,
    office: OfficeData,
    procedure: Procedure,
    route: Sequence[SignatureStep],
    signed: Sequence[str],
) -> Decision:
    """Return whether the agency may sign a document of this route now, with the fields in `signed` signed."""
    keeper = seal_keeper(session, office.code)
    officials = [step.field for step in route if step.role == "official"]
    return decide_seal(
        SealAsked(
            office=office.code,
            agency=office.unit,
            procedure=procedure.code,
            officials=len(officials),
            signed=len(set(officials) & set(signed)),
            alone=_alone(procedure, route),
            keeper=keeper.keeper if keeper else "",
            moment=now(session),
        )
    )


def ask_seal_alone(
    session: Session, office: OfficeData, what: str, *, rule: Literal["DOS-11", "SIG-16"]
) -> Decision:
    """
    Return whether the agency may sign now what nobody signs beside it, by the rule that lets it.

    DOS-11: one of the office's own papers, `what` being its procedure. SIG-16: a kind of thing that belongs to none.
    """
    keeper = seal_keeper(session, office.code)
    return decide_seal(
        SealAsked(
            office=office.code,
            agency=office.unit,
            procedure=what,
            officials=0,
            signed=0,
            alone=rule,
            keeper=keeper.keeper if keeper else "",
            moment=now(session),
        )
    )


def _alone(procedure: Procedure, route: Sequence[SignatureStep]) -> str:
    """Return the rule by which the agency signs a document of this route without an official, or nothing."""
    if procedure.kind == "return":
        return "SIG-20"  # The centre's block on what another agency has signed.
    if route and route[-1].shows == "copy":
        return "SIG-07"  # A copy that the agency makes itself.
    return "SIG-16" if procedure.no_signatory else ""
