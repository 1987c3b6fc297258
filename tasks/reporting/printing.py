"""A report as a workbook and as a page with a field for the agency's seal; both are made of its figures alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from infra.pdf.typeset import JSON
from infra.sheets import Column, Sheet, workbook_of
from tasks.dossier.offices import OfficeData
from tasks.forms.landscape import landscape_page
from tasks.reporting.rules import Tally, share_permille, tally_of, total
from tasks.reporting.tables import ReportRow

_TEMPLATE = Path(__file__).with_name("report.typ")
_TITLE = "Báo cáo tình hình tiếp nhận, giải quyết hồ sơ và ứng dụng chữ ký số"

#: The columns of REP-02: group, heading, and what stands in it.
_COLUMNS: Sequence[tuple[str, str, str]] = (
    ("Tiếp nhận", "Tổng số", "received"),
    ("Tiếp nhận", "Kỳ trước chuyển sang", "carried_over"),
    ("Tiếp nhận", "Trong kỳ", "in_period"),
    ("Tiếp nhận", "Trực tuyến", "portal"),
    ("Tiếp nhận", "Trực tiếp", "counter"),
    ("Tiếp nhận", "Bưu chính", "post"),
    ("Đã giải quyết", "Tổng số", "processed"),
    ("Đã giải quyết", "Trước hạn", "early"),
    ("Đã giải quyết", "Đúng hạn", "on_time"),
    ("Đã giải quyết", "Quá hạn", "late"),
    ("Đang giải quyết", "Tổng số", "in_progress"),
    ("Đang giải quyết", "Trong hạn", "running"),
    ("Đang giải quyết", "Quá hạn", "running_late"),
    ("Tạm dừng", "Tổng số", "standing_still"),
    ("Tạm dừng", "Trong hạn", "paused"),
    ("Tạm dừng", "Quá hạn", "paused_late"),
    ("", "Dừng giải quyết", "stopped"),
)

_ROLES = {"official": "Chữ ký số của người có thẩm quyền", "agency": "Chữ ký số của cơ quan"}
_WAYS = {
    "paper": "bản giấy",
    "email": "thư điện tử",
    "portal": "tài khoản Cổng Dịch vụ công",
    "unknown": "không rõ",
}
_SUBJECTS = {"individual": "Cá nhân", "organisation": "Cơ quan, tổ chức"}


def percent(permille: int | None) -> str:
    """
    Return a share as Vietnamese texts write it; nothing of nothing has none.

    >>> percent(973), percent(1000), percent(None)
    ('97,3 %', '100,0 %', '–')
    """
    return "–" if permille is None else f"{permille // 10},{permille % 10} %"


def grouped(number: int) -> str:
    """
    Return a whole number with dots between thousands.

    >>> grouped(1234567)
    '1.234.567'
    """
    return f"{number:,}".replace(",", ".")


def lines_of(figures: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[tuple[str, int, Tally]]:
    """Yield the lines of the main table: a name, how deep it stands (0 all, 1 a unit, 2 a procedure), the counts."""
    units: dict[str, list[tuple[str, Tally]]] = {}
    for line in figures["lines"]:
        counts = {name: value for name, value in line.items() if name not in ("unit", "procedure")}
        units.setdefault(line["unit"], []).append((line["procedure"], tally_of(counts)))
    yield "Tổng số", 0, total(tally for lines in units.values() for _, tally in lines)
    for unit, lines in units.items():
        yield names["units"].get(unit, unit), 1, total(tally for _, tally in lines)
        for procedure, tally in lines:
            yield names["procedures"].get(procedure, procedure), 2, tally


def report_workbook(row: ReportRow, made_at: datetime) -> bytes:
    """Return a report as a workbook whose numbers are numbers; the same report gives the same bytes."""
    figures = json.loads(row.figures)
    head = [_TITLE.upper(), period_in_words(figures)]
    columns = [
        Column(heading="Đơn vị, thủ tục", width=46),
        *(Column(heading=f"{group}: {name}" if group else name, width=13) for group, name, _ in _COLUMNS),
        Column(heading="Tỷ lệ đúng hạn", width=12),
    ]
    main: list[list[str | int]] = [
        [f"{'  ' * depth}{name}", *_values(tally), percent(tally.in_time_permille)]
        for name, depth, tally in lines_of(figures, row.names)
    ]
    sheets = [Sheet(name="Hồ sơ", columns=columns, rows=main, title=head, notes=_notes())]
    for title, headings, rows in tables_of(figures, row.names):
        wide = [
            Column(heading=heading, width=46 if place == 0 else 22) for place, heading in enumerate(headings)
        ]
        sheets.append(Sheet(name=title[:31], columns=wide, rows=rows, title=[title.upper(), head[1]]))
    return workbook_of(sheets, made_at=made_at)


def report_page(row: ReportRow, office: OfficeData, made_at: datetime) -> bytes:
    """Return a report as pages with the agency's empty field; the same report gives the same bytes."""
    figures = json.loads(row.figures)
    months = figures["months"]
    rows: list[JSON] = [
        {
            "name": name,
            "depth": depth,
            "cells": [*(grouped(value) for value in _values(tally)), percent(tally.in_time_permille)],
        }
        for name, depth, tally in lines_of(figures, row.names)
    ]
    tables: list[JSON] = [
        {
            "title": title,
            "headings": list(headings),
            "rows": [[grouped(cell) if isinstance(cell, int) else cell for cell in one] for one in lines],
        }
        for title, headings, lines in tables_of(figures, row.names)
    ]
    return landscape_page(
        _TEMPLATE,
        {
            "groups": _groups(),
            "headings": [heading for _, heading, _ in _COLUMNS],
            "rows": rows,
            "notes": _notes(),
            "tables": tables,
            "months": [
                {
                    "name": f"{one['name'][5:]}/{one['name'][:4]}",
                    "in_time": one["in_time"],
                    "late": one["late"],
                    "rate": share_permille(one["in_time"], one["in_time"] + one["late"]),
                }
                for one in months
            ],
            "scale": scale(max((one["in_time"] + one["late"] for one in months), default=0)),
        },
        office=office,
        title=_TITLE,
        period=period_in_words(figures),
        made_at=made_at,
    )


