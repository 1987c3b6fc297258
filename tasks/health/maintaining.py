"""Maintenance, begun and ended by name: new acts are refused meanwhile, workers finish what they have begun."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session, col, func, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.maintenance import MaintenanceRow, maintenance_now
from tasks.dossier.moves import WAKE, Actor
from tasks.dossier.tables import OfficeRow, OutboxRow
from tasks.people.acting import scope
from tasks.people.rules import EVERY

#: What entries about maintenance are about.
SUBJECT = "maintenance"


def begin_maintenance(until: datetime, reason: str, *, by: Actor) -> datetime:
    """
    Begin maintenance of the whole installation, and return until when people are told it lasts.

    Refused: a moment that has passed, no reason, and maintenance that goes on already (OPS-01); whoever does not
    administer every office (AUTH-06). It ends with `end_maintenance` only.
    """
    with services().database.transaction() as session:
        actor = _administrator_of_all(session, by, "maintenance on")
        moment, going_on = now(session), maintenance_now(session)
        if going_on is not None:
            raise Forbidden(
                f"maintenance goes on already, begun by {going_on.begun_by} at {local(going_on.begun_at):%H:%M}.",
                rule="OPS-01",
                way_out="End it first with “hoso maintenance off”.",
            )
        if until <= moment or not reason:
            raise Forbidden(
                "people must be told until when, and why.",
                rule="OPS-01",
                way_out="Give --until a time that is still to come, and --why a file with the reason.",
            )
        row = MaintenanceRow(begun_at=moment, until_at=until, reason=reason, begun_by=_name(by))
        session.add(row)
        facts: dict[str, Json] = {
            "event": "maintenance:begun",
            "actor": actor.facts(),
            "until": until.isoformat(),
        }
        record(session, SUBJECT, facts, private={"reason": reason})
    return until


def end_maintenance(*, by: Actor) -> bool:
    """End maintenance and wake the workers; return whether there was any. Twice is once."""
    with services().database.transaction() as session:
        actor = _administrator_of_all(session, by, "maintenance off")
        row = maintenance_now(session)
        if row is None:
            return False
        row.ended_at, row.ended_by = now(session), _name(by)
        session.add(row)
        record(session, SUBJECT, {"event": "maintenance:ended", "actor": actor.facts()})
        session.connection().execute(text("select pg_notify(:channel, '')"), {"channel": WAKE})
    return True


def still_at_work() -> int:
    """Return how many dossiers workers are at; in maintenance the number falls to 0, and then all is drained."""
    with services().database.transaction() as session:
        held = select(func.count()).where(col(OutboxRow.lease_until) > now(session))
        return session.exec(held).one()


def _administrator_of_all(session: Session, by: Actor, act: str) -> Actor:
    """Return a person as the administrator of every office of the installation; refuses anybody else (AUTH-06)."""
    seen = scope(session, by, act)
    others = [code for code in session.exec(select(OfficeRow.code)) if not seen.allows(code, EVERY)]
    if others:
        raise Forbidden(
            f"{_name(by)} does not administer {', '.join(others[:3])}, where work would stop too.",
            rule="AUTH-06",
            way_out="It needs the role administrator at every office: “hoso person grant … --at '*'”.",
        )
    return seen.actor


def _name(by: Actor) -> str:
    """Return a person as operators are named."""
    return f"{by.office}/{by.staff}"
