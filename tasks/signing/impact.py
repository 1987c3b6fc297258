"""
What rests on a certificate that was revoked as of a moment: result by result, and what is still under way.

A signature's own time is the signer's claim. Only a time-stamp from before the revocation shows that it was
there in time (ETSI EN 319 102-1 §5.5); everything else is said to be what it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import rfc8785
from sqlmodel import Session, col, select

from infra.history import Json
from tasks.certificates.records import tell_of
from tasks.certificates.tables import CertificateRow
from tasks.dossier.lifecycle import Standing
from tasks.dossier.looking import hold, original_of
from tasks.dossier.moves import Actor, Telling, follow
from tasks.dossier.register import number_of
from tasks.dossier.tables import DossierRow, OriginalRow
from tasks.dossier.waiting import frozen_at
from tasks.evidence.tables import LiftRow
from tasks.signing.tables import SignatureRow


class Rests(StrEnum):
    """What a signature of a revoked certificate is worth."""

    AFTER = "signed-after"  # made when it was revoked already
    PROVEN = "proven-before"  # a time-stamp shows that it was there in time
    CLAIMED = "claimed-before"  # it says so itself, and nothing else does


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """One kept signature of the certificate, and the result that rests on it."""

    dossier: str
    original: int
    number: str
    office: str
    standing: str
    stage: str
    field: str
    signed_at: datetime
    stamped_at: datetime | None
    rests: Rests


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One original that is not released, and needs another official or agency certificate."""

    dossier: str
    original: int
    office: str
    standing: str
    #: `addressed`: its page names the holder; `signed-after`: it carries a signature that is worth nothing.
    because: str
    #: Whether it can be put before another official as it is now.
    may_be_rerouted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """The whole list, for one certificate and one moment."""

    certificate: str
    serial: str
    office: str
    holder: str
    revoked_as_of: datetime
    results: tuple[Affected, ...]
    open: tuple[Waiting, ...]

    def counts(self) -> dict[str, int]:
        """Return how many results rest on it in which way, and how many originals are open."""
        found = {str(rests): sum(r.rests == rests for r in self.results) for rests in Rests}
        return {**found, "open": len(self.open)}


def weigh(signed_at: datetime, stamped_at: datetime | None, revoked: datetime) -> Rests:
    """
    Return what a signature is worth whose certificate was revoked as of a moment.

    A time-stamp counts if it is from before that moment; at the moment itself is too late.

    >>> moment = datetime(2026, 11, 20, tzinfo=UTC)
    >>> before, after = datetime(2026, 11, 19, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
    >>> weigh(before, before, moment), weigh(before, after, moment), weigh(moment, None, moment)
    (<Rests.PROVEN: 'proven-before'>, <Rests.CLAIMED: 'claimed-before'>, <Rests.AFTER: 'signed-after'>)
    """
    if stamped_at is not None and stamped_at < revoked:
        return Rests.PROVEN
    return Rests.AFTER if signed_at >= revoked else Rests.CLAIMED


def impact_of(session: Session, row: CertificateRow, revoked: datetime) -> Impact:
    """Return what rests on a certificate, were it revoked as of a moment; nothing is changed."""
    return Impact(
        certificate=row.sha256,
        serial=row.serial,
        office=row.office,
        holder=row.holder or "seal",
        revoked_as_of=revoked,
        results=tuple(_affected(session, row, revoked)),
        open=tuple(_open(session, row, revoked)),
    )


def _affected(session: Session, row: CertificateRow, revoked: datetime) -> list[Affected]:
    """Return the kept signatures of a certificate on what originals are now, oldest first."""
    return [
        Affected(
            dossier=signature.dossier,
            original=signature.ordinal,
            number=number_of(session, signature.dossier, signature.ordinal) or "",
            office=dossier.office,
            standing=str(original.standing),
            stage=str(dossier.stage),
            field=signature.field,
            signed_at=signature.signed_at or signature.intended_at,
            stamped_at=(stamped := _stamped(session, signature)),
            rests=weigh(signature.signed_at or signature.intended_at, stamped, revoked),
        )
        for signature, original, dossier in _kept(session, row.sha256)
    ]


