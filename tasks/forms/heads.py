"""The letterhead of an office, as every paper of it begins."""

from __future__ import annotations

from tasks.dossier.offices import OfficeData
from tasks.forms.values import Letterhead


def letterhead_of(office: OfficeData) -> Letterhead:
    """Return an office's letterhead."""
    return Letterhead(
        above=office.parent,
        agency=office.unit,
        place=office.place,
        address=office.address,
        telephone=office.telephone,
        mailbox=office.mailbox,
    )
