"""Prints the office's papers: data in, PDF/A-2b out; nothing is stored and nobody is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from infra.clock import HANOI
from infra.errors import Forbidden
from infra.pdf.pages import PageImage
from infra.pdf.qr import qr_svg
from infra.pdf.typeset import JSON, typeset
from tasks.forms.rules import STRIP_HEIGHT, least_width, official_boxes
from tasks.forms.values import DeliveryNote, ECopy, Letter, LetterKind, Receipt

_TASKS = Path(__file__).resolve().parents[1]
_LAYOUT = Path(__file__).with_name("layout.typ")
_E_COPY = _TASKS / "certification" / "forms" / "e_copy.typ"
_DELIVERY_NOTE = _TASKS / "certification" / "forms" / "delivery_note.typ"
_RECEIPT = _TASKS / "appointment" / "forms" / "receipt.typ"
_LETTERS = _TASKS / "appointment" / "forms"

#: Longer names would run under the signatures.
_LONGEST_KIND = 200
_ENDINGS = {"image/jpeg": "jpg", "image/png": "png"}


def e_copy(copy: ECopy) -> bytes:
    """
    Return a certified e-copy that nobody has signed yet: the pages, then the attestation.

    The officials' images go into `official_boxes` on the last page. The same copy gives the same bytes.
    Raises `Forbidden` if the original's name leaves no room for the signatures, and what `typeset` raises.
    """
    if len(copy.kind) > _LONGEST_KIND:
        raise Forbidden(
            f"The name of an original has {len(copy.kind)} characters, more than {_LONGEST_KIND}.",
            rule="CERT-28",
            way_out="Give the original a shorter name; its pages show the rest.",
        )
    names = [f"page-{n}.{_ENDINGS[page.media_type]}" for n, page in enumerate(copy.pages, start=1)]
    qr = copy.qr or "\n".join((copy.number, copy.kind, f"Mã hồ sơ: {copy.code}", copy.verify_url))
    return typeset(
        _E_COPY,
        values={
            "head": asdict(copy.head),
            "pages": [_page_values(name, page) for name, page in zip(names, copy.pages, strict=True)],
            "kind": copy.kind,
            "number": copy.number,
            "date": printed_date(copy.date),
            "code": copy.code,
            "signatories": [
                {**asdict(signatory), "box": asdict(box)}
                for signatory, box in zip(
                    copy.signatories, official_boxes(len(copy.signatories)), strict=True
                )
            ],
            "verify_url": copy.verify_url,
            "attested": copy.attested,
            "marked_by_agency": copy.marked_by_agency,
            "strip_height": STRIP_HEIGHT,
            "least_width": least_width(marked=copy.marked_by_agency),
        },
        images={"qr.svg": qr_svg(qr)},
        stretched={name: page.content for name, page in zip(names, copy.pages, strict=True)},
        date=copy.date.astimezone(HANOI),
        imports=(_LAYOUT,),
    )


def delivery_note(note: DeliveryNote) -> bytes:
    """
    Return the one-page note to a result that takes no signature of ours; same data, same bytes.

    The upper right corner of the page is free for the centre's signature. Raises what `typeset` raises.
    """
    digits = " ".join(note.sha256[at : at + 8] for at in range(0, len(note.sha256), 8))
    return typeset(
        _DELIVERY_NOTE,
        values={
            "head": asdict(note.head),
            "date": printed_date(note.date),
            "code": note.code,
            "ordinal": note.ordinal,
            "number": f"{note.code}/{note.ordinal}",
            "procedure": note.procedure,
            "kind": note.kind,
            "sha256": digits,
            "size": f"{note.size:,}".replace(",", "."),
            "signatures": [
                {
                    "signer": one.signer,
                    "organisation": one.organisation,
                    "issuer": one.issuer,
                    "at": f"{one.at.astimezone(HANOI):%d/%m/%Y %H:%M:%S}" if one.at else "",
                }
                for one in note.signatures
            ],
            "verify_url": note.verify_url,
        },
        images={},
        date=note.date.astimezone(HANOI),
        imports=(_LAYOUT,),
    )


def receipt(paper: Receipt) -> bytes:
    """Return form 01 with the slip for the originals; same data, same bytes. Raises what `typeset` raises."""
    fields = asdict(paper)
    fields.pop("qr")
    fields["received"] = printed_date(paper.received)
    fields["due"] = printed_date(paper.due)
    title = "Giấy tiếp nhận hồ sơ và hẹn trả kết quả"
    qr = paper.qr or f"{paper.code}\n{paper.procedure_code}\n{title}\n{paper.number}"
    return typeset(
        _RECEIPT,
        values=fields,
        images={"qr.svg": qr_svg(qr)},
        date=paper.received.astimezone(HANOI),
        imports=(_LAYOUT,),
    )


def letter(kind: LetterKind, paper: Letter) -> bytes:
    """Return one letter to the applicant; same data, same bytes. Raises what `typeset` raises."""
    fields = asdict(paper)
    fields.pop("qr")
    for name in ("date", "received", "until", "promised"):
        moment = getattr(paper, name)
        fields[name] = printed_date(moment) if moment is not None else None
    return typeset(
        _LETTERS / f"{kind.value}.typ",
        values=fields,
        images={"qr.svg": qr_svg(paper.qr or f"{paper.code}\n{kind.value}\n{paper.number}")},
        date=paper.date.astimezone(HANOI),
        imports=(_LAYOUT, _LETTERS / "letter.typ"),
    )


def printed_date(moment: datetime) -> Mapping[str, JSON]:
    """
    Return the parts of a moment in Hanoi, as papers print them.

    A zero stands before days below 10 and before January and February (NĐ 30/2020 PL I, II.4).

    >>> from datetime import UTC, datetime
    >>> dict(printed_date(datetime(2026, 2, 3, 20, 5, tzinfo=UTC)))
    {'day': '04', 'month': '02', 'year': '2026', 'hour': '03', 'minute': '05'}
    >>> printed_date(datetime(2026, 3, 31, 17, 0, tzinfo=UTC))["month"]
    '4'
    """
    local = moment.astimezone(HANOI)
    return {
        "day": f"{local.day:02d}",
        "month": f"{local.month:02d}" if local.month < 3 else str(local.month),
        "year": str(local.year),
        "hour": f"{local.hour:02d}",
        "minute": f"{local.minute:02d}",
    }


def _page_values(name: str, page: PageImage) -> Mapping[str, JSON]:
    """Return what the template must know of a page."""
    return {"image": name, "width_mm": page.width_mm, "height_mm": page.height_mm}
