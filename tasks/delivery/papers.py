"""The office's own papers about a dossier: receipt, refusal, request for a supplement, stop notice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from sqlmodel import Session

from infra.object_store import Stored
from infra.pdf.fields import FieldPlace, place_fields
from infra.reading import ask_together, rows_of
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.looking import hold, hold_these, office_of, originals_of, procedure_of
from tasks.dossier.looking import look as look_at
from tasks.dossier.offices import OfficeData, Officer
from tasks.dossier.papers import PAPER_FIELD, UNSEALED, Paper, find, keep, read, store_content
from tasks.dossier.procedures import Procedure
from tasks.dossier.refusals import REFUSAL_TEXT, Refusal
from tasks.dossier.register import number_of
from tasks.dossier.tables import ApplicantRow, DocumentRow, DossierRow, NoticeRow, OriginalRow
from tasks.forms import (
    Applicant,
    Letter,
    LetterKind,
    PresentedOriginal,
    Receipt,
    Signatory,
    letter,
    receipt,
)
from tasks.forms.appearances import inscription, profile_on
from tasks.forms.heads import letterhead_of
from tasks.forms.placing import corner_box, room_in

#: What each paper is called in the subject of an e-mail.
TITLES = {
    "receipt": "Giấy tiếp nhận hồ sơ và hẹn trả kết quả",
    "declined": "Thông báo từ chối chứng thực",
    "supplement": "Phiếu yêu cầu bổ sung, hoàn thiện hồ sơ",
    "stopped": "Thông báo dừng giải quyết hồ sơ",
    "result-withdrawn": "Thông báo thu hồi kết quả",
    "postponed": "Phiếu xin lỗi và hẹn lại ngày trả kết quả",
}

_LETTERS = {
    "declined": LetterKind.DECLINED,
    "supplement": LetterKind.SUPPLEMENT,
    "stopped": LetterKind.STOP,
    "result-withdrawn": LetterKind.WITHDRAWN,
    "postponed": LetterKind.APOLOGY,
}

_WAYS = {
    "portal": "Tài khoản trên Cổng Dịch vụ công",
    "email": "Thư điện tử",
    "paper": "Nhận trực tiếp tại quầy",
}


def paper_of(code: str, notice: NoticeRow) -> bytes:
    """
    Return a paper's PDF, made and stored when it is asked for first; later calls return those bytes.

    Of a paper that the agency signs, the signed one once it is there, before that the one that waits for it.
    """
    paper = _named(code, notice)
    parts = services()
    with parts.database.transaction() as session:
        row = find(session, paper)
        waits = row is None and _is_sealed_kind(session, code, notice)
        pdf = None if row or waits else _Maker(session, code, parts.clock.now()).make(notice)
    if waits:
        return read(unsealed_paper(code, notice))
    if row is not None:
        return read(row)
    return _kept(code, paper, pdf or b"")


def papers_of(owed: Sequence[NoticeRow]) -> dict[int, bytes]:
    """
    Return the PDFs of those papers, by notice, that are made now; they are of several dossiers, and kept.

    What is there already, or waits for the agency's signature, is not among them. What cannot be made is left to
    `paper_of`, which says why.
    """
    moment = services().clock.now()

    def begin() -> dict[int, Callable[[], bytes]]:
        with services().database.transaction() as session:
            ask_together(session, {notice.dossier for notice in owed})
        found: dict[int, Callable[[], bytes]] = {}
        for notice in owed:
            with suppress(Exception):
                work = _to_make(notice, moment)
                found |= {notice.id or 0: work} if work is not None else {}
        return found

    to_make = services().database.as_one(begin)
    made: dict[int, bytes] = {}
    for number, work in to_make.items():
        with suppress(Exception):
            made[number] = work()
    stored = {number: store_content(pdf, "application/pdf") for number, pdf in made.items()}

    def keep_all() -> dict[int, bool]:
        with services().database.transaction() as session:
            hold_these(session, {notice.dossier for notice in owed if notice.id in stored})
        return {n.id: _keep_first(n, stored[n.id]) for n in owed if n.id is not None and n.id in stored}

    ours = services().database.as_one(keep_all)
    return {number: pdf for number, pdf in made.items() if ours[number]}


def _to_make(notice: NoticeRow, moment: datetime) -> Callable[[], bytes] | None:
    """Return what makes a paper of what is read now, where nobody made it and the agency need not sign it."""
    with services().database.transaction() as session:
        if find(session, _named(notice.dossier, notice)) or _is_sealed_kind(session, notice.dossier, notice):
            return None
        return _Maker(session, notice.dossier, moment).prepared(notice)


def _keep_first(notice: NoticeRow, stored: Stored) -> bool:
    """Keep a paper that was stored, unless somebody kept one; return whether it is this one that is kept."""
    with services().database.transaction() as session:
        paper = _named(notice.dossier, notice)
        row = find(session, paper) or keep(session, paper, stored)
        return row.sha256 == stored.sha256


def _kept(code: str, paper: Paper, pdf: bytes) -> bytes:
    """Store and keep a paper, and return the bytes that are kept: another's, if that one was first."""
    stored = store_content(pdf, "application/pdf")
    with services().database.transaction() as session:
        hold(session, code)  # Whoever else makes the same paper now waits, and finds it.
        row = find(session, paper) or keep(session, paper, stored)
    return pdf if row.sha256 == stored.sha256 else read(row)


