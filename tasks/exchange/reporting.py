"""
The report on the exchange for the Chairman (REP-04): by agency what came and went, and who did it wrongly.

A document counts on the day on which it was sent or came, by the office's clock. Shares are rounded down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from pathlib import Path

from sqlmodel import Session, col, select

from infra.clock import HANOI
from infra.database import now
from infra.errors import Forbidden
from infra.services import services
from infra.sheets import Column, workbook
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.offices import OfficeData
from tasks.exchange import books
from tasks.exchange.organisations import listed
from tasks.exchange.rules import send_by
from tasks.exchange.tables import ArrivalRow, ExchangeDocumentRow
from tasks.forms.landscape import landscape_page

_TEMPLATE = Path(__file__).with_name("report.typ")
_TITLE = "Báo cáo gửi, nhận văn bản điện tử giữa các cơ quan"


@dataclass(slots=True, kw_only=True)
class Line:
    """One agency in one period: what it sent us, what we sent it, and how."""

    agency: str
    name: str
    sent: int = 0  # by us to it
    acknowledged_same_day: int = 0
    returned: int = 0  # by it
    recalled: int = 0  # by us
    received: int = 0  # from it
    received_signed: int = 0
    received_in_time: int = 0
    recalled_by_it: int = 0
    wrong: int = 0  # packages of it that were kept aside

    @property
    def signed_share(self) -> str:
        """Return how many of its documents were signed."""
        return _share(self.received_signed, self.received)

    @property
    def in_time_share(self) -> str:
        """Return how many of its documents came in time (EXC-04, EXC-05)."""
        return _share(self.received_in_time, self.received)

    @property
    def same_day_share(self) -> str:
        """Return how many of ours it acknowledged on the day of their arrival (EXC-07)."""
        return _share(self.acknowledged_same_day, self.sent)


def _share(part: int, whole: int) -> str:
    """
    Return a share in per cent; nothing of nothing is no share.

    >>> _share(2, 3), _share(0, 0)
    ('66 %', '–')
    """
    return f"{100 * part // whole} %" if whole else "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The report on one office's exchange in a period, both days included."""

    office: str
    first: date
    last: date
    lines: tuple[Line, ...]
    #: Agencies of the directory from which nothing came.
    missing: tuple[str, ...]
    #: Agencies of which something was kept aside, unsigned or late.
    wrong: tuple[str, ...]


def draw_up(session: Session, office: str, first: date, last: date) -> Report:
    """Return the report of a period; refuses one that ends before it begins."""
    if last < first:
        raise Forbidden(
            f"the period ends on {last}, before it begins.", rule="REP-04", way_out="Give --from and --to."
        )
    data = office_of(session, office)
    today = local(now(session)).date()
    lines = {
        row.code: Line(agency=row.code, name=row.name)
        for row in listed(session)
        if row.code != office
        and (row.valid_until is None or row.valid_until >= first)
        and row.valid_from <= today
    }
    start, end = (datetime.combine(day, time(), HANOI) for day in (first, last + timedelta(days=1)))
    query = select(ExchangeDocumentRow).where(
        ExchangeDocumentRow.office == office,
        col(ExchangeDocumentRow.sent_at) >= start,
        col(ExchangeDocumentRow.sent_at) < end,
    )
    for row in session.exec(query).all():
        if row.direction == "in":
            _count_received(
                session, data, lines.setdefault(row.sender, Line(agency=row.sender, name="")), row
            )
        else:
            _count_sent(session, lines, row)
    for sender, name in _set_aside(session, office, start, end):
        lines.setdefault(sender, Line(agency=sender, name=name)).wrong += 1
    ordered = [lines[code] for code in sorted(lines)]
    wrong = [
        one.agency
        for one in ordered
        if one.wrong or one.received_signed < one.received or one.received_in_time < one.received
    ]
    return Report(
        office=office,
        first=first,
        last=last,
        lines=tuple(ordered),
        missing=tuple(one.agency for one in ordered if not one.received),
        wrong=tuple(wrong),
    )


def _count_received(session: Session, office: OfficeData, line: Line, row: ExchangeDocumentRow) -> None:
    """Count a document that came."""
    chosen = services().settings
    line.received += 1
    line.received_signed += row.legal_effect == "replaces-paper"
    line.recalled_by_it += "13" in books.chain_of(session, row.code, row.office)
    signed_at = row.signed_at or datetime.combine(row.day, time(), HANOI)
    due = send_by(
        signed_at,
        row.priority,
        office.calendar(),
        next_morning=time.fromisoformat(chosen.axis_next_morning),
        urgent_minutes=chosen.axis_urgent_minutes,
    )
    line.received_in_time += row.sent_at is not None and row.sent_at <= due


