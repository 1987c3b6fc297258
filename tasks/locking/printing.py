"""The book of a locked year as pages: cover, every line, the totals with two signatures (CERT-28, CERT-29)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime, time
from pathlib import Path

from sqlmodel import Session, select

from infra.clock import HANOI
from infra.pdf.fields import place_fields
from infra.pdf.places import FieldPlace, Rect
from infra.pdf.typeset import JSON, typeset
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.register import RegisterEntryRow
from tasks.dossier.tables import ApplicantRow, OriginalRow
from tasks.forms.heads import letterhead_of
from tasks.forms.printing import printed_date
from tasks.forms.rules import seal_box
from tasks.forms.values import Signatory
from tasks.locking.locking import lines_of
from tasks.locking.tables import RegisterLockRow
from tasks.signing.tables import SignatureRow

_TEMPLATE = Path(__file__).with_name("forms") / "register.typ"
_LAYOUT = Path(__file__).resolve().parents[1] / "forms" / "layout.typ"

#: The certifier's handwriting on the last page (A4 on its side), above the full name.
OFFICIAL_BOX = Rect(left=205.0, bottom=27.0, width=60.0, height=28.0)


def register_pdf(
    session: Session, lock: RegisterLockRow, title: str, signatory: Signatory, day: date
) -> bytes:
    """Return the book of a locked year with its two empty signature fields; the same data gives the same bytes."""
    office = office_of(session, lock.office)
    lines = lines_of(session, lock.office, lock.year, lock.symbol)
    opened = min((local(line.reserved_at) for line in lines), default=local(lock.locked_at))
    made = datetime.combine(day, time(), HANOI)
    page = typeset(
        _TEMPLATE,
        values={
            "head": asdict(letterhead_of(office)),
            "title": title,
            "symbol": lock.symbol,
            "year": str(lock.year),
            "opened": printed_date(opened),
            "closed": printed_date(lock.locked_at),
            "date": printed_date(made),
            "rows": [_row(session, line) for line in lines],
            "certified": lock.certified,
            "void": lock.void,
            "last": lock.last_number,
            "digest": lock.lines_sha256,
            "signatory": asdict(signatory),
            "official": asdict(OFFICIAL_BOX),
        },
        images={},
        date=made,
        imports=(_LAYOUT,),
    )
    fields = (
        FieldPlace(name="official_1", page=-1, rect=OFFICIAL_BOX),
        FieldPlace(name="seal", page=-1, rect=seal_box(office.seal.diameter_mm, OFFICIAL_BOX)),
    )
    return place_fields(page, fields)


def _row(session: Session, line: RegisterEntryRow) -> list[JSON]:
    """Return one line in the columns of the register (CERT-28)."""
    original = session.get_one(OriginalRow, (line.dossier, line.ordinal))
    applicant = session.get_one(ApplicantRow, line.dossier)
    ended = local(line.ended_at or line.reserved_at)
    void = line.state == "void"
    return [
        f"{line.number:02d}",
        f"{ended:%d/%m/%Y}",
        applicant.name,
        original.kind,
        "" if void else _signer(session, line, original.revision),
        "" if void else str(original.copies),
        "" if void else f"{original.fee:,}".replace(",", "."),
        f"Hủy số: {_why_void(line.reason or '')}" if void else line.dossier,
    ]


#: Why a number is void, in the words of the book; what is not here was written by a person.
_VOID = {"withdrawn": "người yêu cầu rút hồ sơ", "nobody certifies it": "không có người chứng thực"}


def _why_void(reason: str) -> str:
    """
    Return the reason of a void number as the book says it.

    >>> _why_void("declined R2")
    'từ chối chứng thực (R2)'
    """
    said, _, code = reason.partition(" ")
    return f"từ chối chứng thực ({code})" if said == "declined" else _VOID.get(reason, reason)


def _signer(session: Session, line: RegisterEntryRow, revision: int) -> str:
    """Return who certified, as the copy says it: the name, and the capacity's lines."""
    query = select(SignatureRow).where(
        SignatureRow.dossier == line.dossier,
        SignatureRow.ordinal == line.ordinal,
        SignatureRow.revision == revision,
        SignatureRow.role == "official",
    )
    kept: Mapping[str, str] = {
        row.signer: ", ".join((row.decision or {}).get("lines", []))
        for row in session.exec(query)
        if row.kept_at is not None
    }
    people = {officer.staff: officer.name for officer in office_of(session, line.office).officers}
    return "; ".join(f"{people.get(staff, staff)}, {lines}" for staff, lines in kept.items())
