"""Messages owed to the applicant: sent by e-mail where there is an address, else handed over at the counter."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from infra.database import now
from infra.history import Json
from infra.services import services
from tasks.delivery.letters import booked_message, paper_message
from tasks.delivery.papers import TITLES, paper_of
from tasks.delivery.rules import after, message_id
from tasks.delivery.steps import legs_of
from tasks.dossier.moves import Telling, hold, look, office_of, tell
from tasks.dossier.tables import ApplicantRow, NoticeRow, StatusReportRow


def notices_due(code: str, *, only: str | None = None) -> list[int]:
    """Return the messages (of one kind, if named) that can be sent now, oldest first."""
    with services().database.transaction() as session:
        moment = now(session)
        return [
            notice.id or 0
            for notice in _owed(session, code)
            if (notice.next_try_at is None or notice.next_try_at <= moment) and only in (None, notice.kind)
        ]


def send_notice(code: str, notice_id: int) -> str:
    """
    Make one owed paper, send it once if there is an address, and return the notice's state.

    The Message-ID is the same over all tries. A server that puts it off is tried again later; what it
    refuses is left for the counter, because a notice never holds a dossier up.
    """
    parts = services()
    with parts.database.transaction() as session:
        dossier = hold(session, code)
        notice = session.get_one(NoticeRow, notice_id)
        if notice.state != "owed":
            return notice.state
        office = office_of(session, dossier.office)
        email = session.get_one(ApplicantRow, code).email
        notice.attempts += 1
        session.add(notice)
    pdf = None if notice.kind == "booked" else paper_of(code, notice)
    if not email:
        return _end(code, notice_id, "at-counter", "no e-mail address", None, 0)
    errand = message_id(f"{code}/{notice.kind}/{notice.ordinal}/{notice.occasion}", office.mailbox)
    if pdf is None:
        starts_at = datetime.fromisoformat(str(notice.facts["starts_at"]))
        message = booked_message(code=code, office=office, to=email, message_id=errand, starts_at=starts_at)
    else:
        message = paper_message(
            code=code, office=office, to=email, message_id=errand, title=TITLES[notice.kind], pdf=pdf
        )
    answer = parts.mail.send(message)
    doubtful = notice.ambiguous + (answer.outcome == "ambiguous")
    following = after(answer.outcome, attempts=notice.attempts, ambiguous=doubtful)
    state = {"accepted": "sent", "refused": "at-counter"}.get(following.state, "owed")
    if following.wait is None and state == "owed":
        state = "at-counter"
    wait = now_plus(following.wait.total_seconds()) if following.wait else None
    return _end(code, notice_id, state, f"{answer.code} {answer.text}", wait, doubtful)


def now_plus(seconds: float) -> datetime:
    """Return a moment from now by the office's clock."""
    return services().clock.now() + timedelta(seconds=seconds)


def reports_due(code: str) -> bool:
    """Whether there is a portal that has not heard of this dossier's newest status code."""
    if services().portal is None:
        return False
    with services().database.transaction() as session:
        query = select(StatusReportRow).where(
            StatusReportRow.dossier == code, col(StatusReportRow.sent_at).is_(None)
        )
        return session.exec(query).first() is not None


def report_status(code: str) -> int:
    """
    Tell the portal the status codes that it has not heard yet, in order; return how many it heard now.

    The portal ignores a sequence that it knows, so a report whose answer was lost is simply sent again.
    """
    portal = services().portal
    sent = 0
    while True:
        with services().database.transaction() as session:
            look(session, code)
            report = session.exec(
                select(StatusReportRow)
                .where(StatusReportRow.dossier == code, col(StatusReportRow.sent_at).is_(None))
                .order_by(col(StatusReportRow.sequence))
            ).first()
        if report is None or portal is None:
            return sent
        portal.report(reference=code, sequence=report.sequence, code=report.code, at=report.at.isoformat())
        with services().database.transaction() as session:
            told = session.get_one(StatusReportRow, (code, report.sequence))
            told.sent_at = now(session)
            session.add(told)
        sent += 1


def wake_at(code: str) -> datetime | None:
    """Return when the next message or leg that was put off may be tried again."""
    with services().database.transaction() as session:
        waits = [n.next_try_at for n in _owed(session, code)]
        waits += [leg.next_try_at for leg in legs_of(session, code) if leg.ended_at is None]
        return min((w for w in waits if w is not None), default=None)


def _owed(session: Session, code: str) -> list[NoticeRow]:
    """Return a dossier's owed messages in the order in which they arose."""
    query = select(NoticeRow).where(NoticeRow.dossier == code, NoticeRow.state == "owed")
    return list(session.exec(query.order_by(col(NoticeRow.id))))


def _end(
    code: str, notice_id: int, state: str, answer: str, next_try: datetime | None, ambiguous: int
) -> str:
    """Write down how a try ended."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        notice = session.get_one(NoticeRow, notice_id)
        notice.state = state
        notice.last_answer = answer[:300]
        notice.next_try_at = next_try
        notice.ambiguous = ambiguous
        notice.ended_at = now(session) if state != "owed" else None
        session.add(notice)
        facts: dict[str, Json] = {"notice": notice.kind, "state": state}
        tell(
            session, dossier, Telling(event=f"notice:{'put-off' if state == 'owed' else state}", facts=facts)
        )
        return state
