"""Legal holds: while somebody's decision keeps a dossier, nothing of it is destroyed or erased, whatever its date."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, Session, SQLModel, col, select

from infra.database import now
from infra.errors import Forbidden
from tasks.dossier.moves import Actor, Telling, ask_to_continue, tell
from tasks.dossier.tables import DossierRow, moment


class LegalHoldRow(SQLModel, table=True):
    """One hold on one dossier, from when it was placed until it was released; a dossier has one at a time."""

    __tablename__ = "legal_hold"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    dossier: str = Field(foreign_key="dossier.code")
    reason: str
    placed_by: str
    placed_at: datetime = moment(nullable=False)
    released_by: str | None = None
    released_at: datetime | None = moment()


def hold_on(session: Session, code: str) -> LegalHoldRow | None:
    """Return the hold that keeps a dossier now, if there is one."""
    open_ones = select(LegalHoldRow).where(
        LegalHoldRow.dossier == code, col(LegalHoldRow.released_at).is_(None)
    )
    return session.exec(open_ones).one_or_none()


def must_not_be_held(session: Session, code: str, act: str) -> None:
    """Refuse what would destroy or erase something of a held dossier; `act` is what was to be done, in a word."""
    kept = hold_on(session, code)
    if kept is not None:
        raise Forbidden(
            f"dossier {code} is under a legal hold since {kept.placed_at:%Y-%m-%d}; it is not {act}.",
            rule="ARC-HOLD",
            way_out="“hoso show” says why; “hoso hold release” ends the hold when the reason is gone.",
        )


def place_hold(session: Session, dossier: DossierRow, reason: str, *, by: Actor) -> bool:
    """
    Keep a locked dossier until somebody releases it; return whether it was not kept before.

    The row holds at once; that the store keeps its objects too follows by itself. Refuses a hold without a
    reason, and a second one with another reason: the first must be released, or named again.
    """
    if not reason.strip():
        raise Forbidden(
            "a hold needs a reason.",
            rule="ARC-HOLD",
            way_out="Name the decision or the case that asks for it.",
        )
    kept = hold_on(session, dossier.code)
    if kept is not None and kept.reason != reason:
        raise Forbidden(
            f"dossier {dossier.code} is held already, for another reason.",
            rule="ARC-HOLD",
            way_out="Release that hold first, or place one whose reason names both.",
        )
    if kept is None:
        row = LegalHoldRow(
            dossier=dossier.code,
            reason=reason,
            placed_by=f"{by.office}/{by.staff}",
            placed_at=now(session),
        )
        session.add(row)
        tell(session, dossier, Telling(event="hold:placed", by=by, private={"reason": reason}))
    ask_to_continue(session, dossier.code)
    return kept is None


def release_hold(session: Session, dossier: DossierRow, reason: str, *, by: Actor) -> bool:
    """End the hold on a locked dossier; return whether there was one. Refuses a release without a reason."""
    if not reason.strip():
        raise Forbidden(
            "a release needs a reason.", rule="ARC-HOLD", way_out="Name the decision that ends the hold."
        )
    kept = hold_on(session, dossier.code)
    if kept is not None:
        kept.released_by, kept.released_at = f"{by.office}/{by.staff}", now(session)
        session.add(kept)
        tell(session, dossier, Telling(event="hold:released", by=by, private={"reason": reason}))
    ask_to_continue(session, dossier.code)
    return kept is not None
