"""Deadlines that near or pass: written down once, and told to the office and its superior."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Unavailable
from infra.history import Json
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.moves import Telling, hold, office_of, tell
from tasks.dossier.offices import OfficeData
from tasks.dossier.tables import DossierRow
from tasks.supervision.rules import COUNTED, ahead
from tasks.supervision.tables import DeadlineAlertRow

#: What each kind of alert says, in the order in which a message lists them.
SAYS: Mapping[str, str] = {
    "escalated": "Quá hạn lâu, báo cáo người phụ trách",
    "late": "Quá hạn",
    "near": "Sắp đến hạn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What one look at one office found: new alerts of each kind, and how many earlier ones are over."""

    near: int
    late: int
    escalated: int
    settled: int


def watch_deadlines(office_code: str) -> Watched:
    """
    Write down what has become near, late or late for long at an office, and tell whom it concerns.

    Each alert is raised once for a promised time; a new time brings new ones. The office's mailbox gets
    one message, the superior another. Raises `Unavailable` when the mail server takes nothing: the alerts
    stand, and the next look mails them. A crash after the mail sends it again under the same Message-ID.
    """
    with services().database.transaction() as session:
        settled = _settle(session, office_code)
        raised = _raise(session, office_code)
    _mail(office_code)
    return Watched(
        near=raised.count("near"),
        late=raised.count("late"),
        escalated=raised.count("escalated"),
        settled=settled,
    )


def _raise(session: Session, office_code: str) -> list[str]:
    """Raise the alerts that are due and not raised yet; return their kinds."""
    moment, chosen = now(session), services().settings
    calendar = office_of(session, office_code).calendar()
    horizon = ahead(moment, timedelta(hours=chosen.near_hours), calendar)
    long = timedelta(hours=chosen.escalate_hours)
    raised = []
    for code in _running(session, office_code, horizon):
        dossier = hold(session, code)
        if dossier.due_at is None or dossier.stage not in COUNTED or dossier.paused_at is not None:
            continue  # Somebody acted just now.
        kinds = ["near"] if dossier.due_at >= moment else ["late"]
        if dossier.due_at < moment and ahead(dossier.due_at, long, calendar) < moment:
            kinds.append("escalated")
        raised += [kind for kind in kinds if _raise_one(session, dossier, kind, moment)]
    return raised


def _running(session: Session, office_code: str, horizon: datetime) -> Sequence[str]:
    """Return the dossiers of an office whose time runs and ends before the horizon."""
    query = select(DossierRow.code).where(
        DossierRow.office == office_code,
        col(DossierRow.ended_at).is_(None),
        col(DossierRow.paused_at).is_(None),
        col(DossierRow.stage).in_(COUNTED),
        col(DossierRow.due_at) <= horizon,
    )
    return session.exec(query.order_by(col(DossierRow.due_at))).all()


def _raise_one(session: Session, dossier: DossierRow, kind: str, moment: datetime) -> bool:
    """Raise one alert and write it into the history, unless it was raised before."""
    due = dossier.due_at or moment
    if session.get(DeadlineAlertRow, (dossier.code, due, kind)) is not None:
        return False
    session.add(
        DeadlineAlertRow(dossier=dossier.code, due_at=due, kind=kind, office=dossier.office, raised_at=moment)
    )
    facts: dict[str, Json] = {"due_at": due.isoformat()}
    if kind == "escalated":
        facts["superior"] = office_of(session, dossier.office).superior
    tell(session, dossier, Telling(event=f"deadline:{kind}", facts=facts))
    return True


def _settle(session: Session, office_code: str) -> int:
    """End the alerts whose dossier is done, stands still or has a new time; return how many."""
    query = (
        select(DeadlineAlertRow, DossierRow)
        .join(DossierRow, col(DossierRow.code) == col(DeadlineAlertRow.dossier))
        .where(DeadlineAlertRow.office == office_code, col(DeadlineAlertRow.ended_at).is_(None))
    )
    over = [
        alert
        for alert, dossier in session.exec(query)
        if dossier.stage not in COUNTED or dossier.paused_at is not None or dossier.due_at != alert.due_at
    ]
    for alert in over:
        alert.ended_at = now(session)
        session.add(alert)
    return len(over)


def _mail(office_code: str) -> None:
    """Tell the office, and its superior where something is late for long, of what nobody was told yet."""
    parts = services()
    with parts.database.transaction() as session:
        office = office_of(session, office_code)
        query = select(DeadlineAlertRow).where(
            DeadlineAlertRow.office == office_code,
            col(DeadlineAlertRow.mailed_at).is_(None),
            col(DeadlineAlertRow.ended_at).is_(None),
        )
        owed = session.exec(query.order_by(col(DeadlineAlertRow.due_at), col(DeadlineAlertRow.dossier))).all()
    above = [alert for alert in owed if alert.kind == "escalated"]
    here = [alert for alert in owed if alert.kind != "escalated"]
    superior = next((o.email for o in office.officers if o.staff == office.superior), "") or office.mailbox
    for to, alerts in ((office.mailbox, here), (superior, above)):
        if not alerts:
            continue
        answer = parts.mail.send(_message(office, to, alerts))
        if answer.outcome.value not in ("accepted", "ambiguous"):
            raise Unavailable(
                f"the mail server did not take the alerts of {office_code}: {answer.code} {answer.text}"
            )
        with parts.database.transaction() as session:
            for alert in alerts:
                row = session.get_one(DeadlineAlertRow, (alert.dossier, alert.due_at, alert.kind))
                row.mailed_at = now(session)
                session.add(row)


def _message(office: OfficeData, to: str, alerts: Sequence[DeadlineAlertRow]) -> EmailMessage:
    """Return the message about some alerts; it names dossiers by code, no persons."""
    lines = []
    for kind, title in SAYS.items():
        named = [f"- {a.dossier}, hạn trả {local(a.due_at):%H:%M %d/%m/%Y}" for a in alerts if a.kind == kind]
        lines += [f"{title} ({len(named)}):", *named, ""] if named else []
    about = "\n".join(f"{a.dossier} {a.due_at.isoformat()} {a.kind}" for a in alerts)
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = office.mailbox, to
    message["Subject"] = f"Hạn giải quyết hồ sơ – {office.code}"
    digest = hashlib.sha256(about.encode()).hexdigest()[:32]
    message["Message-ID"] = f"<deadline-{digest}@{office.mailbox.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        "\n".join(lines)
        + "\nXem bảng theo dõi: hoso board. Gia hạn một lần, kèm thư xin lỗi: hoso postpone.\n",
        charset="utf-8",
    )
    return message
