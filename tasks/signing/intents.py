"""
May it be signed, now, by this key? Asked at the moment of every signature and written down before a token is touched.

The answer is an intent: which bytes, which field, which certificate, and the key under which the one result
of this step will be stored. A refusal is an entry in the history too.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken, Forbidden, Unavailable
from infra.history import Json
from infra.history.keeping import unstamped_since
from infra.pdf.evidence import must_be_in_force
from infra.pdf.signing import check_certificate
from infra.services import services
from tasks.authority.records import signing_actor
from tasks.authority.values import Decision
from tasks.certificates.tables import CertificateRow
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import PAUSED, Standing
from tasks.dossier.moves import (
    Actor,
    Telling,
    hold,
    look,
    office_of,
    original_of,
    person,
    procedure_of,
    tell,
)
from tasks.dossier.offices import OfficeData
from tasks.dossier.procedures import Procedure
from tasks.dossier.register import number_of
from tasks.dossier.routes import addressed_to, approvals, frozen_of, route_of
from tasks.dossier.tables import DocumentRow, DossierRow, OriginalRow
from tasks.evidence.standing import doubt_about
from tasks.signing.authorising import Signer, authorise, signed_fields, why
from tasks.signing.looks import Shown, shown_by
from tasks.signing.rules import agrees_with_page, kept_key, order_holds
from tasks.signing.tables import SignatureRow
from tasks.signing.tries import tell_intended, tell_interrupted


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What one signature is to be, as it was written down."""

    code: str
    ordinal: int
    revision: int
    field: str
    field_is_first: bool
    document_sha256: str
    document_key: str
    certificate_sha256: str
    row_id: int
    key: str
    place: str
    actor: Actor
    for_day: date | None
    shown: Shown
    #: By which authority it is to be signed.
    decision: Decision
    #: Whether the signature is to bring a time-stamp of its own.
    stamped: bool = False
    #: Which try of the step this is, counted from 1.
    number: int = 1
    #: Whether an earlier try stored the signed bytes already, so that the token is not asked.
    stored: bool = False


def intend(code: str, ordinal: int, signer: Signer, expected: str | None) -> Intent | None:
    """
    Check the authority at this moment and write the intent; a refusal is written too.

    Whoever calls holds the name of the original (`name_of`), so a try that is still open belongs to
    somebody who died: what it stored is taken over, and if it stored nothing, the history says so.
    """
    parts = services()
    certificate = sha256(signer.token.certificate).hexdigest()
    refusal: Forbidden | None = None
    # Asked now, and not while the dossier is locked: a responder may take its time.
    theirs, ours = _certificates_before(code, ordinal)
    doubt = doubt_about([*theirs, *ours, signer.token.certificate])
    with parts.database.transaction() as session:
        _history_is_stamped(session)
        dossier = hold(session, code)
        original = original_of(session, code, ordinal)
        procedure = procedure_of(session, dossier)
        office = office_of(session, dossier.office)
        field = _next_field(session, dossier, original, procedure, signer.role)
        if field is None:
            return None
        actor = _actor(office, signer)
        try:
            document = _document(session, original, expected)
            decision = authorise(session, original, office, procedure, signer, field)
            _is_addressed(session, original, procedure, signer, field, decision)
            check_certificate(
                signer.token.certificate, anchors=parts.anchors, chain=parts.chain, at=now(session)
            )
            if doubt is not None:
                raise doubt
            if procedure.evidence.release != "B" and not procedure.evidence.stamps_each_signature:
                # One time-stamp for all comes at the end; who has ended before it is not proved any more.
                for one in ours:
                    must_be_in_force(one, at=now(session), signed="who signed before")
        except Forbidden as error:
            refusal = error
            tell_interrupted(session, dossier, ordinal)
            facts: dict[str, Json] = {"original": ordinal, "field": field, **why(office.code, error)}
            tell(session, dossier, Telling(event="signature:refused", by=actor, facts=facts))
        else:
            if signer.role == "official":
                actor = signing_actor(office.code, decision)
            row = _intent_row(session, original, signer, field, document.sha256, certificate, decision)
            stored = row.tries > 0 and parts.work.find(row.kept_key) is not None
            if not stored:
                tell_intended(session, dossier, row, actor, decision.facts())
            return Intent(
                code=code,
                ordinal=ordinal,
                revision=original.revision,
                field=field,
                field_is_first=document.kind == "frozen" and not document.facts.get("foreign"),
                document_sha256=document.sha256,
                document_key=document.key,
                certificate_sha256=certificate,
                row_id=row.id or 0,
                key=row.kept_key,
                place=office.place,
                actor=actor,
                for_day=document.for_day,
                shown=_shown(session, original, office, procedure, field),
                stamped=procedure.evidence.stamps_each_signature,
                number=row.tries,
                stored=stored,
                decision=decision,
            )
    raise refusal


