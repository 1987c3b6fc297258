"""What a dossier waits for, in one word: the name of its run's state in the Prefect UI."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from infra.services import services
from tasks.archival.covering import awaits_checkpoint
from tasks.delivery.legs import legs_of
from tasks.dossier import outbox
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import ENDED, Stage
from tasks.dossier.looking import look
from tasks.dossier.tables import CounterTaskRow, DossierRow, NoticeRow, OutboxRow
from tasks.dossier.waiting import frozen_at, results_awaited

#: The last words of the outbox for an error that a person must look at.
NEEDS_ATTENTION = outbox.NEEDS_ATTENTION
#: The same, where the cause is a bug or damage.
BROKEN = "broken: "
#: The same, where an authority that proves something does not answer; time cures it.
NO_TIMESTAMP, NO_REVOCATION = "awaits a time-stamp: ", "awaits word on revocation: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Where a dossier stands: the state's name, a sentence about it, whether its life has ended or is broken."""

    code: str
    name: str
    why: str
    ended: bool
    stage: Stage
    due_at: datetime | None
    office: str
    procedure: str
    #: Whose turn it is: a staff code, or who else is waited for.
    whom: str
    #: Whether a bug or damage holds it up, so that an engineer must look.
    broken: bool = False


def waiting(code: str) -> Waiting:
    """Return what one dossier waits for now."""
    with services().database.transaction() as session:
        return waiting_of(session, look(session, code))


def waiting_of(session: Session, dossier: DossierRow) -> Waiting:
    """Return what a dossier waits for, from the database alone."""
    errand = session.get(OutboxRow, dossier.code)
    last_error = (errand.last_error if errand else None) or ""
    name, why = _cause(session, dossier, last_error)
    if dossier.due_at and dossier.stage not in ENDED:
        why = f"{why}; due {local(dossier.due_at):%Y-%m-%d %H:%M}"
    unsealed = select(NoticeRow.id).where(
        NoticeRow.dossier == dossier.code, NoticeRow.state == "awaiting-seal"
    )
    if session.exec(unsealed).first() is not None:
        why = f"{why}; a paper waits for the agency's seal"
    return Waiting(
        code=dossier.code,
        name=name,
        why=why,
        ended=dossier.ended_at is not None,
        broken=last_error.startswith(BROKEN),
        stage=dossier.stage,
        due_at=dossier.due_at,
        office=dossier.office,
        procedure=dossier.procedure,
        whom=_whom(session, dossier, name),
    )


#: Whose turn it is under a name that does not depend on persons.
_TURN = {
    "Booked": "applicant",
    "SupplementAsked": "applicant",
    "PaymentDue": "applicant",
    "AwaitingCollection": "applicant",
    "Stopped": "clerk",
    "AwaitingClerk": "clerk",
    "AwaitingArchive": "the night",
    "AwaitingResult": "agency",
    "NeedsAttention": "engineer",
}


def _whom(session: Session, dossier: DossierRow, name: str) -> str:
    """Return whose turn it is."""
    if name == "AwaitingSignature":
        waits = frozen_at(session, dossier.office, code=dossier.code)
        return ", ".join(sorted({wait.official for wait in waits}))
    if name == "ReturnedToExaminer":
        return dossier.examiner or "clerk"
    return "" if dossier.ended_at else _TURN.get(name, "the system")


_WHY = {
    Stage.BOOKED: "waits for the applicant",
    Stage.RECEIVED: "the copies are being made",
    Stage.SUPPLEMENT_ASKED: "waits for the applicant's supplement; the clock stands still",
    Stage.PAYMENT_DUE: "waits for the fee; the clock stands still",
    Stage.CERTIFIED: "is being put before the official",
    Stage.AWAITING_SIGNATURE: "waits for the official's signature",
    Stage.RETURNED_TO_EXAMINER: "an official left an original out; the examiner looks again",
    Stage.AWAITING_SEAL: "waits for the agency's signature",
    Stage.SIGNED: "is being returned",
    Stage.RETURNED: "waits for the archive",
    Stage.STOPPED: "is stopped; the clock stands still",
}


def _cause(session: Session, dossier: DossierRow, last_error: str) -> tuple[str, str]:
    """Return the name and the sentence of what a dossier waits for."""
    for mark in (NEEDS_ATTENTION, BROKEN):
        if last_error.startswith(mark):
            return "NeedsAttention", last_error.removeprefix(mark)
    if last_error.startswith(NO_TIMESTAMP):
        return "AwaitingTimestamp", last_error.removeprefix(NO_TIMESTAMP)
    if last_error.startswith(NO_REVOCATION):
        return "AwaitingRevocation", last_error.removeprefix(NO_REVOCATION)
    if last_error:
        return "AwaitingService", last_error
    if dossier.stage == Stage.SIGNED:
        return _return_cause(session, dossier)
    if dossier.stage == Stage.RETURNED and awaits_checkpoint(session, dossier.code):
        return "AwaitingCheckpoint", "waits for the history to be signed, which its package proves itself by"
    if dossier.stage == Stage.RETURNED:
        return "AwaitingArchive", _WHY[Stage.RETURNED]
    if dossier.stage == Stage.RECEIVED and results_awaited(session, dossier.code):
        return "AwaitingResult", "waits for the result of the agency that resolves it"
    if dossier.stage == Stage.AWAITING_SIGNATURE:
        return "AwaitingSignature", _signature_cause(session, dossier)
    return str(dossier.stage), _WHY.get(dossier.stage, "its life has ended")


def _signature_cause(session: Session, dossier: DossierRow) -> str:
    """Say which officials' signatures are waited for, and how far the route has come where it has several."""
    turns = {wait.turn for wait in frozen_at(session, dossier.office, code=dossier.code)}
    said = [
        f"{turn.staff} ({turn.number} of {turn.of})" if turn.of > 1 else turn.staff
        for turn in sorted(turns, key=lambda turn: (turn.number, turn.staff))
    ]
    return f"waits for the signature of {', '.join(said)}" if said else _WHY[Stage.AWAITING_SIGNATURE]


def _return_cause(session: Session, dossier: DossierRow) -> tuple[str, str]:
    """Return what keeps a signed result from being returned."""
    open_legs = [leg for leg in legs_of(session, dossier.code) if leg.ended_at is None]
    if any(leg.state in ("deferred", "ambiguous") for leg in open_legs):
        return "AwaitingDelivery", "a channel asked for patience"
    if any(leg.state == "at-counter" for leg in open_legs):
        return "AwaitingCollection", "the applicant collects the paper at the counter"
    tasks = select(CounterTaskRow).where(
        CounterTaskRow.dossier == dossier.code,
        CounterTaskRow.kind != "instruction",
        col(CounterTaskRow.ended_at).is_(None),
    )
    if not open_legs and session.exec(tasks).first():
        return "AwaitingClerk", "no channel reached the applicant; a clerk has a counter task"
    return "Signed", _WHY[Stage.SIGNED]
