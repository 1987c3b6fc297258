"""
The process that opens other agencies' signed files: `python -m infra.pdf.foreign_child`.

Reads a request on standard input (one line of JSON, then the file), writes the answer on standard output in
the same form, and ends. It limits itself before it looks at the first byte of the file.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from infra.pdf.confined import confine, is_starved

if TYPE_CHECKING:
    from infra.pdf.verifying.findings import Report

#: What is said of files that take more than they may.
_TOO_MUCH = "it needs more memory than a result ever should"

#: The modules that files are read with.
READERS = (
    "infra.pdf.fields",
    "infra.pdf.scans",
    "infra.pdf.screening",
    "infra.pdf.verifying.examine",
    "infra.pdf.verifying.printed",
    # What those load only when they have a file before them.
    "cryptography.hazmat.backends.openssl.backend",
    "encodings.cp1252",
)


def main() -> None:
    """Answer one request."""
    header = json.loads(sys.stdin.buffer.readline())
    confine(header["cost"], readers=READERS)
    pdf = sys.stdin.buffer.read(header["bytes"])
    try:
        said, prepared = _examine(pdf, header)
    except (MemoryError, RecursionError):
        said, prepared = {"unreadable": _TOO_MUCH}, b""
    except Exception as error:  # noqa: BLE001  Parsers fail on hostile files with any exception there is.
        said, prepared = {"unreadable": f"it cannot be read as a signed PDF ({type(error).__name__})"}, b""
    if said["unreadable"] and is_starved():
        said = {"unreadable": _TOO_MUCH}
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + prepared)
    sys.stdout.buffer.flush()


def _examine(pdf: bytes, header: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return the answer's header and the prepared file; only this process imports the libraries."""
    from pyhanko.pdf_utils.reader import PdfFileReader  # noqa: PLC0415

    from infra.pdf.pages import Limits, Unfit  # noqa: PLC0415
    from infra.pdf.scans import prepare_libraries  # noqa: PLC0415
    from infra.pdf.screening import screen_signed  # noqa: PLC0415
    from infra.pdf.verifying.findings import UNREADABLE  # noqa: PLC0415
    from infra.pdf.verifying.printed import sentence  # noqa: PLC0415

    prepare_libraries(Limits())
    unsigned = header["wanted"] is not None and header["wanted"]["unsigned"]
    try:
        screen_signed("the file", pdf, unsigned=unsigned)
    except Unfit as refusal:
        return {"unreadable": f"{refusal.message.rstrip('.')} ({refusal.code})"}, b""
    report = _judged(pdf, header)
    if not unsigned and any(one.code == "unsigned" for one in report.findings):
        return {"unreadable": "it is not signed"}, b""
    damage = next((one for one in report.findings if one.code in UNREADABLE), None)
    if damage is not None:
        return {"unreadable": sentence(damage, "en").rstrip(".")}, b""
    wanted = header["wanted"]
    why_not: str | None = "not-allowed"
    prepared = b""
    if wanted is not None:
        why_not, prepared = _prepare(pdf, PdfFileReader(io.BytesIO(pdf)), wanted)
    if why_not is None:
        # What the rules allow is not always what a validator lets pass: the file itself is asked.
        after = _judged(prepared, header, to_be_signed=wanted["field"])
        if _standing(after) != _standing(report):
            why_not, prepared = "not-allowed", b""
    return {"unreadable": "", "report": report.as_json(), "why_not": why_not}, prepared


def _judged(pdf: bytes, header: Mapping[str, Any], *, to_be_signed: str | None = None) -> Report:
    """Return the report on a file, by the rules by which anybody checks one."""
    from asn1crypto import crl, ocsp, x509  # type: ignore[import-untyped]  # noqa: PLC0415

    from infra.pdf.verifying.certificates import Answers, Evidence  # noqa: PLC0415
    from infra.pdf.verifying.examine import examine  # noqa: PLC0415

    def loaded(name: str, kind: Any) -> tuple[Any, ...]:
        return tuple(kind.load(base64.b64decode(one)) for one in header[name])

    answers = Answers(crls=loaded("crls", crl.CertificateList), ocsps=loaded("ocsps", ocsp.OCSPResponse))
    evidence = Evidence(
        anchors=loaded("anchors", x509.Certificate),
        certificates=loaded("chain", x509.Certificate),
        answers={"online": answers},
    )
    at = datetime.fromisoformat(header["at"])
    return examine("", pdf, evidence=evidence, at=at, to_be_signed=to_be_signed)


