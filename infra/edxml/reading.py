"""
Says what a package tells, whoever made it: both spellings, both forms of dates, and every fault by its code.

Element names are known whatever prefix or namespace they carry, because senders differ. Comments never cut a text
in two, and of what is there twice nothing is chosen: it is a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree

from infra.edxml.faults import Fault, Faulty, mismatch, missing, out_of_range
from infra.edxml.limits import attachment_faults, letter_faults, status_faults
from infra.edxml.signature import Signed, check_signature
from infra.edxml.splitting import Part, Split
from infra.edxml.values import (
    Business,
    Entry,
    Letter,
    Organ,
    Replaced,
    Response,
    Signatory,
    Staff,
    Status,
    Trace,
    read_day,
    read_moment,
)

#: Texts that a receiver may write for a business (EDX-01).
_BUSINESS = ("Bussiness", "Business")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """One attachment: what the package says of it, and its bytes."""

    entry: Entry
    part: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """
    A package as it was read.

    With faults, what it says is for answering its sender only: nothing of it is proved.
    """

    letter: Letter | None
    status: Status | None
    attached: tuple[Attached, ...]
    signed: Signed | None
    faults: tuple[Fault, ...]


def read_package(split: Split) -> Opened:
    """
    Return what a package says, read from what its signature covers, and everything that is wrong with it.

    Raises `Faulty` for what has not even the shape of a package. Pure.
    """
    root = _parsed(split.rest)
    faults: list[Fault] = []
    attached = _attachments(root, split.parts, faults)
    envelope = _only(root, "edXMLEnvelope", "edXML", faults)
    if etree.QName(root).localname != "edXML" or envelope is None:
        raise Faulty(faults or [missing("edXML.edXMLEnvelope", "this is no package of the axis")])
    signed: Signed | None = None
    try:
        signed = check_signature(root, {one.entry.content_id: one.part.sha256 for one in attached})
        envelope = signed.envelope
    except Faulty as error:
        faults += error.faults
    header = _only(envelope, "edXMLHeader", "edXMLEnvelope", faults)
    if header is None:
        raise Faulty(faults)
    letter, status = None, None
    if _children(header, "Status"):
        status = _status(_only(header, "Status", "edXMLHeader", faults), faults)
        faults += status_faults(status)
    else:
        letter = _letter(envelope, header, faults)
        faults += letter_faults(letter)
        there = [(one.entry, one.part.first) for one in attached]
        recalls = letter.business is Business.RECALL
        faults += attachment_faults(letter.attachments, there, may_be_none=recalls)
    return Opened(letter=letter, status=status, attached=tuple(attached), signed=signed, faults=_once(faults))


def _once(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """Return each fault once, in order."""
    return tuple(dict.fromkeys(faults))


def _parsed(rest: bytes) -> etree._Element:
    """Return the document; nothing in it is fetched or expanded (EDX-13)."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_pis=True
    )
    try:
        root = etree.fromstring(rest, parser)
    except etree.XMLSyntaxError as error:
        raise Faulty([mismatch("edXML", f"the package is no well-formed XML: {error.msg}")]) from error
    if root.getroottree().docinfo.doctype:
        raise Faulty([mismatch("edXML", "the package declares a document type or an entity")])
    return root


def _children(parent: etree._Element | None, *names: str) -> list[etree._Element]:
    """Return the children of these names, in whatever namespace."""
    if parent is None:
        return []
    return [one for one in parent if isinstance(one.tag, str) and etree.QName(one).localname in names]


def _only(
    parent: etree._Element | None, name: str, path: str, faults: list[Fault], *also: str
) -> etree._Element | None:
    """Return the one child of a name; none and several are faults."""
    found = _children(parent, name, *also)
    if len(found) == 1:
        return found[0]
    about = f"it has no {name}" if not found else f"it has {len(found)} times {name}"
    faults.append((missing if not found else out_of_range)(f"{path}.{name}", about))
    return found[0] if found else None


def _text(parent: etree._Element | None, *names: str) -> str:
    """Return the text of a child, comments left out; empty when it is not there."""
    found = _children(parent, *names)
    return " ".join(str(found[0].xpath("string()")).split()) if found else ""