def waits_for_seal(session: Session, notice: NoticeRow) -> bool:
    """Whether a paper is one that the agency signs before it is sent, and has not signed yet."""
    code = notice.dossier
    return _is_sealed_kind(session, code, notice) and find(session, _named(code, notice)) is None


def unsealed_paper(code: str, notice: NoticeRow) -> DocumentRow:
    """Return the page of a paper with the empty field of the agency's signature; made when it is asked for first."""
    named = _named(code, notice)
    parts = services()
    moment = local(parts.clock.now())
    profile = profile_on(moment.date())
    look = profile.look("paper")
    with parts.database.transaction() as session:
        office = office_of(session, look_at(session, code).office)
        text = inscription(look, office)
        corner = look.corners[0] if look.corners else "top-right"
        rect = corner_box(text, corner, width=210.0, height=297.0, office=office, at=moment)
        width, height = room_in(rect, look)
        page = Paper(
            dossier=code,
            kind=f"{UNSEALED}{named.kind}",
            ordinal=named.ordinal,
            revision=named.revision,
            facts={"look": {"profile": profile.code, "width": width, "height": height}},
        )
        row = find(session, page)
        pdf = None if row else _Maker(session, code, moment).make(notice)
    if pdf is None and row is not None:
        return row
    made = place_fields(pdf or b"", [FieldPlace(name=PAPER_FIELD, page=0, rect=rect)])
    stored = store_content(made, "application/pdf")
    with parts.database.transaction() as session:
        hold(session, code)  # Whoever else makes the same page now waits, and finds it.
        return find(session, page) or keep(session, page, stored)


def _named(code: str, notice: NoticeRow) -> Paper:
    """Return what a paper is called among the documents of its dossier."""
    if notice.kind == "receipt":
        return Paper(dossier=code, kind="receipt", revision=notice.occasion)
    # One letter for all channels that it goes by.
    revision = 0 if "channel" in notice.facts else notice.occasion
    return Paper(dossier=code, kind=f"letter-{notice.kind}", ordinal=notice.ordinal, revision=revision)


def _is_sealed_kind(session: Session, code: str, notice: NoticeRow) -> bool:
    """Whether the procedure lets the agency sign such papers."""
    return notice.kind in procedure_of(session, look_at(session, code)).sealed_papers


