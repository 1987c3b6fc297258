"""Who signed, in which capacity, by which authority: as it was found at that moment, whatever became of it since."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from tasks.authority.records import read_records
from tasks.authority.values import Records, last_second
from tasks.dossier.looking import look, original_of
from tasks.signing.tables import SignatureRow


def explain(session: Session, code: str, ordinal: int) -> list[dict[str, Any]]:
    """
    Return, for each signature of an original that is kept, what it rested on, in order of signing.

    What is said comes from the decision that was stored with the signature; `since` adds what became of
    the post and the mandate afterwards.
    """
    dossier, original = look(session, code), original_of(session, code, ordinal)
    query = select(SignatureRow).where(
        SignatureRow.dossier == code,
        SignatureRow.ordinal == ordinal,
        SignatureRow.revision == original.revision,
        col(SignatureRow.kept_at).is_not(None),
    )
    records = read_records(session, dossier.office).records
    return [_explained(row, records) for row in session.exec(query.order_by(col(SignatureRow.kept_at)))]


def capacity_of(row: SignatureRow) -> str:
    """Return the capacity of a signature as its block says it, line by line, and what it rests on."""
    decision = row.decision or {}
    lines, basis = (
        " / ".join(decision.get("lines", ())),
        decision.get("basis") or decision.get("holding_decision"),
    )
    return f"{lines} ({basis})" if basis else lines


def _explained(row: SignatureRow, records: Records) -> dict[str, Any]:
    """Return one signature with its decision, and what became of what it rested on."""
    decision = row.decision or {}
    return {
        "field": row.field,
        "signer": row.signer or "agency",
        "signed_at": row.signed_at,
        "kept_at": row.kept_at,
        "level": row.level,
        "certificate": row.certificate_sha256,
        "decision": decision,
        "since": _since(decision, records),
    }


def _since(decision: dict[str, Any], records: Records) -> list[str]:
    """Return what ended of what a signature rested on, in words."""
    ended = [
        f"{h.staff} left the post at {last_second(h.before)}" + (f" by {h.ended_by}" if h.ended_by else "")
        for h in records.holdings
        if h.id == decision.get("holding") and h.before is not None
    ]
    ended += [
        f"mandate {m.id} from {m.giver} ended at {last_second(m.before)}"
        + (f" by {m.ended_by}" if m.ended_by else "")
        for m in records.mandates
        if m.id in decision.get("mandates", ()) and m.before is not None
    ]
    return ended