def _attachments(root: etree._Element, parts: Sequence[Part], faults: list[Fault]) -> list[Attached]:
    """Return the attachments with their bytes."""
    boxes = _children(root, "AttachmentEncoded")
    elements = [one for box in boxes for one in _children(box, "Attachment")]
    if len(boxes) > 1 or len(elements) != len(parts):
        about = "the attachments and their bytes do not go together"
        faults.append(mismatch("AttachmentEncoded.Attachment", about))
        return []
    found = []
    for element, part in zip(elements, parts, strict=True):
        entry = Entry(
            content_id=_text(element, "ContentId").removeprefix("cid:"),
            name=_text(element, "AttachmentName"),
            media_type=_text(element, "ContentType"),
            description=_text(element, "Description"),
        )
        found.append(Attached(entry=entry, part=part))
    ids = [one.entry.content_id for one in found]
    if len(set(ids)) != len(ids) or "" in ids:
        faults.append(mismatch("AttachmentEncoded.Attachment.ContentId", "attachments need ids of their own"))
        return []
    return found


def _organ(element: etree._Element | None) -> Organ:
    """Return an agency."""
    return Organ(
        code=_text(element, "OrganId", "OrganID"),
        name=_text(element, "OrganName"),
        in_charge=_text(element, "OrganizationInCharge"),
        address=_text(element, "OrganAdd"),
        email=_text(element, "Email"),
        telephone=_text(element, "Telephone"),
        fax=_text(element, "Fax"),
        website=_text(element, "Website"),
    )


def _response(element: etree._Element | None, path: str, faults: list[Fault]) -> Response:
    """Return what is answered."""
    written = _text(element, "PromulgationDate")
    day = read_day(written)
    if written and day is None:
        faults.append(out_of_range(f"{path}.PromulgationDate", f"“{written[:40]}” is no date"))
    return Response(
        organ=_text(element, "OrganId", "OrganID"),
        code=_text(element, "Code"),
        day=day,
        document_id=_text(element, "DocumentId", "DocumentID"),
    )


def _staff(parent: etree._Element | None) -> Staff:
    """Return who handles it there."""
    found = _children(parent, "StaffInfo")
    one = found[0] if found else None
    return Staff(
        department=_text(one, "Department"),
        staff=_text(one, "Staff"),
        mobile=_text(one, "Mobile"),
        email=_text(one, "Email"),
    )


def _day(parent: etree._Element | None, name: str, path: str, faults: list[Fault]) -> datetime | None:
    """Return a day as a moment, or say that it is none."""
    written = _text(parent, name)
    if not written:
        return None
    day = read_day(written)
    if day is None:
        faults.append(out_of_range(f"{path}.{name}", f"“{written[:40]}” is no date"))
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _number(text: str, most: int, path: str, faults: list[Fault]) -> int:
    """Return a small number; nothing is 0."""
    if not text:
        return 0
    if text.isascii() and text.isdigit() and len(text) < 7 and int(text) <= most:
        return int(text)
    faults.append(out_of_range(path, f"“{text[:40]}” is no number from 0 to {most}"))
    return 0


def _status(element: etree._Element | None, faults: list[Fault]) -> Status:
    """Return a status (STA-01); 14 is what one product writes for 15."""
    code = _text(element, "StatusCode")
    written = _text(element, "Timestamp")
    at = read_moment(written)
    if at is None:
        about = f"“{written[:40]}” is no moment" if written else "it has no moment"
        faults.append((out_of_range if written else missing)("Status.Timestamp", about))
    responses = _children(element, "ResponseFor")
    return Status(
        code={"14": "15"}.get(code, code.zfill(2) if code.isdigit() else code),
        sender=_organ(next(iter(_children(element, "From")), None)),
        answers=_response(responses[0] if responses else None, "Status.ResponseFor", faults),
        at=at or datetime(1970, 1, 1, tzinfo=UTC),
        description=_text(element, "Description"),
        staff=_staff(element),
    )


