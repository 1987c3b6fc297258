"""Lists as units would send them, and rounds for them; nobody in them exists."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from typing import Any

import openpyxl

from infra.sheets import Row, read_rows
from tasks.registration.form_sets import FormSet, Subject, form_set_on
from tasks.registration.round_data import RoundData, UnitData
from tasks.registration.rounds import open_round
from tests.world import World

FORMS = form_set_on(date(2026, 11, 1))
DOMAINS = ("quangninh.gov.vn",)
UNITS = ("TTVH", "TDTT", "YTE")


def somebody_of(number: int, **changes: str) -> dict[str, str]:
    """A person whom a unit registers, told apart by a number below a million; `changes` by field."""
    return {
        "name": f"Nguyễn Văn {_letters(number)}",
        "born": "05/03/1980",
        "identity": f"022080{number:06d}",
        "identity_issued": "01/07/2021",
        "identity_issuer": "Cục CSQLHC về TTXH",
        "email": f"nguoi.{number}@vanphong.quangninh.gov.vn",
        "post": "Trưởng phòng",
        "agency": "Sở Thử Nghiệm",
        "province": "Quảng Ninh",
        "telephone": f"0912{number:06d}",
        "capacity": "Lãnh đạo cơ quan",
        "basis": "",
        "device": "PKI Token",
        "sim": "",
        "old_serial": "",
        "note": "",
        **changes,
    }


def agency_of(number: int, **changes: str) -> dict[str, str]:
    """An agency that asks for a certificate."""
    return {
        "name": f"Trung tâm {_letters(number)}",
        "identity": f"H49.{number}",
        "address": "Phường Thử Nghiệm, tỉnh Quảng Ninh",
        "email": f"coquan.{number}@quangninh.gov.vn",
        "capacity": "Cơ quan, tổ chức",
        "decision": "12/QĐ-UBND ngày 01/07/2025",
        "keeper": "Trần Thị Văn Thư",
        "keeper_identity": f"0221850{number:05d}",
        "keeper_post": "Văn thư",
        "keeper_email": f"vanthu.{number}@quangninh.gov.vn",
        "keeper_telephone": "0203 3825 111",
        "old_serial": "",
        "note": "",
        **changes,
    }


def _letters(number: int) -> str:
    """A name made of letters only."""
    return "".join("ABCDEGHIKL"[int(digit)] for digit in str(number)).capitalize() + "an"


def headings(subject: Subject = "individual", forms: FormSet = FORMS) -> list[str]:
    return ["STT", *(column.heading for column in forms.form(subject).columns)]


def table_of(
    rows: list[dict[str, str]], subject: Subject = "individual", forms: FormSet = FORMS
) -> list[list[str]]:
    fields = [column.field for column in forms.form(subject).columns]
    body = [[str(n), *(row[name] for name in fields)] for n, row in enumerate(rows, start=1)]
    return [headings(subject, forms), *body]


def as_csv(table: list[list[str]], *, mark: str = ";", bom: bool = True) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=mark).writerows(table)
    return out.getvalue().encode("utf-8-sig" if bom else "utf-8")


def as_xlsx(table: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    for row in table:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def rows_of(rows: list[dict[str, str]], subject: Subject = "individual") -> list[Row]:
    return read_rows(as_csv(table_of(rows, subject)))


def round_in(world: World, office: str, **changes: Any) -> str:
    """Open a round of its own at an office and return its code."""
    code = f"R-{office.replace('.', '-')}-{changes.pop('number', 1)}"
    now = world.parts.clock.now()
    data = RoundData.model_validate(
        {
            "code": code,
            "office": office,
            "name": "Đăng ký chứng thư chữ ký số năm 2026",
            "letter": {"number": "411/UBND-VP", "date": now.date() - timedelta(days=1)},
            "legal_basis": ["Nghị định số 68/2024/NĐ-CP ngày 25/6/2024 của Chính phủ"],
            "deadline": now + timedelta(days=30),
            "official_domains": DOMAINS,
            "units": [UnitData(code=unit, name=f"Đơn vị {unit}").model_dump() for unit in UNITS],
            **changes,
        }
    )
    open_round(data, by=world.officer(office, "ha", "official"))
    return code


def deadline_passes(world: World, code: str) -> None:
    """Let a round's deadline be over, as time would."""
    world.put(
        "update registration_round set deadline = clock_timestamp() - interval '1 second' where code = :c",
        c=code,
    )
