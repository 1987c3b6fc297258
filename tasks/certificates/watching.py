"""What the night looks at: validity that is over, validity that ends soon, people who left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP

from sqlmodel import Session, col, select

from infra.chance import random_id
from infra.database import now
from infra.history import Json
from infra.services import services
from tasks.certificates.leaving import compare_with_people
from tasks.certificates.lifecycle import LIVING, CertificateState
from tasks.certificates.records import SEAL, become, policy, tell_of
from tasks.certificates.rules import warning_due
from tasks.certificates.tables import CertificateRow, RevocationTaskRow
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.moves import SYSTEM


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A certificate that ends soon: whose, when, and which warning (days) it is."""

    sha256: str
    serial: str
    office: str
    holder: str
    not_after: datetime
    days_left: int
    warning: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What one look found: how many expired, which warnings were given, what must be revoked."""

    expired: int
    warned: tuple[Ending, ...]
    to_revoke: int
    overdue: int


def watch() -> Watch:
    """
    End what has expired, warn of what ends soon, and ask for the revocation of what people left behind.

    The warning goes to the office's mailbox, once for each of 90, 60 and 30 days (CER-09). When the mail
    server takes nothing, the next look warns again; a crash after the mail sends it twice.
    """
    parts = services()
    with parts.database.transaction() as session:
        expired = _end_expired(session)
        compare_with_people(session)
        due = _warnings(session)
    warned: list[Ending] = []
    for office in sorted({one.office for one in due}):
        endings = [one for one in due if one.office == office]
        answer = parts.mail.send(_message(office, endings))
        if answer.outcome.value in ("accepted", "ambiguous"):
            _remember(endings, str(answer.outcome))
            warned += endings
    with parts.database.transaction() as session:
        tasks = session.exec(select(RevocationTaskRow).where(col(RevocationTaskRow.ended_at).is_(None))).all()
        moment = now(session)
    return Watch(
        expired=expired,
        warned=tuple(warned),
        to_revoke=len(tasks),
        overdue=sum(task.due_at < moment for task in tasks),
    )


def _end_expired(session: Session) -> int:
    """End the certificates whose validity is over, and return how many there were."""
    moment = now(session)
    query = select(CertificateRow).where(
        col(CertificateRow.state).in_(sorted(LIVING)), col(CertificateRow.not_after) <= moment
    )
    rows = session.exec(query.with_for_update()).all()
    for row in rows:
        row.ended_at = min(row.ended_at or moment, row.not_after or moment)
        become(session, row, CertificateState.EXPIRED)
        tell_of(session, row, event="certificate:expired", by=SYSTEM, facts={"serial": row.serial})
    return len(rows)


def _warnings(session: Session) -> list[Ending]:
    """Return the warnings that are due: of certificates in use that nothing follows yet."""
    moment, days = now(session), policy().warning_days
    query = select(CertificateRow).where(
        col(CertificateRow.state).in_([CertificateState.ACTIVE, CertificateState.SUSPENDED]),
        col(CertificateRow.not_after).is_not(None),
    )
    found = []
    for row in session.exec(query.order_by(col(CertificateRow.not_after))):
        end = row.not_after or moment
        step = warning_due(end, row.warned_days, moment, days)
        if step is not None:
            found.append(ending_of(row, moment, step))
    return found


def ending_of(row: CertificateRow, moment: datetime, warning: int = 0) -> Ending:
    """Return a certificate as lists of endings show it."""
    end = row.not_after or moment
    return Ending(
        sha256=row.sha256,
        serial=row.serial,
        office=row.office,
        holder=row.holder or SEAL,
        not_after=end,
        days_left=(end - moment).days,
        warning=warning,
    )


def _remember(endings: list[Ending], mailed: str) -> None:
    """Write down that warnings were given, so that each is given once."""
    with services().database.transaction() as session:
        for ending in endings:
            row = session.get_one(CertificateRow, ending.sha256)
            row.warned_days = ending.warning
            session.add(row)
            facts: dict[str, Json] = {
                "serial": row.serial,
                "warning": ending.warning,
                "days_left": ending.days_left,
                "mail": mailed,
            }
            tell_of(session, row, event="certificate:expiring", by=SYSTEM, facts=facts)


def _message(office_code: str, endings: list[Ending]) -> EmailMessage:
    """Return the warning to an office's own mailbox; it names staff codes and serial numbers, no persons."""
    with services().database.transaction() as session:
        office = office_of(session, office_code)
    lines = [
        f"- {one.holder}: số hiệu {one.serial}, hết hạn {local(one.not_after):%d/%m/%Y} (còn {one.days_left} ngày)"
        for one in endings
    ]
    message = EmailMessage(policy=SMTP)
    message["From"] = message["To"] = office.mailbox
    message["Subject"] = f"Chứng thư số sắp hết hạn – {office.code}"
    message["Message-ID"] = f"<{random_id()}@{office.mailbox.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        "Các chứng thư số sau đây sắp hết hạn:\n\n"
        + "\n".join(lines)
        + f"\n\nĐề nghị gia hạn khi còn ít nhất {policy().renewal_days_left} ngày: hoso certificate renew.\n",
        charset="utf-8",
    )
    return message
