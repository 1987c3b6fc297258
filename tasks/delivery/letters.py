"""The e-mails of the office, in Vietnamese: neutral subjects, no names, how to check what is attached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP

from tasks.dossier.calendar import local
from tasks.dossier.offices import OfficeData

_SIGN_OFF = """
Trân trọng,
{office}
{address} – {telephone}

Thư này được gửi tự động từ hộp thư chính thức của cơ quan. Mã hồ sơ: {code}
"""


#: What must hold, for a certified copy and for another agency's result.
_MUST_HOLD = {
    True: "Mỗi bản sao có chữ ký của từng người có tên ở trang cuối, nếu có, và của cơ quan. Tất cả phải hợp lệ.",
    False: "Mọi chữ ký số trong tệp phải hợp lệ.",
}


#: What a delivery note is for.
_WITH_NOTE = """5. Phiếu giao kết quả kèm theo ghi mã băm SHA-256 của tệp kết quả; mã băm tính từ tệp phải trùng khớp.
"""

#: What the file of a delivery note is called, behind code and ordinal of its result.
NOTE = "phieu-giao"


def _message(
    *, office: OfficeData, to: str, message_id: str, subject: str, body: str, code: str
) -> EmailMessage:
    """Return a message from the office's mailbox, which is the only sender it has (DOS-24)."""
    message = EmailMessage(policy=SMTP)
    message["From"] = office.mailbox
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    sign_off = _SIGN_OFF.format(
        office=office.name, address=office.address, telephone=office.telephone, code=code
    )
    message.set_content(body + sign_off, charset="utf-8")
    return message


def result_message(
    *,
    code: str,
    office: OfficeData,
    to: str,
    message_id: str,
    files: Sequence[tuple[str, bytes]],
    verify_url: str,
    certified: bool,
) -> EmailMessage:
    """Return the e-mail that carries a result, with how to verify it (CERT-05, DOS-28)."""
    with_note = any(NOTE in name for name, _ in files)
    body = f"""Kính gửi Ông/Bà,

Kết quả giải quyết hồ sơ {code} được gửi kèm thư này ({len(files)} tệp PDF đã ký số).

Cách kiểm tra chữ ký số:
1. Lưu tệp PDF về máy, không sửa tệp: tài liệu này có giá trị ở dạng điện tử.
2. Mở tệp bằng phần mềm đọc PDF có chức năng kiểm tra chữ ký, hoặc dùng công cụ tại {verify_url}.
3. {_MUST_HOLD[certified]}
4. Ai cũng có thể tự kiểm tra bằng chương trình hoso, không cần đăng nhập: {_anybodys_check(files)}
{_WITH_NOTE if with_note else ""}"""
    message = _message(
        office=office,
        to=to,
        message_id=message_id,
        subject=f"Kết quả hồ sơ {code}",
        body=body,
        code=code,
    )
    for name, content in files:
        message.add_attachment(content, maintype="application", subtype="pdf", filename=name)
    return message


def _anybodys_check(files: Sequence[tuple[str, bytes]]) -> str:
    """Return the command by which whoever holds these files checks them; the roots are the reader's own."""
    return f"hoso verify {' '.join(name for name, _ in files)} --anchors THƯ_MỤC_CHỨNG_THƯ_GỐC --lang vi"


def booked_message(
    *, code: str, office: OfficeData, to: str, message_id: str, starts_at: datetime
) -> EmailMessage:
    """Return the confirmation of an appointment with the dossier code."""
    when = local(starts_at)
    body = f"""Kính gửi Ông/Bà,

Lịch hẹn của Ông/Bà đã được xác nhận.

Mã hồ sơ:  {code}
Thời gian: {when:%H} giờ {when:%M} phút, ngày {when:%d/%m/%Y}
Địa điểm:  {office.name}, {office.address}

Khi đến, xin mang theo bản chính giấy tờ cần chứng thực và giấy tờ tùy thân.
"""
    return _message(
        office=office,
        to=to,
        message_id=message_id,
        subject=f"Xác nhận lịch hẹn – hồ sơ {code}",
        body=body,
        code=code,
    )


def paper_message(
    *, code: str, office: OfficeData, to: str, message_id: str, title: str, pdf: bytes
) -> EmailMessage:
    """Return the e-mail that carries one of the office's papers: receipt, refusal, request, notice."""
    body = f"""Kính gửi Ông/Bà,

{title} của hồ sơ {code} được gửi kèm thư này.
"""
    message = _message(
        office=office,
        to=to,
        message_id=message_id,
        subject=f"{title} – hồ sơ {code}",
        body=body,
        code=code,
    )
    message.add_attachment(pdf, maintype="application", subtype="pdf", filename=f"{code}.pdf")
    return message
