"""The way back from a superior: a dossier that was late for long is given back to the office with an instruction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.services import services
from tasks.dossier.looking import hold, office_of
from tasks.dossier.moves import SYSTEM, Actor, Telling, tell
from tasks.dossier.tables import CounterTaskRow, DossierRow
from tasks.people.acting import acting_on
from tasks.supervision.tables import DeadlineAlertRow

#: What the counter's task is called that carries an instruction.
TASK = "instruction"

#: The alerts that go to a superior.
ABOVE = ("escalated", "again")


def give_back(code: str, instruction: str, *, by: Actor) -> None:
    """
    Give an escalated dossier back to its office, with what is to be done as a task of the counter.

    Only the office's superior or a supervisor may, and only while it is escalated. The office is told at the next
    look at its deadlines; if the dossier stays late for as long again, the superior is told once more. Giving it back
    again replaces the instruction. Raises `Forbidden` (AUTH-06, DOS-17). History: `deadline:given-back`.
    """
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "give-back", dossier)
        superior = office_of(session, dossier.office).superior
        if by.role != "supervisor" and by.staff != superior:
            raise Forbidden(
                f"{by.staff} is not the superior of {dossier.office}.",
                rule="AUTH-06",
                way_out=f"{superior or 'A supervisor'} gives it back.",
            )
        open_ones = _escalated(session, dossier)
        if not open_ones:
            raise Forbidden(
                f"dossier {code} is not escalated.",
                rule="DOS-17",
                way_out="“hoso board” names what is late; “hoso postpone” gives a new time.",
            )
        for alert in open_ones:
            alert.answered_at, alert.answered_by, alert.answer_told_at = now(session), by.staff, None
            session.add(alert)
        _give_task(session, code, instruction)
        facts: dict[str, Json] = {"due_at": open_ones[0].due_at.isoformat()}
        telling = Telling(
            event="deadline:given-back", by=by, facts=facts, private={"instruction": instruction}
        )
        tell(session, dossier, telling)


def end_escalation(session: Session, dossier: DossierRow, alert: DeadlineAlertRow) -> None:
    """Say in the caller's transaction that what was escalated is over; its instruction is no task any more."""
    tell(session, dossier, Telling(event="deadline:settled", facts={"due_at": alert.due_at.isoformat()}))
    task = _task(session, dossier.code)
    if task is not None and task.ended_at is None:
        # The words stay in the history's erasable part, and go with the dossier's other words.
        task.reason, task.ended_at, task.ended_by = "", now(session), SYSTEM.role
        session.add(task)


def _escalated(session: Session, dossier: DossierRow) -> Sequence[DeadlineAlertRow]:
    """Return the alerts by which a superior has a dossier now."""
    query = select(DeadlineAlertRow).where(
        DeadlineAlertRow.dossier == dossier.code,
        DeadlineAlertRow.due_at == dossier.due_at,
        col(DeadlineAlertRow.kind).in_(ABOVE),
        col(DeadlineAlertRow.ended_at).is_(None),
    )
    return session.exec(query).all()


def _give_task(session: Session, code: str, instruction: str) -> None:
    """Write the instruction down as a task of the counter; a later one takes its place."""
    task = _task(session, code) or CounterTaskRow(dossier=code, kind=TASK, reason="", opened_at=now(session))
    task.reason, task.ended_at, task.ended_by = instruction, None, None
    session.add(task)


def _task(session: Session, code: str) -> CounterTaskRow | None:
    """Return the counter's task that carries a superior's instruction, if there was one."""
    query = select(CounterTaskRow).where(
        CounterTaskRow.dossier == code, CounterTaskRow.kind == TASK, CounterTaskRow.ordinal == 0
    )
    return session.exec(query).one_or_none()
