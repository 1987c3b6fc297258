"""
The tries of a signature: each has a number, and the history says of each how it ended.

A try is open from its intent until its end is told. A process that dies leaves it open; whoever holds
the original's name next knows that nobody is at it any more, and tells that it was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlmodel import Session, col, select

from infra.database import now
from infra.history import Json
from infra.reading import rows_of
from infra.services import services
from tasks.dossier.lifecycle import Standing
from tasks.dossier.looking import hold, original_of
from tasks.dossier.moves import Actor, Telling, tell
from tasks.dossier.tables import DossierRow
from tasks.signing.tables import SignatureRow

if TYPE_CHECKING:
    from tasks.signing.intents import Intent

#: Standings in which the next signature may be given.
MAY_BE_SIGNED = (Standing.CERTIFIED, Standing.APPROVED)


def name_of(code: str, ordinal: int) -> str:
    """Return the name that whoever signs an original holds meanwhile."""
    return f"sign/{code}/{ordinal}"


def tell_intended(
    session: Session, dossier: DossierRow, row: SignatureRow, actor: Actor, authority: dict[str, Json]
) -> None:
    """Begin a try: say so in the history, and by which authority, after what became of an earlier open one."""
    tell_interrupted(session, dossier, row.ordinal)
    row.tries += 1
    row.open_try = True
    row.intended_at = now(session)
    session.add(row)
    facts: dict[str, Json] = {
        "original": row.ordinal,
        "field": row.field,
        "try": row.tries,
        "doc": {"sha256": row.document_sha256},
        "certificate": row.certificate_sha256,
        "authority": authority,
    }
    tell(session, dossier, Telling(event="signature:intended", by=actor, facts=facts))


def tell_interrupted(session: Session, dossier: DossierRow, ordinal: int) -> None:
    """
    Say of every try of an original that is still open that it ended unseen; the token may have been asked.

    The caller holds the name of the original, so nobody is at it any more.
    """
    rows = rows_of(session, SignatureRow, dossier=dossier.code, ordinal=ordinal)
    for row in sorted((one for one in rows if one.open_try), key=lambda one: one.id or 0):
        row.open_try = False
        session.add(row)
        facts: dict[str, Json] = {
            "original": ordinal,
            "field": row.field,
            "try": row.tries,
            "certificate": row.certificate_sha256,
        }
        tell(session, dossier, Telling(event="signature:interrupted", facts=facts))


def tell_end(task: Intent, *, event: str, facts: dict[str, Json]) -> None:
    """Say in the history how a try ended whose result is not kept."""
    with services().database.transaction() as session:
        dossier = hold(session, task.code)
        close_try(session.get_one(SignatureRow, task.row_id), task.number)
        said: dict[str, Json] = {"original": task.ordinal, "field": task.field, "try": task.number, **facts}
        tell(session, dossier, Telling(event=event, by=task.actor, facts=said))


def close_try(row: SignatureRow, number: int) -> None:
    """Remember that the history knows how a try ended, unless another has begun since."""
    if row.tries == number:
        row.open_try = False


def explain_interrupted(code: str, ordinal: int) -> None:
    """Say in the history of tries whose process died that they ended unseen; nothing while somebody signs."""
    with services().database.locked(name_of(code, ordinal), patience=0) as alone:
        if alone:
            with services().database.transaction() as session:
                tell_interrupted(session, hold(session, code), ordinal)


def unexplained(codes: Sequence[str]) -> set[str]:
    """Return those of some dossiers that have a try at an original of which nobody told the end."""
    with services().database.transaction() as session:
        query = select(SignatureRow.dossier).where(
            col(SignatureRow.dossier).in_(codes),
            SignatureRow.ordinal > 0,
            col(SignatureRow.open_try).is_(True),
        )
        return set(session.exec(query))


def interrupted(code: str) -> list[int]:
    """
    Return the originals that are not to be signed any more and have a try of which nobody told the end.

    What may still be signed is left to whoever signs it, who looks first for what the try has stored.
    """
    with services().database.transaction() as session:
        query = select(SignatureRow.ordinal).where(
            SignatureRow.dossier == code,
            SignatureRow.ordinal > 0,  # A paper of the office is always signed in the end.
            col(SignatureRow.open_try).is_(True),
        )
        ordinals = sorted(set(session.exec(query)))
        return [n for n in ordinals if original_of(session, code, n).standing not in MAY_BE_SIGNED]
