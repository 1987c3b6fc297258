"""Reminding an office, by its own mailbox, of a register whose year is over and that nobody has locked (CERT-29)."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP

from infra.mail import Outcome
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.offices import OfficeData
from tasks.dossier.register import RegisterBookRow
from tasks.locking.locking import lines_of, unlocked_years


def remind_of_registers() -> list[str]:
    """
    Send each office one message about its registers of past years that are not locked; return what was not sent.

    The message of a week has one Message-ID, so that a second run in it is the same message. It names numbers
    and dossier codes, no persons.
    """
    parts = services()
    week = local(parts.clock.now()).strftime("%G-W%V")
    with parts.database.transaction() as session:
        books = unlocked_years(session)
        waiting: dict[str, list[str]] = {}
        for book in books:
            open_ones = [
                line
                for line in lines_of(session, book.office, book.year, book.symbol)
                if line.state == "reserved"
            ]
            waiting.setdefault(book.office, []).append(_said(book, [one.dossier for one in open_ones]))
        offices = {code: office_of(session, code) for code in waiting}
    failed = []
    for code, said in waiting.items():
        answer = parts.mail.send(_message(offices[code], said, week))
        if answer.outcome is not Outcome.ACCEPTED:
            failed.append(f"{code}: {answer.code}")
    return failed


def _said(book: RegisterBookRow, reserved: list[str]) -> str:
    """Return one register's line of the message."""
    waits = f"; còn {len(reserved)} số chưa kết thúc: {', '.join(reserved[:20])}" if reserved else ""
    return f"- Sổ {book.symbol} năm {book.year}: {book.last_number} số{waits}"


def _message(office: OfficeData, said: list[str], week: str) -> EmailMessage:
    """Return the reminder to an office's own mailbox."""
    message = EmailMessage(policy=SMTP)
    message["From"] = message["To"] = office.mailbox
    message["Subject"] = f"Sổ chứng thực chưa khóa – {office.code}"
    message["Message-ID"] = f"<register-{office.code}-{week}@{office.mailbox.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        "Các sổ chứng thực sau đây đã hết năm và chưa được khóa:\n\n"
        + "\n".join(said)
        + "\n\nĐề nghị người có thẩm quyền khóa sổ: hoso register lock.\n",
        charset="utf-8",
    )
    return message
