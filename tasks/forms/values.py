"""What the office's papers say: plain data, in the words that are printed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from infra.pdf.pages import PageImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """Who speaks: `Ủy ban nhân dân xã Bình Liêu`; capitals are made when the paper is set."""

    #: The agency above, `UBND xã Bình Liêu`; empty where the agency signs for itself.
    above: str = ""
    agency: str
    #: Where the paper is made, `Bình Liêu`, in front of the date.
    place: str
    address: str = ""
    telephone: str = ""
    mailbox: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatory:
    """A signature block: `KT. CHỦ TỊCH`, `PHÓ CHỦ TỊCH` above the name."""

    title_lines: tuple[str, ...]
    full_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """The person at the counter, as far as a paper needs it; what is empty is printed as a dotted line."""

    full_name: str
    address: str = ""
    telephone: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ECopy:
    """A certified e-copy of one original (CERT-22, CERT-25, CERT-26)."""

    head: Letterhead
    pages: tuple[PageImage, ...]
    #: Kind of the original, `Bằng tốt nghiệp đại học`.
    kind: str
    #: The whole line of the register, `Số chứng thực: 123 quyển số 01/2026-SCT/BS`.
    number: str
    #: The day of signing (aware); its time of day is not printed.
    date: datetime
    #: Who signs, in order; the last one decides and stands on the right below.
    signatories: tuple[Signatory, ...]
    code: str
    verify_url: str
    #: Whether the copy has an attestation page.
    attested: bool = True
    #: Whether the agency's signature marks the copy, in the place of the printed mark.
    marked_by_agency: bool = False
    #: What the QR code holds; empty: number, kind, code and address, one a line.
    qr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedOriginal:
    """One row of a receipt."""

    kind: str
    pages: int
    fee_vnd: int = 0
    #: A remark on the row: `từ chối chứng thực (R2)`, `trả lại ngay sau khi đối chiếu`.
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Form 01: receipt and appointment, with the slip for the originals that were given back (DOS-12)."""

    head: Letterhead
    number: str
    code: str
    procedure_code: str
    procedure: str
    applicant: Applicant
    originals: tuple[PresentedOriginal, ...]
    received: datetime
    due: datetime
    #: `trong ngày làm việc`, `02 ngày làm việc`.
    time_limit: str
    #: `Tài khoản trên Cổng Dịch vụ công quốc gia`, `Thư điện tử: …`.
    return_by: str
    clerk: str
    fee_paid: bool = False
    register_book: str = ""
    register_row: str = ""
    #: Whether the originals went back at once; then the slip at the foot of the page says so.
    originals_returned: bool = True
    qr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedSignature:
    """One signature of a result, as its delivery note names it."""

    signer: str
    organisation: str
    issuer: str
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryNote:
    """What goes with another agency's result that takes no further signature."""

    head: Letterhead
    date: datetime
    code: str
    ordinal: int
    procedure: str
    kind: str
    #: Of the result's file, in lower-case hex.
    sha256: str
    size: int  # bytes
    signatures: tuple[NotedSignature, ...]
    verify_url: str


class LetterKind(StrEnum):
    """The letters of the counter; the numbers are those of the forms in TT 03/2025/TT-VPCP (DOS-10)."""

    SUPPLEMENT = "supplement"  # 02: asks for what is missing, once
    REFUSAL = "refusal"  # 03: the dossier is not received
    DECLINED = "declined"  # one original cannot be certified (CERT-15)
    APOLOGY = "apology"  # 04: late, with a new time
    STOP = "stop"  # 05: work on the dossier ends
    FEE = "fee"  # what is to be paid before work goes on
    WITHDRAWN = "withdrawn"  # an issued result stands no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A letter to one applicant about one dossier; which optional parts are needed depends on the kind."""

    head: Letterhead
    number: str
    date: datetime
    code: str
    procedure: str
    applicant: Applicant
    signatory: Signatory
    #: Reasons, or papers to bring, or items to pay: one a paragraph, numbered when there are several.
    points: tuple[str, ...]
    received: datetime | None = None
    #: DECLINED, WITHDRAWN: the original's kind.
    original: str = ""
    #: WITHDRAWN: the result's number, `07/2026-SCT/BS`, where it has one.
    result: str = ""
    #: SUPPLEMENT, FEE: until when; APOLOGY: the new time.
    until: datetime | None = None
    #: APOLOGY: the time that was promised.
    promised: datetime | None = None
    #: FEE: the sum in đồng.
    amount_vnd: int | None = None
    #: FEE: where and how to pay; others: what the applicant may do now.
    advice: str = ""
    qr: str = ""
