"""What a document, a status and an attachment must be, with the code of each thing that is not so (EDX-08, EDX-10)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from infra.edxml.faults import Fault, mismatch, missing, out_of_range
from infra.edxml.values import Business, Entry, Letter, Status, document_id

#: The longest texts, in characters (EDX-08, STA-06).
LONGEST = {
    "Subject": 500,
    "Content": 500,
    "Place": 150,
    "Appendix": 250,
    "AttachmentName": 200,
    "Reason": 1000,
}
#: A code of an agency in the old or the new form (ORG-01, ORG-02); group widths are [M].
ORGAN = re.compile(r"\d{3}\.\d{2}\.\d{2}\.[A-Z]\d{2}|[A-Z]\d{2}(\.[0-9A-Z]+)*")
#: What follows which is in `tasks.exchange.lifecycle`; here only which there are (STA-02).
STATUS_CODES = frozenset({"01", "02", "03", "04", "05", "06", "13", "15", "16"})

#: What the name of a file ends with, how its bytes begin and what it is called: all three must agree.
_KINDS: dict[str, tuple[tuple[bytes, ...], tuple[str, ...]]] = {
    "pdf": ((b"%PDF-",), ("application/pdf",)),
    "docx": ((b"PK\x03\x04",), ("application/vnd.openxmlformats-officedocument.wordprocessingml.document",)),
    "xlsx": ((b"PK\x03\x04",), ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",)),
    "zip": ((b"PK\x03\x04",), ("application/zip", "application/x-zip-compressed")),
    "doc": ((b"\xd0\xcf\x11\xe0",), ("application/msword",)),
    "xls": ((b"\xd0\xcf\x11\xe0",), ("application/vnd.ms-excel",)),
    "jpg": ((b"\xff\xd8",), ("image/jpeg",)),
    "jpeg": ((b"\xff\xd8",), ("image/jpeg",)),
    "png": ((b"\x89PNG",), ("image/png",)),
    "xml": ((b"<", b"\xef\xbb\xbf<"), ("application/xml", "text/xml")),
    "txt": ((b"",), ("text/plain",)),
}
#: What a package may call bytes that it says nothing about.
_ANYTHING = frozenset({"application/octet-stream", ""})


def media_type_of(name: str) -> str:
    """
    Return the media type of a file by its name.

    >>> media_type_of("Công văn.PDF"), media_type_of("a.exe")
    ('application/pdf', 'application/octet-stream')
    """
    kind = _KINDS.get(PurePath(name.lower()).suffix.lstrip("."))
    return kind[1][0] if kind else "application/octet-stream"


def is_organ(code: str) -> bool:
    """
    Whether a text has the form of an agency's code (ORG-01, ORG-02).

    >>> [is_organ(c) for c in ("000.00.00.G22", "H55.242", "H49.21", "h49", "H49..1", "A" * 36)]
    [True, True, True, False, False, False]
    """
    return len(code) <= 35 and ORGAN.fullmatch(code) is not None


def letter_faults(letter: Letter) -> list[Fault]:
    """Return everything that is wrong with a document, in the order of the package; none: it may go."""
    path = "MessageHeader"
    faults = [*_organ_faults(letter.sender.code, f"{path}.From.OrganId")]
    if not letter.to:
        faults.append(missing(f"{path}.To", "it is addressed to nobody"))
    codes = [one.code for one in letter.to]
    for code in codes:
        faults += _organ_faults(code, f"{path}.To.OrganId")
    faults += [
        out_of_range(f"{path}.To.OrganId", f"{code} is named more than once")
        for code in sorted({c for c in codes if codes.count(c) > 1})
    ]
    needed = {
        f"{path}.Code.CodeNumber": letter.number,
        f"{path}.Code.CodeNotation": letter.notation,
        f"{path}.DocumentType.TypeName": letter.type_name,
        f"{path}.Subject": letter.subject,
        f"{path}.DocumentId": letter.document_id,
    }
    faults += [missing(where, "it is empty") for where, text in needed.items() if not text.strip()]
    faults += _length(f"{path}.Subject", letter.subject, "Subject")
    faults += _length(f"{path}.Content", letter.content, "Content")
    faults += _length(f"{path}.PromulgationInfo.Place", letter.place, "Place")
    for text in letter.appendixes:
        faults += _length(f"{path}.OtherInfo.Appendixes.Appendix", text, "Appendix")
    return [*faults, *_name_faults(letter), *_business_faults(letter)]


def _organ_faults(code: str, path: str) -> list[Fault]:
    """Return what is wrong with an agency's code."""
    if not code:
        return [missing(path, "the agency has no code")]
    return [] if is_organ(code) else [out_of_range(path, f"“{code[:40]}” is no code of an agency")]


