"""Archiving: one OCFL package under object lock, inventory last, every version read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.history.recording import entries, head
from infra.object_store import Stored
from infra.object_store.probing import require_safe
from infra.ocfl import object_path, ocfl_object, ocfl_root
from infra.pdf.checking import signatures_of
from infra.services import services
from tasks.archival.rules import Record, metadata, package_id, retain_until
from tasks.archival.tables import ArchivedObjectRow, PackageRow
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import Stage, Standing
from tasks.dossier.moves import (
    SYSTEM,
    Actor,
    Telling,
    ask_to_continue,
    hold,
    look,
    move_to,
    office_of,
    originals_of,
    procedure_of,
    tell,
)
from tasks.dossier.papers import UNSEALED, content_key, read, sha256_of, store_content
from tasks.dossier.register import number_of
from tasks.dossier.releases import released
from tasks.dossier.tables import ApplicantRow, DocumentRow, DossierRow, OriginalRow
from tasks.people.acting import acting_on, scope

_EXTENSIONS = {"application/pdf": "pdf", "application/json": "json", "image/jpeg": "jpg", "image/png": "png"}

#: The OCFL storage root within the bucket; the probe keeps its own objects beside it.
ARCHIVE_ROOT = "archive/"

#: Documents of an original that go into its package, by kind, with the folder they go to.
_KINDS = {
    "scan": "scans",
    "frozen": "frozen",
    "sealed": "documents",
    "lifted": "documents",
    "result": "documents",
}


def ask_for_archive(code: str | None, *, by: Actor = SYSTEM) -> list[str]:
    """Ask that a returned dossier (or, without a code, every one that is theirs) be archived now; return the codes."""
    asked = []
    with services().database.transaction() as session:
        query = select(DossierRow.code).where(DossierRow.stage == Stage.RETURNED)
        if code is None and by != SYSTEM:
            theirs = scope(session, by, "archive")
            query = query.where(theirs.within(DossierRow.office, DossierRow.procedure))
        codes = [look(session, code).code] if code else list(session.exec(query))
    for one in codes:
        with services().database.transaction() as session:
            dossier = hold(session, one)
            actor = acting_on(session, by, "archive", dossier)
            if dossier.stage == Stage.ARCHIVED:
                continue
            if dossier.stage == Stage.RETURNED and not dossier.archive_asked:
                dossier.archive_asked = True
                session.add(dossier)
                tell(session, dossier, Telling(event="archive:asked", by=actor))
            elif dossier.stage != Stage.RETURNED:
                raise Forbidden(
                    f"dossier {one} stands at {dossier.stage}; only a returned dossier is archived.",
                    rule="DOS-06",
                    way_out="“hoso show” says what it waits for.",
                )
            ask_to_continue(session, one)
            asked.append(one)
    return asked


def is_due(code: str) -> bool:
    """Whether a dossier was returned and its archive asked for."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        return dossier.stage == Stage.RETURNED and dossier.archive_asked


def archive(code: str) -> bool:
    """
    Put a returned dossier's package into the archive and read it back; return whether it is archived now.

    What is written is fixed by a committed row first, so a second try after a crash writes the same keys
    with the same bytes. Refuses a store that fails the WORM probe (design: archival refuses to run).
    """
    plan = _begin(code)
    if plan is None:
        return False
    store_is_safe()
    store = services().archive
    for name, content in ocfl_root().items():
        store.put_locked(
            ARCHIVE_ROOT + name,
            content,
            content_type="application/octet-stream",
            retain_until=retain_until(plan.begun_at, None),
        )
    folder = ARCHIVE_ROOT + object_path(package_id(code))
    files = _package(code, plan)
    kept: list[Stored] = []
    for name, content in files.items():
        stored = store.put_locked(
            f"{folder}/{name}",
            content,
            content_type="application/octet-stream",
            retain_until=plan.retain_until,
        )
        kept.append(read_back(stored, content, plan.retain_until))
    return _end(code, plan, kept)


@cache
def store_is_safe() -> None:
    """Probe the archive once a process; raises `Unsafe` naming what it would let somebody do."""
    require_safe(services().archive.probe())


