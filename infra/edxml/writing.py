"""
Writes packages: the document as XML, checked against the schema, signed, and the attachments streamed behind it.

`edxml.xsd` beside this file is the structure that we send, drawn up from public descriptions of the axis's SDK;
the standard's own schema is not published in a form that could be kept here [M].
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import BinaryIO

from lxml import etree

from infra.edxml.faults import Faulty, mismatch
from infra.edxml.values import (
    NS,
    XLINK,
    Letter,
    Organ,
    Response,
    Staff,
    Status,
    written_day,
    written_moment,
)

#: The name under which the signature names the envelope.
ENVELOPE_ID = "envelope"

_PREFIX = "edXML"
_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_OPEN = f'<{_PREFIX}:edXML xmlns:{_PREFIX}="{NS}">'.encode()
_CLOSE = f"</{_PREFIX}:edXML>\n".encode()
#: Bytes of an attachment that are coded at a time: a multiple of three, so that the pieces make one text.
_PIECE = 3 << 16

#: Takes the envelope and adds a signature to its header.
Sign = Callable[[etree._Element], None]  # noqa: SLF001  lxml calls the class of elements so.


def write_letter(
    letter: Letter, files: Sequence[Path], out: Path, *, sign: Sign, made_at: datetime
) -> tuple[str, int]:
    """
    Write a document's package durably; return its SHA-256 and its size.

    `files` are the bytes of `letter.attachments`, in order. `sign` adds the signature. Raises `Faulty` when the
    document breaks the schema, which nothing does that `reading.letter_faults` has passed.
    """
    envelope = letter_envelope(letter, made_at=made_at)
    _must_fit(envelope)
    sign(envelope)
    return _write(out, envelope, letter, files)


def write_status(status: Status, out: Path, *, sign: Sign) -> tuple[str, int]:
    """Write the package of a status durably; return its SHA-256 and its size."""
    envelope = status_envelope(status)
    _must_fit(envelope)
    sign(envelope)
    return _write(out, envelope, None, ())


def letter_envelope(letter: Letter, *, made_at: datetime) -> etree._Element:
    """Return the envelope of a document, without its signature."""
    envelope = _envelope()
    header = _add(envelope, "edXMLHeader")
    _message(_add(header, "MessageHeader"), letter)
    _traces(_add(header, "TraceHeaderList"), letter, made_at)
    manifest = _add(_add(envelope, "edXMLBody"), "edXMLManifest")
    manifest.set("version", "1.0")
    for entry in letter.attachments:
        reference = _add(manifest, "Reference")
        reference.set(f"{{{XLINK}}}href", f"cid:{entry.content_id}")
        _texts(
            reference,
            AttachmentName=entry.name,
            ContentType=entry.media_type,
            ContentId=f"cid:{entry.content_id}",
            Description=entry.description,
        )
    return envelope


def status_envelope(status: Status) -> etree._Element:
    """Return the envelope of a status, without its signature (STA-01)."""
    envelope = _envelope()
    said = _add(_add(envelope, "edXMLHeader"), "Status")
    _response(_add(said, "ResponseFor"), status.answers)
    _organ(_add(said, "From"), status.sender)
    _texts(said, StatusCode=status.code, Description=status.description, Timestamp=written_moment(status.at))
    _staff(said, status.staff)
    return envelope


@cache
def schema() -> etree.XMLSchema:
    """Return the schema of the envelopes that we send."""
    return etree.XMLSchema(etree.parse(str(Path(__file__).with_name("edxml.xsd"))))


def _must_fit(envelope: etree._Element) -> None:
    """Refuse an envelope that breaks the schema."""
    if not schema().validate(envelope):
        error = schema().error_log[0]
        raise Faulty([mismatch("edXMLEnvelope", f"it breaks the schema: {error.message}")])


def _envelope() -> etree._Element:
    """Return an empty envelope that a signature can name."""
    envelope = etree.Element(f"{{{NS}}}edXMLEnvelope", nsmap={_PREFIX: NS, "xlink": XLINK})
    envelope.set("Id", ENVELOPE_ID)
    return envelope


def _add(parent: etree._Element, name: str) -> etree._Element:
    """Return a new child."""
    return etree.SubElement(parent, f"{{{NS}}}{name}")


def _texts(parent: etree._Element, **said: str) -> None:
    """Add a child for each text that is not empty."""
    for name, text in said.items():
        if text:
            _add(parent, name).text = text


def _organ(parent: etree._Element, organ: Organ) -> None:
    """Say who an agency is."""
    _texts(
        parent,
        OrganId=organ.code,
        OrganizationInCharge=organ.in_charge,
        OrganName=organ.name,
        OrganAdd=organ.address,
        Email=organ.email,
        Telephone=organ.telephone,
        Fax=organ.fax,
        Website=organ.website,
    )


def _response(parent: etree._Element, answers: Response) -> None:
    """Say which document is answered."""
    _texts(
        parent,
        OrganId=answers.organ,
        Code=answers.code,
        PromulgationDate=written_day(answers.day) if answers.day else "",
        DocumentId=answers.document_id,
    )


def _staff(parent: etree._Element, staff: Staff) -> None:
    """Say who handles it, if that is known."""
    if staff != Staff():
        _texts(
            _add(parent, "StaffInfo"),
            Department=staff.department,
            Staff=staff.staff,
            Mobile=staff.mobile,
            Email=staff.email,
        )


def _message(parent: etree._Element, letter: Letter) -> None:
    """Write what the document is, from whom and for whom."""
    _organ(_add(parent, "From"), letter.sender)
    for one in letter.to:
        _organ(_add(parent, "To"), one)
    _texts(_add(parent, "Code"), CodeNumber=letter.number, CodeNotation=letter.notation)
    place = _add(parent, "PromulgationInfo")
    _texts(place, Place=letter.place, PromulgationDate=written_day(letter.day))
    _texts(_add(parent, "DocumentType"), Type=letter.type_code, TypeName=letter.type_name)
    _texts(parent, Subject=letter.subject, Content=letter.content)
    signed = letter.signatory
    if any((signed.competence, signed.position, signed.name)):
        _texts(
            _add(parent, "SignerInfo"),
            Competence=signed.competence,
            Position=signed.position,
            FullName=signed.name,
        )
    _texts(parent, DueDate=written_day(letter.due) if letter.due else "")
    if letter.to_places:
        places = _add(parent, "ToPlaces")
        for text in letter.to_places:
            _texts(places, Place=text)
    other = _add(parent, "OtherInfo")
    _texts(other, Priority=str(letter.priority), PageAmount=str(letter.pages) if letter.pages else "")
    if letter.appendixes:
        appendixes = _add(other, "Appendixes")
        for text in letter.appendixes:
            _texts(appendixes, Appendix=text)
    for answers in letter.answers:
        _response(_add(parent, "ResponseFor"), answers)
    _texts(parent, DocumentId=letter.document_id)


def _traces(parent: etree._Element, letter: Letter, made_at: datetime) -> None:
    """Write where the package begins its way, and what it does to the document (EDX-01, EDX-03, EDX-04)."""
    parent.set("id", "trace")
    parent.set("version", "1.0")
    parent.set("mustUnderstand", "1")
    parent.set("actor", "http://schemas.xmlsoap.org/soap/actor/next")
    trace = _add(parent, "TraceHeader")
    _texts(trace, OrganId=letter.sender.code, Timestamp=written_moment(made_at))
    business = _add(parent, "Bussiness")
    _texts(
        business,
        BussinessDocType=str(int(letter.business)),
        BussinessDocReason=letter.reason,
        DocumentId=letter.about,
        Paper="1" if letter.paper else "0",
    )
    _staff(business, letter.staff)
    if letter.replaces:
        replaced = _add(business, "ReplacementInfoList")
        for one in letter.replaces:
            info = _add(replaced, "ReplacementInfo")
            _texts(info, DocumentId=one.document_id)
            organs = _add(info, "OrganIdList")
            for code in one.organs:
                _texts(organs, OrganId=code)


def _write(
    out: Path, envelope: etree._Element, letter: Letter | None, files: Sequence[Path]
) -> tuple[str, int]:
    """Write a package piece by piece, so that a large attachment takes no memory."""
    digest = hashlib.sha256()
    size = 0
    with out.open("wb") as file:

        def put(content: bytes) -> None:
            nonlocal size
            digest.update(content)
            size += len(content)
            file.write(content)

        put(_DECLARATION + _OPEN + etree.tostring(envelope, encoding="UTF-8", xml_declaration=False))
        if letter is not None:
            put(f"<{_PREFIX}:AttachmentEncoded>".encode())
            for entry, path in zip(letter.attachments, files, strict=True):
                head = etree.Element(f"{{{NS}}}Attachment", nsmap={_PREFIX: NS})
                _texts(
                    head,
                    ContentType=entry.media_type,
                    ContentId=entry.content_id,
                    Description=entry.description,
                    AttachmentName=entry.name,
                )
                text = etree.tostring(head, encoding="UTF-8", xml_declaration=False)
                place = text.rindex(f"<{_PREFIX}:AttachmentName>".encode())
                put(text[:place] + f"<{_PREFIX}:ContentTransferEncoded>".encode())
                with path.open("rb") as source:
                    _encode(source, put)
                put(f"</{_PREFIX}:ContentTransferEncoded>".encode() + text[place:])
            put(f"</{_PREFIX}:AttachmentEncoded>".encode())
        put(_CLOSE)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), size


def _encode(source: BinaryIO, put: Callable[[bytes], None]) -> None:
    """Write a file as base64."""
    while piece := source.read(_PIECE):
        put(base64.b64encode(piece))
