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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.pdf.confined import confine, is_starved

#: What is said of files that take more than they may.
_TOO_MUCH = "it needs more memory than a result ever should"

#: The modules that files are read with.
READERS = ("infra.pdf.screening", "infra.pdf.fields", "pyhanko.sign.validation")


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
    """Return the answer's header and the prepared file; the libraries are imported only now."""
    from pyhanko.pdf_utils.reader import PdfFileReader  # noqa: PLC0415

    from infra.pdf.pages import Unfit  # noqa: PLC0415
    from infra.pdf.screening import screen_signed  # noqa: PLC0415

    try:
        screen_signed("the file", pdf)
    except Unfit as refusal:
        return {"unreadable": f"{refusal.message.rstrip('.')} ({refusal.code})"}, b""
    reader = PdfFileReader(io.BytesIO(pdf))
    anchors = [base64.b64decode(one) for one in header["anchors"]]
    chain = [base64.b64decode(one) for one in header["chain"]]
    signatures = _verdicts(pdf, anchors, chain)
    why_not: str | None = "not-allowed"
    prepared = b""
    if header["wanted"] is not None:
        why_not, prepared = _prepare(pdf, reader, header["wanted"])
    if why_not is None:
        # What the rules allow is not always what a validator lets pass: the file itself is asked.
        after = _verdicts(prepared, anchors, chain)
        held = [(one["intact"], one["changes_allowed"]) for one in signatures]
        if [(one["intact"], one["changes_allowed"]) for one in after] != held:
            why_not, prepared = "not-allowed", b""
    said = {
        "unreadable": "" if signatures else "it is not signed",
        "signatures": signatures,
        "whole": _whole(pdf),
        "why_not": why_not,
    }
    return said, prepared


def _verdicts(pdf: bytes, anchors: Sequence[bytes], chain: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return the verdict on every signature of a file, in the order in which they were made."""
    from pyhanko.pdf_utils.reader import PdfFileReader  # noqa: PLC0415

    reader = PdfFileReader(io.BytesIO(pdf))
    return [_verdict(reader, one, anchors, chain) for one in reader.embedded_regular_signatures]


def _verdict(reader: Any, one: Any, anchors: Sequence[bytes], chain: Sequence[bytes]) -> dict[str, Any]:
    """Return the verdict on one signature."""
    import hashlib  # noqa: PLC0415

    from pyhanko.sign.validation import async_validate_pdf_signature  # noqa: PLC0415

    from infra.clock import HANOI  # noqa: PLC0415
    from infra.pdf.trust import common_name, finish  # noqa: PLC0415

    time = one.self_reported_timestamp
    if time is not None and time.utcoffset() is None:
        time = time.replace(tzinfo=HANOI)
    asked = _context(anchors, chain, time)
    status = finish(async_validate_pdf_signature(one, signer_validation_context=asked))
    certificate = one.signer_cert
    digest = str(one.signer_info["digest_algorithm"]["algorithm"].native)
    mechanism = str(one.signer_info["signature_algorithm"]["algorithm"].native)
    permissions: Any = _followed(reader.root.get("/Perms")) or {}
    certifies = (
        "/DocMDP" in permissions
        and permissions.raw_get("/DocMDP").reference == one.sig_field.raw_get("/V").reference
    )
    problem = status.trust_problem_indic
    return {
        "field": one.field_name,
        "signer": common_name(certificate),
        "organisation": str(certificate.subject.native.get("organization_name") or ""),
        "issuer": str(certificate.issuer.native.get("common_name") or certificate.issuer.human_friendly),
        "certificate_sha256": hashlib.sha256(certificate.dump()).hexdigest(),
        "kind": "certification" if certifies else "approval",
        "digest": digest,
        "weak": digest == "sha1" or "sha1" in mechanism,
        "time": time.isoformat() if time is not None else "",
        "intact": bool(status.intact and status.valid and _gap_is_its_own(reader, one)),
        "changes_allowed": bool(status.docmdp_ok),
        "trusted": bool(status.trusted) and time is not None,
        "trust_problem": "" if status.trusted else str(getattr(problem, "name", problem) or "untrusted"),
    }


def _context(anchors: Sequence[bytes], chain: Sequence[bytes], time: Any) -> Any:
    """Return how a signature is checked: offline, as of its own time; weak hashes are told, not refused, here."""
    from datetime import timedelta  # noqa: PLC0415

    from pyhanko_certvalidator import ValidationContext  # noqa: PLC0415
    from pyhanko_certvalidator.policy_decl import DisallowWeakAlgorithmsPolicy  # noqa: PLC0415

    from infra.pdf.trust import parsed  # noqa: PLC0415

    policy = DisallowWeakAlgorithmsPolicy(  # type: ignore[no-untyped-call]
        weak_hash_algos=frozenset({"md2", "md5"})
    )
    return ValidationContext(
        trust_roots=[parsed(one) for one in anchors],
        other_certs=[parsed(one) for one in chain],
        moment=time,
        allow_fetching=False,
        revocation_mode="soft-fail",
        time_tolerance=timedelta(0),
        algorithm_usage_policy=policy,
    )


def _gap_is_its_own(reader: Any, one: Any) -> bool:
    """Whether what a signature leaves out is its own value and nothing that could be changed unnoticed."""
    start, opening, closing, rest = (int(number) for number in one.byte_range)
    reader.stream.seek(0)
    pdf = reader.stream.read()
    if start != 0 or not 0 < opening < closing or closing + rest > len(pdf):
        return False
    gap = pdf[opening:closing]
    value = one.pkcs7_content.hex().encode().rstrip(b"0")
    return bool(gap[:1] == b"<" and gap[-1:] == b">" and gap[1:-1].lower().rstrip(b"0") == value)


def _whole(pdf: bytes) -> bool:
    """Whether nothing but evidence follows the last signature or time-stamp."""
    from pyhanko.pdf_utils.reader import PdfFileReader  # noqa: PLC0415
    from pyhanko.sign.diff_analysis import ModificationLevel  # noqa: PLC0415
    from pyhanko.sign.validation.status import SignatureCoverageLevel  # noqa: PLC0415

    signatures = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
    if not signatures:
        return False
    last = signatures[-1]
    last.compute_integrity_info()
    if last.coverage == SignatureCoverageLevel.ENTIRE_FILE:
        return True
    level = getattr(last.diff_result, "modification_level", None)  # What is suspicious has none.
    return level is not None and bool(level <= ModificationLevel.LTA_UPDATES)


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
