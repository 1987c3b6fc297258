"""
The office's papers, in Vietnamese: certified e-copies, receipts and letters.

Plain data in, PDF/A-2b bytes out. What a paper says is in its template (`*.typ`, beside the stage that
hands it out), what all papers share in `layout.typ`.
"""

from tasks.forms.printing import e_copy, letter, receipt
from tasks.forms.rules import OFFICIAL_BOX, official_boxes, overlap_is_right, seal_box
from tasks.forms.values import (
    Applicant,
    ECopy,
    Letter,
    Letterhead,
    LetterKind,
    PresentedOriginal,
    Receipt,
    Signatory,
)

__all__ = [
    "OFFICIAL_BOX",
    "Applicant",
    "ECopy",
    "Letter",
    "LetterKind",
    "Letterhead",
    "PresentedOriginal",
    "Receipt",
    "Signatory",
    "e_copy",
    "letter",
    "official_boxes",
    "overlap_is_right",
    "receipt",
    "seal_box",
]
