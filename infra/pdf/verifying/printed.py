"""The report as people read it, in Vietnamese or in English."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Literal, Protocol

from infra.clock import HANOI
from infra.pdf.verifying.findings import Finding, Report, Revision, Signature, Verdict
from infra.pdf.verifying.words import FINDINGS, SUMMARIES

Language = Literal["vi", "en"]


class _Say(Protocol):
    """Gives a phrase in the language of the report."""

    def __call__(self, phrase: str, **values: object) -> str:
        """Return the phrase, filled in."""
        ...


#: Every label and fixed phrase: Vietnamese, English.
PHRASES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "file": ("Tệp", "File"),
        "size": ("{size} byte, {pages} trang", "{size} bytes, {pages} pages"),
        "title": ("Tiêu đề", "Title"),
        "number": ("Chữ ký {number}", "Signature {number}"),
        "timestamp-number": ("Dấu thời gian {number}", "Time-stamp {number}"),
        "verdict-valid": ("đúng", "good"),
        "verdict-not valid": ("SAI", "NOT good"),
        "verdict-undecided": ("chưa kết luận được", "undecided"),
        "who": ("Người ký", "Signed by"),
        "kind-person": ("cá nhân", "a person"),
        "kind-agency": ("cơ quan, tổ chức", "an agency"),
        "kind-time-stamp": ("dịch vụ cấp dấu thời gian", "a time-stamping authority"),
        "kind-unknown": ("không rõ cá nhân hay cơ quan", "a person or an agency, it does not say"),
        "known-certificate": ("theo chứng thư số", "says the certificate"),
        "known-field": ("theo tên ô chữ ký", "says the name of the field"),
        "known-reason": ("theo lý do ký ghi trong chữ ký", "says the reason stated in the signature"),
        "capacity": ("Thẩm quyền", "Capacity"),
        "capacity-unknown": (
            "chữ ký không ghi; xem chức vụ in trên trang",
            "the signature does not state it; see the title printed on the page",
        ),
        "reason": ("Lý do", "Reason"),
        "location": ("Nơi ký", "Place"),
        "time": ("Thời điểm ký", "Time of signing"),
        "proven": (
            "trước {time}, theo dấu thời gian của {by}",
            "before {time}, proven by the time-stamp of {by}",
        ),
        "claimed": (
            "{time}, do chữ ký tự ghi, chưa được chứng minh",
            "{time}, as the signature itself says; not proven",
        ),
        "states": ("chữ ký tự ghi {time}", "the signature says {time}"),
        "stamped": ("{time}", "{time}"),
        "no-time": ("không ghi", "not stated"),
        "level": ("Mức chữ ký", "Level"),
        "level-none": ("không phải PAdES", "not PAdES"),
        "certificate": ("Chứng thư số", "Certificate"),
        "issued": ("{issuer}; từ {start} đến {end}", "{issuer}; from {start} to {end}"),
        "trust": ("Gốc tin cậy", "Trust"),
        "trusted": ("dẫn đến {anchor}", "leads to {anchor}"),
        "untrusted": ("không dẫn đến gốc tin cậy nào đã cho", "leads to none of the anchors given"),
        "revocation": ("Thu hồi", "Revocation"),
        "revocation-good": ("không bị thu hồi", "not revoked"),
        "revocation-revoked": ("ĐÃ bị thu hồi", "REVOKED"),
        "revocation-unknown": ("chưa biết", "not known"),
        "revocation-not asked": ("chưa hỏi", "not asked"),
        "from-embedded": ("theo bằng chứng kèm trong tệp", "says evidence in the file"),
        "from-folder": ("theo thư mục gốc tin cậy", "says the folder of anchors"),
        "from-online": ("theo trả lời trực tuyến", "says an answer just fetched"),
        "covers": ("Phần được ký", "Covers"),
        "whole": ("toàn bộ tệp", "the whole file"),
        "part": (
            "tệp đến byte {until}; sau đó xem “Các bản sửa đổi”",
            "the file up to byte {until}; see “Revisions” for what came after",
        ),
        "certifies": ("Chứng nhận", "Certifies"),
        "permission-1": ("cấm mọi thay đổi về sau", "forbids every later change"),
        "permission-2": (
            "về sau chỉ được ký và điền biểu mẫu",
            "later on only signing and filling in of fields",
        ),
        "permission-3": (
            "về sau chỉ được ký, điền biểu mẫu và ghi chú",
            "later on only signing, filling in and notes",
        ),
        "revisions": ("Các bản sửa đổi", "Revisions"),
        "revision": ("{number}. byte {start}–{end}: {what}", "{number}. bytes {start}–{end}: {what}"),
        "what-document": (
            "tài liệu và chữ ký đầu tiên ({fields})",
            "the document and its first signature ({fields})",
        ),
        "what-signature": ("thêm chữ ký ({fields})", "another signature ({fields})"),
        "what-time-stamp": ("thêm dấu thời gian", "a time-stamp"),
        "what-evidence": ("thêm bằng chứng cho chữ ký", "evidence for the signatures"),
        "what-before signing": ("chuẩn bị cho chữ ký sau", "preparation of a later signature"),
        "what-metadata": ("tiêu đề, ngày tháng của tệp", "the file's title and dates"),
        "what-other": ("THAY ĐỔI KHÁC, trang {pages}", "OTHER CHANGES, pages {pages}"),
        "findings": ("Nhận xét", "Findings"),
    }
)


def printed(report: Report, language: Language) -> str:
    """Return the whole report on one file as text."""
    return "\n".join(_lines(report, language))


def sentence(finding: Finding, language: Language) -> str:
    """Return a finding's sentence, filled in."""
    words = FINDINGS[finding.code]
    return (words.vi if language == "vi" else words.en).format(**finding.values)


