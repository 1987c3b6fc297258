"""A new promised time, given once, in writing, with an apology (DOS-17, form 04)."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.deadlines import check_extension, postponed_due
from tasks.dossier.looking import hold, office_of, procedure_of
from tasks.dossier.moves import Actor, Telling, ask_to_continue, owe_notice, tell
from tasks.dossier.tables import DossierRow, NoticeRow
from tasks.people.acting import acting_on
from tasks.supervision.rules import COUNTED

#: What the notice is called that carries the letter of apology.
NOTICE = "postponed"


def postpone(code: str, days: int, reason: str, *, by: Actor, agreed: bool = False) -> datetime:
    """
    Give a dossier a new time, `days` working days after the promised one or, if that is over, after today.

    Owes the applicant the letter of apology with reason and new time. Raises `Forbidden`: DOS-17 when a new
    time was given before or no time runs; CERT-18 for more extra days than the law allows without the
    applicant's agreement in writing. Repeating it with the same days returns the time that was given.
    """
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "postpone", dossier)
        given = _given(session, code)
        if given is not None:
            if given.facts.get("days") == days:
                return datetime.fromisoformat(str(given.facts["until"]))
            raise Forbidden(
                f"dossier {code} was given a new time once already.",
                rule="DOS-17",
                way_out="Hurry it along: a second new time is not allowed.",
            )
        _must_run(dossier)
        _must_be_early(session, dossier)
        check_extension(
            dossier.extended_by + days,
            procedure_of(session, dossier).time_limit.rule(),
            agreed_in_writing=agreed,
        )
        calendar = office_of(session, dossier.office).calendar()
        promised = dossier.due_at or now(session)
        until = postponed_due(promised, now(session), days, calendar)
        facts: dict[str, Json] = {
            "days": days,
            "promised": promised.isoformat(),
            "until": until.isoformat(),
            "agreed": agreed,
        }
        tell(
            session,
            dossier,
            Telling(event="deadline:postponed", by=by, facts=facts, private={"reason": reason}),
        )
        owe_notice(session, code, NOTICE, facts={**facts, "reason": reason, "by": by.staff})
        dossier.due_at, dossier.extended_by = until, dossier.extended_by + days
        session.add(dossier)
        ask_to_continue(session, code)
        return until


def _must_be_early(session: Session, dossier: DossierRow) -> None:
    """Refuse a new time that comes later than this installation allows; without such a rule it always may."""
    days = services().settings.postpone_days_before
    calendar = office_of(session, dossier.office).calendar()
    today, promised = (local(at).date() for at in (now(session), dossier.due_at or now(session)))
    if days and calendar.working_days_between(today, promised) < days:
        raise Forbidden(
            f"dossier {dossier.code} is due on {promised}; a new time is given {days} working day(s) before.",
            rule="DOS-17",
            way_out="Hurry it along; HOSO_POSTPONE_DAYS_BEFORE says how early a new time must be given.",
        )


def _given(session: Session, code: str) -> NoticeRow | None:
    """Return the notice of a new time, if one was given."""
    query = select(NoticeRow).where(NoticeRow.dossier == code, NoticeRow.kind == NOTICE)
    return session.exec(query).one_or_none()


def _must_run(dossier: DossierRow) -> None:
    """Refuse a dossier whose time does not run."""
    if dossier.stage not in COUNTED or dossier.due_at is None or dossier.paused_at is not None:
        raise Forbidden(
            f"dossier {dossier.code} stands at {dossier.stage}, where no promised time runs.",
            rule="DOS-17",
            way_out="Only a dossier that the office works on can be given a new time.",
        )
