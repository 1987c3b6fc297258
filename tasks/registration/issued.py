"""Who holds a certificate in force already: what earlier rounds brought (CER-14)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlmodel import Session, col, select

from tasks.registration.tables import IssuedRow, PersonRow


def holders(session: Session, subject: str, moment: datetime) -> Mapping[str, str]:
    """Return the identity numbers of those who hold a certificate in force at a moment, with its serial number."""
    query = (
        select(PersonRow.identity, IssuedRow.serial)
        .where(
            PersonRow.entry == IssuedRow.entry,
            PersonRow.live,
            PersonRow.subject == subject,
            IssuedRow.not_before <= moment,
            moment < IssuedRow.not_after,
        )
        .order_by(col(IssuedRow.not_after))
    )
    return dict(session.exec(query).all())