def _certificates_before(code: str, ordinal: int) -> tuple[list[bytes], list[bytes]]:
    """
    Return the certificates of those who have signed an original already, for one may be revoked since.

    Those of another agency come first, then our own.
    """
    with services().database.transaction() as session:
        original = session.get(OriginalRow, (code, ordinal))
        if original is None:
            return [], []
        query = select(CertificateRow.der).join(
            SignatureRow, col(SignatureRow.certificate_sha256) == col(CertificateRow.sha256)
        )
        ours = session.exec(
            query.where(
                SignatureRow.dossier == code,
                SignatureRow.ordinal == ordinal,
                SignatureRow.revision == original.revision,
                col(SignatureRow.kept_at).is_not(None),
            )
        )
        frozen = frozen_of(session, original)
        theirs = frozen.facts.get("foreign_certificates", ()) if frozen is not None else ()
        return [*map(b64decode, theirs)], list(ours)


def _history_is_stamped(session: Session) -> None:
    """Sign nothing while the history has been without a time-stamp for too long; looking at it goes on."""
    hours = services().settings.history_stamp_hours
    since = unstamped_since(session) if hours else None
    if since is not None and now(session) - since > timedelta(hours=hours):
        raise Unavailable(
            f"the history has had no time-stamped checkpoint since {local(since):%Y-%m-%d %H:%M}; nothing is "
            "signed until it has (“hoso history checkpoint” says what is missing)"
        )


def _next_field(
    session: Session, dossier: DossierRow, original: OriginalRow, procedure: Procedure, role: str
) -> str | None:
    """Return the field that this role signs next on an original, or `None` when nothing is left for it."""
    if dossier.stage in PAUSED:
        raise Forbidden(
            f"dossier {dossier.code} stands at {dossier.stage}; nothing of it is signed now.",
            rule="DOS-06",
            way_out="“hoso show” says what it waits for.",
        )
    signed = signed_fields(session, original)
    route = route_of(session, original, procedure)
    open_fields = [s.field for s in route if s.role == role and s.field not in signed]
    if not open_fields:
        return None
    if original.standing == Standing.RECEIVED:
        raise Forbidden(
            f"original {original.ordinal} of {original.dossier} is not certified yet.",
            rule="SIG-12",
            way_out="Wait until its copy is made and frozen; “hoso show” says what it waits for.",
        )
    order_holds([s.field for s in route], signed, open_fields[0])
    if original.standing not in (Standing.CERTIFIED, Standing.APPROVED):
        raise Forbidden(
            f"original {original.ordinal} of {original.dossier} is {original.standing}.",
            rule="SIG-12",
            way_out="“hoso show” says what it waits for.",
        )
    return open_fields[0]


def _document(session: Session, original: OriginalRow, expected: str | None) -> DocumentRow:
    """Return the bytes to be signed next: exactly those that were listed, and dated today."""
    frozen = frozen_of(session, original)
    if frozen is None:
        raise Broken(f"{original.dossier}/{original.ordinal} is certified but has no frozen document")
    signed = approvals(session, original)
    document = signed[-1] if signed else frozen
    if expected is not None and document.sha256 != expected:
        raise Forbidden(
            f"original {original.ordinal} of {original.dossier} changed after the list was written.",
            rule="SIG-12",
            way_out="Write a new list with “hoso sign --list” and review it.",
        )
    if document.for_day is not None and document.for_day != local(now(session)).date():
        raise Forbidden(
            f"the page of {original.dossier}/{original.ordinal} is dated {document.for_day}.",
            rule="CERT-26",
            way_out="Write today's list with “hoso sign --list”; it issues the page anew under its number.",
        )
    return document