def _begin(code: str) -> PackageRow | None:
    """Fix what the package will hold; `None` when the dossier is not to be archived now."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        if dossier.stage != Stage.RETURNED or not dossier.archive_asked:
            return None
        plan = session.get(PackageRow, code)
        if plan is None:
            retention = procedure_of(session, dossier).retention
            office = office_of(session, dossier.office)
            moment = now(session).replace(microsecond=0)
            tell(session, dossier, Telling(event="dossier:archiving", facts={"rule": retention.rule}))
            plan = PackageRow(
                dossier=code,
                begun_at=moment,
                history_position=head(session)[0] - 1,
                retain_until=retain_until(moment, retention.years),
                user_name=office.name,
                user_address=f"mailto:{office.mailbox}",
            )
            session.add(plan)
        return plan


def _package(code: str, plan: PackageRow) -> Mapping[str, bytes]:
    """Return the package's files in the order in which they are written."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        originals = originals_of(session, code)
        told = [e.content for e in entries(session, code) if e.position <= plan.history_position]
        rows = _documents(session, code, datetime.fromisoformat(json.loads(told[-1])["at"]))
        described = _describe(session, dossier, originals, plan)
    files = {_name(row): read(row) for row in rows}
    checked = {name: _validation(content) for name, content in files.items() if name.startswith("documents/")}
    plan = _fix(code, as_json(described), as_json(checked))
    files["metadata.json"] = _content(plan.metadata_sha256)
    files["validation.json"] = _content(plan.validation_sha256)
    files["history.jsonl"] = b"\n".join(told) + b"\n"
    return ocfl_object(
        package_id(code),
        files,
        message="Archived at the end of the dossier's life",
        user_name=plan.user_name,
        user_address=plan.user_address,
        created=plan.begun_at,
    )


def _fix(code: str, described: bytes, checked: bytes) -> PackageRow:
    """
    Keep what was rendered first of the metadata and the validation report, and return the plan with it.

    Offices are renamed and validators change between two tries; what was locked once cannot follow.
    """
    store_content(described, "application/json")
    store_content(checked, "application/json")
    with services().database.transaction() as session:
        hold(session, code)
        plan = session.get_one(PackageRow, code)
        plan.metadata_sha256 = plan.metadata_sha256 or sha256_of(described)
        plan.validation_sha256 = plan.validation_sha256 or sha256_of(checked)
        session.add(plan)
        return plan


def _content(sha256: str | None) -> bytes:
    """Return stored bytes by their hash."""
    return services().work.get(content_key(sha256 or ""))


def _documents(session: Session, code: str, until: datetime) -> list[DocumentRow]:
    """Return every document that belongs into the package; a paper that is printed later does not change it."""
    query = (
        select(DocumentRow)
        .where(
            DocumentRow.dossier == code,
            col(DocumentRow.kind).not_in(["page", "approved"]),
            ~col(DocumentRow.kind).startswith(UNSEALED),
            col(DocumentRow.made_at) <= until,
        )
        .order_by(
            col(DocumentRow.ordinal),
            col(DocumentRow.kind),
            col(DocumentRow.revision),
            col(DocumentRow.position),
        )
    )
    found = list(session.exec(query))
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
        applicant=session.get_one(ApplicantRow, dossier.code).name,
        opened=dossier.opened_at,
        ended=plan.begun_at,
        retention_years=procedure.retention.years,
        retention_rule=procedure.retention.rule,
        records=records,
        publication="never" if dossier.confidential else procedure.publication,
        digitised=procedure.kind == "certification",
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


def as_json(value: object) -> bytes:
    """Return JSON as the archive keeps it: readable, sorted, UTF-8."""
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def read_back(stored: Stored, content: bytes, until: datetime) -> Stored:
    """Return a version as the store reports it now; raises `Broken` when it is not what was written."""
    again, held = services().archive.read_back(stored.key, stored.version_id)
    locked = again.mode == "COMPLIANCE" and again.retain_until is not None and again.retain_until >= until
    if held != content or sha256_of(held) != stored.sha256 or not locked:
        raise Broken(f"the archive does not hold {stored.key} as it was written")
    return again


def _end(code: str, plan: PackageRow, kept: list[Stored]) -> bool:
    """Write down what the archive holds and end the dossier's life."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        if dossier.stage == Stage.ARCHIVED:
            return False
        moment = now(session)
        for stored in kept:
            session.add(
                ArchivedObjectRow(
                    dossier=code,
                    key=stored.key,
                    version_id=stored.version_id,
                    sha256=stored.sha256,
                    size=stored.size,
                    mode=stored.mode or "",
                    retain_until=stored.retain_until or plan.retain_until,
                    read_back_at=moment,
                )
            )
        folder = ARCHIVE_ROOT + object_path(package_id(code))
        inventory = next(s for s in kept if s.key == f"{folder}/inventory.json")
        facts: dict[str, Json] = {
            "package": folder,
            "objects": len(kept),
            "inventory": {"sha256": inventory.sha256, "version": inventory.version_id},
            "retain_until": plan.retain_until.isoformat(),
        }
        move_to(session, dossier, Stage.ARCHIVED, Telling(event="dossier:archived", facts=facts))
        return True
