"""What a clerk does about returning a result: hand over, give another address, confirm, send it once more."""

from __future__ import annotations

from collections.abc import Mapping

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.services import services
from tasks.delivery.copies import files_of, list_copies
from tasks.delivery.legs import DELIVERED, HAND_OVER, legs_of, open_task, valid_originals
from tasks.delivery.tables import LegRow
from tasks.dossier.lifecycle import ISSUED, Stage
from tasks.dossier.looking import hold, procedure_of
from tasks.dossier.moves import Actor, Telling, ask_to_continue, tell
from tasks.dossier.procedures import check_channels
from tasks.dossier.releases import released
from tasks.dossier.tables import ApplicantRow, CounterTaskRow, DossierRow
from tasks.people.acting import acting_on


def hand_over(code: str, collector: str, identity: str, *, by: Actor) -> None:
    """End the paper leg with the collector's name and identity number; doing it again changes nothing."""
    if not collector.strip() or not identity.strip():
        raise Forbidden(
            "who collects the result must be named.",
            rule="DOS-22",
            way_out="Give --collector and --identity as they stand on the identity paper.",
        )
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "hand-over", dossier)
        leg = _leg(session, dossier, "paper")
        if leg.ended_at is not None:
            return
        sent = [f for o in valid_originals(session, code) for f in files_of(o.ordinal, released(session, o))]
        list_copies(session, code, channel="paper", errand=leg.errand, files=sent, outcome="collected")
        leg.state = "collected"
        leg.ended_at = now(session)
        session.add(leg)
        _end_task(session, code, "hand-over", by)
        facts: dict[str, Json] = {"channel": "paper", "state": "collected"}
        private: dict[str, Json] = {"collector": collector, "identity": identity}
        tell(session, dossier, Telling(event="leg:collected", by=by, facts=facts, private=private))
        ask_to_continue(session, code)


def redirect(code: str, channel: str, *, email: str | None, account: str | None, by: Actor) -> None:
    """Try a channel (again) with another address of the applicant; the old tries stay in the history."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "redirect", dossier)
        _must_be_signed(dossier)
        applicant = session.get_one(ApplicantRow, code)
        applicant.email = email or applicant.email
        applicant.account = account or applicant.account
        check_channels(
            procedure_of(session, dossier), [channel], email=applicant.email, account=applicant.account
        )
        session.add(applicant)
        leg = session.get(LegRow, (code, channel)) or LegRow(
            dossier=code, channel=channel, opened_at=now(session)
        )
        leg.state = "at-counter" if channel == "paper" else "queued"
        leg.next_try_at = leg.ended_at = None
        leg.errand += 1
        leg.attempts = 0
        session.add(leg)
        _end_task(session, code, f"undelivered-{channel}", by)
        if channel == "paper":
            open_task(session, code, "hand-over", HAND_OVER)
        private: dict[str, Json] = {"email": email, "account": account}
        telling = Telling(event="leg:redirected", by=by, facts={"channel": channel}, private=private)
        tell(session, dossier, telling)
        ask_to_continue(session, code)


def resend(code: str, channel: str | None = None, *, by: Actor) -> list[str]:
    """
    Send an issued result once more, exactly as it is kept, and return the channels that it goes by.

    Nothing is signed again. Without a channel it goes by those that brought it before; to another address
    with “hoso redirect” while it is on its way. A sending that is still under way is not doubled. Raises
    `Forbidden` for what was not issued (DOS-06), what stands no more, and what nobody knows the address of.
    """
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "resend", dossier)
        legs = {leg.channel: leg for leg in legs_of(session, code)}
        _can_be_sent_again(session, dossier, legs)
        known = [c for c, leg in legs.items() if leg.state in DELIVERED or leg.ended_at is None]
        channels = [channel] if channel else known
        if not channels or (channel and channel not in legs):
            raise Forbidden(
                f"the result of {code} was never returned by {channel or 'any channel'}.",
                rule="DOS-22",
                way_out=f"It went by {', '.join(legs) or 'none'}; name one of them with --channel.",
            )
        applicant = session.get_one(ApplicantRow, code)
        check_channels(
            procedure_of(session, dossier), channels, email=applicant.email, account=applicant.account
        )
        again = [one for one in channels if legs[one].ended_at is not None]
        for one in again:
            leg = legs[one]
            leg.state = "at-counter" if one == "paper" else "queued"
            leg.next_try_at = leg.ended_at = None
            leg.errand += 1
            leg.attempts = 0
            session.add(leg)
            if one == "paper":
                open_task(session, code, "hand-over", HAND_OVER)
            tell(session, dossier, Telling(event="leg:resent", by=by, facts={"channel": one}))
        if again:
            ask_to_continue(session, code)
        return channels


def _can_be_sent_again(session: Session, dossier: DossierRow, legs: Mapping[str, LegRow]) -> None:
    """Refuse to send again what was not returned yet, or what stands no more."""
    if dossier.stage not in ISSUED - {Stage.SIGNED} or not legs:
        raise Forbidden(
            f"dossier {dossier.code} stands at {dossier.stage}; its result was not returned yet.",
            rule="DOS-06",
            way_out="While it is on its way, “hoso redirect” tries a channel again.",
        )
    if not valid_originals(session, dossier.code):
        raise Forbidden(
            f"no result of {dossier.code} stands any more; what was withdrawn or replaced is not sent again.",
            rule="DOS-25",
            way_out="“hoso show” names what stands in its place.",
        )


def confirm(code: str, channel: str, *, by: Actor) -> None:
    """End a leg on the applicant's word that the result arrived, after an answer that was lost or refused."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "confirm", dossier)
        leg = _leg(session, dossier, channel)
        if leg.state == "confirmed":
            return
        _must_be_signed(dossier)
        if channel == "paper" or leg.attempts == 0:
            raise Forbidden(
                f"the result of {code} was not sent by {channel} yet, or must be collected.",
                rule="DOS-22",
                way_out="A paper is handed over with “hoso hand-over”; a leg that was tried can be confirmed.",
            )
        leg.state = "confirmed"
        leg.ended_at = leg.ended_at or now(session)
        session.add(leg)
        _end_task(session, code, f"undelivered-{channel}", by)
        tell(session, dossier, Telling(event="leg:confirmed", by=by, facts={"channel": channel}))
        ask_to_continue(session, code)


def _leg(session: Session, dossier: DossierRow, channel: str) -> LegRow:
    """Return one of a dossier's legs; refuses a channel that it does not go back by."""
    leg = session.get(LegRow, (dossier.code, channel))
    if leg is None:
        raise Forbidden(
            f"dossier {dossier.code} (now {dossier.stage}) has no result going back by {channel}.",
            rule="CERT-05" if channel == "paper" and "paper" not in dossier.channels else "DOS-22",
            way_out="“hoso show” lists its legs; they open when the result is signed.",
        )
    return leg


def _must_be_signed(dossier: DossierRow) -> None:
    """Refuse to return what is not signed, or was returned."""
    if dossier.stage != Stage.SIGNED:
        raise Forbidden(
            f"dossier {dossier.code} stands at {dossier.stage}; its result is not on the way.",
            rule="DOS-06",
            way_out="“hoso show” says what it waits for.",
        )


def _end_task(session: Session, code: str, kind: str, by: Actor) -> None:
    """End a counter task, if there is one."""
    query = select(CounterTaskRow).where(
        CounterTaskRow.dossier == code, CounterTaskRow.kind == kind, col(CounterTaskRow.ended_at).is_(None)
    )
    for task in session.exec(query):
        task.ended_at = now(session)
        task.ended_by = by.staff
        session.add(task)
