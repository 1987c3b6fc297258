"""Receiving a dossier at the counter: originals examined, compared and scanned; the fee; the time limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from sqlmodel import Session

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.object_store import Stored
from infra.pdf.intake import Limits, PageImage, read_scans
from infra.services import services
from tasks.certification.rules import (
    check_legalised,
    check_pages,
    check_resolution,
    comparison_is_complete,
    fee,
)
from tasks.certification.tables import PaymentRow
from tasks.dossier.deadlines import check_extension, due_at
from tasks.dossier.lifecycle import Stage, Standing
from tasks.dossier.moves import (
    Actor,
    Telling,
    come_back,
    hold,
    look,
    move_to,
    office_of,
    originals_of,
    owe_notice,
    procedure_of,
    procedure_on,
)
from tasks.dossier.opening import Opened, Opening, answered_before, open_dossier
from tasks.dossier.papers import Paper, keep, store_content
from tasks.dossier.procedures import Procedure
from tasks.dossier.tables import ApplicantRow, DossierRow, OriginalRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """One original as it lies on the counter, with its scan."""

    kind: str
    files: Sequence[tuple[str, bytes]]
    pages: int | None = None  # declared; None: as many as the scan shows
    copies: int = 1
    compared: int | None = None  # pages compared with the scan; None: all of them
    foreign: bool = False
    legalised: bool = False
    exempt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the clerk establishes besides the originals themselves."""

    checklist: frozenset[str] | None = None  # items that were shown; None: all that are required
    kin_of: tuple[str, ...] = ()
    paid: str | None = None  # number of the payment receipt, when it was paid at once
    extended_by: int = 0
    agreed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One original's files as they came (or another agency's result), and its clean pages, all stored."""

    files: Sequence[tuple[str, Stored]]
    pages: Sequence[tuple[PageImage, Stored]]
    kind: Literal["scan", "result"] = "scan"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scanned:
    """An original whose files were read and stored."""

    presented: Presented
    scan: Scan
    declared: int


def receive(code: str, originals: Sequence[Presented], receipt: Receipt, *, by: Actor) -> Opened:
    """
    Receive a booked dossier: originals, comparison, fee and time limit, in one transaction.

    Scans are read and stored first; a refusal leaves no trace in the dossier. Receiving twice is
    refused, because the second receipt would hide a mistake.
    """
    with services().database.transaction() as session:
        dossier = look(session, code)
        _check_first(dossier)
        procedure = procedure_of(session, dossier)
    scanned = _scan_all(originals, procedure)
    with services().database.transaction() as session:
        dossier = hold(session, code)
        _check_first(dossier)
        _receive(session, dossier, procedure, scanned, receipt, by)
    return Opened(code=code)


def receive_walk_in(
    opening: Opening, originals: Sequence[Presented], receipt: Receipt, *, by: Actor
) -> Opened:
    """Open and receive the dossier of somebody who came without an appointment (CERT-04)."""
    with services().database.transaction() as session:
        office = office_of(session, opening.office)
        if before := answered_before(session, opening):
            return before
        procedure = procedure_on(session, opening.procedure, now(session).date())
    scanned = _scan_all(originals, procedure)
    with services().database.transaction() as session:
        if before := answered_before(session, opening):
            return before
        dossier, opened = open_dossier(session, opening, office, by=by, walk_in=True)
        _receive(session, dossier, procedure, scanned, receipt, by)
        return opened


def supply(code: str, originals: Sequence[Presented], *, by: Actor) -> None:
    """Take in the supplement that was asked for, as further originals; the clock runs again (DOS-06: 5→4)."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        procedure = procedure_of(session, dossier)
        _check_asked(dossier)
    scanned = _scan_all(originals, procedure, may_be_none=True)
    with services().database.transaction() as session:
        dossier = hold(session, code)
        _check_asked(dossier)
        amount = _add_originals(session, dossier, procedure, scanned, by)
        come_back(session, dossier, Telling(event="supplement:received", by=by))
        _charge(session, dossier, amount, None, by)


def read_original(
    presented: Presented, procedure: Procedure, *, ordinal: int
) -> tuple[Sequence[PageImage], int]:
    """Return the pages of an original's scan and its declared number of pages, or refuse the scan."""
    chosen = services().settings
    limits = Limits(
        file_bytes=chosen.upload_limit_bytes,
        total_bytes=chosen.upload_limit_bytes,
        pages=procedure.scan.max_pages,
    )
    pages = read_scans(presented.files, limits=limits)
    check_resolution([p.dpi for p in pages], procedure.scan.min_dpi, ordinal=ordinal)
    declared = presented.pages if presented.pages is not None else len(pages)
    check_pages(len(pages), declared, ordinal=ordinal)
    return pages, declared


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


def _scan_all(
    originals: Sequence[Presented], procedure: Procedure, *, may_be_none: bool = False
) -> list[_Scanned]:
    """Read and store the files of every original before anything is decided about the dossier."""
    if not originals and not may_be_none:
        raise Forbidden(
            "a dossier without an original cannot be received.",
            rule="CERT-02",
            way_out="Name each one with --original KIND FILE….",
        )
    return [_scan(presented, procedure, n) for n, presented in enumerate(originals, start=1)]


