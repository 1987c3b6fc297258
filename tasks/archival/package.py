"""What a package holds: documents, metadata, validation report, history, and the proof of it (ARC-05 to ARC-09)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session

from infra.history import Entry, Json
from infra.history.keeping import proven
from infra.history.recording import entries
from infra.ocfl import ocfl_object
from infra.pdf.checking import signatures_of
from infra.reading import rows_of
from infra.services import services
from tasks.archival.covering import covering
from tasks.archival.premis import premis
from tasks.archival.rules import Record, metadata, package_id
from tasks.archival.tables import PackageRow
from tasks.archival.terms import read_terms
from tasks.archival.timeline import as_page, timeline
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import Stage, Standing
from tasks.dossier.looking import hold, look, office_of, originals_of, procedure_of
from tasks.dossier.papers import UNSEALED, read, sha256_of
from tasks.dossier.register import number_of
from tasks.dossier.releases import released
from tasks.dossier.tables import ApplicantRow, DocumentRow, DossierRow, OriginalRow

_EXTENSIONS = {"application/pdf": "pdf", "application/json": "json", "image/jpeg": "jpg", "image/png": "png"}

#: Documents of an original that go into its package, by kind, with the folder they go to.
_KINDS = {
    "scan": "scans",
    "frozen": "frozen",
    "sealed": "documents",
    "lifted": "documents",
    "result": "documents",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What the database says of a dossier whose package is to be made."""

    code: str
    plan: PackageRow
    documents: Sequence[DocumentRow]
    told: Sequence[Entry]
    described: Mapping[str, Json]
    proof: Mapping[str, Json]
    office: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that is ready to be written: its files by their place, and which of them were rendered for it."""

    code: str
    plan: PackageRow
    files: Mapping[str, bytes]
    rendered: Mapping[str, bytes]

    @property
    def written(self) -> Mapping[str, bytes]:
        """The files of its OCFL object, in the order in which they are written."""
        return ocfl_object(
            package_id(self.code),
            {**self.files, **self.rendered},
            message="Archived at the end of the dossier's life",
            user_name=self.plan.user_name,
            user_address=self.plan.user_address,
            created=self.plan.begun_at,
        )


def gather(code: str) -> Gathered | None:
    """Read what a begun package is made of; `None` as long as no stamped checkpoint covers its entries."""
    with services().database.transaction() as session:
        (plan,) = rows_of(session, PackageRow, dossier=code)
        checkpoint = covering(session, plan.history_position)
        if checkpoint is None:
            return None
        dossier = look(session, code)
        told = [e for e in entries(session, code) if e.position <= plan.history_position]
        rows = _documents(session, code, datetime.fromisoformat(json.loads(told[-1].content)["at"]))
        return Gathered(
            code=code,
            plan=plan,
            documents=rows,
            told=told,
            described=_describe(session, dossier, originals_of(session, code), plan),
            proof={**proven(session, told, checkpoint), "docs": _proven_documents(rows, told)},
            office=office_of(session, dossier.office).name,
        )


def render(found: Gathered) -> Package:
    """Return a package with its documents, checked, and with what has to be rendered for it; asks no database."""
    files, within = _read_all(found.documents)
    lines = timeline(found.told)
    checked = {n: _validation(content) for n, content in files.items() if n.startswith("documents/")}
    about = {**found.described, "tepTrinhKy": within, "kiemTraChuKy": checked, "quaTrinh": lines}
    rendered = {
        "metadata.json": as_json(about),
        "proof.json": as_json(found.proof),
        "timeline.html": as_page(found.code, found.office, lines),
    }
    files["history.jsonl"] = b"\n".join(entry.content for entry in found.told) + b"\n"
    beginnings = {str(one["sha256"]): str(one["tep"]) for one in within}
    rendered["premis.xml"] = premis({**files, **rendered}, found.told, beginnings)
    return Package(code=found.code, plan=found.plan, files=files, rendered=rendered)


def rendered_once(package: Package) -> Package | None:
    """
    Keep what was rendered first, and return the package with that; `None` for a dossier that was archived meanwhile.

    Offices are renamed, validators change and other checkpoints come between two tries; what was locked once cannot
    follow, so a second try writes the same bytes.
    """
    with services().database.transaction() as session:
        dossier = hold(session, package.code)
        (plan,) = rows_of(session, PackageRow, dossier=package.code)
        if dossier.stage == Stage.ARCHIVED:
            return None
        if not plan.rendered:
            plan.rendered = {name: content.decode() for name, content in package.rendered.items()}
            return package
        return replace(package, rendered={name: text.encode() for name, text in plan.rendered.items()})


def as_json(value: object) -> bytes:
    """Return JSON as the archive keeps it: readable, sorted, UTF-8."""
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def _read_all(rows: Sequence[DocumentRow]) -> tuple[dict[str, bytes], list[dict[str, Json]]]:
    """
    Return documents by their place in the package, and which of them are the beginning of another one.

    What was put before the official is what the signed document begins with: signatures are added behind it. Where
    that is so, byte by byte, it is not kept twice; where it is not, it is a file of its own.
    """
    files = {_name(row): read(row) for row in rows if row.kind != "frozen"}
    within: list[dict[str, Json]] = []
    for row in rows:
        if row.kind != "frozen":
            continue
        signed = (name for name in files if name.startswith(f"documents/{row.ordinal}-"))
        whole = next((name for name in signed if sha256_of(files[name][: row.size]) == row.sha256), None)
        if whole is None:
            files[_name(row)] = read(row)
        else:
            within.append({"tep": whole, "soByteDau": row.size, "sha256": row.sha256})
    return files, within


def _proven_documents(rows: Sequence[DocumentRow], told: Sequence[Entry]) -> list[Json]:
    """Return the released documents that entries name by their hash, as the proof names them."""
    said = [json.loads(entry.content) for entry in told]
    named = {v["sha256"] for one in said for v in one.values() if isinstance(v, dict) and "sha256" in v}
    return [
        {"name": _name(row), "sha256": row.sha256}
        for row in rows
        if _name(row).startswith("documents/") and row.sha256 in named
    ]


def _documents(session: Session, code: str, until: datetime) -> list[DocumentRow]:
    """Return every document that belongs into the package; a paper that is printed later does not change it."""
    found = [
        row
        for row in rows_of(session, DocumentRow, dossier=code)
        if row.kind not in ("page", "approved") and not row.kind.startswith(UNSEALED) and row.made_at <= until
    ]
    found.sort(key=lambda row: (row.ordinal, row.kind, row.revision, row.position))
    # A sealed document is the beginning of the one with its evidence, so the latter is enough.
    lifted = {row.ordinal for row in found if row.kind == "lifted"}
    return [row for row in found if row.kind != "sealed" or row.ordinal not in lifted]


def _name(row: DocumentRow) -> str:
    """Return where a document lies within its package."""
    extension = _EXTENSIONS.get(row.media_type, "bin")
    folder = _KINDS.get(row.kind, "papers")
    return f"{folder}/{row.ordinal}-{row.kind}-{row.revision}-{row.position}.{extension}"


def _describe(
    session: Session, dossier: DossierRow, originals: list[OriginalRow], plan: PackageRow
) -> Mapping[str, Json]:
    """Return the package's metadata."""
    procedure = procedure_of(session, dossier)
    office = office_of(session, dossier.office)
    (applicant,) = rows_of(session, ApplicantRow, dossier=dossier.code)
    terms = read_terms(services().settings.archive_terms)
    records = []
    for original in originals:
        valid = original.standing == Standing.VALID
        final = released(session, original).document if valid else None
        records.append(
            Record(
                ordinal=original.ordinal,
                title=original.kind,
                number=number_of(session, dossier.code, original.ordinal),
                pages=original.pages,
                sha256=final.sha256 if final else "",
                issued_on=local(final.made_at).date().isoformat() if final else "",
                standing=str(original.standing),
            )
        )
    return metadata(
        code=dossier.code,
        title=f"{procedure.name} – {dossier.code}",
        office=office.code,
        office_name=office.name,
        applicant=applicant.name,
        opened=dossier.opened_at,
        ended=plan.begun_at,
        retention_years=procedure.retention.years,
        retention_rule=procedure.retention.rule,
        records=records,
        publication="never" if dossier.confidential else procedure.publication,
        digitised=procedure.kind == "certification",
        of_record=terms.of_record(procedure.code),
        of_document=terms.of_document(procedure.code),
    )


def _validation(content: bytes) -> list[Json]:
    """Return what our validator says of a document's signatures."""
    parts = services()
    return [
        {
            "field": s.field,
            "signer": s.signer,
            "kind": s.kind,
            "level": s.level,
            "time": s.time.isoformat(),
            "certificate_sha256": s.certificate_sha256,
            "intact": s.intact,
            "trusted": s.trusted,
            "covers_whole_file": s.covers_whole_file,
        }
        for s in signatures_of(
            content,
            anchors=(*parts.anchors, *parts.foreign_anchors),
            chain=(*parts.chain, *parts.foreign_chain),
        )
    ]