def summary(report: Report, language: Language) -> str:
    """Return the one sentence for a citizen."""
    if any(finding.code == "unsigned" for finding in report.findings):
        return sentence(next(f for f in report.findings if f.code == "unsigned"), language)
    which = report.verdict.value
    if report.verdict is Verdict.UNDECIDED and any(one.code == "nobody-trusted" for one in report.findings):
        which = "nobody-trusted"
    return SUMMARIES[which][0 if language == "vi" else 1]


def _lines(report: Report, language: Language) -> Iterator[str]:
    """Yield the lines of a report."""

    def say(phrase: str, **values: object) -> str:
        return PHRASES[phrase][0 if language == "vi" else 1].format(**values)

    yield f"{say('file')}: {report.name}"
    yield f"=> {summary(report, language)}"
    for finding in report.findings:
        if finding.code != "unsigned":
            yield f"   - {sentence(finding, language)}"
    pages = "?" if report.pages is None else report.pages
    yield f"   SHA-256 {report.sha256}; {say('size', size=report.size, pages=pages)}"
    if report.title:
        yield f"   {say('title')}: {report.title}"
    for one in report.signatures:
        label = "timestamp-number" if one.kind == "time-stamp" else "number"
        yield f"   {say(label, number=one.number)}: {say(f'verdict-{one.verdict.value}')}"
        for name, text in _of_signature(one, say):
            yield f"     {say(name)}: {text}"
        for finding in one.findings:
            yield f"     - {sentence(finding, language)}"
    if len(report.revisions) > 1:
        yield f"   {say('revisions')}:"
        for revision in report.revisions:
            yield f"     {_of_revision(revision, say)}"


def _of_signature(one: Signature, say: _Say) -> Iterator[tuple[str, str]]:
    """Yield what is known of a signature, by label."""
    organisation = f", {one.organisation}" if one.organisation and one.organisation != one.signer else ""
    known = (
        f" ({say(f'known-{one.kind_known_from}')})" if one.kind_known_from in ("certificate", "field") else ""
    )
    yield "who", f"{one.signer}{organisation} – {say(f'kind-{one.kind}')}{known}"
    if one.kind == "person":
        if one.capacity:
            yield "capacity", f"{one.capacity} ({say(f'known-{one.capacity_known_from}')})"
        else:
            yield "capacity", say("capacity-unknown")
    if one.reason:
        yield "reason", one.reason
    if one.location:
        yield "location", one.location
    yield "time", _time(one, say)
    if one.kind != "time-stamp":
        yield "level", say("level-none") if one.level == "none" else f"PAdES {one.level} – {one.algorithm}"
    yield (
        "certificate",
        say("issued", issuer=one.issuer, start=_day(one.certificate_from), end=_day(one.certificate_until)),
    )
    yield "trust", say("trusted", anchor=one.anchor) if one.anchor else say("untrusted")
    sources = (one.revocation_known_from or "").split("+")
    source = ", ".join(say(f"from-{name}") for name in sources if name)
    yield "revocation", say(f"revocation-{one.revocation}") + (f" ({source})" if source else "")
    if one.certifies:
        yield "certifies", say(f"permission-{one.permission}")
    yield "covers", say("whole") if one.covers_whole_file else say("part", until=one.covers_until)


def _time(one: Signature, say: _Say) -> str:
    """Return when it was signed, and how that is known."""
    stated = _moment(one.claimed_time) if one.claimed_time else None
    if one.kind == "time-stamp":
        return stated or say("no-time")
    if one.proven_time:
        proven = say("proven", time=_moment(one.proven_time), by=one.proven_by)
        return f"{proven}; {say('states', time=stated)}" if stated else proven
    return say("claimed", time=stated) if stated else say("no-time")


def _of_revision(revision: Revision, say: _Say) -> str:
    """Return what a revision did."""
    what = " + ".join(
        say(
            f"what-{kind}",
            fields=", ".join(revision.fields),
            pages=", ".join(map(str, revision.pages)) or "?",
        )
        for kind in revision.kinds
    )
    return say("revision", number=revision.number, start=revision.start, end=revision.end, what=what)


def _moment(text: str) -> str:
    """Return a moment as Việt Nam's clocks show it."""
    return f"{datetime.fromisoformat(text).astimezone(HANOI):%d/%m/%Y %H:%M:%S} +07:00"


def _day(text: str) -> str:
    """Return the day of a moment."""
    return f"{datetime.fromisoformat(text).astimezone(HANOI):%d/%m/%Y}" if text else "?"
