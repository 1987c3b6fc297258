"""Returning a result: one leg a channel, each with its own tries, until every leg has ended."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden, Unavailable
from infra.history import Json
from infra.mail import Outcome
from infra.services import services
from tasks.delivery.copies import SentFile, files_of, list_copies
from tasks.delivery.letters import NOTE, result_message
from tasks.delivery.rules import Next, after, message_id
from tasks.delivery.tables import LegRow, PublicationRow
from tasks.dossier.lifecycle import Stage, Standing
from tasks.dossier.moves import (
    Telling,
    ask_to_continue,
    hold,
    look,
    move_to,
    office_of,
    originals_of,
    procedure_of,
    tell,
)
from tasks.dossier.offices import OfficeData
from tasks.dossier.papers import read
from tasks.dossier.register import number_of
from tasks.dossier.releases import released
from tasks.dossier.tables import ApplicantRow, CounterTaskRow, DossierRow, OriginalRow

#: Legs that ended in one of these states brought the result to the applicant.
DELIVERED = frozenset({"accepted", "collected", "confirmed"})


#: How the copies of a try are listed, by how it ended; what was refused reached nobody.
_ARRIVED = {"accepted": "accepted", "ambiguous": "in doubt"}

#: What a clerk has to do for a paper leg.
HAND_OVER = "the applicant collects the paper at the counter"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errand:
    """What one try needs, read in one transaction."""

    code: str
    channel: str
    errand: int
    number: int
    ambiguous: int  # how many answers to earlier tries were lost
    address: str
    office: OfficeData
    certified: bool
    files: tuple[tuple[str, bytes], ...]
    sent: tuple[SentFile, ...]


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


def deliver(code: str, channel: str) -> str:
    """
    Try one leg once and return its state.

    The try is written down before the effect. E-mail cannot be exactly once: the Message-ID stays the
    same and doubtful tries are counted. Raises `Unavailable` when the portal or the store is away.
    """
    errand = _begin(code, channel)
    if errand is None:
        return "ended"
    if channel == "portal":
        return _deposit(errand)
    return _mail(errand)


def publish(code: str) -> bool:
    """Publish number, hash and standing of a result, where the procedure says so (DOS-25, SIG-21)."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        procedure = procedure_of(session, dossier)
        if procedure.publication == "never" or dossier.confidential or dossier.stage != Stage.SIGNED:
            return False
        fresh = False
        for original in valid_originals(session, code):
            if session.get(PublicationRow, (code, original.ordinal)) is not None:
                continue
            document = released(session, original).document
            fresh = True
            session.add(
                PublicationRow(
                    dossier=code,
                    ordinal=original.ordinal,
                    number=number_of(session, code, original.ordinal) or code,
                    sha256=document.sha256,
                    standing="valid",
                    published_at=now(session),
                )
            )
        if fresh:
            tell(session, dossier, Telling(event="result:published"))
        return fresh


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