def _length(path: str, text: str, which: str) -> list[Fault]:
    """Return whether a text is too long."""
    if len(text) <= LONGEST[which]:
        return []
    return [out_of_range(path, f"it has {len(text)} characters; {LONGEST[which]} are allowed")]


def _name_faults(letter: Letter) -> list[Fault]:
    """Return what is wrong with the document's name, which receivers cut at its commas (EDX-02)."""
    faults = []
    for where, text in (("CodeNumber", letter.number), ("CodeNotation", letter.notation)):
        if "," in text:
            faults.append(out_of_range(f"MessageHeader.Code.{where}", "a comma cannot stand in it"))
    name = document_id(letter.sender.code, letter.day, letter.number, letter.notation)
    if letter.document_id and letter.document_id != name:
        about = f"it is not made of the agency, the date and the number (“{name[:80]}”)"
        faults.append(mismatch("MessageHeader.DocumentId", about))
    return faults


def _business_faults(letter: Letter) -> list[Fault]:
    """Return what is missing for what the package does (EDX-04)."""
    path = "TraceHeaderList.Bussiness"
    faults = []
    if letter.business is Business.RECALL:
        if not letter.reason.strip():
            faults.append(missing(f"{path}.BussinessDocReason", "a recall needs its reason"))
        if not letter.answers and not letter.about:
            faults.append(missing("MessageHeader.ResponseFor", "a recall names no document"))
    if letter.business is Business.UPDATE and not letter.about:
        faults.append(missing(f"{path}.DocumentId", "an update names no document"))
    if letter.business is Business.REPLACE and not letter.replaces:
        faults.append(missing(f"{path}.ReplacementInfoList", "a replacement names no document"))
    return [*faults, *_length(f"{path}.BussinessDocReason", letter.reason, "Reason")]


def status_faults(status: Status) -> list[Fault]:
    """Return everything that is wrong with a status (STA-01, STA-06)."""
    faults = [*_organ_faults(status.sender.code, "Status.From.OrganId")]
    if status.code not in STATUS_CODES:
        faults.append(out_of_range("Status.StatusCode", f"“{status.code[:40]}” is no status"))
    if not status.answers.document_id and not (status.answers.code and status.answers.organ):
        faults.append(missing("Status.ResponseFor.DocumentId", "it names no document"))
    if status.code == "02" and not status.description.strip():
        faults.append(missing("Status.Description", "a return needs its reason"))
    return [*faults, *_length("Status.Description", status.description, "Reason")]


def attachment_faults(
    named: Iterable[Entry], there: Sequence[tuple[Entry, bytes]], *, may_be_none: bool = False
) -> list[Fault]:
    """Return where manifest and attachments differ, and what an attachment is not (EDX-10); a recall has none."""
    named = list(named)
    faults = []
    wanted, held = [one.content_id for one in named], [entry.content_id for entry, _ in there]
    for content_id in sorted(set(wanted) ^ set(held)):
        where = "edXMLManifest.Reference" if content_id in wanted else "AttachmentEncoded.Attachment"
        faults.append(mismatch(f"{where}.ContentId", f"“{content_id[:80]}” stands on one side only"))
    if len(set(wanted)) != len(wanted):
        faults.append(mismatch("edXMLManifest.Reference.ContentId", "the manifest names an attachment twice"))
    if not held and not may_be_none:
        faults.append(missing("AttachmentEncoded.Attachment", "nothing is attached"))
    for entry, first in there:
        faults += _file_faults(entry, first)
    return faults


def _file_faults(entry: Entry, first: bytes) -> list[Fault]:
    """Return what is wrong with one attachment: its name, and whether it is what it is called."""
    path = "AttachmentEncoded.Attachment"
    if not entry.name:
        return [missing(f"{path}.AttachmentName", "an attachment has no name")]
    if len(entry.name) > LONGEST["AttachmentName"]:
        about = f"it has {len(entry.name)} characters; {LONGEST['AttachmentName']} are allowed"
        return [out_of_range(f"{path}.AttachmentName", about)]
    if "/" in entry.name or "\\" in entry.name or not entry.name.isprintable():
        return [
            out_of_range(f"{path}.AttachmentName", "a name of a file has no path and no control characters")
        ]
    suffix = PurePath(entry.name.lower()).suffix.lstrip(".")
    if suffix not in _KINDS:
        return [out_of_range(f"{path}.AttachmentName", f"files “.{suffix[:10]}” are not exchanged")]
    begins, types = _KINDS[suffix]
    if not first.startswith(begins):
        return [mismatch(f"{path}.AttachmentName", f"its bytes are not those of a “.{suffix}” file")]
    if entry.media_type.partition(";")[0].strip().lower() not in {*types, *_ANYTHING}:
        return [mismatch(f"{path}.ContentType", f"“{entry.media_type[:60]}” is not the type of “.{suffix}”")]
    return []
