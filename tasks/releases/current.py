"""Make a release the one that works, and ask which one is."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from tasks.dossier.moves import WAKE, Actor
from tasks.releases.tables import ReleaseRow

#: What is called the release while nobody works.
NOBODY = ""

_WORKING = text("""
    select (select count(*) from outbox where lease_until > clock_timestamp())
         + (select count(*) from batch_chunk where lease_until > clock_timestamp())
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a release is called, and what its code is."""

    name: str
    code: str  # SHA-256


def current() -> Release | None:
    """Return the release that works now, with an empty name when nobody does; `None` before the first was deployed."""
    with services().database.transaction() as session:
        row = _newest(session)
        return Release(name=row.name, code=row.code) if row else None


def make_current(release: Release, *, lives: int, by: Actor) -> bool:
    """
    Let a release carry dossiers on, and wake every worker to see it; return whether that is a change.

    The same release with other code counts as a change: somebody edited it in place.
    """
    with services().database.transaction() as session:
        before = _held(session)
        if before is not None and (before.name, before.code) == (release.name, release.code):
            return False
        _add(session, release, lives, before, by=by, event="release:deployed")
        return True


def let_nobody_work(*, by: Actor) -> bool:
    """Let every worker finish what it has begun and take nothing more, until a release is deployed; once."""
    with services().database.transaction() as session:
        before = _held(session)
        if before is not None and before.name == NOBODY:
            return False
        _add(session, Release(name=NOBODY, code=""), 0, before, by=by, event="release:drained")
        return True


def at_work() -> int:
    """Return at how many dossiers and chunks of batches somebody is now."""
    with services().database.transaction() as session:
        return int(session.connection().execute(_WORKING).scalar_one())


def check_schema(made_for: str) -> None:
    """Refuse (RELEASE-03) to deploy on a schema that lacks what a release was made for; a newer one is good."""
    with services().database.transaction() as session:
        found = (
            session.connection().execute(text("select max(version_num) from alembic_version")).scalar_one()
        )
    if found < made_for:
        raise Forbidden(
            f"the database's schema is {found}, and this release was made for {made_for}.",
            rule="RELEASE-03",
            way_out="Run this release's “hoso migrate” first; the release that works now goes on with the new schema.",
        )


def _held(session: Session) -> ReleaseRow | None:
    """Return the release that works, and keep everybody else from changing it until the transaction ends."""
    session.connection().execute(text("select pg_advisory_xact_lock(hashtextextended('release', 0))"))
    return _newest(session)


def _newest(session: Session) -> ReleaseRow | None:
    """Return the newest row."""
    return session.exec(select(ReleaseRow).order_by(col(ReleaseRow.id).desc()).limit(1)).first()


def _add(
    session: Session, release: Release, lives: int, before: ReleaseRow | None, *, by: Actor, event: str
) -> None:
    """Put on record which release works from now on."""
    session.add(ReleaseRow(name=release.name, code=release.code, lives=lives, at=now(session)))
    facts: dict[str, Json] = {
        "event": event,
        "actor": by.facts(),
        "release": release.name,
        "code": release.code,
        "lives": lives,
        "before": before.name if before else None,
    }
    record(session, "release", facts)
    session.connection().execute(text("select pg_notify(:channel, '')"), {"channel": WAKE})
