"""
May it be signed, now, by this key? Asked at the moment of every signature and written down before a token is touched.

The answer is an intent: which bytes, which field, which certificate, and the key under which the one result
of this step will be stored. A refusal is an entry in the history too.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256

from sqlmodel import Session, select

from infra.database import now
from infra.errors import Forbidden, Unavailable
from infra.history import Json
from infra.history.keeping import unstamped_since
from infra.history.tables import HistoryCheckpoint
from infra.pdf.evidence import must_be_in_force
from infra.pdf.signing import check_certificate
from infra.reading import ask_together, read_once
from infra.services import services
from tasks.authority.records import signing_actor
from tasks.authority.values import Decision
from tasks.dossier.calendar import local
from tasks.dossier.looking import hold, look, office_of, original_of, originals_of, procedure_of
from tasks.dossier.moves import Actor, Telling, person, tell
from tasks.dossier.offices import OfficeData
from tasks.dossier.procedures import Procedure
from tasks.dossier.routes import frozen_of
from tasks.dossier.tables import OriginalRow
from tasks.evidence.standing import doubt_about
from tasks.signing.authorising import Signer, authorise, certificate_of, kept_signatures, why
from tasks.signing.looks import Shown
from tasks.signing.rules import kept_key
from tasks.signing.tables import SignatureRow
from tasks.signing.tries import tell_intended, tell_interrupted
from tasks.signing.turns import document_to_sign, is_addressed, next_field, what_is_shown


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
    #: Whether nothing but checking stands between this signature and the release.
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What is known of those who have signed already, and of whoever signs now, as of a moment ago."""

    #: Certificates (DER) of ours.
    ours: list[bytes]
    #: Why one of them may not be relied on.
    doubt: Forbidden | None


def intend(code: str, ordinal: int, signer: Signer, expected: str | None) -> Intent | None:
    """
    Check the authority at this moment and write the intent; a refusal is written too.

    Whoever calls holds the name of the original (`name_of`), so a try that is still open belongs to
    somebody who died: what it stored is taken over, and if it stored nothing, the history says so.
    """
    return intend_after(code, ordinal, signer, expected, ask_before([(code, ordinal)], signer)[code, ordinal])


def ask_before(places: Sequence[tuple[str, int]], signer: Signer) -> dict[tuple[str, int], Before]:
    """
    Ask about the certificates of some originals, by code and ordinal, before anything is locked.

    A responder may take its time. Raises what `doubt_about` raises when nobody answers.
    """

    def find() -> dict[tuple[str, int], tuple[list[bytes], list[bytes]]]:
        with services().database.transaction() as session:
            ask_together(session, {code for code, _ in places})
        return {place: _certificates_before(*place) for place in places}

    found = services().database.as_one(find)
    return {
        place: Before(ours=ours, doubt=doubt_about([*theirs, *ours, signer.token.certificate]))
        for place, (theirs, ours) in found.items()
    }


def intend_after(
    code: str, ordinal: int, signer: Signer, expected: str | None, before: Before
) -> Intent | None:
    """Do what `intend` does once the certificates were asked about."""
    parts = services()
    certificate = sha256(signer.token.certificate).hexdigest()
    refusal: Forbidden | None = None
    with parts.database.transaction() as session:
        _history_is_stamped(session)
        dossier = hold(session, code)
        original = original_of(session, code, ordinal)
        procedure = procedure_of(session, dossier)
        office = office_of(session, dossier.office)
        field = next_field(session, dossier, original, procedure, signer.role)
        if field is None:
            return None
        actor = _actor(office, signer)
        try:
            document = document_to_sign(session, original, expected)
            decision = authorise(session, original, office, procedure, signer, field)
            is_addressed(session, original, procedure, signer, field, decision)
            check_certificate(
                signer.token.certificate, anchors=parts.anchors, chain=parts.chain, at=now(session)
            )
            if before.doubt is not None:
                raise before.doubt
            if procedure.evidence.release != "B" and not procedure.evidence.stamps_each_signature:
                # One time-stamp for all comes at the end; who has ended before it is not proved any more.
                for one in before.ours:
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
                shown=what_is_shown(session, original, office, procedure, field),
                stamped=procedure.evidence.stamps_each_signature,
                number=row.tries,
                stored=stored,
                decision=decision,
                last=_is_last(session, original, procedure, signer),
            )
    raise refusal


def _certificates_before(code: str, ordinal: int) -> tuple[list[bytes], list[bytes]]:
    """
    Return the certificates of those who have signed an original already, for one may be revoked since.

    Those of another agency come first, then our own.
    """
    with services().database.transaction() as session:
        original = next((o for o in originals_of(session, code) if o.ordinal == ordinal), None)
        if original is None:
            return [], []
        used = [certificate_of(session, row.certificate_sha256) for row in kept_signatures(session, original)]
        frozen = frozen_of(session, original)
        theirs = frozen.facts.get("foreign_certificates", ()) if frozen is not None else ()
        return [*map(b64decode, theirs)], [one.der for one in used if one is not None]


def _is_last(session: Session, original: OriginalRow, procedure: Procedure, signer: Signer) -> bool:
    """Whether nothing is added to a document of ours after the signature of this signer."""
    return signer.role == "agency" and procedure.evidence.release == "B" and not foreign_in(session, original)


def foreign_in(session: Session, original: OriginalRow) -> int:
    """Return how many signatures of another agency the document of an original brought."""
    frozen = frozen_of(session, original)
    return int(frozen.facts.get("foreign", 0)) if frozen is not None else 0


def _history_is_stamped(session: Session) -> None:
    """Sign nothing while the history has been without a time-stamp for too long; looking at it goes on."""
    hours = services().settings.history_stamp_hours
    kinds = (HistoryCheckpoint,)
    since = read_once(session, kinds, "since", lambda: unstamped_since(session)) if hours else None
    if since is not None and now(session) - since > timedelta(hours=hours):
        raise Unavailable(
            f"the history has had no time-stamped checkpoint since {local(since):%Y-%m-%d %H:%M}; nothing is "
            "signed until it has (“hoso history checkpoint” says what is missing)"
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
