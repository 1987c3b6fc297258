"""
What a report says, in Vietnamese and in English; one sentence a finding.

*Broken* findings mean that the file is not what was signed, or was not signed by who it says. *Missing*
ones mean that nobody can tell from what is at hand. *Noted* ones change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Sentence:
    """A finding's weight and its sentences; `{names}` are filled in."""

    weight: Literal["broken", "missing", "noted"]
    vi: str
    en: str


def _broken(vi: str, en: str) -> Sentence:
    """Return a sentence of what makes a file not valid."""
    return Sentence("broken", vi, en)


def _missing(vi: str, en: str) -> Sentence:
    """Return a sentence of what would have to be known."""
    return Sentence("missing", vi, en)


def _noted(vi: str, en: str) -> Sentence:
    """Return a sentence of what a reader may want to know."""
    return Sentence("noted", vi, en)


FINDINGS: Mapping[str, Sentence] = MappingProxyType(
    {
        # The file cannot be read.
        "not-a-file": _broken("Không mở được tệp ({why}).", "The file cannot be opened ({why})."),
        "not-a-pdf": _broken("Tệp không phải là PDF.", "The file is not a PDF."),
        "damaged": _broken(
            "Tệp PDF bị hỏng, không đọc được ({why}).", "The PDF is damaged and cannot be read ({why})."
        ),
        "encrypted": _broken(
            "Tệp được đặt mật khẩu; hãy mở khóa rồi kiểm tra bản gốc do cơ quan gửi.",
            "The file is locked with a password; check the file as the agency sent it.",
        ),
        "too-much": _broken(
            "Đọc tệp này tốn quá nhiều bộ nhớ hoặc thời gian; tài liệu thật không như vậy.",
            "Reading this file takes more memory or time than a real document ever does.",
        ),
        # The file as a whole.
        "unsigned": _broken(
            "Tệp không có chữ ký số nào: không ai xác nhận nội dung của tệp.",
            "The file carries no digital signature: nobody vouches for what it says.",
        ),
        "only-timestamps": _broken(
            "Tệp chỉ có dấu thời gian, không có chữ ký của người hay cơ quan nào.",
            "The file carries time-stamps only, and no signature of a person or an agency.",
        ),
        "stray-signature": _broken(
            "Tệp chứa một chữ ký không thuộc ô chữ ký nào.",
            "The file holds a signature that belongs to no signature field.",
        ),
        "two-readings": _broken(
            "Hai chương trình đọc tệp này thành hai tài liệu khác nhau ({what}).",
            "Two programs read this file as two different documents ({what}).",
        ),
        "hybrid": _broken(
            "Tệp có hai mục lục nội dung, có thể được hiểu theo hai cách.",
            "The file has two tables of contents and can be understood in two ways.",
        ),
        "certification-odd": _broken(
            "Chữ ký chứng nhận của tệp không phải là một trong các chữ ký đọc được.",
            "The certification that the file names is none of the signatures that can be read.",
        ),
        "active-content": _missing(
            "Tệp chứa chương trình hoặc hành động tự động ({what}); nội dung hiển thị có thể thay đổi.",
            "The file holds a program or an automatic action ({what}); what it shows may change.",
        ),
        # What a signature covers.
        "signature-unreadable": _broken(
            "Chữ ký không đọc được ({why}).", "The signature cannot be read ({why})."
        ),
        "subfilter": _broken(
            "Chữ ký thuộc loại không được chấp nhận ({what}).",
            "The signature is of a kind that is not accepted ({what}).",
        ),
        "byte-range": _broken(
            "Chữ ký không nói đúng cách phần nào của tệp được ký (ByteRange).",
            "The signature does not say properly which part of the file it covers (ByteRange).",
        ),
        "contents": _broken(
            "Giá trị chữ ký (Contents) không được ghi đúng cách.",
            "The value of the signature (Contents) is not written as it must be.",
        ),
        "gap": _broken(
            "Phần tệp không được ký không phải là chỗ của chính chữ ký này.",
            "The part of the file that is not signed is not this signature's own place.",
        ),
        "slack": _broken(
            "Bên cạnh giá trị chữ ký có giấu dữ liệu khác.",
            "Other data is hidden beside the value of the signature.",
        ),
        "no-end": _broken(
            "Phần được ký (đến byte {at}) không phải là một tài liệu trọn vẹn.",
            "What was signed (up to byte {at}) is not a whole document.",
        ),
        "said-twice": _broken(
            "Tệp nói hai lần về {what}; hai chương trình có thể đọc khác nhau.",
            "The file says {what} twice; two programs may read it differently.",
        ),
        "overlap": _broken(
            "Hai chữ ký tranh nhau cùng một phần của tệp.", "Two signatures claim the same part of the file."
        ),
        # What came after it.
        "appended": _broken(
            "Từ byte {at} có dữ liệu được thêm vào sau khi ký mà không thuộc tài liệu.",
            "From byte {at} on there is something that was appended after signing and is no part of a document.",
        ),
        "unlisted-objects": _broken(
            "Bản sửa đổi {revision} (từ byte {at}) không khớp với mục lục của nó.",
            "Revision {revision} (from byte {at}) does not agree with its own table of contents.",
        ),
        "changed-after": _broken(
            "Tài liệu bị thay đổi sau khi ký, ở bản sửa đổi {revision} (trang: {pages}).",
            "The document was changed after it was signed, in revision {revision} (pages: {pages}).",
        ),
        "changed-with-signature": _broken(
            "Cùng với một chữ ký sau, nội dung đã ký trước bị thay đổi, ở bản sửa đổi {revision} (trang: {pages}).",
            "A later signature came with a change of what was signed, in revision {revision} (pages: {pages}).",
        ),
        "forbidden-signature": _broken(
            "Bản sửa đổi {revision} thêm chữ ký dù chữ ký trước không cho phép.",
            "Revision {revision} adds a signature although an earlier one forbids it.",
        ),
        "metadata-changed": _noted(
            "Khi ký ở bản sửa đổi {revision}, tiêu đề hoặc ngày tháng của tệp được ghi lại.",
            "When it was signed in revision {revision}, the file's title or dates were written anew.",
        ),
        # The signature itself.
        "cms-unreadable": _broken(
            "Giá trị chữ ký bị hỏng ({why}).", "The value of the signature is damaged ({why})."
        ),
        "cms-odd": _broken(
            "Giá trị chữ ký không đúng chuẩn ({what}).",
            "The value of the signature breaks its standard ({what}).",
        ),
        "unsigned-attribute": _broken(
            "Kèm theo chữ ký có dữ liệu lạ mà không ai ký ({what}).",
            "The signature carries something that nobody signed ({what}).",
        ),
        "no-certificate": _broken(
            "Chữ ký không kèm chứng thư số của người ký.",
            "The signature carries no certificate of its signer.",
        ),
        "digest": _broken(
            "Nội dung đã bị sửa: không khớp với giá trị đã ký.",
            "The content was altered: it does not agree with what was signed.",
        ),
        "signature-value": _broken(
            "Chữ ký không do khóa của chứng thư số này tạo ra.",
            "The signature was not made with the key of this certificate.",
        ),
        "algorithm-unknown": _missing(
            "Không biết thuật toán {what}.", "The algorithm {what} is not known here."
        ),
        "weak": _missing(
            "Thuật toán {what} đã yếu; không thể loại trừ giả mạo.",
            "The algorithm {what} is weak by now; forgery cannot be ruled out.",
        ),
        # Who signed.
        "wrong-usage": _broken(
            "Chứng thư số của {who} không được cấp để dùng vào việc này.",
            "The certificate of {who} was not issued for this use.",
        ),
        "self-signed": _broken(
            "Chứng thư số của {who} do chính người đó tự cấp; không cơ quan nào xác nhận.",
            "The certificate of {who} was issued by its holder; no authority vouches for it.",
        ),
        "no-anchor": _missing(
            "Thiếu gốc tin cậy: chứng thư số của {who} do {issuer} cấp, không dẫn đến chứng thư gốc nào đã cho.",
            "An anchor is missing: the certificate of {who}, issued by {issuer}, leads to none of those given.",
        ),
        "impostor": _broken(
            "{who} hoặc bên xác nhận mang tên {name} mà bạn tin cậy, nhưng không phải là {name}: đây là giả mạo."
            " Chỉ khi {name} đã đổi khóa mới khác; hãy hỏi chính {name}.",
            "{who}, or who vouches for it, bears the name {name}, which you trust, and is not {name}: a forgery."
            " Only if {name} has a new key is it otherwise; ask {name} itself.",
        ),
        "stranger-after": _broken(
            "Sau chữ ký của {before} mà bạn tin cậy, {who} đã thêm chữ ký; không ai bạn tin cậy xác nhận {who}."
            " Đừng tin những gì chữ ký này hiển thị.",
            "After {before}, whom you trust, {who} has added a signature, and nobody you trust vouches for {who}."
            " Believe nothing of what that signature shows.",
        ),
        "nobody-trusted": _missing(
            "Không ai mà bạn tin cậy xác nhận tệp này: ai cũng có thể tự tạo chữ ký như vậy dưới bất kỳ tên nào."
            " Hãy coi như tệp chưa được ký, trừ khi bạn lấy được chứng thư gốc từ chính cơ quan cấp.",
            "Nobody you trust vouches for this file: anybody can make such signatures under any name."
            " Treat it as unsigned, unless you get the root certificate from the authority itself.",
        ),
        "path": _broken(
            "Chuỗi chứng thư số của {who} không đúng ({why}).",
            "The chain above the certificate of {who} does not hold ({why}).",
        ),
        "stray-certificate": _missing(
            "Kèm theo chữ ký có chứng thư số không kiểm tra được: {who}.",
            "A certificate travels along that cannot be checked: {who}.",
        ),
        "forged-certificate": _broken(
            "Kèm theo chữ ký có chứng thư số giả hoặc hỏng: {who}.",
            "A certificate travels along that is forged or damaged: {who}.",
        ),
        "not-yet-valid": _broken(
            "Chứng thư số của {who} đến ngày {day} mới có hiệu lực.",
            "The certificate of {who} is in force from {day} only.",
        ),
        "expired-when-signed": _broken(
            "Chứng thư số của {who} (hoặc của cơ quan cấp) đã hết hạn ngày {day}, trước khi ký.",
            "The certificate of {who}, or one above it, expired on {day}, before the signature was made.",
        ),
        "expired-since": _missing(
            "Thiếu thời điểm ký được chứng minh: chứng thư số của {who} hết hạn ngày {day}.",
            "A proven time is missing: the certificate of {who} expired on {day}.",
        ),
        "revoked": _broken(
            "Chứng thư số của {who} (hoặc của cơ quan cấp) bị thu hồi ngày {day}.",
            "The certificate of {who}, or one above it, was revoked on {day}.",
        ),
        "revoked-since": _missing(
            "Thiếu thời điểm ký được chứng minh: chứng thư số của {who} bị thu hồi ngày {day}.",
            "A proven time is missing: the certificate of {who} was revoked on {day}.",
        ),
        "revoked-later": _noted(
            "Chứng thư số của {who} bị thu hồi ngày {day}, sau thời điểm ký đã được chứng minh.",
            "The certificate of {who} was revoked on {day}, after the proven time of signing.",
        ),
        "revocation-unknown": _missing(
            "Thiếu thông tin thu hồi: chưa biết chứng thư số của {who} có bị thu hồi hay không.",
            "Revocation is not known: nobody says here whether the certificate of {who} was revoked.",
        ),
        "revocation-unreadable": _missing(
            "Không đọc được thông tin thu hồi của {who} ({why}).",
            "What is said about the revocation of {who} cannot be read ({why}).",
        ),
        # When.
        "imprint": _broken(
            "Dấu thời gian thuộc về một tài liệu khác.", "The time-stamp belongs to another document."
        ),
        "timestamp-bad": _broken("Dấu thời gian không đúng.", "The time-stamp does not hold."),
        "timestamp-undecided": _missing(
            "Chưa xác định được dấu thời gian của {who}.", "The time-stamp of {who} cannot be decided."
        ),
        "claims-later": _noted(
            "Chữ ký tự ghi một thời điểm muộn hơn dấu thời gian của chính nó.",
            "The signature states a later moment than the time-stamp that proves it.",
        ),
        "no-claimed-time": _noted(
            "Chữ ký không ghi thời điểm ký.", "The signature does not say when it was made."
        ),
        "future": _broken(
            "Chữ ký ghi thời điểm ở tương lai.", "The signature states a moment that has not come yet."
        ),
        # Evidence.
        "evidence-forged": _broken(
            "Bằng chứng đính kèm (DSS) bị giả hoặc hỏng: {what}.",
            "Evidence in the file (DSS) is forged or damaged: {what}.",
        ),
        "evidence-unknown": _missing(
            "Không kiểm tra được bằng chứng đính kèm (DSS): {what}.",
            "Evidence in the file (DSS) cannot be checked: {what}.",
        ),
        # Two files.
        "names-file": _noted(
            "Tài liệu này ghi mã băm của tệp {name}: hai tệp thuộc về nhau.",
            "This document names the hash of {name}: the two belong together.",
        ),
        "named-by": _noted(
            "Tài liệu đã ký {name} ghi mã băm của tệp này: hai tệp thuộc về nhau.",
            "The signed document {name} names the hash of this file: the two belong together.",
        ),
    }
)


#: The one sentence for a citizen, by verdict; undecided files that nobody vouches for have one of their own.
SUMMARIES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "valid": (
            "Hợp lệ: tệp còn nguyên vẹn như khi ký và chữ ký được tin cậy.",
            "Valid: the file is as it was signed, and its signatures are trusted.",
        ),
        "not valid": (
            "KHÔNG hợp lệ: không nên tin vào tệp này.",
            "NOT valid: do not rely on this file.",
        ),
        "nobody-trusted": (
            "Chưa thể kết luận: không ai mà bạn tin cậy xác nhận tệp này. Hãy coi như tệp chưa được ký.",
            "Cannot be decided: nobody you trust vouches for this file. Treat it as unsigned.",
        ),
        "undecided": (
            "Chưa thể kết luận: còn thiếu thông tin nêu dưới đây.",
            "Cannot be decided: what is named below is missing.",
        ),
        "unreadable": (
            "Không đọc được tệp.",
            "The file cannot be read.",
        ),
    }
)
