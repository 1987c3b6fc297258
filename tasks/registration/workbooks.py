"""The files that go back to units: the empty form, the reasons why rows are not taken, the list of reminders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from infra.services import services
from infra.sheets import Column, csv_text, workbook
from tasks.dossier.calendar import local
from tasks.registration.answers import RoundStatus
from tasks.registration.form_sets import Subject
from tasks.registration.reasons import Reason
from tasks.registration.rounds import forms_of, look_round, round_of

#: A share of a form's width, in characters of a workbook's column.
_CHARACTERS = 0.75


def template(code: str, subject: Subject) -> bytes:
    """Return the workbook that a unit fills in: what may stand in each column, then the headings, then nothing."""
    with services().database.transaction() as session:
        row = look_round(session, code)
    data, form = round_of(row), forms_of(row).form(subject)
    lines = [
        form.list_title.upper(),
        f"{form.request_form} kèm theo {forms_of(row).title}; {data.letter.number} ngày {data.letter.date:%d/%m/%Y}",
        f"Gửi trước {local(row.deadline):%H giờ %M ngày %d/%m/%Y}",
        f"Thư điện tử công vụ thuộc: {', '.join(data.official_domains)}",
    ]
    lines += [
        f"{column.heading}: ghi một trong các giá trị: {'; '.join(c.text for c in column.choices.values())}"
        for column in form.columns
        if column.choices
    ]
    columns = [Column(heading="STT", width=6)]
    columns += [Column(heading=c.heading, width=max(12, c.width * _CHARACTERS)) for c in form.columns]
    return workbook(columns, [], sheet="Danh sách", made_at=row.opened_at, title=lines)


def reasons_sheet(reasons: Sequence[Reason], made_at: datetime) -> bytes:
    """Return a workbook that tells a unit, in Vietnamese, what is wrong in which row."""
    columns = [
        Column(heading="Dòng", width=8),
        Column(heading="Cột", width=30),
        Column(heading="Lý do", width=90),
        Column(heading="Quy tắc", width=12),
    ]
    rows = [(str(r.row), r.column, r.vi, r.rule) for r in reasons]
    return workbook(columns, rows, sheet="Lý do", made_at=made_at, title=["CÁC DÒNG CHƯA ĐƯỢC TIẾP NHẬN"])


def reminder_list(status: RoundStatus) -> tuple[str, int]:
    """Return a CSV file of the units that have not answered, with what to write to each, and how many they are."""
    until = f"{local(status.deadline):%H giờ %M ngày %d/%m/%Y}"
    rows = []
    for unit in status.units:
        if unit.answer not in ("open", "overdue"):
            continue
        late = unit.answer == "overdue"
        text = f"Đề nghị {unit.name} gửi danh sách đăng ký chứng thư số ({status.name}); " + (
            f"thời hạn {until} đã qua." if late else f"thời hạn: {until}."
        )
        rows.append((unit.code, unit.name, unit.mailbox, "quá hạn" if late else "chưa gửi", text))
    headings = ("Mã đơn vị", "Tên đơn vị", "Thư điện tử", "Tình trạng", "Nội dung")
    return csv_text(headings, rows), len(rows)
