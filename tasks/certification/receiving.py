"""Receiving a dossier at the counter: originals examined, compared and scanned; the fee; the time limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.object_store import Stored
from infra.services import services
from tasks.certification.rules import (
    fee,
)
from tasks.certification.scanning import Presented, Scanned, papers_of_scan, scan_all
from tasks.certification.tables import PaymentRow
from tasks.dossier.calendar import local
from tasks.dossier.deadlines import check_extension, due_at
from tasks.dossier.lifecycle import Stage, Standing
from tasks.dossier.looking import hold, look, office_of, originals_of, procedure_of, procedure_on
from tasks.dossier.moves import Actor, Telling, come_back, move_to, owe_notice
from tasks.dossier.opening import Opened, Opening, answered_before, open_dossier
from tasks.dossier.papers import Paper, keep_first
from tasks.dossier.procedures import Procedure
from tasks.dossier.tables import ApplicantRow, DossierRow, OriginalRow
from tasks.people.acting import acting, acting_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the clerk establishes besides the originals themselves."""

    checklist: frozenset[str] | None = None  # items that were shown; None: all that are required
    kin_of: tuple[str, ...] = ()
    paid: str | None = None  # number of the payment receipt, when it was paid at once
    extended_by: int = 0
    agreed: bool = False
    free: bool = False  # the office corrects its own mistake, and nothing is owed
    examiner: str = ""  # who compared the originals, when that is not who receives


def receive(code: str, originals: Sequence[Presented], receipt: Receipt, *, by: Actor) -> Opened:
    """
    Receive a booked dossier: originals, comparison, fee and time limit, in one transaction.

    Scans are read and stored first; a refusal leaves no trace in the dossier. Receiving twice is
    refused, because the second receipt would hide a mistake.
    """
    with services().database.transaction() as session:
        dossier = look(session, code)
        acting_on(session, by, "receive", dossier)
        _check_first(dossier)
        procedure = procedure_of(session, dossier)
    scanned = scan_all(originals, procedure)
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "receive", dossier)
        _check_first(dossier)
        take_in(session, dossier, procedure, scanned, receipt, by)
    return Opened(code=code)


def receive_walk_in(
    opening: Opening, originals: Sequence[Presented], receipt: Receipt, *, by: Actor
) -> Opened:
    """Open and receive the dossier of somebody who came without an appointment (CERT-04)."""
    with services().database.transaction() as session:
        office = office_of(session, opening.office)
        by = acting(session, by, "receive", office=office.code, procedure=opening.procedure)
        if before := answered_before(session, opening):
            return before
        procedure = procedure_on(session, opening.procedure, local(now(session)).date())
    scanned = scan_all(originals, procedure)
    with services().database.transaction() as session:
        if before := answered_before(session, opening):
            return before
        dossier, opened = open_dossier(session, opening, office, by=by, walk_in=True)
        take_in(session, dossier, procedure, scanned, receipt, by)
        return opened


