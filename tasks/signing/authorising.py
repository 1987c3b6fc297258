"""May this key sign this, by whose authority: asked before the token is called and again before a result is kept."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from sqlmodel import Session

from infra.errors import Forbidden
from infra.history import Json
from infra.reading import read_once, rows_of
from infra.token import Token
from tasks.authority.records import ask, refusal_facts
from tasks.authority.seal import ask_seal, ask_seal_alone
from tasks.authority.values import Decision, NoAuthority
from tasks.certificates.choosing import must_be_active
from tasks.certificates.tables import CertificateRow
from tasks.dossier.offices import OfficeData
from tasks.dossier.procedures import Procedure
from tasks.dossier.routes import route_of
from tasks.dossier.tables import OriginalRow
from tasks.signing.tables import SignatureRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key that is open, whose it is, and for whom it speaks."""

    role: str  # "official" or "agency"
    staff: str
    token: Token
    image: bytes


def authorise(
    session: Session,
    original: OriginalRow,
    office: OfficeData,
    procedure: Procedure,
    signer: Signer,
    field: str,
) -> Decision:
    """
    Ask, at PostgreSQL's present moment, whether this signer may give this signature, and return the decision.

    Raises `NoAuthority` with the decision, or `Forbidden` for a key that is not the signer's.
    """
    key_is_registered(session, office.code, signer)
    if signer.role == "agency":
        _officials_hold(session, original)
        route = route_of(session, original, procedure)
        return ask_seal(session, office, procedure, route, signed_fields(session, original)).or_refuse()
    officer = office.officer(signer.staff, "official")
    step = next(s for s in procedure.signature_steps if s.field == field)
    return ask(session, office, officer, procedure, step, original).or_refuse()


def authorise_agency_alone(session: Session, office: OfficeData, signer: Signer, *, what: str) -> Decision:
    """
    Ask, at PostgreSQL's present moment, whether the agency may sign what no official signs before it (SIG-16).

    `what` names the kind of thing where a procedure would stand. Raises `NoAuthority` with the decision, or
    `Forbidden` for a key that is not the agency's (AUTH-06, SIG-13).
    """
    key_is_registered(session, office.code, signer)
    return ask_seal_alone(session, office, what, rule="SIG-16").or_refuse()


def why(office: str, error: Forbidden) -> dict[str, Json]:
    """Return what the history says of a refusal: the rule and, where authority was missing, whose and which."""
    if isinstance(error, NoAuthority) and error.decision is not None:
        return refusal_facts(office, error.decision)
    return {"rule": error.rule}


def same_authority(before: Decision, decision: Decision, where: str) -> None:
    """Refuse a signature whose authority is another one now than when the token was asked."""
    if decision.lines != before.lines:
        raise NoAuthority(
            f"{where} was signed as “{' / '.join(before.lines)}”, but {decision.staff}"
            f" signs now as “{' / '.join(decision.lines)}”.",
            rule="AUTH-01",
            way_out="Write today's list with “hoso sign --list”; it issues the page anew under its number.",
        )


def signed_fields(session: Session, original: OriginalRow) -> list[str]:
    """Return the fields of an original's present revision whose signature is kept, in order of signing."""
    return [row.field for row in kept_signatures(session, original)]


def kept_signatures(session: Session, original: OriginalRow) -> list[SignatureRow]:
    """Return the signatures of an original's present revision that are kept, in order of signing."""
    rows = rows_of(session, SignatureRow, dossier=original.dossier, ordinal=original.ordinal)
    kept = [
        (row.kept_at, row) for row in rows if row.kept_at is not None and row.revision == original.revision
    ]
    return [row for _, row in sorted(kept, key=lambda one: one[0])]


def certificate_of(session: Session, sha256: str) -> CertificateRow | None:
    """Return a registered certificate by its hash."""
    return read_once(session, (CertificateRow,), sha256, lambda: session.get(CertificateRow, sha256))


def key_is_registered(session: Session, office: str, signer: Signer) -> None:
    """Refuse a certificate that is not this person's, or the agency's, at this office, or not active now."""
    which = sha256(signer.token.certificate).hexdigest()
    row = certificate_of(session, which)
    if row is None or row.office != office or row.holder != signer.staff:
        raise Forbidden(
            f"the certificate in use does not belong to {signer.staff or 'the agency'} of {office}.",
            rule="AUTH-06",
            way_out="Register it with “hoso certificate register”, or use the right token.",
        )
    must_be_active(session, row)


def _officials_hold(session: Session, original: OriginalRow) -> None:
    """Refuse to seal what carries a signature made after its certificate was revoked (CER-08)."""
    for row in kept_signatures(session, original):
        used = certificate_of(session, row.certificate_sha256)
        if (
            used is None
            or used.revoked_at is None
            or row.signed_at is None
            or used.revoked_at > row.signed_at
        ):
            continue
        raise Forbidden(
            f"{row.signer} signed {original.dossier}/{original.ordinal} with the certificate {used.serial}, which"
            " was revoked before.",
            rule="CER-08",
            way_out=f"Let another official sign: “hoso certificate impact {used.serial} --reroute”.",
        )