def _count_sent(session: Session, lines: dict[str, Line], row: ExchangeDocumentRow) -> None:
    """Count a document that went to each of its agencies."""
    for one in books.recipients_of(session, row.code):
        line = lines.setdefault(one.organ, Line(agency=one.organ, name=one.name))
        chain = books.chain_of(session, row.code, one.organ)
        line.sent += 1
        line.returned += "02" in chain
        line.recalled += "13" in chain
        if one.acknowledged_at is not None and row.sent_at is not None:
            line.acknowledged_same_day += local(one.acknowledged_at).date() == local(row.sent_at).date()


def _set_aside(session: Session, office: str, start: datetime, end: datetime) -> list[tuple[str, str]]:
    """Return from whom packages were kept aside in a period."""
    query = select(ArrivalRow.sender).where(
        ArrivalRow.office == office,
        ArrivalRow.state == "set-aside",
        col(ArrivalRow.arrived_at) >= start,
        col(ArrivalRow.arrived_at) < end,
    )
    return [(sender, "") for sender in session.exec(query).all()]


_COLUMNS = (
    ("Mã định danh", 16),
    ("Tên cơ quan", 34),
    ("Đã gửi đến", 9),
    ("Xác nhận trong ngày", 11),
    ("Bị trả lại", 9),
    ("Đã thu hồi", 9),
    ("Nhận từ cơ quan", 10),
    ("Có ký số", 9),
    ("Đúng hạn", 9),
    ("Bị cơ quan thu hồi", 10),
    ("Không hợp lệ", 10),
)


#: What the columns behind the agency's name are about, and how many they are.
_GROUPS = (("Văn bản gửi đi", 4), ("Văn bản nhận về", 5))


def _sum(lines: Sequence[Line]) -> Line:
    """Return all agencies as one line."""
    counts = [one.name for one in fields(Line) if one.name not in ("agency", "name")]
    return Line(
        agency="", name="Tổng cộng", **{name: sum(getattr(one, name) for one in lines) for name in counts}
    )


def _rows(report: Report) -> list[list[str]]:
    """Return the report's table, with the sum of all agencies as its last row."""
    return [
        [
            one.agency, one.name, str(one.sent), one.same_day_share, str(one.returned), str(one.recalled),
            str(one.received), one.signed_share, one.in_time_share, str(one.recalled_by_it), str(one.wrong),
        ]
        for one in (*report.lines, _sum(report.lines))
    ]  # fmt: skip


def _period(report: Report) -> str:
    """Return the period in words."""
    return f"Từ ngày {report.first:%d/%m/%Y} đến ngày {report.last:%d/%m/%Y}"


def report_workbook(report: Report, made_at: datetime) -> bytes:
    """Return the report as a workbook whose cells are all text; the same report gives the same bytes."""
    notes = [
        f"Cơ quan không gửi văn bản điện tử trong kỳ: {'; '.join(report.missing) or 'không có'}.",
        f"Cơ quan gửi chưa đúng quy định: {'; '.join(report.wrong) or 'không có'}.",
    ]
    return workbook(
        [Column(heading=heading, width=width) for heading, width in _COLUMNS],
        _rows(report),
        sheet="Báo cáo",
        made_at=made_at,
        title=[_TITLE.upper(), _period(report)],
        notes=notes,
    )


def report_pdf(report: Report, office: OfficeData, made_at: datetime) -> bytes:
    """Return the report as a page with the agency's empty field; the same report gives the same bytes."""
    return landscape_page(
        _TEMPLATE,
        {
            "columns": [{"heading": heading, "width": width} for heading, width in _COLUMNS],
            "groups": [{"name": name, "span": span} for name, span in _GROUPS],
            "rows": [list[str](row) for row in _rows(report)],
            "missing": list(report.missing),
            "wrong": list(report.wrong),
        },
        office=office,
        title=_TITLE,
        period=_period(report),
        made_at=made_at,
    )


def period(first: str, last: str, today: date) -> tuple[date, date]:
    """Return a period from two days in ISO form; without them it is the month up to today."""
    try:
        return (
            date.fromisoformat(first) if first else today.replace(day=1),
            date.fromisoformat(last) if last else today,
        )
    except ValueError:
        raise Forbidden("that is no date.", rule="REP-04", way_out="Write 2026-11-01.") from None
