"""What an operator does by hand to one dossier or many: try again, take a lease away; by name, with a reason."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from infra.errors import Forbidden, Unavailable
from infra.history import Json
from infra.services import services
from tasks.batches.rules import alike
from tasks.dossier import outbox
from tasks.dossier.looking import hold
from tasks.dossier.moves import Actor, Telling, ask_to_continue, tell
from tasks.dossier.tables import DossierRow, OutboxRow
from tasks.people.acting import Scope, acting_on, scope

#: Seconds within which a worker must have tried the first dossier of a cause.
PATIENCE = 90.0
_LOOK = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One cause that dossiers wait for, said without what differs between them; the oldest dossier first."""

    name: str
    said: str
    codes: tuple[str, ...]
    since: datetime


def name_of_cause(said: str) -> str:
    """
    Return the short name of a cause; the same trouble of two dossiers has one name.

    >>> name_of_cause("the page of H49.21-261122-0001/2 …") == name_of_cause("the page of H49.21-261122-0002/1 …")
    True
    """
    return hashlib.sha256(alike(said).encode()).hexdigest()[:8]


def causes(session: Session, seen: Scope | None) -> list[Cause]:
    """Return what open dossiers wait for because something went wrong, most dossiers first; of a scope, or all."""
    query = (
        select(DossierRow, OutboxRow)
        .join(OutboxRow, col(OutboxRow.dossier) == col(DossierRow.code))
        .where(col(OutboxRow.last_error).is_not(None))
        .order_by(col(OutboxRow.asked_at), col(DossierRow.code))
    )
    if seen is not None:
        query = query.where(seen.within(DossierRow.office, DossierRow.procedure))
    groups: dict[str, list[OutboxRow]] = {}
    for _, row in session.exec(query):
        groups.setdefault(name_of_cause(row.last_error or ""), []).append(row)
    found = [
        Cause(
            name=name,
            said=alike(rows[0].last_error or ""),
            codes=tuple(row.dossier for row in rows),
            since=rows[0].asked_at,
        )
        for name, rows in groups.items()
    ]
    return sorted(found, key=lambda one: (-len(one.codes), one.since))


def retry(code: str, reason: str, *, by: Actor, facts: dict[str, Json] | None = None) -> None:
    """
    Have a dossier tried again that waits for a person or for time; in the history by name, with the reason.

    Doing it again asks again, which is harmless. Refused: no reason (OPS-02), no right (AUTH-06).
    """
    _must_say_why(reason)
    with services().database.transaction() as session:
        dossier = hold(session, code)
        actor = acting_on(session, by, "retry", dossier)
        telling = Telling(event="dossier:retried", by=actor, facts=facts or {}, private={"reason": reason})
        tell(session, dossier, telling)
        ask_to_continue(session, code)


def retry_cause(
    name: str, reason: str, *, by: Actor, patience: float = PATIENCE, say: Callable[[str], None] = print
) -> tuple[str, ...]:
    """
    Have every dossier of a cause tried again, once the oldest one was tried and the cause found gone.

    Returns the dossiers. Raises `Forbidden` (OPS-02) when nothing waits for it, and when the first dossier
    meets it again; `Unavailable` when no worker tried the first one in time. Then the others stay as they were.
    """
    _must_say_why(reason)
    with services().database.transaction() as session:
        found = {one.name: one for one in causes(session, scope(session, by, "retry"))}
    if name not in found:
        raise Forbidden(
            f"no dossier of yours waits for a cause “{name}”.",
            rule="OPS-02",
            way_out="“hoso causes” lists them by name.",
        )
    first, *others = found[name].codes
    retry(first, reason, by=by, facts={"cause": name})
    say(f"{first}  is tried first")
    again = _outcome(first, patience)
    if again is not None and name_of_cause(again) == name:
        raise Forbidden(
            f"{first} met the same cause again, so the other {len(others)} were left as they are.",
            rule="OPS-02",
            way_out=f"Remove the cause first: {alike(again)}",
        )
    for code in others:
        retry(code, reason, by=by, facts={"cause": name})
    return found[name].codes


def release(code: str, reason: str, *, by: Actor) -> str:
    """
    Take a dossier away from the worker that holds it, so that another takes it at once; return who held it.

    The old worker's fence is too old then: it can finish nothing. What it has begun is begun again by its
    own keys, and exists once. Refused: nobody holds it, or no reason (OPS-02).
    """
    _must_say_why(reason)
    with services().database.transaction() as session:
        dossier = hold(session, code)
        actor = acting_on(session, by, "release", dossier)
        held_by = outbox.take_away(session, code)
        if held_by is None:
            raise Forbidden(
                f"nobody holds {code}.", rule="OPS-02", way_out="“hoso retry” has it tried again."
            )
        facts: dict[str, Json] = {"held_by": held_by}
        tell(
            session,
            dossier,
            Telling(event="lease:released", by=actor, facts=facts, private={"reason": reason}),
        )
        ask_to_continue(session, code)
    return held_by


def _outcome(code: str, patience: float) -> str | None:
    """Return the trouble that a dossier met when it was tried, or `None` when it went on; raises `Unavailable`."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with services().database.transaction() as session:
            row = session.get_one(OutboxRow, code)
            if row.last_error is not None or (row.asked <= row.done and row.lease_owner is None):
                return row.last_error
        time.sleep(_LOOK)
    raise Unavailable(f"no worker has tried {code} within {patience:g} s, so no other dossier was retried")


def _must_say_why(reason: str) -> None:
    """Refuse an override without a reason."""
    if not reason:
        raise Forbidden(
            "what is done by hand needs a reason.",
            rule="OPS-02",
            way_out="Give --why a file with the reason, or - and the text on standard input.",
        )