def _scan(presented: Presented, procedure: Procedure, ordinal: int) -> _Scanned:
    """Read one original, apply the rules of the counter to it, and store its bytes."""
    if not presented.kind.strip() or presented.copies < 1:
        raise Forbidden(
            f"original {ordinal} needs a kind and at least one copy.",
            rule="CERT-23",
            way_out="Write --original KIND FILE… --copies N.",
        )
    check_legalised(presented.foreign, presented.legalised, presented.exempt, ordinal=ordinal)
    if procedure.kind == "return":
        return _take_result(presented, ordinal)
    pages, declared = read_original(presented, procedure, ordinal=ordinal)
    compared = presented.compared if presented.compared is not None else declared
    comparison_is_complete(compared, declared, ordinal=ordinal)
    return _Scanned(presented=presented, scan=store_scan(presented, pages), declared=declared)


def store_scan(presented: Presented, pages: Sequence[PageImage]) -> Scan:
    """Store the files and the pages of an original under their own hashes."""
    return Scan(
        files=[(_media_type(c), store_content(c, _media_type(c))) for _, c in presented.files],
        pages=[(p, store_content(p.content, p.media_type)) for p in pages],
    )


def _take_result(presented: Presented, ordinal: int) -> _Scanned:
    """Take another agency's signed file as it is; whether its signatures hold is checked before release."""
    content = presented.files[0][1] if len(presented.files) == 1 else b""
    limit = services().settings.upload_limit_bytes
    if not content.startswith(b"%PDF-") or b"/ByteRange" not in content or len(content) > limit:
        raise Forbidden(
            f"result {ordinal} is not one signed PDF file of at most {limit // 1_000_000} MB.",
            rule="SIG-20",
            way_out="Ask the resolving agency for the signed file; a scan of a paper is not a result.",
        )
    kept = Scan(
        files=[("application/pdf", store_content(content, "application/pdf"))], pages=[], kind="result"
    )
    return _Scanned(presented=presented, scan=kept, declared=presented.pages or 1)


def _media_type(content: bytes) -> str:
    """Return the media type of a file that intake has accepted, by its first bytes."""
    if content.startswith(b"\xff\xd8"):
        return "image/jpeg"
    return "image/png" if content.startswith(b"\x89PNG") else "application/pdf"


def _receive(
    session: Session,
    dossier: DossierRow,
    procedure: Procedure,
    scanned: Sequence[_Scanned],
    receipt: Receipt,
    by: Actor,
) -> None:
    """Write down a receipt in the caller's transaction."""
    _check_checklist(procedure, receipt)
    limit = procedure.time_limit.rule()
    check_extension(receipt.extended_by, limit, agreed_in_writing=receipt.agreed)
    office = office_of(session, dossier.resolving_office)
    moment = now(session)
    dossier.received_at = moment
    dossier.examiner = by.staff
    dossier.extended_by = receipt.extended_by
    dossier.due_at = due_at(moment, limit, office.calendar(), extended_by=receipt.extended_by)
    applicant = session.get_one(ApplicantRow, dossier.code)
    applicant.kin_of = sorted({*applicant.kin_of, *receipt.kin_of})
    session.add(applicant)
    amount = _add_originals(session, dossier, procedure, scanned, by)
    facts: dict[str, Json] = {"originals": len(scanned), "due_at": dossier.due_at.isoformat(), "fee": amount}
    move_to(session, dossier, Stage.RECEIVED, Telling(event="dossier:received", by=by, facts=facts))
    owe_notice(session, dossier.code, "receipt")
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
    session: Session, dossier: DossierRow, procedure: Procedure, scanned: Sequence[_Scanned], by: Actor
) -> int:
    """Add originals behind those that are there, and return what they cost together in đồng."""
    amount = 0
    first = len(originals_of(session, dossier.code)) + 1
    for ordinal, one in enumerate(scanned, start=first):
        presented = one.presented
        price = fee(one.declared, presented.copies, procedure.fee) if procedure.fee else 0
        session.add(
            OriginalRow(
                dossier=dossier.code,
                ordinal=ordinal,
                kind=presented.kind.strip(),
                pages=one.declared,
                copies=presented.copies,
                fee=price,
                compared_pages=one.declared,
                compared_by=by.staff,
                compared_at=now(session),
                foreign=presented.foreign,
                legalised=presented.legalised,
                standing=Standing.RECEIVED,
            )
        )
        session.flush()
        amount += price
        keep_scan(session, dossier.code, ordinal, 0, one.scan)
    return amount


def keep_scan(session: Session, code: str, ordinal: int, revision: int, scan: Scan) -> None:
    """Say which stored bytes are an original's files and its clean page images."""
    for position, (media_type, stored) in enumerate(scan.files):
        of_file = Paper(
            dossier=code,
            kind=scan.kind,
            ordinal=ordinal,
            revision=revision,
            position=position,
            media_type=media_type,
        )
        keep(session, of_file, stored)
    for position, (page, stored) in enumerate(scan.pages):
        facts = {k: v for k, v in asdict(page).items() if k not in ("content", "source")}
        of_page = Paper(
            dossier=code,
            kind="page",
            ordinal=ordinal,
            revision=revision,
            position=position,
            media_type=page.media_type,
            facts=facts,
        )
        keep(session, of_page, stored)


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
    if not paid:
        telling = Telling(event="fee:asked", by=by, facts={"amount": row.amount - row.paid})
        move_to(session, dossier, Stage.PAYMENT_DUE, telling)