def _standing(report: Report) -> tuple[Any, ...]:
    """Return what must be the same of a file before and after a field was added to it."""
    signatures = [
        (one.field, one.certificate_sha256, sorted(f.code for f in one.findings)) for one in report.signatures
    ]
    return signatures, sorted(f.code for f in report.findings if f.weight != "noted")


def _prepare(pdf: bytes, reader: Any, wanted: Mapping[str, Any]) -> tuple[str | None, bytes]:
    """Return why no field can be added, or nothing and the file with the field."""
    from pyhanko.sign.fields import enumerate_sig_fields  # noqa: PLC0415

    from infra.pdf.fields import place_fields  # noqa: PLC0415
    from infra.pdf.places import FieldPlace  # noqa: PLC0415

    if "/DocMDP" in (_followed(reader.root.get("/Perms")) or {}):
        return "certified", b""  # A field that is made after a certification breaks it, whatever it allows.
    fields = list(enumerate_sig_fields(reader))
    if any(_locks_all(ref.get_object(), value) for _, value, ref in fields):
        return "locked", b""
    if any(name == wanted["field"] for name, _, _ in fields):
        return "field-taken", b""
    page = reader.root["/Pages"]
    while "/Kids" in page:
        page = page["/Kids"][0]
    if int(_inherited(page, "/Rotate", 0)) % 360 or float(page.get("/UserUnit", 1)) != 1:
        return "turned", b""
    rect = _free_corner(page, wanted)
    if rect is None:
        return "no-room", b""
    return None, place_fields(pdf, [FieldPlace(name=wanted["field"], page=0, rect=rect)])


def _locks_all(field: Any, value: Any) -> bool:
    """Whether a signature, or what its field asks for, forbids every change of fields (ISO 32000-2 §12.8.2.4)."""
    value = _followed(value)
    if value is None:
        return False
    lock = _followed(field.get("/Lock"))
    if lock is not None and ("/P" in lock or _followed(lock.get("/Action")) != "/Include"):
        return True
    for reference in map(_followed, _followed(value.get("/Reference")) or []):
        parameters = _followed(reference.get("/TransformParams")) or {}
        if (
            reference.get("/TransformMethod") == "/FieldMDP"
            and _followed(parameters.get("/Action")) != "/Include"
        ):
            return True
    return False


def _followed(value: Any) -> Any:
    """Return what a reference refers to, and anything else as it is."""
    return value.get_object() if hasattr(value, "get_object") else value


def _inherited(page: Any, key: str, default: Any) -> Any:
    """Return a page's attribute, from the node above where the page itself has none."""
    node, depth = page, 0
    while node is not None and depth < 50:
        if key in node:
            return _followed(node[key])
        node, depth = _followed(node.get("/Parent")), depth + 1
    return default


def _free_corner(page: Any, wanted: Mapping[str, Any]) -> Any:
    """Return the first wanted corner of a page where no annotation lies, in millimetres; `None`: there is none."""
    from infra.pdf.places import Rect  # noqa: PLC0415

    points = 72 / 25.4
    box = _inherited(page, "/CropBox", None) or _inherited(page, "/MediaBox", None)
    left, bottom, right, top = (float(edge) / points for edge in box)
    wide, tall, margin = wanted["width"], wanted["height"], wanted["margin"]
    if right - left < wide + 2 * margin or top - bottom < tall + 2 * margin:
        return None
    taken = list(_boxes(page, points))
    for corner in wanted["corners"]:
        x = left + margin if corner.endswith("left") else right - margin - wide
        y = bottom + margin if corner.startswith("bottom") else top - margin - tall
        place = Rect(left=x, bottom=y, width=wide, height=tall)
        if not any(
            x < other[2] and place.right > other[0] and y < other[3] and place.top > other[1]
            for other in taken
        ):
            return place
    return None


def _boxes(page: Any, points: float) -> Iterator[tuple[float, ...]]:
    """Yield where annotations lie on a page, in millimetres."""
    for note in map(_followed, _followed(page.get("/Annots")) or []):
        if "/Rect" in note:
            a, b, c, d = (float(edge) / points for edge in _followed(note["/Rect"]))
            yield min(a, c), min(b, d), max(a, c), max(b, d)


if __name__ == "__main__":
    main()