def period_in_words(figures: Mapping[str, Any]) -> str:
    """Return a report's period and moment in words."""
    said = figures["period"]
    first, last = (date.fromisoformat(said[end]) for end in ("first", "last"))
    year, _, place = said["name"].partition("-")
    kinds = {
        "month": f"Tháng {place} năm {year}",
        "quarter": f"Quý {place[1:]} năm {year}",
        "half-year": f"6 tháng {'đầu' if place == 'H1' else 'cuối'} năm {year}",
        "year": f"Năm {year}",
    }
    return f"{kinds[said['kind']]} (từ ngày {first:%d/%m/%Y} đến ngày {last:%d/%m/%Y})"


def scale(most: int) -> list[int]:
    """
    Return the marks of an axis from 0 up to at least `most`, at most six of them.

    >>> scale(17_300), scale(0), scale(3)
    ([0, 5000, 10000, 15000, 20000], [0, 1], [0, 1, 2, 3])
    """
    step = next(unit * 10**power for power in range(12) for unit in (1, 2, 5) if unit * 10**power * 5 >= most)
    return [step * place for place in range(max(1, -(-most // step)) + 1)]


def _values(tally: Tally) -> list[int]:
    """Return the counts of one line in the order of the columns."""
    return [getattr(tally, name) for _, _, name in _COLUMNS]


def _groups() -> list[JSON]:
    """Return the groups of columns with how many each spans; a column of its own has a group without a name."""
    found: list[tuple[str, int]] = []
    for group, _, _ in _COLUMNS:
        if found and found[-1][0] == group:
            found[-1] = (group, found[-1][1] + 1)
        else:
            found.append((group, 1))
    return [{"name": name, "span": span} for name, span in found]


def _notes() -> list[str]:
    """Return how it was counted, for whoever reads the report alone."""
    return [
        "Đã giải quyết gồm hồ sơ đã có kết quả, đã trả kết quả và hồ sơ người yêu cầu rút. Trước hạn: xong"
        " trước ngày hẹn trả; đúng hạn: xong không muộn hơn giờ hẹn trả. Tạm dừng: chờ bổ sung giấy tờ, chờ nộp"
        " phí, tạm dừng giải quyết.",
        "Dừng giải quyết: mọi bản chính đều bị từ chối. Hồ sơ bị từ chối tiếp nhận không tính là đã tiếp nhận."
        " Số liệu tính đến hết ngày cuối của kỳ báo cáo.",
    ]


def tables_of(
    figures: Mapping[str, Any], names: Mapping[str, Any]
) -> Iterator[tuple[str, Sequence[str], list[list[str | int]]]]:
    """Yield the tables beside the main one: title, headings, rows. What has nothing to say is left out."""
    units = names["units"]
    if figures["results"]:
        yield (
            "Kết quả điện tử",
            _RESULT_HEADINGS,
            [_result_line(units.get(unit, unit), found) for unit, found in figures["results"].items()],
        )
    if figures["signatures"]:
        yield (
            "Chữ ký số trên kết quả",
            ("Đơn vị", *_ROLES.values()),
            [
                [units.get(unit, unit), *(found.get(role, 0) for role in _ROLES)]
                for unit, found in figures["signatures"].items()
            ],
        )
    if figures["certified"]:
        rows: list[list[str | int]] = [
            [f"{units.get(one['unit'], one['unit'])}: {one['kind']}", one["cases"], one["copies"], one["fee"]]
            for one in figures["certified"]
        ]
        summed = [sum(one[part] for one in figures["certified"]) for part in ("cases", "copies", "fee")]
        headings = ("Loại giấy tờ", "Số việc chứng thực", "Số bản", "Phí phải thu (đồng)")
        yield "Chứng thực", headings, [["Tổng số", *summed], *rows]
    if figures["fees"]:
        yield (
            "Phí đã thu",
            ("Đơn vị", "Phí đã thu trong kỳ (đồng)"),
            [[units.get(unit, unit), amount] for unit, amount in figures["fees"].items()],
        )
    yield from _registration_tables(figures["registration"])


_RESULT_HEADINGS = ("Đơn vị", "Hồ sơ đã trả kết quả", "Bằng văn bản điện tử", "Tỷ lệ", "Theo kênh trả")


def _result_line(unit: str, found: Mapping[str, int]) -> list[str | int]:
    """Return how many results went back, how many of them as signed files, and by which ways (REP-05)."""
    electronic = sum(n for ways, n in found.items() if set(ways.split("+")) & {"email", "portal"})
    whole = sum(found.values())
    ways = "; ".join(
        f"{' và '.join(_WAYS.get(way, way) for way in one.split('+'))}: {grouped(number)}"
        for one, number in sorted(found.items())
    )
    return [unit, whole, electronic, percent(share_permille(electronic, whole)), ways]


def _registration_tables(
    found: Mapping[str, Any],
) -> Iterator[tuple[str, Sequence[str], list[list[str | int]]]]:
    """Yield what is reported of registration rounds and certificates (REP-09)."""
    if found["rounds"]:
        asked = ("Đợt đăng ký", "Đơn vị phải gửi", "Gửi đúng hạn", "Gửi muộn", "Chưa gửi")
        yield (
            "Đăng ký chứng thư số",
            asked,
            [
                [code, one["units"], one["in_time"], one["late"], one["missing"]]
                for code, one in sorted(found["rounds"].items())
            ],
        )
    subjects = sorted(set(found["requested"]) | set(found["issued"]))
    if subjects:
        headings = ("Đối tượng", "Đề nghị cấp trong kỳ", "Được cấp trong kỳ", "Hết hạn trong 90 ngày tới")
        yield (
            "Chứng thư số",
            headings,
            [
                [
                    _SUBJECTS.get(one, one),
                    *(found[part].get(one, 0) for part in ("requested", "issued", "ending")),
                ]
                for one in subjects
            ],
        )