def _shown(
    session: Session, original: OriginalRow, office: OfficeData, procedure: Procedure, field: str
) -> Shown:
    """Return what a field's signature will show."""
    step = next(s for s in procedure.signature_steps if s.field == field)
    frozen = frozen_of(session, original)
    if frozen is None:
        raise Broken(f"{original.dossier}/{original.ordinal} has no frozen document")
    number = number_of(session, original.dossier, original.ordinal) or original.dossier
    return shown_by(step, frozen, office, form=procedure.copy_form, number=number)


def _is_addressed(
    session: Session,
    original: OriginalRow,
    procedure: Procedure,
    signer: Signer,
    field: str,
    decision: Decision,
) -> None:
    """Refuse whom, or whose capacity, the page does not print under this field, and one of another route."""
    frozen = frozen_of(session, original)
    named = dict(addressed_to(frozen)) if frozen is not None else {}
    route = [s.field for s in route_of(session, original, procedure) if s.role == "official"]
    where = f"the page of {original.dossier}/{original.ordinal}"
    if list(named) != route:
        raise Forbidden(
            f"{where} was made for another route.",
            rule="SIG-12",
            way_out="It is made anew by itself; write a new list with “hoso sign --list”.",
        )
    if signer.role == "official" and named[field] != signer.staff:
        raise Forbidden(
            f"{where} names {named[field]} for {field}, not {signer.staff}.",
            rule="SIG-12",
            way_out="Take it over with “hoso sign --list --take CODE” before anybody has signed it.",
        )
    if frozen is not None and signer.role == "official":
        agrees_with_page(frozen.facts, field, decision)


def is_the_day(task: Intent, signed: datetime) -> None:
    """Refuse a signature that was made on another day than the page says."""
    if task.for_day is not None and local(signed).date() != task.for_day:
        raise Forbidden(
            f"{task.code}/{task.ordinal} was signed after midnight; its page is dated {task.for_day}.",
            rule="CERT-26",
            way_out="Write today's list with “hoso sign --list”; it issues the page anew under its number.",
        )


def _actor(office: OfficeData, signer: Signer) -> Actor:
    """Return the signer as the history names it."""
    if signer.role == "agency":
        return Actor(role="agency", staff="seal", post=office.unit, office=office.code)
    return person(office, office.officer(signer.staff, "official"), "official")


def _intent_row(
    session: Session,
    original: OriginalRow,
    signer: Signer,
    field: str,
    document_sha256: str,
    certificate: str,
    decision: Decision,
) -> SignatureRow:
    """Return the row of a step: what is about to be signed by which key, and where the result will be."""
    row = session.exec(
        select(SignatureRow).where(
            SignatureRow.document_sha256 == document_sha256, SignatureRow.field == field
        )
    ).one_or_none()
    row = row or SignatureRow(
        dossier=original.dossier,
        ordinal=original.ordinal,
        revision=original.revision,
        field=field,
        role=signer.role,
        document_sha256=document_sha256,
        signer=signer.staff,
        certificate_sha256=certificate,
        kept_key="",
        intended_at=now(session),
    )
    if row.revision != original.revision:
        # The same bytes were put forward anew. What was signed of them is in the store and is kept again.
        row.revision = original.revision
        row.kept_at = row.kept_sha256 = row.level = row.signed_at = None
    row.signer = signer.staff
    key = kept_key(document_sha256, field, certificate, decision.rests_on)
    if row.kept_key not in ("", key) and row.open_try:
        tell_interrupted(session, look(session, row.dossier), row.ordinal)
    row.certificate_sha256 = certificate
    row.kept_key = key
    row.decision = decision.kept()
    session.add(row)
    session.flush()
    return row
