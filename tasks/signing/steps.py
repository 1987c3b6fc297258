"""
One signature, exactly once: intended, made, checked, kept.

The intent is a committed row before the token is touched. The signed bytes go under a write-once key
computed from that intent, so after a crash the finished revision is found before the token is asked
again, and of two writers the first one wins. Every token call has an entry in the history; one whose
result was not kept is explained there.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken, Forbidden, HosoError
from infra.history import Json
from infra.pdf.checking import SignatureFound, check_signed, signatures_of
from infra.pdf.signing import check_certificate, sign_field
from infra.services import services
from infra.token import Token
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import PAUSED, Standing
from tasks.dossier.moves import (
    Actor,
    Telling,
    follow,
    hold,
    look,
    office_of,
    original_of,
    person,
    procedure_of,
    tell,
)
from tasks.dossier.offices import OfficeData
from tasks.dossier.papers import Paper, keep, newest, sha256_of, store_content
from tasks.dossier.procedures import Procedure
from tasks.dossier.register import certify_number
from tasks.dossier.tables import ApplicantRow, CertificateRow, DocumentRow, DossierRow, OriginalRow
from tasks.signing.rules import capacity_fits, four_eyes, kept_key, may_certify, order_holds
from tasks.signing.tables import SignatureRow

#: What an original is called after a step was kept, and the kind of document that holds it.
_AFTER = {"official": ("approved", Standing.APPROVED), "agency": ("sealed", Standing.SEALED)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key that is open, whose it is, and for whom it speaks."""

    role: str  # "official" or "agency"
    staff: str
    token: Token
    image: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What one signature needs, read in one transaction."""

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


def sign_original(code: str, ordinal: int, signer: Signer, *, expected_sha256: str | None = None) -> bool:
    """
    Give one original its next signature by this signer; return whether a signature was added.

    `False` means that the step was kept before. Raises `Forbidden` when a rule says no (which the
    history records), `Unavailable` when the token or the store is away, `Broken` when what the token
    gave does not verify. Repeating is harmless at every point.
    """
    task = _intend(code, ordinal, signer, expected_sha256)
    if task is None:
        return False
    parts = services()
    previous = parts.work.get(task.document_key)
    if sha256_of(previous) != task.document_sha256:
        raise Broken(f"the document of {code}/{ordinal} in the store is not the one that was listed")
    if parts.work.find(task.key) is not None:
        # An earlier try got this far and died: what it stored is the signature of this step.
        signed = parts.work.get(task.key)
        return _keep(task, signer, signed, _check(task, signer, previous, signed))
    made = _make(task, signer, previous)
    found = _check(task, signer, previous, made)
    _, signed = parts.work.put_first(task.key, made, content_type="application/pdf")
    if signed != made:
        found = _check(task, signer, previous, signed)
    return _keep(task, signer, signed, found)


def _check(task: _Task, signer: Signer, previous: bytes, signed: bytes) -> SignatureFound:
    """Return what a validator says of a new revision; raises `Broken` when it may not be kept."""
    parts = services()
    return check_signed(
        previous,
        signed,
        field=task.field,
        certificate=signer.token.certificate,
        anchors=parts.anchors,
        chain=parts.chain,
        at=parts.clock.now(),
    )


def validate(code: str, ordinal: int) -> bool:
    """
    Check a sealed document once more as a whole and release it; return whether it was released now.

    Every signature must be intact, trusted, and of the route, and the level that release needs must
    really be reached (design: levels are stored, not assumed).
    """
    parts = services()
    with parts.database.transaction() as session:
        dossier, original = look(session, code), original_of(session, code, ordinal)
        if original.standing != Standing.SEALED:
            return False
        procedure = procedure_of(session, dossier)
        document = newest(session, code, ordinal, "sealed")
    if document is None:
        raise Broken(f"{code}/{ordinal} is sealed but has no sealed document")
    content = parts.work.get(document.key)
    found = signatures_of(content, anchors=parts.anchors, chain=parts.chain)
    route = [step.field for step in procedure.signature_steps]
    sound = [s.field for s in found if s.intact and s.trusted and s.level != "none"]
    whole = bool(found) and found[-1].covers_whole_file
    if sound != route or not whole or sha256_of(content) != document.sha256:
        raise Broken(f"{code}/{ordinal}: the sealed document shows {sound} where {route} is needed")
    with parts.database.transaction() as session:
        dossier, original = hold(session, code), original_of(session, code, ordinal)
        if original.standing != Standing.SEALED:
            return False
        original.standing = Standing.VALID
        session.add(original)
        certify_number(session, code, ordinal)
        facts: dict[str, Json] = {
            "original": ordinal,
            "doc": {"sha256": document.sha256, "size": document.size, "sig_count": len(found)},
            "levels": [s.level for s in found],
        }
        follow(session, dossier, Telling(event="document:validated", facts=facts))
    return True


def _intend(code: str, ordinal: int, signer: Signer, expected: str | None) -> _Task | None:
    """Check the authority at this moment and write the intent; a refusal is written too."""
    parts = services()
    certificate = sha256(signer.token.certificate).hexdigest()
    refusal: Forbidden | None = None
    with parts.database.transaction() as session:
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
            _authorise(session, dossier, original, office, procedure, signer, field)
            check_certificate(
                signer.token.certificate, anchors=parts.anchors, chain=parts.chain, at=now(session)
            )
        except Forbidden as error:
            refusal = error
            facts: dict[str, Json] = {"original": ordinal, "field": field, "rule": error.rule}
            tell(session, dossier, Telling(event="signature:refused", by=actor, facts=facts))
        else:
            row = _intent_row(session, original, signer, field, document.sha256, certificate, actor, dossier)
            return _Task(
                code=code,
                ordinal=ordinal,
                revision=original.revision,
                field=field,
                field_is_first=document.kind == "frozen",
                document_sha256=document.sha256,
                document_key=document.key,
                certificate_sha256=certificate,
                row_id=row.id or 0,
                key=row.kept_key,
                place=office.place,
                actor=actor,
            )
    raise refusal


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
    open_fields = [s.field for s in procedure.signature_steps if s.role == role and s.field not in signed]
    if not open_fields:
        return None
    if original.standing == Standing.RECEIVED:
        raise Forbidden(
            f"original {original.ordinal} of {original.dossier} is not certified yet.",
            rule="SIG-12",
            way_out="Wait until its copy is made and frozen; “hoso show” says what it waits for.",
        )
    order_holds([s.field for s in procedure.signature_steps], signed, open_fields[0])
    if original.standing not in (Standing.CERTIFIED, Standing.APPROVED):
        raise Forbidden(
            f"original {original.ordinal} of {original.dossier} is {original.standing}.",
            rule="SIG-12",
            way_out="“hoso show” says what it waits for.",
        )
    return open_fields[0]


def signed_fields(session: Session, original: OriginalRow) -> list[str]:
    """Return the fields of an original's present revision whose signature is kept, in order of signing."""
    query = (
        select(SignatureRow.field)
        .where(
            SignatureRow.dossier == original.dossier,
            SignatureRow.ordinal == original.ordinal,
            SignatureRow.revision == original.revision,
            col(SignatureRow.kept_at).is_not(None),
        )
        .order_by(col(SignatureRow.kept_at))
    )
    return list(session.exec(query))


