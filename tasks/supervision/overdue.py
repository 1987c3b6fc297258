"""Deadlines that near or pass: written down once, and told to the office and its superior."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from typing import NamedTuple

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Unavailable
from infra.history import Json
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.looking import hold, office_of
from tasks.dossier.moves import Telling, tell
from tasks.dossier.offices import OfficeData
from tasks.dossier.tables import DossierRow
from tasks.supervision.answering import ABOVE, end_escalation
from tasks.supervision.rules import COUNTED, ahead
from tasks.supervision.tables import DeadlineAlertRow

#: What each kind of alert says, in the order in which a message lists them.
SAYS: Mapping[str, str] = {
    "escalated": "Quá hạn lâu, báo cáo người phụ trách",
    "again": "Đã có ý kiến chỉ đạo nhưng vẫn quá hạn",
    "over": "Đã giải quyết xong hoặc đã có hạn mới",
    "answered": "Người phụ trách đã có ý kiến chỉ đạo (xem việc tại quầy: hoso show)",
    "late": "Quá hạn",
    "near": "Sắp đến hạn",
}

#: Dossiers that are looked at in one transaction: each holds the history's head to its end.
_BLOCK = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What one look at one office found: new alerts of each kind, and how many earlier ones are over."""

    near: int = 0
    late: int = 0
    escalated: int = 0
    settled: int = 0


def watch_deadlines(office_code: str) -> Watched:
    """
    Write down what has become near, late or late for long at an office, and tell whom it concerns.

    Each alert is raised once for a promised time; a new time brings new ones. What the superior gave back and is late
    for as long again is escalated once more; when it is over, the superior is told so. The office's mailbox gets
    one message, the superior another. On a day off nothing is raised and nobody is told. Raises `Unavailable` when the
    mail server takes nothing: the alerts stand, and the next look mails them. A crash after the mail sends it again
    under the same Message-ID.
    """
    with services().database.transaction() as session:
        settled = _settle(session, office_code)
        moment = now(session)
        if not office_of(session, office_code).calendar().is_working(local(moment).date()):
            return Watched(settled=settled)
        wanted = _wanted(session, office_code, moment)
    raised: list[str] = []
    for first in range(0, len(wanted), _BLOCK):
        with services().database.transaction() as session:
            for code, kind in wanted[first : first + _BLOCK]:
                raised += [kind] if _raise(session, code, kind, moment) else []
    _mail(office_code)
    return Watched(
        near=raised.count("near"),
        late=raised.count("late"),
        escalated=raised.count("escalated") + raised.count("again"),
        settled=settled,
    )


def _wanted(session: Session, office_code: str, moment: datetime) -> list[tuple[str, str]]:
    """Return the alerts that are due and not raised yet: of which dossier, of which kind; nearest due first."""
    chosen = services().settings
    calendar = office_of(session, office_code).calendar()
    horizon = ahead(moment, timedelta(hours=chosen.near_hours), calendar)
    long = timedelta(hours=chosen.escalate_hours)
    wanted = []
    known = _known(session, office_code)
    query = select(DossierRow.code, DossierRow.due_at).where(
        DossierRow.office == office_code,
        col(DossierRow.ended_at).is_(None),
        col(DossierRow.paused_at).is_(None),
        col(DossierRow.stage).in_(COUNTED),
        col(DossierRow.due_at) <= horizon,
    )
    for code, due in session.exec(query.order_by(col(DossierRow.due_at), col(DossierRow.code))):
        if due is None:
            continue
        kinds = ["near"] if due >= moment else ["late"]
        if due < moment and ahead(due, long, calendar) < moment:
            kinds.append("escalated")
        answered = known.get((code, due, "escalated"))
        if answered is not None and ahead(answered, long, calendar) < moment:
            kinds.append("again")
        wanted += [(code, kind) for kind in kinds if (code, due, kind) not in known]
    return wanted


def _known(session: Session, office_code: str) -> dict[tuple[str, datetime, str], datetime | None]:
    """Return the alerts of an office that are open, with when the superior answered."""
    query = select(DeadlineAlertRow).where(
        DeadlineAlertRow.office == office_code, col(DeadlineAlertRow.ended_at).is_(None)
    )
    return {(alert.dossier, alert.due_at, alert.kind): alert.answered_at for alert in session.exec(query)}


