"""
The life of a dossier for the citizen whose dossier it is: what was done, when, by which post; in Vietnamese.

It is made from the history's entries alone, once, when the package is written, so it names nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from infra.clock import HANOI
from infra.history import Entry, Json

#: What happened, in the words of the office; an event that is not here is named by its own word.
EVENTS: Mapping[str, str] = {
    "dossier:opened": "Lập hồ sơ",
    "appointment:booked": "Đặt lịch hẹn",
    "appointment:moved": "Đổi lịch hẹn",
    "dossier:received": "Tiếp nhận bản chính",
    "applicant:corrected": "Sửa thông tin người yêu cầu",
    "fee:asked": "Yêu cầu nộp phí",
    "fee:paid": "Đã nộp phí",
    "supplement:asked": "Yêu cầu bổ sung giấy tờ",
    "supplement:received": "Đã bổ sung giấy tờ",
    "dossier:stopped": "Dừng giải quyết",
    "dossier:resumed": "Tiếp tục giải quyết",
    "dossier:retried": "Thực hiện lại bước bị dừng",
    "number:reserved": "Cấp số chứng thực",
    "copy:frozen": "Chốt tệp trình ký",
    "route:step-dropped": "Bỏ bước ký",
    "result:checked": "Kiểm tra chữ ký trên kết quả của cơ quan khác",
    "original:declined": "Từ chối chứng thực bản chính",
    "original:left-out": "Trả lại người kiểm tra",
    "original:examined-again": "Kiểm tra lại và trình lại",
    "original:rerouted": "Chuyển người có thẩm quyền khác ký",
    "original:corrected": "Sửa loại giấy tờ hoặc bản chụp",
    "signature:intended": "Bắt đầu ký số",
    "signature:refused": "Không được ký: quy định không cho phép",
    "signature:failed": "Ký số không thành",
    "signature:interrupted": "Lần ký số bị gián đoạn",
    "signature:done": "Đã ký số",
    "signature:unused": "Chữ ký không được sử dụng",
    "document:lifted": "Bổ sung dấu thời gian và chứng cứ",
    "document:validated": "Kiểm tra chữ ký, cho phép trả kết quả",
    "notice:sent": "Gửi thông báo",
    "notice:put-off": "Hoãn gửi thông báo",
    "notice:awaiting-seal": "Thông báo chờ ký số của cơ quan",
    "notice:at-counter": "Thông báo để tại quầy",
    "leg:opened": "Mở kênh trả kết quả",
    "leg:tried": "Trả kết quả: bắt đầu gửi",
    "leg:interrupted": "Trả kết quả: lần gửi bị gián đoạn",
    "leg:superseded": "Trả kết quả: địa chỉ đã thay đổi",
    "leg:accepted": "Trả kết quả: đã được tiếp nhận",
    "leg:deferred": "Trả kết quả: tạm hoãn",
    "leg:ambiguous": "Trả kết quả: chưa rõ đã đến hay chưa",
    "leg:refused": "Trả kết quả: bị từ chối",
    "leg:collected": "Đã trao trực tiếp",
    "leg:redirected": "Trả kết quả theo địa chỉ khác",
    "leg:confirmed": "Người yêu cầu xác nhận đã nhận",
    "result:published": "Công khai số, mã băm và tình trạng",
    "result:returned": "Đã trả kết quả",
    "archive:asked": "Yêu cầu lưu trữ",
    "dossier:archiving": "Lập gói lưu trữ",
    "act:refused": "Từ chối một thao tác không có quyền",
    "applicant:read": "Xem thông tin người yêu cầu",
    "document:read": "Xem tài liệu",
    "paper:read": "Xem giấy tờ",
    "hold:placed": "Tạm dừng tiêu hủy",
    "hold:released": "Bỏ tạm dừng tiêu hủy",
}

#: Who did it, where no post says so.
ACTORS: Mapping[str, str] = {
    "system": "Hệ thống",
    "agency": "Cơ quan (ký số)",
    "portal": "Cổng dịch vụ công",
    "citizen": "Người yêu cầu",
    "engineer": "Kỹ thuật viên",
}

STAGES: Mapping[str, str] = {
    "Booked": "đã hẹn",
    "Received": "đã tiếp nhận",
    "SupplementAsked": "yêu cầu bổ sung",
    "PaymentDue": "chờ nộp phí",
    "Certified": "đã lập bản sao",
    "AwaitingSignature": "chờ ký",
    "ReturnedToExaminer": "trả lại người kiểm tra",
    "AwaitingSeal": "chờ đóng dấu",
    "Signed": "đã ký, đóng dấu",
    "Returned": "đã trả kết quả",
    "Stopped": "dừng giải quyết",
    "Archived": "đã lưu trữ",
}


def timeline(told: Sequence[Entry]) -> list[dict[str, Json]]:
    """Return one object an entry, in order: position, time in Việt Nam, what, by which post, stage, document."""
    return [_line(entry.position, json.loads(entry.content)) for entry in told]


def _line(position: int, said: Mapping[str, Any]) -> dict[str, Json]:
    """Return one line of the timeline."""
    actor = said.get("actor", {})
    document = said.get("doc") or {}
    return {
        "viTri": position,
        "luc": datetime.fromisoformat(said["at"]).astimezone(HANOI).isoformat(timespec="seconds"),
        "suKien": said["event"],
        "viec": EVENTS.get(said["event"], said["event"]),
        "banChinh": said.get("original"),
        "boi": actor.get("post") or ACTORS.get(actor.get("role", ""), actor.get("role", "")),
        "giaiDoan": STAGES.get(said.get("to", ""), said.get("to", "")),
        "sha256": document.get("sha256"),
    }


_PAGE = """<!DOCTYPE html>
<html lang="vi">
<head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px/1.4 serif;margin:2em}}td,th{{text-align:left;vertical-align:top;padding:.2em .8em .2em 0}}
th{{border-bottom:1px solid}}code{{font-size:80%}}</style></head>
<body><h1>{title}</h1>
<p>{office}. Giờ Việt Nam. Mỗi dòng là một mục của sổ nhật ký; cột đầu là vị trí của mục trong sổ.</p>
<table><tr><th>Vị trí</th><th>Lúc</th><th>Việc</th><th>Bản chính</th><th>Thực hiện</th><th>Giai đoạn</th>
<th>SHA-256 của tệp</th></tr>
{rows}
</table></body></html>
"""


def as_page(code: str, office: str, lines: Sequence[Mapping[str, Json]]) -> bytes:
    """Return the timeline as an HTML page that needs nothing else."""
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in _cells(line)) + "</tr>" for line in lines
    )
    page = _PAGE.format(title=escape(f"Quá trình giải quyết hồ sơ {code}"), office=escape(office), rows=rows)
    return page.encode()


def _cells(line: Mapping[str, Json]) -> list[str]:
    """Return the cells of a row; hashes are shown by their beginning."""
    at = datetime.fromisoformat(str(line["luc"]))
    sha256 = f"<code>{escape(str(line['sha256'])[:16])}…</code>" if line["sha256"] else ""
    words = [line["viTri"], f"{at:%d/%m/%Y %H:%M:%S}", line["viec"], line["banChinh"] or ""]
    return [*(escape(str(word)) for word in (*words, line["boi"], line["giaiDoan"])), sha256]