def _kept(session: Session, certificate: str) -> Sequence[tuple[SignatureRow, OriginalRow, DossierRow]]:
    """Return a certificate's kept signatures of originals' present revisions, with what they belong to."""
    query = (
        select(SignatureRow, OriginalRow, DossierRow)
        .join(
            OriginalRow,
            (col(OriginalRow.dossier) == col(SignatureRow.dossier))
            & (col(OriginalRow.ordinal) == col(SignatureRow.ordinal))
            & (col(OriginalRow.revision) == col(SignatureRow.revision)),
        )
        .join(DossierRow, col(DossierRow.code) == col(SignatureRow.dossier))
        .where(
            SignatureRow.certificate_sha256 == certificate,
            col(SignatureRow.kept_at).is_not(None),
        )
        .order_by(col(SignatureRow.signed_at), col(SignatureRow.id))
    )
    return list(session.exec(query).all())


def _stamped(session: Session, signature: SignatureRow) -> datetime | None:
    """Return the first time-stamp that covers a signature, of its own document after it was signed."""
    query = select(LiftRow.stamped_at).where(
        LiftRow.dossier == signature.dossier,
        LiftRow.ordinal == signature.ordinal,
        LiftRow.revision == signature.revision,
        col(LiftRow.kept_at).is_not(None),
        col(LiftRow.stamped_at).is_not(None),
    )
    return session.exec(query.order_by(col(LiftRow.stamped_at))).first()


#: Standings in which the agency has not sealed, so that an official's signature can still be left behind.
_BEFORE_THE_SEAL = (Standing.CERTIFIED, Standing.APPROVED)


def _open(session: Session, row: CertificateRow, revoked: datetime) -> list[Waiting]:
    """Return what is not released and cannot go on with this certificate."""
    found: dict[tuple[str, int], Waiting] = {}
    for signature, original, dossier in _kept(session, row.sha256):
        late = (signature.signed_at or signature.intended_at) >= revoked
        if late and original.standing in (*_BEFORE_THE_SEAL, Standing.SEALED):
            found[dossier.code, original.ordinal] = Waiting(
                dossier=dossier.code,
                original=original.ordinal,
                office=dossier.office,
                standing=str(original.standing),
                because="signed-after",
                may_be_rerouted=original.standing in _BEFORE_THE_SEAL,
            )
    for waits in frozen_at(session, row.office) if row.holder else ():
        if waits.official == row.holder:
            found.setdefault(
                (waits.dossier, waits.ordinal),
                Waiting(
                    dossier=waits.dossier,
                    original=waits.ordinal,
                    office=row.office,
                    standing=str(Standing.CERTIFIED),
                    because="addressed",
                    may_be_rerouted=True,
                ),
            )
    return sorted(found.values(), key=lambda one: (one.dossier, one.original))


def tell_impact(session: Session, row: CertificateRow, drawn: Impact, *, by: Actor) -> str:
    """Say in the history that the list was drawn up, and return the SHA-256 of its content."""
    content = rfc8785.dumps(
        {
            "certificate": drawn.certificate,
            "revoked_as_of": drawn.revoked_as_of.astimezone(UTC).isoformat(),
            "results": [[r.dossier, r.original, r.field, str(r.rests)] for r in drawn.results],
            "open": [[w.dossier, w.original, w.because] for w in drawn.open],
        }
    )
    digest = hashlib.sha256(content).hexdigest()
    counts: dict[str, Json] = {**drawn.counts()}
    facts: dict[str, Json] = {
        "serial": row.serial,
        "as_of": drawn.revoked_as_of.astimezone(UTC).isoformat(),
        "counts": counts,
        "list": digest,
    }
    tell_of(session, row, event="certificate:impact-drawn", by=by, facts=facts)
    return digest


def take_back(session: Session, waits: Waiting, certificate: str, *, by: Actor) -> bool:
    """
    Leave behind the signature of a revoked certificate on an original that is not sealed; return whether it was done.

    The original goes back to where its copy is made: the number stays, the page is issued anew for another
    official. Again, or when it was sealed meanwhile, nothing is changed.
    """
    dossier = hold(session, waits.dossier)
    original = original_of(session, waits.dossier, waits.original)
    query = select(SignatureRow).where(
        SignatureRow.dossier == waits.dossier,
        SignatureRow.ordinal == waits.original,
        SignatureRow.revision == original.revision,
        SignatureRow.certificate_sha256 == certificate,
        col(SignatureRow.kept_at).is_not(None),
    )
    if original.standing not in _BEFORE_THE_SEAL or session.exec(query).first() is None:
        return False
    original.revision += 1
    original.standing = Standing.RECEIVED
    session.add(original)
    facts: dict[str, Json] = {"original": waits.original, "certificate": certificate}
    follow(session, dossier, Telling(event="original:rerouted", by=by, facts=facts))
    return True