def _raise(session: Session, code: str, kind: str, moment: datetime) -> bool:
    """Raise one alert and write it into the history, unless it was raised before or somebody acted just now."""
    dossier = hold(session, code)
    due = dossier.due_at
    if due is None or dossier.stage not in COUNTED or dossier.paused_at is not None:
        return False
    if (kind == "near") != (due >= moment) or session.get(DeadlineAlertRow, (code, due, kind)) is not None:
        return False
    session.add(
        DeadlineAlertRow(dossier=code, due_at=due, kind=kind, office=dossier.office, raised_at=moment)
    )
    facts: dict[str, Json] = {"due_at": due.isoformat()}
    if kind in ABOVE:
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
        (alert, dossier)
        for alert, dossier in session.exec(query)
        if dossier.stage not in COUNTED or dossier.paused_at is not None or dossier.due_at != alert.due_at
    ]
    for alert, dossier in over:
        alert.ended_at = now(session)
        session.add(alert)
        if alert.kind == "escalated":
            end_escalation(session, dossier, alert)
    return len(over)


def _mail(office_code: str) -> None:
    """Tell the office, and its superior where something is late for long, of what nobody was told yet."""
    with services().database.transaction() as session:
        office = office_of(session, office_code)
        of_office = select(DeadlineAlertRow).where(DeadlineAlertRow.office == office_code)
        of_office = of_office.order_by(col(DeadlineAlertRow.due_at), col(DeadlineAlertRow.dossier))
        still = of_office.where(col(DeadlineAlertRow.ended_at).is_(None))
        owed = session.exec(still.where(col(DeadlineAlertRow.mailed_at).is_(None))).all()
        answers = still.where(
            col(DeadlineAlertRow.answered_at).is_not(None), col(DeadlineAlertRow.answer_told_at).is_(None)
        )
        answered = [alert for alert in session.exec(answers).all() if alert.kind == "escalated"]
        ended = of_office.where(
            DeadlineAlertRow.kind == "escalated",
            col(DeadlineAlertRow.ended_at).is_not(None),
            col(DeadlineAlertRow.mailed_at).is_not(None),
            col(DeadlineAlertRow.end_told_at).is_(None),
        )
        over = session.exec(ended).all()
    superior = next((o.email for o in office.officers if o.staff == office.superior), "") or office.mailbox
    here = [_Line(a, a.kind, "mailed_at") for a in owed if a.kind not in ABOVE]
    here += [_Line(a, "answered", "answer_told_at") for a in answered]
    above = [_Line(a, a.kind, "mailed_at") for a in owed if a.kind in ABOVE]
    above += [_Line(a, "over", "end_told_at") for a in over]
    for to, lines in ((office.mailbox, here), (superior, above)):
        if lines:
            _send(office, to, lines)


class _Line(NamedTuple):
    """One line of a message: which alert, what is said of it, and where it is written down that it was said."""

    alert: DeadlineAlertRow
    kind: str
    told: str


def _send(office: OfficeData, to: str, lines: Sequence[_Line]) -> None:
    """Send one message, and write down what it told; raises `Unavailable` when the mail server did not take it."""
    answer = services().mail.send(_message(office, to, lines))
    if answer.outcome.value not in ("accepted", "ambiguous"):
        raise Unavailable(
            f"the mail server did not take the alerts of {office.code}: {answer.code} {answer.text}"
        )
    with services().database.transaction() as session:
        for alert, _, told in lines:
            row = session.get_one(DeadlineAlertRow, (alert.dossier, alert.due_at, alert.kind))
            setattr(row, told, now(session))
            session.add(row)


def _message(office: OfficeData, to: str, said: Sequence[_Line]) -> EmailMessage:
    """Return the message about some alerts; it names dossiers by code, no persons."""
    lines = []
    for kind, title in SAYS.items():
        alerts = [one.alert for one in said if one.kind == kind]
        named = [f"- {a.dossier}, hạn trả {local(a.due_at):%H:%M %d/%m/%Y}" for a in alerts]
        lines += [f"{title} ({len(named)}):", *named, ""] if named else []
    # What was answered twice is told twice.
    about = "\n".join(
        f"{one.alert.dossier} {one.alert.due_at.isoformat()} {one.kind}"
        + (f" {one.alert.answered_at}" if one.kind == "answered" else "")
        for one in said
    )
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = office.mailbox, to
    message["Subject"] = f"Hạn giải quyết hồ sơ – {office.code}"
    digest = hashlib.sha256(about.encode()).hexdigest()[:32]
    message["Message-ID"] = f"<deadline-{digest}@{office.mailbox.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        "\n".join(lines)
        + "\nXem bảng theo dõi: hoso board. Gia hạn một lần, kèm thư xin lỗi: hoso postpone."
        + " Trả về nơi giải quyết kèm ý kiến chỉ đạo: hoso give-back.\n",
        charset="utf-8",
    )
    return message
