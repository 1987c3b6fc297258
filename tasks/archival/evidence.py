"""One file for the citizen: everything that proves a result, checkable without this office and without its programs."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from sqlmodel import select

import infra.history.verify_history as program
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.history.tables import HistoryCheckpoint
from infra.pdf.proofs import stored_proofs
from infra.pdf.verifying import verify
from infra.pdf.verifying.findings import Report
from infra.pdf.verifying.folder import Folder
from infra.pdf.verifying.printed import printed
from infra.services import services
from tasks.archival.checkpoints import verifier
from tasks.archival.holdings import documents_in, packages_of
from tasks.archival.package import as_json
from tasks.dossier.looking import hold
from tasks.dossier.moves import Actor, Telling, tell
from tasks.people.acting import acting_on

#: Files of the package that go into the evidence as they are.
_AS_ARCHIVED = ("proof.json", "history.jsonl", "timeline.html", "metadata.json", "premis.xml")

#: Files of the evidence that are members of the metadata; earlier packages have them as files.
_IN_METADATA = {"timeline.json": "quaTrinh", "validation.json": "kiemTraChuKy"}

#: The date that every file in the evidence bears: the same evidence is the same bytes.
_NO_DATE = (1980, 1, 1, 0, 0, 0)

_GUIDE = Path(__file__).with_name("evidence_guide.txt")


def give_evidence(code: str, *, by: Actor) -> bytes:
    """
    Return the evidence of an archived dossier as a ZIP file; that somebody took it is in the history.

    It is put together from the archive's objects, so the same dossier gives the same bytes as long as its
    documents are not renewed. Refuses a dossier that is not archived, and whoever may not read it.
    """
    with services().database.transaction() as session:
        reader = acting_on(session, by, "evidence", hold(session, code))
    made = evidence(code)
    with services().database.transaction() as session:
        facts: dict[str, Json] = {"doc": {"sha256": sha256(made).hexdigest(), "size": len(made)}}
        tell(session, hold(session, code), Telling(event="evidence:given", by=reader, facts=facts))
    return made


def evidence(code: str) -> bytes:
    """Return the evidence of an archived dossier as a ZIP file; raises what `packages_of` raises."""
    packages = packages_of(code)
    first = packages[0].files
    if "proof.json" not in first:
        raise Forbidden(
            f"the package of {code} holds no proof; it was archived by an earlier release.",
            rule="ARC-09",
            way_out="Hand out the documents and an export of the history instead (“hoso history export”).",
        )
    files = {name: first[name] for name in _AS_ARCHIVED} | described(first)
    documents = documents_in(packages)
    bundle = json.loads(first["proof.json"])
    files |= documents
    files["checkpoint.note"] = bundle["checkpoint"].encode()
    files["checkpoint.tst"] = base64.b64decode(bundle["tst"])
    files["key"] = f"{verifier()}\n".encode()
    files["verify_history.py"] = Path(program.__file__).read_bytes()
    files["README.txt"] = _GUIDE.read_text(encoding="utf-8").replace("{code}", code).encode()
    moment = _stamped_at(bundle["checkpoint"])
    for name, pdf in documents.items():
        files |= _judged(name, pdf, moment)
    for der in services().anchors:
        files[f"certificates/anchors/{sha256(der).hexdigest()[:16]}.cer"] = der
    sums = "".join(f"{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    files["SHA256SUMS"] = sums.encode()
    return _packed(files)


def described(package: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the timeline and what was found in the signatures, from a package's metadata or its own files of them."""
    about = json.loads(package["metadata.json"])
    return {
        name: package[name] if name in package else as_json(about[member])
        for name, member in _IN_METADATA.items()
    }


def _stamped_at(note: str) -> datetime:
    """Return the moment that a checkpoint's time-stamp proves: the documents are judged as of then."""
    with services().database.transaction() as session:
        row = session.exec(select(HistoryCheckpoint).where(HistoryCheckpoint.note == note)).first()
    if row is None or row.stamped_at is None:
        raise Broken("the checkpoint of a package is not among those that were signed here")
    return row.stamped_at


def _judged(name: str, pdf: bytes, moment: datetime) -> dict[str, bytes]:
    """Return what `hoso verify` says of a document, and every certificate and answer that it rests on."""
    report = verify(name, pdf, trusted=Folder(anchors=tuple(services().anchors)), at=moment)
    stem = name.removeprefix("documents/").removesuffix(".pdf").replace("/", "-")
    files = {
        f"reports/{stem}.json": as_json({**report.as_json(), "verdict": report.verdict.value}),
        f"reports/{stem}.vi.txt": (printed(report, "vi") + "\n").encode(),
        f"reports/{stem}.en.txt": (printed(report, "en") + "\n").encode(),
    }
    for der in _certificates(report):
        files[f"certificates/{sha256(der).hexdigest()[:16]}.cer"] = der
    held = stored_proofs(pdf)
    for kind, proofs in (("ocsp", held.ocsps), ("crl", held.crls)):
        for der in proofs:
            files[f"revocation/{sha256(der).hexdigest()[:16]}.{kind}"] = der
    return files


def _certificates(report: Report) -> set[bytes]:
    """Return every certificate of a report's chains."""
    return {bytes.fromhex(one) for chain in report.chains for one in chain}


def _packed(files: Mapping[str, bytes]) -> bytes:
    """Return a ZIP file that is the same for the same files: sorted, undated, not compressed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as packed:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _NO_DATE)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            packed.writestr(entry, files[name])
    return out.getvalue()
