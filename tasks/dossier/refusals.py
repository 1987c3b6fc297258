"""Why an original cannot be certified: the list that clerks quote and letters spell out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Refusal(StrEnum):
    """Why an original cannot be certified: the list of NĐ 23/2015 Art. 22."""

    R1 = "R1"
    R2 = "R2"
    R3 = "R3"
    R4 = "R4"
    R5 = "R5"
    R6 = "R6"


#: The reasons in the words that the applicant's letter uses.
REFUSAL_TEXT: Mapping[Refusal, str] = {
    Refusal.R1: "Bản chính bị tẩy xóa, sửa chữa, thêm, bớt nội dung không hợp lệ",
    Refusal.R2: "Bản chính bị hư hỏng, cũ nát, không xác định được nội dung",
    Refusal.R3: "Bản chính đóng dấu mật của cơ quan, tổ chức có thẩm quyền hoặc không đóng dấu mật"
    " nhưng ghi rõ không được sao chụp",
    Refusal.R4: "Bản chính có nội dung trái pháp luật, đạo đức xã hội; tuyên truyền, kích động chiến tranh,"
    " chống chế độ xã hội chủ nghĩa Việt Nam; xuyên tạc lịch sử của dân tộc Việt Nam; xúc phạm danh dự,"
    " nhân phẩm, uy tín của cá nhân, tổ chức; vi phạm quyền công dân",
    Refusal.R5: "Giấy tờ, văn bản do cơ quan, tổ chức có thẩm quyền của nước ngoài cấp, công chứng hoặc"
    " chứng nhận chưa được hợp pháp hóa lãnh sự theo quy định",
    Refusal.R6: "Giấy tờ, văn bản do cá nhân tự lập nhưng không có xác nhận và đóng dấu của cơ quan,"
    " tổ chức có thẩm quyền",
}
