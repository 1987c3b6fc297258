"""What the examiner decides about a received dossier: decline, ask, take the fee, withdraw, stop, go on."""

from __future__ import annotations

from sqlmodel import Session, col, func, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.services import services
from tasks.certification.scanning import Presented, keep_scan, scan_original
from tasks.certification.tables import PaymentRow
from tasks.dossier.lifecycle import GONE, Stage, Standing
from tasks.dossier.looking import hold, look, original_of, originals_of, procedure_of
from tasks.dossier.moves import Actor, Telling, come_back, follow, move_to, owe_notice, tell
from tasks.dossier.refusals import REFUSAL_TEXT, Refusal
from tasks.dossier.register import void_number
from tasks.dossier.routes import approvals
from tasks.dossier.tables import CounterTaskRow, DossierRow, NoticeRow, OriginalRow
from tasks.people.acting import acting_on


def decline_dossier(code: str, reason: Refusal, explanation: str, *, by: Actor) -> None:
    """Refuse to accept a booked dossier, in writing with R1–R6 (CERT-15; portal code 3, form 03)."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "decline", dossier)
        if dossier.stage == Stage.DECLINED:
            return
        facts: dict[str, Json] = {"reason": str(reason)}
        private: dict[str, Json] = {"explanation": explanation}
        telling = Telling(event="dossier:declined", by=by, facts=facts, private=private)
        move_to(session, dossier, Stage.DECLINED, telling)
        owe_notice(session, code, "declined", facts={**facts, "explanation": explanation, "by": by.staff})


def decline_original(code: str, ordinal: int, reason: Refusal, explanation: str, *, by: Actor) -> None:
    """
    Decline one original with R1–R6 and owe the letter; the others go on.

    Its reserved number, if any, becomes void and is never used again. Declining the last one stops the
    dossier. Declining again for the same reason changes nothing.
    """
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "decline", dossier)
        original = original_of(session, code, ordinal)
        if original.standing == Standing.DECLINED and original.reason_code == reason:
            return
        if original.standing not in (Standing.RECEIVED, Standing.CERTIFIED, Standing.LEFT_OUT) or (
            original.standing == Standing.CERTIFIED and approvals(session, original)
        ):
            raise Forbidden(
                f"original {ordinal} of {code} is {original.standing} and cannot be declined.",
                rule="CERT-15",
                way_out="Only an original that nobody has signed yet can be declined.",
            )
        original.standing = Standing.DECLINED
        original.reason_code = reason
        original.reason = explanation or REFUSAL_TEXT[reason]
        session.add(original)
        void_number(session, code, ordinal, f"declined {reason}", by)
        _let_off(session, dossier, original)
        for attached in (o for o in originals_of(session, code) if o.attached_to == ordinal):
            # Nobody has signed it: the agency signs an attachment after its document.
            attached.standing, attached.reason_code = Standing.DECLINED, reason
            attached.reason = original.reason
            session.add(attached)
        facts: dict[str, Json] = {"original": ordinal, "reason": str(reason)}
        telling = Telling(event="original:declined", by=by, facts=facts)
        follow(session, dossier, telling)
        payment = session.get(PaymentRow, code)
        if dossier.stage == Stage.PAYMENT_DUE and payment and payment.paid >= payment.amount:
            come_back(session, dossier, telling)  # Nothing is owed any more.
        owe_notice(
            session,
            code,
            "declined",
            ordinal=ordinal,
            facts={**facts, "explanation": explanation, "by": by.staff},
        )


def ask_for_supplement(code: str, missing: str, *, by: Actor) -> None:
    """Ask for more papers, once and for everything at once; the clock stops (DOS-15, form 02)."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "ask", dossier)
        procedure = procedure_of(session, dossier)
        if dossier.stage == Stage.SUPPLEMENT_ASKED:
            return
        if dossier.supplements >= procedure.supplements:
            raise Forbidden(
                f"dossier {code} was asked for a supplement before.",
                rule="DOS-15",
                way_out="Decide on what is there: decline the original or go on.",
            )
        _nobody_signed(session, dossier, "be sent back for a supplement")
        dossier.supplements += 1
        telling = Telling(event="supplement:asked", by=by, private={"missing": missing})
        move_to(session, dossier, Stage.SUPPLEMENT_ASKED, telling)
        owe_notice(
            session,
            code,
            "supplement",
            occasion=dossier.supplements,
            facts={"missing": missing, "by": by.staff},
        )


def pay(code: str, receipt: str, *, by: Actor) -> int:
    """Take the fee and let the clock run again; return it in đồng. Paying again changes nothing."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "pay", dossier)
        payment = session.get(PaymentRow, code)
        if payment is None:
            raise Forbidden(
                f"dossier {code} owes nothing.", rule="CERT-31", way_out="There is nothing to pay."
            )
        due = payment.amount - payment.paid
        if due <= 0:
            return payment.amount
        payment.paid = payment.amount
        payment.paid_at = now(session)
        payment.paid_to = by.staff
        payment.receipt = receipt
        session.add(payment)
        facts: dict[str, Json] = {"amount": due, "receipt": receipt}
        if dossier.stage == Stage.PAYMENT_DUE:
            come_back(session, dossier, Telling(event="fee:paid", by=by, facts=facts))
        else:
            tell(session, dossier, Telling(event="fee:paid", by=by, facts=facts))
        return due


def withdraw(code: str, reason: str, *, by: Actor) -> None:
    """End a dossier at the applicant's wish, before anybody signed; numbers become void."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "withdraw", dossier)
        if dossier.stage == Stage.WITHDRAWN:
            return
        _nobody_signed(session, dossier, "be withdrawn")
        move_to(
            session,
            dossier,
            Stage.WITHDRAWN,
            Telling(event="dossier:withdrawn", by=by, private={"reason": reason}),
        )
        _drop_originals(session, dossier, "withdrawn", by)


