"""
How a dossier changes: one transaction with the move, its history entry and what must follow.

Everybody who changes a dossier comes through here, so that no move is without its entry and no entry
without its move. It is held first (`tasks.dossier.looking`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from infra.database import now, once_at_end
from infra.history import Json
from infra.history.recording import record
from infra.reading import rows_of
from tasks.dossier import lifecycle
from tasks.dossier.deadlines import resumed_due
from tasks.dossier.lifecycle import Stage
from tasks.dossier.looking import office_of, originals_of, procedure_of
from tasks.dossier.offices import OfficeData, Officer
from tasks.dossier.tables import DossierRow, NoticeRow, StatusReportRow

#: Why a dossier is stopped whose originals were all declined, in the words of its letter.
ALL_DECLINED = "Không còn bản chính nào đủ điều kiện chứng thực trong hồ sơ."

#: One statement for both: each costs a round trip.
_ASK = text("""
    with asked as (
        insert into outbox (dossier, asked, done, asked_at, not_before, attempts, fence)
        select dossier, 1, 0, :moment, :moment, 0, 0 from unnest(cast(:dossiers as text[])) as one (dossier)
        on conflict (dossier) do update
        set asked = outbox.asked + 1, asked_at = excluded.asked_at, not_before = excluded.not_before,
            attempts = 0, last_error = null
    )
    select pg_notify(:channel, dossier) from unnest(cast(:dossiers as text[])) as one (dossier)
""")
#: Where a session keeps the dossiers that something must follow for.
_ASKED = "asked"
#: The channel on which PostgreSQL wakes the warm workers.
WAKE = "hoso_outbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it: a person by staff code and post, or the system itself."""

    role: str
    staff: str = ""
    post: str = ""
    office: str = ""

    def facts(self) -> dict[str, Json]:
        """Return the actor as a history entry names it: no name, a hash of office and staff code."""
        if not self.staff:
            return {"role": self.role}
        person = hashlib.sha256(f"{self.office}/{self.staff}".encode()).hexdigest()
        return {"role": self.role, "id_hash": person, "post": self.post}


#: Steps that nobody has to do.
SYSTEM = Actor(role="system")


