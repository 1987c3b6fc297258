"""Which certificate speaks for a person or an agency at this moment; asked by every signature."""

from __future__ import annotations

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.reading import read_once
from tasks.certificates.rules import Stand, must_sign
from tasks.certificates.tables import CertificateRow


def stand_of(row: CertificateRow) -> Stand:
    """Return where a certificate stands, as the rules look at it."""
    return Stand(
        state=row.state,
        not_before=row.not_before,
        not_after=row.not_after,
        ended_at=row.ended_at,
        revoked_at=row.revoked_at,
    )


def whose(row: CertificateRow) -> str:
    """Return how messages name the holder of a certificate."""
    return f"{row.holder} of {row.office}" if row.holder else f"the agency of {row.office}"


def must_be_active(session: Session, row: CertificateRow) -> None:
    """Refuse a certificate that may not sign at this moment of PostgreSQL's clock, with the reason."""
    must_sign(stand_of(row), now(session), whose(row))


def signing_certificates(session: Session, office: str, holder: str) -> list[CertificateRow]:
    """
    Return the certificates that may sign for a holder now, the newest first; at least one.

    During a switch-over there are two. Raises `Forbidden` with the reason of the newest when there is none.
    """
    query = select(CertificateRow).where(CertificateRow.office == office, CertificateRow.holder == holder)
    query = query.order_by(col(CertificateRow.registered_at).desc())
    rows = read_once(session, (CertificateRow,), (office, holder), lambda: tuple(session.exec(query)))
    found, first = [], None
    for row in rows:
        try:
            must_be_active(session, row)
        except Forbidden as refusal:
            first = first or refusal
        else:
            found.append(row)
    if found:
        return sorted(found, key=lambda row: row.activated_at or row.registered_at, reverse=True)
    raise first or Forbidden(
        f"no certificate is registered for {holder or 'the agency'} of {office}.",
        rule="AUTH-06",
        way_out="Register it with “hoso certificate register”.",
    )


def signs_now(session: Session, row: CertificateRow) -> bool:
    """Whether a certificate may sign at this moment."""
    try:
        must_be_active(session, row)
    except Forbidden:
        return False
    return True


def can_sign(session: Session, office: str, holder: str) -> bool:
    """Whether a holder has a certificate that may sign now."""
    try:
        signing_certificates(session, office, holder)
    except Forbidden:
        return False
    return True