def _begin(code: str, channel: str) -> _Errand | None:
    """Write down that a try begins and return what it needs; `None` when the leg has ended."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        leg = session.get_one(LegRow, (code, channel))
        if leg.ended_at is not None:
            return None
        office = office_of(session, dossier.office)
        applicant = session.get_one(ApplicantRow, code)
        documents = [(o, released(session, o)) for o in valid_originals(session, code)]
        sent = [file for original, result in documents for file in files_of(original.ordinal, result)]
        if leg.state == "trying":
            # An earlier try died before its answer was written down: what it sent may have arrived.
            leg.ambiguous += 1 if channel == "email" else 0
            tell(session, dossier, Telling(event="leg:interrupted", facts={"channel": channel}))
            list_copies(session, code, channel=channel, errand=leg.errand, files=sent, outcome="in doubt")
        leg.attempts += 1
        leg.state = "trying"
        leg.message_id = message_id(f"{code}/{channel}/{leg.errand}", office.mailbox)
        session.add(leg)
        tell(session, dossier, Telling(event="leg:tried", facts={"channel": channel, "try": leg.attempts}))
        certified = procedure_of(session, dossier).kind == "certification"
        address = applicant.account if channel == "portal" else applicant.email
    files: list[tuple[str, bytes]] = []
    for original, result in documents:
        files.append((f"{code}-{original.ordinal}.pdf", read(result.document)))
        if result.note is not None:
            files.append((f"{code}-{original.ordinal}-{NOTE}.pdf", read(result.note)))
    return _Errand(
        code=code,
        channel=channel,
        errand=leg.errand,
        number=leg.attempts,
        ambiguous=leg.ambiguous,
        address=address or "",
        office=office,
        certified=certified,
        files=tuple(files),
        sent=tuple(sent),
    )


def _deposit(errand: _Errand) -> str:
    """Put the files into the applicant's account; the portal knows each deposit by its id."""
    portal = services().portal
    if portal is None:
        return _end(errand, Next(state="refused", fall_back=True), "this office has no portal")
    try:
        receipts = [
            portal.deposit(
                account=errand.address,
                deposit_id=f"{errand.code}/{errand.errand}/{name}",
                filename=name,
                content=content,
            )
            for name, content in errand.files
        ]
    except Forbidden as error:
        return _end(errand, Next(state="refused", fall_back=True), error.message)
    except Unavailable as error:
        # A deposit is known by its id, so nothing is in doubt: it is simply tried again.
        return _end(errand, after(Outcome.DEFERRED, attempts=errand.number, ambiguous=0), str(error))
    return _end(errand, Next(state="accepted"), "deposited", receipt=" ".join(receipts))


def _mail(errand: _Errand) -> str:
    """Send the files from the office's mailbox and write the answer down."""
    message: EmailMessage = result_message(
        code=errand.code,
        office=errand.office,
        to=errand.address,
        message_id=message_id(f"{errand.code}/email/{errand.errand}", errand.office.mailbox),
        files=errand.files,
        verify_url=services().settings.verify_url,
        certified=errand.certified,
    )
    answer = services().mail.send(message)
    doubtful = errand.ambiguous + (answer.outcome is Outcome.AMBIGUOUS)
    following = after(answer.outcome, attempts=errand.number, ambiguous=doubtful)
    if answer.outcome is Outcome.TOO_BIG:
        following = Next(state="refused", fall_back=True)
    return _end(errand, following, f"{answer.code} {answer.text}", ambiguous=doubtful)


def _end(
    errand: _Errand, following: Next, answer: str, *, receipt: str | None = None, ambiguous: int = 0
) -> str:
    """Write down how a try ended: the leg's end, the next try, or the way by another channel."""
    with services().database.transaction() as session:
        dossier = hold(session, errand.code)
        leg = session.get_one(LegRow, (errand.code, errand.channel))
        if outcome := _ARRIVED.get(following.state):
            # Whatever became of the leg meanwhile: these bytes are in somebody's hands, or may be.
            list_copies(
                session,
                errand.code,
                channel=errand.channel,
                errand=errand.errand,
                files=errand.sent,
                outcome=outcome,
            )
        if leg.ended_at is not None:
            return leg.state
        if leg.errand != errand.errand:
            # Somebody gave another address while this try was under way: its answer is about the old one.
            facts_of_old: dict[str, Json] = {"channel": errand.channel, "state": following.state}
            tell(session, dossier, Telling(event="leg:superseded", facts=facts_of_old))
            return leg.state
        moment = now(session)
        leg.state = following.state
        leg.last_answer = answer[:300]
        leg.receipt = receipt
        leg.ambiguous = max(leg.ambiguous, ambiguous)
        leg.next_try_at = moment + following.wait if following.wait else None
        if following.wait is None:
            leg.ended_at = moment
        session.add(leg)
        facts: dict[str, Json] = {"channel": errand.channel, "state": leg.state, "try": errand.number}
        tell(session, dossier, Telling(event=f"leg:{leg.state}", facts=facts))
        if following.fall_back:
            _fall_back(session, dossier, errand.channel)
        return leg.state


def _fall_back(session: Session, dossier: DossierRow, channel: str) -> None:
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


def look_up(code: str) -> list[tuple[str, str]]:
    """Return a dossier's legs as (channel, state)."""
    with services().database.transaction() as session:
        look(session, code)
        return [(leg.channel, leg.state) for leg in legs_of(session, code)]