def _letter(envelope: etree._Element, header: etree._Element, faults: list[Fault]) -> Letter:
    """Return a document."""
    path = "MessageHeader"
    message = _only(header, "MessageHeader", "edXMLHeader", faults)
    first: Callable[..., etree._Element | None] = lambda parent, *names: next(  # noqa: E731
        iter(_children(parent, *names)), None
    )
    traces = first(header, "TraceHeaderList")
    business = first(traces, *_BUSINESS)
    code, issued = first(message, "Code"), first(message, "PromulgationInfo")
    type_, other = first(message, "DocumentType"), first(message, "OtherInfo")
    signed = first(message, "SignerInfo")
    day = _day(issued, "PromulgationDate", f"{path}.PromulgationInfo", faults)
    if day is None and not _text(issued, "PromulgationDate"):
        faults.append(missing(f"{path}.PromulgationInfo.PromulgationDate", "it has no date of issue"))
    due = _day(message, "DueDate", path, faults)
    kinds = [f"{spelling}DocType" for spelling in _BUSINESS]
    kind = _number(_text(business, *kinds), 3, f"TraceHeaderList.{_BUSINESS[0]}.{kinds[0]}", faults)
    return Letter(
        document_id=_text(message, "DocumentId", "DocumentID") or _text(header, "DocumentId"),
        sender=_organ(first(message, "From")),
        to=tuple(_organ(one) for one in _children(message, "To")),
        number=_text(code, "CodeNumber"),
        notation=_text(code, "CodeNotation"),
        place=_text(issued, "Place"),
        day=(day or datetime(1970, 1, 1, tzinfo=UTC)).date(),
        type_code=_text(type_, "Type"),
        type_name=_text(type_, "TypeName"),
        subject=_text(message, "Subject"),
        content=_text(message, "Content"),
        signatory=Signatory(
            competence=_text(signed, "Competence"),
            position=_text(signed, "Position"),
            name=_text(signed, "FullName"),
        ),
        due=due.date() if due else None,
        to_places=tuple(
            str(one.xpath("string()")).strip() for one in _children(first(message, "ToPlaces"), "Place")
        ),
        priority=_number(_text(other, "Priority"), 3, f"{path}.OtherInfo.Priority", faults),
        pages=_number(_text(other, "PageAmount"), 999_999, f"{path}.OtherInfo.PageAmount", faults),
        appendixes=tuple(
            str(one.xpath("string()")).strip() for one in _children(first(other, "Appendixes"), "Appendix")
        ),
        answers=tuple(
            _response(one, f"{path}.ResponseFor", faults) for one in _children(message, "ResponseFor")
        ),
        business=Business(kind),
        reason=_text(business, *(f"{spelling}DocReason" for spelling in _BUSINESS)),
        about=_text(business, "DocumentId", "DocumentID"),
        paper=_text(business, "Paper") == "1",
        staff=_staff(business),
        replaces=_replaced(business),
        traces=tuple(
            Trace(organ=_text(one, "OrganId", "OrganID"), at=read_moment(_text(one, "Timestamp")))
            for one in _children(traces, "TraceHeader")
        ),
        attachments=_manifest(envelope),
    )


def _replaced(business: etree._Element | None) -> tuple[Replaced, ...]:
    """Return what is replaced, and for whom (EDX-04)."""
    lists = _children(business, "ReplacementInfoList")
    infos = [one for inner in lists for one in _children(inner, "ReplacementInfo")]
    return tuple(
        Replaced(
            document_id=_text(one, "DocumentId"),
            organs=tuple(
                str(organ.xpath("string()")).strip()
                for inner in _children(one, "OrganIdList")
                for organ in _children(inner, "OrganId")
            ),
        )
        for one in infos
    )


def _manifest(envelope: etree._Element) -> tuple[Entry, ...]:
    """Return the attachments that the manifest names; `cid:` is cut off (EDX-10)."""
    bodies = _children(envelope, "edXMLBody")
    manifests = [one for body in bodies for one in _children(body, "edXMLManifest", "Manifest")]
    return tuple(
        Entry(
            content_id=_href(one.attrib).removeprefix("cid:"),
            name=_text(one, "AttachmentName"),
            media_type=_text(one, "ContentType"),
            description=_text(one, "Description"),
        )
        for manifest in manifests
        for one in _children(manifest, "Reference")
    )


def _href(attributes: Mapping[str, str]) -> str:
    """Return where a reference leads, in whatever namespace it says so."""
    return next((str(v) for k, v in attributes.items() if str(k).rpartition("}")[2] == "href"), "")