class _Maker:
    """Reads what papers need of one dossier, in one transaction."""

    def __init__(self, session: Session, code: str, moment: datetime) -> None:
        self.session = session
        self.moment = local(moment)
        self.dossier: DossierRow = look_at(session, code)
        self.office: OfficeData = office_of(session, self.dossier.office)
        self.procedure: Procedure = procedure_of(session, self.dossier)
        self.originals: list[OriginalRow] = originals_of(session, code)
        (self.person,) = rows_of(session, ApplicantRow, dossier=code)

    def make(self, notice: NoticeRow) -> bytes:
        """Return the PDF of one paper."""
        return self.prepared(notice)()

    def prepared(self, notice: NoticeRow) -> Callable[[], bytes]:
        """Return what sets one paper of what was read here; it asks no database."""
        if notice.kind == "receipt":
            return partial(receipt, self._receipt(notice))
        kind = _LETTERS[notice.kind] if notice.ordinal else self._kind(notice)
        return partial(letter, kind, self._letter(notice))

    def _kind(self, notice: NoticeRow) -> LetterKind:
        """Return which letter it is; a declined dossier is refused as a whole (form 03)."""
        return LetterKind.REFUSAL if notice.kind == "declined" else _LETTERS[notice.kind]

    def _applicant(self) -> Applicant:
        return Applicant(
            full_name=self.person.name,
            address=self.person.address,
            telephone=self.person.telephone,
            email=self.person.email or "",
        )

    def _officer(self, staff: str | None) -> Officer:
        for officer in self.office.officers:
            if officer.staff == staff:
                return officer
        return next((o for o in self.office.officers if "clerk" in o.roles), self.office.officers[0])

    def _receipt(self, notice: NoticeRow) -> Receipt:
        dossier = self.dossier
        limit = self.procedure.time_limit
        days = limit.working_days + dossier.extended_by
        received, due = dossier.received_at or self.moment, dossier.due_at or self.moment
        return Receipt(
            head=letterhead_of(self.office),
            number=_number(dossier.code),
            code=dossier.code,
            procedure_code=self.procedure.procedure_code,
            procedure=self.procedure.name,
            applicant=self._applicant(),
            originals=tuple(
                PresentedOriginal(
                    kind=original.kind,
                    pages=original.pages,
                    fee_vnd=original.fee,
                    note=f"{original.copies} bản sao" if original.copies > 1 else "",
                )
                for original in self.originals
            ),
            received=local(received),
            due=local(due),
            time_limit=f"{days:02d} ngày làm việc" if days else "trong ngày làm việc",
            return_by="; ".join(_WAYS[channel] for channel in dossier.channels),
            clerk=self._officer(dossier.examiner).name,
            fee_paid=bool(notice.facts.get("paid")),
            originals_returned=self.procedure.kind == "certification",
        )

    def _letter(self, notice: NoticeRow) -> Letter:
        facts: dict[str, Any] = notice.facts
        received = self.dossier.received_at
        signer = self._officer(notice.facts.get("by") or self.dossier.examiner)
        return Letter(
            head=letterhead_of(self.office),
            number=_number(self.dossier.code),
            date=self.moment,
            code=self.dossier.code,
            procedure=self.procedure.name,
            applicant=self._applicant(),
            signatory=Signatory(title_lines=(signer.post,), full_name=signer.name),
            points=_points(facts),
            received=local(received) if received else None,
            original=next((o.kind for o in self.originals if o.ordinal == notice.ordinal), ""),
            result=number_of(self.session, self.dossier.code, notice.ordinal) or "",
            until=_time(facts, "until"),
            promised=_time(facts, "promised"),
        )


def _time(facts: dict[str, Any], name: str) -> datetime | None:
    """Return a moment among the facts of a notice, as the wall's clocks show it."""
    return local(datetime.fromisoformat(facts[name])) if name in facts else None


def _points(facts: dict[str, Any]) -> tuple[str, ...]:
    """Return the reasons of a letter, one a paragraph: the law's words, then the clerk's."""
    reasons = []
    if reason := facts.get("reason"):
        reasons.append(REFUSAL_TEXT[Refusal(reason)] if reason in list(Refusal) else reason)
    reasons += [facts[key] for key in ("explanation", "missing") if facts.get(key)]
    return tuple(reasons)


def _number(code: str) -> str:
    """Return the running number that a paper carries: the dossier's own day and sequence."""
    return code.rpartition("-")[2].lstrip("0") or "0"
