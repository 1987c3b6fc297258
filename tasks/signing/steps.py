"""The next signature of an original, exactly once (`tasks.signing.once`); and the release, when all are there."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.object_store import Stored
from infra.pdf.checking import EVIDENCE_ADDED, SignatureFound, signatures_of
from infra.pdf.evidence import read_evidence
from infra.pdf.levels import RULES, Evidence
from infra.services import services
from tasks.dossier.lifecycle import Standing
from tasks.dossier.looking import hold, look, office_of, original_of, procedure_of
from tasks.dossier.moves import Telling, follow, tell
from tasks.dossier.papers import Paper, finished, keep, sha256_of, stored_as
from tasks.dossier.register import certify_number
from tasks.dossier.routes import route_of
from tasks.dossier.tables import DocumentRow, DossierRow, OriginalRow
from tasks.evidence.rules import reaches
from tasks.evidence.steps import sources, write_level
from tasks.signing.authorising import Signer, authorise, kept_signatures, same_authority, signed_fields, why
from tasks.signing.intents import Intent, foreign_in, intend
from tasks.signing.once import Once, alone_at, sign_once
from tasks.signing.tables import SignatureRow
from tasks.signing.tries import MAY_BE_SIGNED, close_try, name_of, tell_end
from tasks.signing.turns import is_the_day

#: What an original is called after a step was kept, and the kind of document that holds it.
_AFTER = {"official": ("approved", Standing.APPROVED), "agency": ("sealed", Standing.SEALED)}


def sign_original(code: str, ordinal: int, signer: Signer, *, expected_sha256: str | None = None) -> bool:
    """
    Give one original its next signature by this signer; return whether a signature was added.

    `False` means that the step was kept before. Raises `Forbidden` when a rule says no (which the
    history records), `Unavailable` when the token or the store is away, `Broken` when what the token
    gave does not verify. Repeating is harmless at every point.
    """
    with alone_at(name_of(code, ordinal), f"original {ordinal} of {code}"):
        task = intend(code, ordinal, signer, expected_sha256)
        return task is not None and sign_once(once_of(task, signer), signer)


def once_of(task: Intent, signer: Signer) -> Once:
    """Return the signature of an original's step as it was intended."""
    # What anybody reads who checks the file alone (`hoso verify`): the capacity that was found just now.
    said = f"Thẩm quyền ký: {', '.join(task.decision.lines)}" if signer.role == "official" else None
    return Once(
        what=f"{task.code}/{task.ordinal}",
        document_key=task.document_key,
        document_sha256=task.document_sha256,
        field=task.field,
        first=task.field_is_first,
        place=task.place,
        key=task.key,
        stored=task.stored,
        image=task.shown.image(signer.image),
        text=task.shown.lettering,
        reason=said,
        stamped=task.stamped,
        tell_end=lambda ending, facts: tell_end(task, event=f"signature:{ending}", facts=facts),
        keep=lambda signed, found: _keep(task, signer, signed, found),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A document as it lies in the store, read back and looked at as a whole."""

    sha256: str
    signatures: list[SignatureFound]
    evidence: Evidence


def look_over(key: str, *, foreign: bool = False) -> Seen:
    """Read a document back from the store and return what a validator finds in it; `foreign`: of others too."""
    parts = services()
    content = parts.work.get(key)
    return Seen(
        sha256=sha256_of(content),
        signatures=signatures_of(content, anchors=parts.anchors, chain=parts.chain),
        evidence=read_evidence(content, sources(foreign=foreign)),
    )


def validate(code: str, ordinal: int) -> bool:
    """
    Check a sealed document once more as a whole and release it; return whether it was released now.

    Every signature must be intact, trusted, and of the route, and the level that release needs must
    really be reached (design: levels are stored, not assumed).
    """
    with services().database.transaction() as session:
        original = original_of(session, look(session, code).code, ordinal)
        if original.standing != Standing.SEALED:
            return False
        document = finished(session, code, ordinal)
        foreign = foreign_in(session, original)
    if document is None:
        raise Broken(f"{code}/{ordinal} is sealed but has no sealed document")
    return release(code, ordinal, look_over(document.key, foreign=foreign > 0))


def release(code: str, ordinal: int, seen: Seen) -> bool:
    """Release a sealed document that was looked over, if it stands up to it; return whether it was released now."""
    with services().database.transaction() as session:
        dossier, original = hold(session, code), original_of(session, code, ordinal)
        document = finished(session, code, ordinal)
        if original.standing != Standing.SEALED or document is None:
            return False
        ours = _must_stand_up(session, dossier, original, document, seen)
        original.standing = Standing.VALID
        session.add(original)
        _write_levels(session, original, seen.signatures)
        write_level(session, document, seen.evidence)
        certify_number(session, code, ordinal)
        facts: dict[str, Json] = {
            "original": ordinal,
            "doc": {"sha256": document.sha256, "size": document.size, "sig_count": len(seen.signatures)},
            "levels": [s.level for s in ours],
        }
        follow(session, dossier, Telling(event="document:validated", facts=facts))
    return True


def _must_stand_up(
    session: Session, dossier: DossierRow, original: OriginalRow, document: DocumentRow, seen: Seen
) -> list[SignatureFound]:
    """Return our signatures of a document; raises `Broken` when it is not what its route and procedure ask for."""
    procedure = procedure_of(session, dossier)
    route = [step.field for step in route_of(session, original, procedure)]
    # Another agency's signatures, which were judged when its result came in and must still hold.
    foreign = foreign_in(session, original)
    found, needed = seen.signatures, procedure.evidence.release
    theirs, ours = found[:foreign], found[foreign:]
    sound = [s.field for s in ours if s.intact and s.trusted and reaches(s.level, needed)]
    whole = bool(found) and (found[-1].covers_whole_file or found[-1].changed_after == EVIDENCE_ADDED)
    whole = whole and all(s.intact for s in theirs)
    if sound != route or not whole or seen.sha256 != document.sha256:
        raise Broken(
            f"{dossier.code}/{original.ordinal}: the sealed document shows {sound} where {route} is needed at"
            f" level {needed}"
        )
    return ours


def _write_levels(session: Session, original: OriginalRow, found: list[SignatureFound]) -> None:
    """Write the level that each signature has reached by the time of the release, and by which rules."""
    for row in kept_signatures(session, original):
        row.level = next((s.level for s in found if s.field == row.field), row.level)
        row.level_rules = RULES
        session.add(row)


def _keep(task: Intent, signer: Signer, signed: bytes, found: SignatureFound) -> bool:
    """Keep a checked signature, or say in the history why it was not needed; return whether it was kept now."""
    stored = stored_as(task.key, signed)
    refusal: Forbidden | None = None
    with services().database.transaction() as session:
        dossier, original = hold(session, task.code), original_of(session, task.code, task.ordinal)
        row = session.get_one(SignatureRow, task.row_id)
        if row.kept_at is not None:
            return False
        close_try(row, task.number)
        session.add(row)
        usable = original.standing in MAY_BE_SIGNED
        try:
            # The moment has passed since the intent: a mandate or a certificate may have ended, the day too.
            office = office_of(session, dossier.office)
            procedure = procedure_of(session, dossier)
            decision = authorise(session, original, office, procedure, signer, task.field)
            same_authority(task.decision, decision, f"{task.code}/{task.ordinal}")
            is_the_day(task.for_day, found.time, f"{task.code}/{task.ordinal}")
        except Forbidden as error:
            refusal = error
        facts: dict[str, Json] = {
            "original": task.ordinal,
            "field": task.field,
            "try": task.number,
            "doc": {"sha256": stored.sha256, "size": stored.size},
            "certificate": task.certificate_sha256,
        }
        if refusal or not usable or original.revision != task.revision or row.kept_key != task.key:
            facts["standing"] = str(original.standing)
            facts["cause"] = refusal.rule if refusal else "the original moved on"
            if refusal:
                facts |= why(dossier.office, refusal)
            tell(session, dossier, Telling(event="signature:unused", by=task.actor, facts=facts))
        else:
            row.decision = decision.kept()
            facts["authority"] = decision.facts()
            _write_kept(session, task, signer, row, stored, found, facts)
            return True
    if refusal:
        raise refusal
    return False


def _write_kept(
    session: Session,
    task: Intent,
    signer: Signer,
    row: SignatureRow,
    stored: Stored,
    found: SignatureFound,
    facts: dict[str, Json],
) -> None:
    """Write down that a signature is the one of its step, and where the original stands now."""
    kind, standing = _AFTER[signer.role]
    dossier, original = look(session, task.code), original_of(session, task.code, task.ordinal)
    row.kept_sha256 = stored.sha256
    row.level, row.level_rules = found.level, RULES
    row.signed_at = found.time
    row.kept_at = now(session)
    session.add(row)
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
    officials = [step for step in route_of(session, original, procedure) if step.role == "official"]
    if signer.role == "agency" or position + 1 == len(officials):
        original.standing = standing
        session.add(original)
    facts["level"] = found.level
    follow(session, dossier, Telling(event="signature:done", by=task.actor, facts=facts))
