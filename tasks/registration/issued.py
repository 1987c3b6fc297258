"""Who holds a certificate in force already: what earlier rounds brought, and what is on record here (CER-14)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlmodel import Session, col, select

from tasks.certificates.lifecycle import CertificateState
from tasks.certificates.tables import CertificateRow
from tasks.people.tables import PersonRow
from tasks.registration.tables import EntryContentRow, IssuedRow

#: States of a certificate on record in which its holder needs no other one.
_HELD = (
    CertificateState.ISSUED,
    CertificateState.HANDED_OVER,
    CertificateState.ACTIVE,
    CertificateState.SUSPENDED,
)
#: States in which a certificate that an earlier round brought counts no more, whatever its dates say.
_OVER = (
    CertificateState.REVOKED,
    CertificateState.EXPIRED,
    CertificateState.RENEWED,
    CertificateState.CHANGED,
)


def holders(session: Session, subject: str, moment: datetime) -> Mapping[str, str]:
    """
    Return the identity numbers of those who hold a certificate in force at a moment, with its serial number.

    An agency is known by its identification code. Revocations of certificates that are not on record here,
    because their holders work at no office of ours, are not known.
    """
    return {**_of_rounds(session, subject, moment), **_on_record(session, subject, moment)}


def _of_rounds(session: Session, subject: str, moment: datetime) -> dict[str, str]:
    """Return those whom a round brought a certificate."""
    query = (
        select(EntryContentRow.identity, IssuedRow.serial)
        .join(IssuedRow, col(IssuedRow.entry) == EntryContentRow.entry)
        .outerjoin(CertificateRow, col(CertificateRow.sha256) == IssuedRow.sha256)
        .where(
            EntryContentRow.live,
            EntryContentRow.subject == subject,
            IssuedRow.not_before <= moment,
            moment < IssuedRow.not_after,
            col(CertificateRow.state).is_(None) | col(CertificateRow.state).not_in(_OVER),
        )
        .order_by(col(IssuedRow.not_after))
    )
    return dict(session.exec(query).all())


def _on_record(session: Session, subject: str, moment: datetime) -> dict[str, str]:
    """Return the people and agencies of our offices whose certificate is on record."""
    held = (
        col(CertificateRow.state).in_(_HELD),
        col(CertificateRow.ended_at).is_(None),
        col(CertificateRow.not_after) > moment,
    )
    if subject == "organisation":
        agencies = select(CertificateRow.office, CertificateRow.serial).where(
            CertificateRow.holder == "", *held
        )
        return dict(session.exec(agencies).all())
    people = (
        select(PersonRow.identity, CertificateRow.serial)
        .join(
            CertificateRow,
            (col(CertificateRow.office) == PersonRow.office)
            & (col(CertificateRow.holder) == PersonRow.staff),
        )
        .where(PersonRow.identity != "", *held)
    )
    return dict(session.exec(people).all())