def supply(code: str, originals: Sequence[Presented], *, by: Actor) -> None:
    """Take in the supplement that was asked for, as further originals; the clock runs again (DOS-06: 5→4)."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        acting_on(session, by, "supply", dossier)
        procedure = procedure_of(session, dossier)
        _check_asked(dossier)
    scanned = scan_all(originals, procedure, may_be_none=True)
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "supply", dossier)
        _check_asked(dossier)
        amount = _add_originals(session, dossier, procedure, scanned, by.staff)
        come_back(session, dossier, Telling(event="supplement:received", by=by))
        _charge(session, dossier, amount, None, by)


def _check_first(dossier: DossierRow) -> None:
    """Refuse to receive what is not waiting for its applicant."""
    if dossier.received_at is not None:
        raise Forbidden(
            f"dossier {dossier.code} was received before and stands at {dossier.stage}.",
            rule="DOS-06",
            way_out="Look at it with “hoso show”; further originals need a dossier of their own.",
        )
    if dossier.stage != Stage.BOOKED:
        raise Forbidden(
            f"dossier {dossier.code} stands at {dossier.stage} and cannot be received.",
            rule="DOS-06",
            way_out="Open a new one with “hoso receive --walk-in OFFICE”.",
        )


def _check_asked(dossier: DossierRow) -> None:
    """Refuse a supplement that nobody asked for."""
    if dossier.stage != Stage.SUPPLEMENT_ASKED:
        raise Forbidden(
            f"dossier {dossier.code} stands at {dossier.stage}; no supplement was asked for.",
            rule="DOS-06",
            way_out="Ask for one first with “hoso ask”.",
        )


def take_in(
    session: Session,
    dossier: DossierRow,
    procedure: Procedure,
    scanned: Sequence[Scanned],
    receipt: Receipt,
    by: Actor,
) -> None:
    """Write down a receipt in the caller's transaction; the files of its originals are stored already."""
    _check_checklist(procedure, receipt)
    limit = procedure.time_limit.rule()
    check_extension(receipt.extended_by, limit, agreed_in_writing=receipt.agreed)
    office = office_of(session, dossier.resolving_office)
    moment = now(session)
    dossier.received_at = moment
    dossier.examiner = receipt.examiner or by.staff
    dossier.extended_by = receipt.extended_by
    dossier.due_at = due_at(moment, limit, office.calendar(), extended_by=receipt.extended_by)
    applicant = session.get_one(ApplicantRow, dossier.code)
    applicant.kin_of = sorted({*applicant.kin_of, *receipt.kin_of})
    session.add(applicant)
    examiner = receipt.examiner or by.staff
    amount = _add_originals(session, dossier, procedure, scanned, examiner, free=receipt.free)
    facts: dict[str, Json] = {"originals": len(scanned), "due_at": dossier.due_at.isoformat(), "fee": amount}
    move_to(session, dossier, Stage.RECEIVED, Telling(event="dossier:received", by=by, facts=facts))
    owe_notice(session, dossier.code, "receipt", facts={"paid": amount == 0 or receipt.paid is not None})
    _charge(session, dossier, amount, receipt.paid, by)


def _check_checklist(procedure: Procedure, receipt: Receipt) -> None:
    """Refuse a dossier that lacks a required paper (DOS-14)."""
    if receipt.checklist is None:
        return
    missing = [i.name for i in procedure.checklist if i.required and i.id not in receipt.checklist]
    if missing:
        raise Forbidden(
            f"the dossier lacks: {'; '.join(missing)}.",
            rule="DOS-14",
            way_out="Have the applicant show it, or decline the dossier with “hoso decline”.",
        )


def _add_originals(
    session: Session,
    dossier: DossierRow,
    procedure: Procedure,
    scanned: Sequence[Scanned],
    examiner: str,
    *,
    free: bool = False,
) -> int:
    """Add originals behind those that are there, and return what they cost together in đồng."""
    amount = 0
    # What was never received has none.
    before = len(originals_of(session, dossier.code)) if dossier.stage != Stage.BOOKED else 0
    first = main = before + 1
    papers: list[tuple[Paper, Stored]] = []
    for ordinal, one in enumerate(scanned, start=first):
        presented = one.presented
        main = main if presented.attached else ordinal
        owed = procedure.fee if not free else None
        price = fee(one.declared, presented.copies, owed) if owed else 0
        session.add(
            OriginalRow(
                dossier=dossier.code,
                ordinal=ordinal,
                kind=presented.kind.strip(),
                pages=one.declared,
                copies=presented.copies,
                fee=price,
                compared_pages=one.declared,
                compared_by=examiner,
                compared_at=now(session),
                foreign=presented.foreign,
                legalised=presented.legalised,
                standing=Standing.RECEIVED,
                attached_to=main if presented.attached else None,
                notation=presented.number.strip(),
            )
        )
        amount += price
        papers += papers_of_scan(dossier.code, ordinal, 0, one.scan)
    session.flush()
    keep_first(session, papers)
    return amount


def _charge(session: Session, dossier: DossierRow, amount: int, paid: str | None, by: Actor) -> None:
    """Write down what is owed; unless it was paid at once the clock stops until it is (DOS-06: 6)."""
    if amount == 0:
        return
    row = session.get(PaymentRow, dossier.code) or PaymentRow(dossier=dossier.code, amount=0)
    row.amount += amount
    if paid:
        row.paid = row.amount
        row.paid_at = now(session)
        row.paid_to = by.staff
        row.receipt = paid
    session.add(row)
    if row.paid < row.amount:
        telling = Telling(event="fee:asked", by=by, facts={"amount": row.amount - row.paid})
        move_to(session, dossier, Stage.PAYMENT_DUE, telling)
