"""
Every act asks, in the transaction of its change, whether this person may do this, here, today.

Who the person is comes from the login (`tasks.people.logins`), what the person may do from the rows of
today, never from the command line. A refusal is an entry of the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, false, insert, or_, true
from sqlmodel import Session

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from tasks.dossier.maintenance import must_work
from tasks.dossier.moves import SYSTEM, Actor
from tasks.dossier.tables import DossierRow
from tasks.people.desk import address_of
from tasks.people.persons import held, person_of, works_here
from tasks.people.rules import ACTS, EVERY, Held, covers, fitting, role_for
from tasks.people.tables import ReadingRow


class NotAllowed(Forbidden):
    """A person's roles do not allow an act; the refusal is in the history already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where a person may do an act that spans dossiers: reading lists, counting, signing what waits."""

    actor: Actor
    roles: Sequence[Held]

    def allows(self, office: str, procedure: str) -> bool:
        """Whether the scope holds a dossier of this office and procedure."""
        return any(covers(role, office, procedure) for role in self.roles)

    def within(self, office: Any, procedure: Any) -> ColumnElement[bool]:
        """Return the scope as a condition on a query's columns."""
        return or_(
            false(),
            *(
                and_(
                    true() if role.office == EVERY else office == role.office,
                    true() if role.procedure == EVERY else procedure == role.procedure,
                )
                for role in self.roles
            ),
        )


def acting(
    session: Session,
    by: Actor,
    act: str,
    *,
    office: str,
    procedure: str = EVERY,
    about: DossierRow | None = None,
) -> Actor:
    """
    Return the person as the history names one who does this act, with the role that allows it.

    Raises `NotAllowed` (AUTH-06) when no role of today does: deny by default. The refusal is written in a
    transaction of its own, so ask before this transaction has written into the history. Raises `Forbidden`
    (OPS-01) in maintenance, where the act changes something. An act that only looks is kept as a reading.
    """
    if by == SYSTEM and act in ACTS and ACTS[act].by_itself:
        return by
    role = role_for(act, held(session, by.office, by.staff), office=office, procedure=procedure)
    if role is None:
        raise _refused(session, by, act, office=office, procedure=procedure, about=about)
    actor = _as(session, by, role)
    _begin(session, actor, act, office, about.code if about is not None else None)
    return actor


def acting_on(session: Session, by: Actor, act: str, dossier: DossierRow) -> Actor:
    """Return the person as one who does this act on a dossier; raises `NotAllowed` (AUTH-06)."""
    return acting(session, by, act, office=dossier.office, procedure=dossier.procedure, about=dossier)


def scope(session: Session, by: Actor, act: str, *, office: str | None = None) -> Scope:
    """
    Return where a person may do an act that spans dossiers, at one office or wherever it is allowed.

    Raises `NotAllowed` (AUTH-06) when that is nowhere; and as `acting` does in maintenance.
    """
    roles = fitting(act, held(session, by.office, by.staff))
    if office is not None:
        roles = [
            Held(role=r.role, office=office, procedure=r.procedure)
            for r in roles
            if r.office in (EVERY, office)
        ]
    if not roles:
        raise _refused(session, by, act, office=office or by.office, procedure=EVERY, about=None)
    actor = _as(session, by, roles[0].role)
    _begin(session, actor, act, office or EVERY, None)
    return Scope(actor=actor, roles=tuple(roles))


def _begin(session: Session, actor: Actor, act: str, office: str, dossier: str | None) -> None:
    """Let an allowed act begin: keep who looks at what, or refuse what would change something in maintenance."""
    if ACTS[act].reads:
        # Asks for nothing back: a desk's own database role may write readings, and read none.
        row = (
            insert(ReadingRow)
            .inline()
            .values(
                at=now(session),
                office=office,
                dossier=dossier,
                act=act,
                reader_office=actor.office,
                reader=actor.staff,
                role=actor.role,
                address=address_of(session),
            )
        )
        session.connection().execute(row)
    elif not ACTS[act].in_maintenance:
        must_work(session)


def _as(session: Session, by: Actor, role: str) -> Actor:
    """Return a person in a role."""
    person = person_of(session, by.office, by.staff)
    return Actor(role=role, staff=person.staff, post=person.post, office=person.office)


def _refused(
    session: Session, by: Actor, act: str, *, office: str, procedure: str, about: DossierRow | None
) -> NotAllowed:
    """Write a refusal into the history, and return it."""
    needed = ACTS[act].roles if act in ACTS else ()
    facts: dict[str, Json] = {
        "event": "act:refused",
        "actor": by.facts(),
        "act": act,
        "office": office,
        "procedure": procedure,
        "rule": "AUTH-06",
        "needs": list(needed),
    }
    if about is not None:
        facts |= {"dossier": about.code, "from": str(about.stage), "to": str(about.stage)}
    with services().database.transaction() as own:
        record(own, about.code if about is not None else office, facts)
    here = f"at {office}" + ("" if procedure == EVERY else f" for {procedure}")
    who = f"{by.office}/{by.staff}" if by.staff else f"the {by.role or 'nobody'}"
    if by.staff and works_here(session, by.office, by.staff) is None:
        return NotAllowed(
            f"{who} does not work there.",
            rule="AUTH-06",
            way_out="Log in as somebody who works at the office today.",
        )
    return NotAllowed(
        f"{who} may not “{act}” {here}.",
        rule="AUTH-06",
        way_out=f"It needs the role {' or '.join(needed)} there; an administrator gives roles with “hoso person grant”."
        if needed
        else "Nobody may; the act is in no table.",
    )