def _document(session: Session, original: OriginalRow, expected: str | None) -> DocumentRow:
    """Return the bytes to be signed next: exactly those that were listed, and dated today."""
    for kind in ("approved", "frozen"):
        document = newest(session, original.dossier, original.ordinal, kind)
        if document is not None and document.revision == original.revision:
            break
    else:
        raise Broken(f"{original.dossier}/{original.ordinal} is certified but has no frozen document")
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


def _authorise(
    session: Session,
    dossier: DossierRow,
    original: OriginalRow,
    office: OfficeData,
    procedure: Procedure,
    signer: Signer,
    field: str,
) -> None:
    """Ask at this moment whether this signer may give this signature; raises `Forbidden`."""
    if signer.role == "agency":
        _key_is_registered(session, office.code, office.seal.key, signer)
        return
    officer = office.officer(signer.staff, "official")
    _key_is_registered(session, office.code, officer.key, signer)
    applicant = session.get_one(ApplicantRow, dossier.code)
    may_certify(officer, identity=applicant.identity, kin_of=applicant.kin_of)
    four_eyes(office, officer, original.compared_by)
    step = next(s for s in procedure.signature_steps if s.field == field)
    capacity_fits(officer, step.capacities)


def _key_is_registered(session: Session, office: str, key: str | None, signer: Signer) -> None:
    """Refuse a certificate that is not registered, now, for this person or agency at this office."""
    row = session.get(CertificateRow, sha256(signer.token.certificate).hexdigest())
    if row is None or row.office != office or row.key != key or row.ended_at is not None:
        raise Forbidden(
            f"the certificate in use does not belong to {signer.staff or 'the agency'} of {office}.",
            rule="AUTH-06",
            way_out="Register it with “hoso office load --keys”, or use the right token.",
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
    actor: Actor,
    dossier: DossierRow,
) -> SignatureRow:
    """Write down, before the token is touched, what is about to be signed by which key."""
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
    row.certificate_sha256 = certificate
    row.kept_key = kept_key(document_sha256, field, certificate)
    row.intended_at = now(session)
    session.add(row)
    session.flush()
    facts: dict[str, Json] = {
        "original": original.ordinal,
        "field": field,
        "doc": {"sha256": document_sha256},
        "certificate": certificate,
    }
    tell(session, dossier, Telling(event="signature:intended", by=actor, facts=facts))
    return row


