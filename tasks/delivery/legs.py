"""The legs of a result's return: one a channel, opened together, and when all of them have ended."""

from __future__ import annotations

from sqlmodel import Session, col, select

from infra.database import now
from infra.history import Json
from infra.services import services
from tasks.delivery.tables import LegRow
from tasks.dossier.lifecycle import Stage, Standing
from tasks.dossier.looking import hold, originals_of, procedure_of
from tasks.dossier.moves import Telling, ask_to_continue, move_to, tell
from tasks.dossier.tables import ApplicantRow, CounterTaskRow, DossierRow, OriginalRow

#: Legs that ended in one of these states brought the result to the applicant.
DELIVERED = frozenset({"accepted", "collected", "confirmed"})

#: What a clerk has to do for a paper leg.
HAND_OVER = "the applicant collects the paper at the counter"


def open_legs(code: str) -> bool:
    """Open one leg for each channel that the applicant chose; opening them again changes nothing."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        if dossier.stage != Stage.SIGNED or legs_of(session, code) or not valid_originals(session, code):
            return False
        for channel in dossier.channels:
            _open_leg(session, dossier, channel)
        return True


def legs_due(code: str) -> list[str]:
    """Return the channels whose leg can be tried now."""
    with services().database.transaction() as session:
        moment = now(session)
        if not valid_originals(session, code):
            return []  # What was taken back meanwhile goes to nobody.
        return [
            leg.channel
            for leg in legs_of(session, code)
            if leg.ended_at is None
            and leg.channel != "paper"
            and leg.state in ("queued", "trying", "deferred", "ambiguous")
            and (leg.next_try_at is None or leg.next_try_at <= moment)
        ]


def finish_return(code: str) -> bool:
    """
    Call a dossier returned when every leg has ended and one of them well; return whether it is now.

    Where every result was taken back before it reached anybody, nothing is left to return.
    """
    with services().database.transaction() as session:
        dossier = hold(session, code)
        legs = legs_of(session, code)
        if dossier.stage != Stage.SIGNED or any(leg.ended_at is None for leg in legs):
            return False
        if not any(leg.state in DELIVERED for leg in legs) and valid_originals(session, code):
            return False  # Nobody has the result yet: a clerk has a counter task for it.
        facts: dict[str, Json] = {"legs": {leg.channel: leg.state for leg in legs}}
        move_to(session, dossier, Stage.RETURNED, Telling(event="result:returned", facts=facts))
        return True


def legs_of(session: Session, code: str) -> list[LegRow]:
    """Return a dossier's legs."""
    return list(session.exec(select(LegRow).where(LegRow.dossier == code).order_by(col(LegRow.channel))))


def valid_originals(session: Session, code: str) -> list[OriginalRow]:
    """Return the originals whose result is released."""
    return [o for o in originals_of(session, code) if o.standing == Standing.VALID]


def unanswered(code: str) -> bool:
    """Whether an open leg of a dossier was put off because the server said nothing at all to its last try."""
    with services().database.transaction() as session:
        return any(
            leg.state == "deferred" and (leg.channel == "portal" or leg.last_answer.startswith("0 "))
            for leg in legs_of(session, code)
        )


def _open_leg(session: Session, dossier: DossierRow, channel: str) -> None:
    """Open one leg; paper waits at the counter for somebody to collect it."""
    session.add(
        LegRow(
            dossier=dossier.code,
            channel=channel,
            state="at-counter" if channel == "paper" else "queued",
            opened_at=now(session),
        )
    )
    if channel == "paper":
        open_task(session, dossier.code, "hand-over", HAND_OVER)
    tell(session, dossier, Telling(event="leg:opened", facts={"channel": channel}))


def open_task(session: Session, code: str, kind: str, reason: str) -> None:
    """Ask a clerk to do something at the counter; a task that was ended and is needed again opens again."""
    query = select(CounterTaskRow).where(CounterTaskRow.dossier == code, CounterTaskRow.kind == kind)
    task = session.exec(query).one_or_none()
    if task is not None and task.ended_at is None:
        return
    task = task or CounterTaskRow(dossier=code, kind=kind, reason=reason, opened_at=now(session))
    if task.ended_at is not None:
        task.ended_at = task.ended_by = None
        task.opened_at = now(session)
        task.reason = reason
    session.add(task)


def fall_back(session: Session, dossier: DossierRow, channel: str) -> None:
    """Go on by another channel that can reach the applicant, and ask a clerk to look after it."""
    applicant = session.get_one(ApplicantRow, dossier.code)
    offered = procedure_of(session, dossier).channels.offered
    tried = {leg.channel for leg in legs_of(session, dossier.code)}
    reachable = {"email": bool(applicant.email), "portal": bool(applicant.account), "paper": True}
    other = next((c for c in offered if c not in tried and reachable[c]), None)
    if other is not None:
        _open_leg(session, dossier, other)
        ask_to_continue(session, dossier.code)
    open_task(
        session,
        dossier.code,
        f"undelivered-{channel}",
        f"the result could not be returned by {channel}"
        + (f"; it goes by {other} now" if other else "; reach the applicant and agree on another way"),
    )
