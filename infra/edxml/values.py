"""What a package says, as plain values; and how dates and names of documents are written in it (EDX-02, EDX-07)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum

from infra.clock import HANOI

#: The namespace of QCVN 102:2016.
NS = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
XLINK = "http://www.w3.org/1999/xlink"


class Business(IntEnum):
    """What a package does to the document that it names (EDX-03)."""

    NEW = 0
    RECALL = 1
    UPDATE = 2
    REPLACE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Organ:
    """An agency as a package names it; only the code is always there."""

    code: str
    name: str = ""
    in_charge: str = ""
    address: str = ""
    email: str = ""
    telephone: str = ""
    fax: str = ""
    website: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The document that a package answers: whose, under which number, of which day."""

    organ: str
    code: str
    day: date | None = None
    document_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatory:
    """Who signed the document: `TL. BỘ TRƯỞNG`, the position, the name."""

    competence: str = ""
    position: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """Who handles it at the agency that sends."""

    department: str = ""
    staff: str = ""
    mobile: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A place that the package came through, and when (aware)."""

    organ: str
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A document that this one takes the place of, and for whom."""

    document_id: str
    organs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One attachment as the manifest names it."""

    content_id: str
    name: str
    media_type: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A document on its way from one agency to others, without the bytes of its attachments."""

    document_id: str
    sender: Organ
    to: tuple[Organ, ...]
    number: str
    notation: str
    place: str
    day: date
    type_code: str
    type_name: str
    subject: str
    content: str = ""
    signatory: Signatory = Signatory()
    due: date | None = None
    to_places: tuple[str, ...] = ()
    priority: int = 0
    pages: int = 0
    appendixes: tuple[str, ...] = ()
    answers: tuple[Response, ...] = ()
    business: Business = Business.NEW
    reason: str = ""
    #: The document that an update or a recall is about.
    about: str = ""
    #: Whether paper follows (EDX-05).
    paper: bool = False
    staff: Staff = Staff()
    replaces: tuple[Replaced, ...] = ()
    traces: tuple[Trace, ...] = ()
    attachments: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What became of a document at an agency that got it (STA-01), or that its sender wants it back (13)."""

    code: str
    sender: Organ
    answers: Response
    at: datetime
    description: str = ""
    staff: Staff = Staff()


def document_id(organ: str, day: date, number: str, notation: str) -> str:
    """
    Return the one name that a document has everywhere (EDX-02); receivers cut it at its commas.

    >>> document_id("000.00.00.G22", date(2015, 9, 30), "7816", "VPCP-TTĐT")
    '000.00.00.G22,2015/09/30,7816/VPCP-TTĐT'
    """
    return f"{organ},{written_day(day)},{number}/{notation}"


def written_day(day: date) -> str:
    """
    Return a day as packages write it (EDX-07).

    >>> written_day(date(2026, 1, 9))
    '2026/01/09'
    """
    return f"{day:%Y/%m/%d}"


def written_moment(moment: datetime) -> str:
    """Return an aware moment as packages write it: the clock on the wall, to the second (EDX-07)."""
    return f"{moment.astimezone(HANOI):%Y/%m/%d %H:%M:%S}"


_DAYS = ("%Y/%m/%d", "%d/%m/%Y", "%Y-%m-%d")


def read_day(text: str) -> date | None:
    """
    Return a day written in one of the forms that are met, or `None`.

    >>> read_day("2015/09/30") == read_day("30/09/2015") == date(2015, 9, 30), read_day("31/02/2026")
    (True, None)
    """
    moment = _read(text.strip()[:10], _DAYS)
    return moment.date() if moment else None


def read_moment(text: str) -> datetime | None:
    """
    Return a moment written in one of the forms that are met, or `None`; without a zone it is Hà Nội's.

    >>> read_moment("2026/11/22 08:30:00") == read_moment("22/11/2026 08:30:00")
    True
    """
    text = text.strip()
    moment = _read(text, tuple(f"{day} %H:%M:%S" for day in _DAYS)) or _read(text, _DAYS)
    return moment.replace(tzinfo=HANOI) if moment else None


def _read(text: str, forms: tuple[str, ...]) -> datetime | None:
    """Return what the first form that fits says."""
    for form in forms:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