def _make(task: _Task, signer: Signer, previous: bytes) -> bytes:
    """Return the signed revision by one call of the token; a failure is an entry in the history."""
    parts = services()
    try:
        return sign_field(
            previous,
            field=task.field,
            token=signer.token,
            image=signer.image,
            at=local(parts.clock.now()),
            certify=task.field_is_first,
            name=None,
            location=task.place,
            reason=None,
            chain=parts.chain,
        )
    except HosoError as error:
        with parts.database.transaction() as session:
            dossier = hold(session, task.code)
            facts: dict[str, Json] = {
                "original": task.ordinal,
                "field": task.field,
                "cause": type(error).__name__,
            }
            tell(session, dossier, Telling(event="signature:failed", by=task.actor, facts=facts))
        raise


def _keep(task: _Task, signer: Signer, signed: bytes, found: SignatureFound) -> bool:
    """Keep a checked signature, or say in the history why it was not needed; return whether it was kept now."""
    kind, standing = _AFTER[signer.role]
    stored = store_content(signed, "application/pdf")
    with services().database.transaction() as session:
        dossier, original = hold(session, task.code), original_of(session, task.code, task.ordinal)
        row = session.get_one(SignatureRow, task.row_id)
        if row.kept_at is not None:
            return False
        usable = original.standing in (Standing.CERTIFIED, Standing.APPROVED)
        facts: dict[str, Json] = {
            "original": task.ordinal,
            "field": task.field,
            "doc": {"sha256": stored.sha256, "size": stored.size},
            "certificate": task.certificate_sha256,
        }
        if not usable or original.revision != task.revision or row.kept_key != task.key:
            facts["standing"] = str(original.standing)
            tell(session, dossier, Telling(event="signature:unused", by=task.actor, facts=facts))
            return False
        row.kept_sha256 = stored.sha256
        row.level = found.level
        row.signed_at = found.time
        row.kept_at = now(session)
        session.add(row)
        session.flush()
        procedure = procedure_of(session, dossier)
        position = len(signed_fields(session, original)) - 1
        paper = Paper(
            dossier=task.code,
            kind=kind,
            ordinal=task.ordinal,
            revision=original.revision,
            position=position if kind == "approved" else 0,
        )
        keep(session, paper, stored)
        if signer.role == "agency" or position + 1 == len(procedure.official_fields):
            original.standing = standing
            session.add(original)
        facts["level"] = found.level
        follow(session, dossier, Telling(event="signature:done", by=task.actor, facts=facts))
        return True
