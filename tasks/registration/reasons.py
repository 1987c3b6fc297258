"""Why a row is not taken: one code a reason, its rule, and the sentence in English and in Vietnamese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: code → (rule, sentence for the clerk, sentence for the unit)
SENTENCES: Mapping[str, tuple[str, str, str]] = {
    "missing": ("CER-13", "is empty", "chưa ghi"),
    "formula": (
        "LIST-01",
        "holds a formula; enter the value itself",
        "chứa công thức; hãy ghi trực tiếp giá trị",
    ),
    "error-cell": ("LIST-01", "holds an error of the spreadsheet", "chứa lỗi của bảng tính"),
    "too-long": ("CER-13", "is longer than {most} characters", "dài quá {most} ký tự"),
    "letters": (
        "CER-13",
        "holds characters that cannot be printed: {what}",
        "có ký tự không in được: {what}",
    ),
    "not-a-name": (
        "CER-13",
        "is not a full name of at least two words, letters only",
        "không phải họ tên đầy đủ (ít nhất hai từ, chỉ gồm chữ cái)",
    ),
    "title": (
        "AUTH-07",
        "begins with a title or an address; give the name alone",
        "có học hàm, học vị hoặc cách xưng hô; chỉ ghi họ và tên",
    ),
    "not-a-date": ("CER-13", "is no date (day/month/year)", "không phải ngày hợp lệ (ngày/tháng/năm)"),
    "future": ("CER-13", "lies in the future", "là ngày trong tương lai"),
    "age": ("CER-13", "makes the person {age} years old", "cho thấy người này {age} tuổi"),
    "identity": ("CER-14", "is not {form}", "không phải {form_vi}"),
    "lost-zero": (
        "CER-14",
        "was typed as a number and has lost its leading zero; format the column as text",
        "ghi ở dạng số nên mất số 0 ở đầu; hãy định dạng cột là văn bản",
    ),
    "birth": (
        "CER-14",
        "says born in {said}, but the date of birth says {born}",
        "thể hiện năm sinh {said}, khác năm sinh {born} đã ghi",
    ),
    "issued-before-birth": ("CER-13", "lies before the date of birth", "trước ngày sinh"),
    "unit-code": (
        "ORG-05",
        "is no identification code of an agency (QĐ 20/2020)",
        "không phải mã định danh cơ quan (QĐ 20/2020)",
    ),
    "mailbox": ("CER-14", "is no e-mail address", "không phải địa chỉ thư điện tử"),
    "domain": (
        "CER-14",
        "is not at an official domain ({domains})",
        "không thuộc tên miền thư công vụ ({domains})",
    ),
    "telephone": (
        "CER-13",
        "is no Vietnamese telephone number",
        "không phải số điện thoại Việt Nam",
    ),
    "serial": ("CER-13", "is no serial number (hexadecimal)", "không phải số hiệu chứng thư số (hệ 16)"),
    "sim": ("CER-13", "is no SIM number", "không phải số SIM"),
    "choice": ("AUTH-04", "is none of: {choices}", "không thuộc: {choices}"),
    "needs": (
        "AUTH-04",
        "is needed for “{value}” and is empty",
        "phải ghi khi chọn “{value}”",
    ),
    "twice-in-file": ("CER-14", "stands in row {other} too", "trùng với dòng {other}"),
    "other-unit": (
        "CER-14",
        "is registered in this round by {other}",
        "đã được {other} đăng ký trong đợt này",
    ),
    "mailbox-taken": (
        "CER-14",
        "is another row's mailbox in this round",
        "đã được dùng cho một đăng ký khác trong đợt này",
    ),
    "has-certificate": (
        "CER-14",
        "has a certificate in force (serial {serial}); give it in “{heading}” if it is to be replaced",
        "đang có chứng thư còn hiệu lực (số hiệu {serial}); ghi vào cột “{heading}” nếu đề nghị thay thế",
    ),
    "not-the-old": (
        "CER-14",
        "is not the serial number of a certificate that is in force here ({serial})",
        "không phải số hiệu chứng thư đang có hiệu lực ({serial})",
    ),
    "no-certificate": (
        "CER-10",
        "names a certificate that is not among the files",
        "không có tệp chứng thư tương ứng",
    ),
    "no-row": ("CER-10", "names nobody of this round", "không có trong đợt đăng ký này"),
    "two-rows": (
        "CER-10",
        "and the mailbox name different rows of this round ({others})",
        "và thư điện tử thuộc hai đăng ký khác nhau ({others})",
    ),
    "not-sent": (
        "CER-15",
        "is for row {entry}, which is {state} and not Sent",
        "thuộc đăng ký số {entry}, không ở trạng thái đã gửi",
    ),
    "other-name": (
        "CER-10",
        "names a certificate for somebody with another name",
        "là chứng thư mang tên khác",
    ),
    "other-identity": (
        "CER-10",
        "names a certificate with another identity number",
        "là chứng thư ghi số định danh khác",
    ),
    "other-mailbox": (
        "CER-10",
        "names a certificate for another mailbox",
        "là chứng thư ghi thư điện tử khác",
    ),
    "unfit": (
        "CER-10",
        "names a certificate that cannot be taken: {why}",
        "là chứng thư không dùng được: {why}",
    ),
    "fixed": (
        "CER-15",
        "is {state} and cannot be corrected any more",
        "đã {state_vi}, không sửa được nữa",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason why one row is not taken: where, by which rule, and what to do, in both languages."""

    row: int
    column: str  # the heading as the form has it
    code: str
    rule: str
    message: str
    vi: str


def because(row: int, column: str, code: str, **values: object) -> Reason:
    """
    Return a reason with its sentences.

    >>> because(7, "Ngày sinh", "future").message
    'row 7, “Ngày sinh” lies in the future'
    """
    rule, english, vietnamese = SENTENCES[code]
    return Reason(
        row=row,
        column=column,
        code=code,
        rule=rule,
        message=f"row {row}, “{column}” {english.format(**values)}",
        vi=f"Dòng {row}, cột “{column}”: {vietnamese.format(**values)}.",
    )