def person(office: OfficeData, officer: Officer, role: str) -> Actor:
    """Return somebody of an office as an actor."""
    return Actor(role=role, staff=officer.staff, post=officer.post, office=office.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What a history entry says besides the move itself."""

    event: str
    by: Actor = SYSTEM
    facts: Mapping[str, Json] = field(default_factory=dict)
    private: Mapping[str, Json] | None = None
    command: str | None = None


def tell(session: Session, dossier: DossierRow, telling: Telling) -> None:
    """Write one history entry about a dossier that stays where it is."""
    _write(session, dossier, telling, dossier.stage, dossier.stage)


def move_to(session: Session, dossier: DossierRow, wanted: Stage, telling: Telling) -> None:
    """
    Bring a locked dossier to a stage by the legal way, one history entry a move, and ask for what follows.

    Refuses what the table of moves does not allow. Being there already writes nothing but the outbox.
    """
    try:
        way = lifecycle.path(dossier.stage, wanted)
    except lifecycle.ForbiddenMove as error:
        raise lifecycle.ForbiddenMove(
            f"dossier {dossier.code}: {error.message}", rule=error.rule, way_out=error.way_out
        ) from error
    for stage in way:
        _keep_clock(session, dossier, stage)
        _write(session, dossier, telling, dossier.stage, stage)
        dossier.stage = stage
        _report(session, dossier)
        if stage in lifecycle.ENDED:
            dossier.ended_at = now(session)
    session.add(dossier)
    ask_to_continue(session, dossier.code)


def follow(session: Session, dossier: DossierRow, telling: Telling) -> None:
    """
    Bring a dossier to where its originals are.

    While it waits for papers or a fee it stays there; with no original left it is stopped for good
    (form 05), because DOS-06 knows no refusal after acceptance.
    """
    wanted = lifecycle.stage_of([original.standing for original in originals_of(session, dossier.code)])
    if wanted is None:
        if dossier.stage == Stage.STOPPED:
            tell(session, dossier, telling)
        else:
            move_to(session, dossier, Stage.STOPPED, telling)
        dossier.ended_at = now(session)
        session.add(dossier)
        owe_notice(session, dossier.code, "stopped", occasion=-1, facts={"reason": ALL_DECLINED})
    elif wanted == dossier.stage or dossier.stage in lifecycle.PAUSED:
        tell(session, dossier, telling)
        ask_to_continue(session, dossier.code)
    else:
        move_to(session, dossier, wanted, telling)


def come_back(session: Session, dossier: DossierRow, telling: Telling) -> None:
    """Let a dossier go on that waited for papers, a fee or a decision: first to the counter, then as far as it was."""
    move_to(session, dossier, Stage.RECEIVED, telling)
    wanted = lifecycle.stage_of([original.standing for original in originals_of(session, dossier.code)])
    if wanted is not None and wanted != dossier.stage:
        move_to(session, dossier, wanted, telling)


def _write(session: Session, dossier: DossierRow, telling: Telling, before: Stage, after: Stage) -> None:
    """Write the entry of one move."""
    facts: dict[str, Json] = {
        "dossier": dossier.code,
        "event": telling.event,
        "actor": telling.by.facts(),
        "from": str(before),
        "to": str(after),
        **telling.facts,
    }
    if telling.command:
        facts["cmd"] = telling.command
    record(session, dossier.code, facts, private=telling.private)


def _keep_clock(session: Session, dossier: DossierRow, stage: Stage) -> None:
    """Stop the clock of the time limit on the way into a pause, and start it on the way out."""
    moment = now(session)
    if stage in lifecycle.PAUSED:
        dossier.paused_at = dossier.paused_at or moment
        return
    if dossier.paused_at is not None and dossier.due_at is not None:
        dossier.due_at = resumed_due(
            dossier.due_at,
            paused=dossier.paused_at,
            resumed=moment,
            limit=procedure_of(session, dossier).time_limit.rule(),
            calendar=office_of(session, dossier.resolving_office).calendar(),
        )
    dossier.paused_at = None


def _report(session: Session, dossier: DossierRow) -> None:
    """Put the status codes that the portal must hear into the outbox of reports."""
    codes = lifecycle.portal_path(dossier.portal_code, dossier.stage)
    sequence = len(rows_of(session, StatusReportRow, dossier=dossier.code))
    for step, code in enumerate(codes):
        report = StatusReportRow(dossier=dossier.code, sequence=sequence + step, code=code, at=now(session))
        session.add(report)
        dossier.portal_code = code


def ask_to_continue(session: Session, code: str) -> None:
    """
    Say in the outbox that something must follow for a dossier, and wake a worker after the commit.

    Asking ten times is one errand.
    """
    ask_these_to_continue(session, [code])


def ask_these_to_continue(session: Session, codes: Collection[str]) -> None:
    """Do as `ask_to_continue` for several dossiers, in one statement."""
    session.info.setdefault(_ASKED, set()).update(codes)
    if not once_at_end(session, _ask_all):
        _ask_all(session)


def _ask_all(session: Session) -> None:
    """Write down what was asked for in a session."""
    asked = sorted(session.info.pop(_ASKED))
    session.connection().execute(_ASK, {"dossiers": asked, "moment": now(session), "channel": WAKE})


def owe_notice(
    session: Session,
    code: str,
    kind: str,
    *,
    ordinal: int = 0,
    occasion: int = 0,
    facts: Mapping[str, Json] | None = None,
) -> None:
    """Owe the applicant a message; owing the same one twice owes it once."""
    row = insert(NoticeRow).values(
        dossier=code,
        kind=kind,
        ordinal=ordinal,
        occasion=occasion,
        facts=dict(facts or {}),
        state="owed",
        attempts=0,
        ambiguous=0,
        last_answer="",
    )
    session.connection().execute(
        row.on_conflict_do_nothing(index_elements=["dossier", "kind", "ordinal", "occasion"])
    )