def stop(code: str, reason: str, *, by: Actor) -> None:
    """Stop a dossier that cannot be resolved now, with form 05; “hoso resume” goes on (DOS-06: 8→4)."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "stop", dossier)
        if dossier.stage == Stage.STOPPED:
            return
        _nobody_signed(session, dossier, "be stopped")
        move_to(
            session,
            dossier,
            Stage.STOPPED,
            Telling(event="dossier:stopped", by=by, private={"reason": reason}),
        )
        before = select(func.count()).where(NoticeRow.dossier == code, NoticeRow.kind == "stopped")
        occasion = session.exec(before).one()
        owe_notice(session, code, "stopped", occasion=occasion, facts={"reason": reason, "by": by.staff})


def resume(code: str, reason: str, *, by: Actor) -> None:
    """Go on with a stopped dossier; numbers and frozen bytes that it had stay its own."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "resume", dossier)
        if dossier.stage != Stage.STOPPED:
            raise Forbidden(
                f"dossier {code} stands at {dossier.stage}, it is not stopped.",
                rule="DOS-06",
                way_out="Only a stopped dossier can be resumed.",
            )
        if all(o.standing in GONE for o in originals_of(session, code)):
            raise Forbidden(
                f"every original of {code} was declined.",
                rule="CERT-15",
                way_out="A new dossier is needed for other originals.",
            )
        telling = Telling(event="dossier:resumed", by=by, private={"reason": reason})
        payment = session.get(PaymentRow, code)
        if payment is not None and payment.paid < payment.amount:
            move_to(session, dossier, Stage.RECEIVED, telling)
            move_to(session, dossier, Stage.PAYMENT_DUE, telling)
        else:
            come_back(session, dossier, telling)


def examine_again(code: str, ordinal: int, presented: Presented | None, *, by: Actor) -> None:
    """
    Answer an official who left an original out: put it forward again, with a new scan if there is one.

    The number stays; the frozen bytes become a new revision.
    """
    with services().database.transaction() as session:
        dossier = look(session, code)
        acting_on(session, by, "examine", dossier)
        procedure = procedure_of(session, dossier)
        original = original_of(session, code, ordinal)
        _left_out(code, original)
    new = scan_original(presented, procedure, ordinal) if presented is not None else None
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "examine", dossier)
        original = original_of(session, code, ordinal)
        _left_out(code, original)
        original.revision += 1
        original.standing = Standing.RECEIVED
        original.reason = None
        original.compared_by = by.staff
        original.compared_at = now(session)
        if new is not None:
            original.pages = original.compared_pages = new.declared
            keep_scan(session, code, ordinal, original.revision, new.scan)
        session.add(original)
        follow(session, dossier, Telling(event="original:examined-again", by=by, facts={"original": ordinal}))


def _let_off(session: Session, dossier: DossierRow, original: OriginalRow) -> None:
    """Take a declined original off what is owed; what was paid for it is given back at the counter (CERT-06)."""
    payment = session.get(PaymentRow, dossier.code)
    if payment is None or original.fee == 0:
        return
    payment.amount -= original.fee
    session.add(payment)
    if payment.paid > payment.amount:
        session.add(
            CounterTaskRow(
                dossier=dossier.code,
                kind="refund",
                ordinal=original.ordinal,
                reason=f"give back {min(original.fee, payment.paid - payment.amount)} đồng:"
                f" original {original.ordinal} was declined",
                opened_at=now(session),
            )
        )


def _left_out(code: str, original: OriginalRow) -> None:
    """Refuse to put forward again what was not left out."""
    if original.standing != Standing.LEFT_OUT:
        raise Forbidden(
            f"original {original.ordinal} of {code} is {original.standing}; nobody left it out.",
            rule="CERT-15",
            way_out="Only an original that an official left out of a list is examined again.",
        )


def _nobody_signed(session: Session, dossier: DossierRow, what: str) -> None:
    """Refuse an act that may not follow a signature."""
    signed = [
        o.ordinal
        for o in originals_of(session, dossier.code)
        if o.standing in (Standing.APPROVED, Standing.SEALED, Standing.VALID)
        or (o.standing == Standing.CERTIFIED and approvals(session, o))
    ]
    if signed:
        raise Forbidden(
            f"dossier {dossier.code} cannot {what}: original {signed[0]} is signed.",
            rule="DOS-06",
            way_out="Let it be returned; a result is corrected or withdrawn after its issue.",
        )


def _drop_originals(session: Session, dossier: DossierRow, reason: str, by: Actor) -> None:
    """Let go of the originals of a dossier that ended, and void their numbers."""
    for original in originals_of(session, dossier.code):
        if original.standing not in GONE:
            original.standing = Standing.DROPPED
            original.reason = reason
            session.add(original)
            void_number(session, dossier.code, original.ordinal, reason, by)


def unpaid(session: Session) -> list[str]:
    """Return the codes of the dossiers that owe a fee."""
    query = select(PaymentRow.dossier).where(col(PaymentRow.paid) < col(PaymentRow.amount))
    return list(session.exec(query))
