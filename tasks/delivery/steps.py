"""Returning a result: each try of a leg, with its intent before and its end after; and publishing."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage

from infra.database import now
from infra.errors import Forbidden, Unavailable
from infra.history import Json
from infra.mail import Outcome
from infra.services import services
from tasks.delivery.copies import SentFile, files_of, list_copies
from tasks.delivery.legs import fall_back, valid_originals
from tasks.delivery.letters import NOTE, result_message
from tasks.delivery.rules import Next, after, message_id
from tasks.delivery.tables import LegRow, PublicationRow
from tasks.dossier.lifecycle import Stage
from tasks.dossier.looking import hold, office_of, procedure_of
from tasks.dossier.moves import Telling, tell
from tasks.dossier.offices import OfficeData
from tasks.dossier.papers import read
from tasks.dossier.register import number_of
from tasks.dossier.releases import released
from tasks.dossier.tables import ApplicantRow

#: How the copies of a try are listed, by how it ended; what was refused reached nobody.
_ARRIVED = {"accepted": "accepted", "ambiguous": "in doubt"}


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
            fall_back(session, dossier, errand.channel)
        return leg.state
