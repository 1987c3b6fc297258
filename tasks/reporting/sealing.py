"""A report is sealed exactly once, by the agency alone, as its electronic forms are (SIG-16, `tasks.signing.once`)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from sqlmodel import Session, select

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.pdf.checking import SignatureFound
from infra.pdf.signing import check_certificate
from infra.services import services
from tasks.authority.values import Decision
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor
from tasks.dossier.papers import store_content
from tasks.evidence.standing import doubt_about
from tasks.forms.landscape import FIELD
from tasks.reporting.keeping import look_report, paper_of_report, tell_report
from tasks.reporting.tables import ReportPaperRow, ReportRow, ReportSignatureRow
from tasks.signing.authorising import Signer, authorise_agency_alone, same_authority, why
from tasks.signing.keys import seal_of
from tasks.signing.once import Once, alone_at, sign_once
from tasks.signing.rules import kept_key


@dataclass(frozen=True, slots=True, kw_only=True)
class _Intent:
    """The seal of one report as it was written down."""

    report: ReportRow
    page: ReportPaperRow
    key: str
    number: int
    stored: bool
    actor: Actor
    decision: Decision
    place: str


def seal_report(number: int, signer: Signer | None = None) -> bool:
    """
    Give a report the agency's signature, on the machine of its token; return whether it was given now.

    Raises `Forbidden` when a rule says no (the history records it), `Unavailable` when token or store are away,
    `Broken` when what the token gave does not verify. Repeating is harmless. History: `report:signature-…`.
    """
    with services().database.transaction() as session:
        office = look_report(session, number).office
        if paper_of_report(session, number, "sealed") is not None:
            return False
    signer = signer or seal_of(office)
    with alone_at(f"seal-report/{number}", f"report {number}"):
        task = _intend(number, signer)
        return task is not None and sign_once(_once(task, signer), signer)


def _intend(number: int, signer: Signer) -> _Intent | None:
    """Check the authority at this moment and write the intent; a refusal is written too. `None`: sealed before."""
    parts, refusal = services(), None
    doubt = doubt_about([signer.token.certificate])
    with parts.database.transaction() as session:
        report = look_report(session, number)
        page = paper_of_report(session, number, "page")
        if page is None:
            raise Broken(f"report {number} has lost its page")
        if paper_of_report(session, number, "sealed") is not None:
            return None
        office = office_of(session, report.office)
        actor = Actor(role="agency", staff="seal", post=office.unit, office=office.code)
        try:
            decision = authorise_agency_alone(session, office, signer, what="report")
            check_certificate(
                signer.token.certificate, anchors=parts.anchors, chain=parts.chain, at=now(session)
            )
            if doubt is not None:
                raise doubt
        except Forbidden as error:
            refusal = error
            tell_report(
                session, report, event="report:signature-refused", by=actor, facts=why(office.code, error)
            )
        else:
            row = _row(session, number, page, signer, decision)
            stored = row.tries > 0 and parts.work.find(row.kept_key) is not None
            if not stored:
                _begin_try(session, report, row, page, actor, decision)
            return _Intent(
                report=report,
                page=page,
                key=row.kept_key,
                number=row.tries,
                stored=stored,
                actor=actor,
                decision=decision,
                place=office.place,
            )
    raise refusal


def _row(
    session: Session, number: int, page: ReportPaperRow, signer: Signer, decision: Decision
) -> ReportSignatureRow:
    """Return the row of a report's signature: which key, and where the result will be."""
    row = session.exec(select(ReportSignatureRow).where(ReportSignatureRow.report == number)).one_or_none()
    row = row or ReportSignatureRow(report=number, intended_at=now(session))
    row.certificate_sha256 = sha256(signer.token.certificate).hexdigest()
    row.kept_key = kept_key(page.sha256, FIELD, row.certificate_sha256)
    row.decision = decision.kept()
    session.add(row)
    session.flush()
    return row


def _begin_try(
    session: Session,
    report: ReportRow,
    row: ReportSignatureRow,
    page: ReportPaperRow,
    actor: Actor,
    decision: Decision,
) -> None:
    """Begin a try, said in the history after an earlier one whose process died."""
    facts: dict[str, Json] = {"try": row.tries}
    if row.open_try:
        tell_report(session, report, event="report:signature-interrupted", by=actor, facts=facts)
    row.tries, row.open_try, row.intended_at = row.tries + 1, True, now(session)
    session.add(row)
    facts = {
        "try": row.tries,
        "doc": {"sha256": page.sha256},
        "certificate": row.certificate_sha256,
        "authority": decision.facts(),
    }
    tell_report(session, report, event="report:signature-intended", by=actor, facts=facts)


def _once(task: _Intent, signer: Signer) -> Once:
    """Return the seal of a report as it was intended."""
    return Once(
        what=f"report {task.report.number}",
        document_key=task.page.key,
        document_sha256=task.page.sha256,
        field=FIELD,
        first=True,
        place=task.place,
        key=task.key,
        stored=task.stored,
        image=signer.image,
        tell_end=lambda ending, facts: _tell_end(task, ending, facts),
        keep=lambda signed, found: _keep(task, signer, signed, found),
    )


def _tell_end(task: _Intent, ending: str, facts: dict[str, Json]) -> None:
    """Say in the history how a try ended whose result is not kept."""
    with services().database.transaction() as session:
        row = session.get_one(ReportSignatureRow, task.report.number)
        if row.tries == task.number:
            row.open_try = False
            session.add(row)
        told: dict[str, Json] = {"try": task.number, **facts}
        tell_report(session, task.report, event=f"report:signature-{ending}", by=task.actor, facts=told)


def _keep(task: _Intent, signer: Signer, signed: bytes, found: SignatureFound) -> bool:
    """Keep a checked seal, or say why it is not used; return whether it was kept now."""
    stored = store_content(signed, "application/pdf")
    refusal: Forbidden | None = None
    with services().database.transaction() as session:
        row = session.get_one(ReportSignatureRow, task.report.number)
        if row.kept_at is not None:
            return False
        office = office_of(session, task.report.office)
        facts: dict[str, Json] = {
            "try": task.number,
            "doc": {"sha256": stored.sha256, "size": stored.size},
            "certificate": row.certificate_sha256,
        }
        row.open_try = False
        session.add(row)
        try:
            # The moment has passed since the intent: the certificate or the keeper may have ended.
            same_authority(
                task.decision,
                authorise_agency_alone(session, office, signer, what="report"),
                f"report {task.report.number}",
            )
        except Forbidden as error:
            refusal = error
            facts["cause"] = error.rule
            tell_report(session, task.report, event="report:signature-unused", by=task.actor, facts=facts)
        else:
            row.level, row.signed_at, row.kept_at = found.level, found.time, now(session)
            paper = ReportPaperRow(
                report=task.report.number or 0, kind="sealed", sha256=stored.sha256, key=stored.key,
                size=stored.size, made_at=now(session),
            )  # fmt: skip
            session.add(paper)
            facts |= {"level": found.level, "authority": task.decision.facts()}
            tell_report(session, task.report, event="report:signature-done", by=task.actor, facts=facts)
            return True
    raise refusal
