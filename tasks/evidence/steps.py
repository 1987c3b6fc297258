"""
A document brought to a level, exactly once: intended, lifted, checked, kept.

The intent is a committed row before any authority is asked. The file with its evidence goes under a write-once
key computed from that intent, so after a crash the finished file is found before an authority is asked again,
and of two writers the first one wins. Nothing is ever downgraded: without an answer the document waits.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken
from infra.history import Json
from infra.object_store import Stored
from infra.pdf import evidence
from infra.pdf.checking import signatures_of
from infra.pdf.evidence import Sources
from infra.pdf.levels import RULES, Evidence, TimestampFound
from infra.services import services
from tasks.dossier.looking import hold, look, original_of, procedure_of
from tasks.dossier.moves import Telling, tell
from tasks.dossier.papers import Paper, finished, keep, read, store_content
from tasks.dossier.procedures import Level
from tasks.dossier.routes import frozen_of
from tasks.dossier.tables import DocumentRow, DossierRow, OriginalRow
from tasks.evidence.calendar import enter
from tasks.evidence.rules import lifted_key, reaches
from tasks.evidence.tables import LiftRow

#: What is intended when a document gets one time-stamp more, whatever its level.
RENEWAL = "renewal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one document is to become, as it was written down."""

    code: str
    ordinal: int
    revision: int
    wanted: Level | None  # `None`: renewed
    by_document: bool
    document: DocumentRow
    row_id: int
    key: str
    #: Whether another agency's signatures are in it.
    foreign: bool = False


def sources(*, foreign: bool = False) -> Sources:
    """Return whom evidence comes from, as of now; `foreign` adds those whom other agencies' signatures lead to."""
    parts = services()
    return Sources(
        timestamps=parts.timestamps,
        revocation=parts.revocation,
        anchors=(*parts.anchors, *parts.foreign_anchors) if foreign else parts.anchors,
        chain=(*parts.chain, *parts.foreign_chain) if foreign else parts.chain,
        at=parts.clock.now(),
    )


def lift_for_release(code: str, ordinal: int) -> bool:
    """Bring an original's document to the level that its procedure releases it at; see `lift`."""
    with services().database.transaction() as session:
        wanted = procedure_of(session, look(session, code)).evidence.release
    return lift(code, ordinal, wanted)


def lift_for_archive(code: str, ordinal: int) -> bool:
    """Bring an original's document to the level that its procedure archives it at; see `lift`."""
    with services().database.transaction() as session:
        wanted = procedure_of(session, look(session, code)).evidence.archive
    return lift(code, ordinal, wanted)


def lift(code: str, ordinal: int, wanted: Level | None) -> bool:
    """
    Bring an original's finished document to a level (`None`: renew it); return whether evidence was added now.

    `False` means that it is there already. Raises `NoTimestamp` or `NoRevocationAnswer` when an authority
    does not answer, `Forbidden` when a certificate is revoked or cannot be asked about, `Broken` when what
    was made is not the document with evidence and nothing else. Repeating is harmless at every point.
    """
    if wanted == "B":
        return False
    task = _intend(code, ordinal, wanted)
    if task is None:
        return False
    parts, ask = services(), sources(foreign=task.foreign)
    previous = read(task.document)
    second = False
    if parts.work.find(task.key) is not None:
        # An earlier try got this far and died: what it stored is the document with this evidence.
        made = parts.work.get(task.key)
    else:
        if wanted is None:
            lifted = evidence.renew(previous, ask)
        else:
            lifted = evidence.lift(previous, wanted, ask, by_document=task.by_document)
        if lifted.pdf == previous:
            return _keep_as_it_is(task, lifted.evidence)
        _check(task, previous, lifted.pdf)
        second = any(stamp.rank > 0 for stamp in lifted.stamps)
        _, made = parts.work.put_first(task.key, lifted.pdf, content_type="application/pdf")
    return _keep(task, made, _check(task, previous, made), second=second)


def has_foreign_signatures(session: Session, original: OriginalRow) -> bool:
    """Say whether an original's document carries other agencies' signatures before ours."""
    frozen = frozen_of(session, original)
    return frozen is not None and bool(frozen.facts.get("foreign"))


def _intend(code: str, ordinal: int, wanted: Level | None) -> Task | None:
    """Write down what is about to be added to which document; `None` when nothing has to be."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        document = finished(session, code, ordinal)
        if document is None:
            return None
        if wanted is not None and reaches(document.level, wanted):
            return None
        row = _intent_row(session, document, wanted or RENEWAL)
        return Task(
            code=code,
            ordinal=ordinal,
            revision=document.revision,
            wanted=wanted,
            by_document=procedure_of(session, dossier).evidence.shape == "document",
            document=document,
            row_id=row.id or 0,
            key=row.kept_key,
            foreign=has_foreign_signatures(session, original_of(session, code, ordinal)),
        )


def _intent_row(session: Session, document: DocumentRow, wanted: str) -> LiftRow:
    """Return the row of this intent, written the first time."""
    query = select(LiftRow).where(LiftRow.document_sha256 == document.sha256, LiftRow.wanted == wanted)
    row = session.exec(query).one_or_none()
    if row is None:
        row = LiftRow(
            dossier=document.dossier,
            ordinal=document.ordinal,
            revision=document.revision,
            document_sha256=document.sha256,
            wanted=wanted,
            kept_key=lifted_key(document.sha256, wanted),
            intended_at=now(session),
        )
        session.add(row)
        session.flush()
    return row


def _check(task: Task, previous: bytes, made: bytes) -> Evidence:
    """Return what a file proves; raises `Broken` unless it is the document, evidence, and nothing else."""
    parts = services()
    evidence.check_lifted(previous, made)
    for found in signatures_of(made, anchors=parts.anchors, chain=parts.chain):
        # Whose they are and whether they are trusted was asked when they were made, and is asked at the release.
        if not found.intact:
            raise Broken(f"the signature in {found.field} does not hold any more with its evidence")
    reached = evidence.read_evidence(made, sources(foreign=task.foreign))
    if task.wanted is not None and not reaches(reached.level, task.wanted):
        raise Broken(f"{task.code}/{task.ordinal} was to reach {task.wanted} and is {reached.level}")
    return reached


def _keep_as_it_is(task: Task, reached: Evidence) -> bool:
    """Write down the level of a document that needs nothing; return that nothing was added."""
    with services().database.transaction() as session:
        hold(session, task.code)
        document = session.get_one(DocumentRow, task.document.id)
        write_level(session, document, reached)
        row = session.get_one(LiftRow, task.row_id)
        row.kept_sha256, row.kept_at = document.sha256, now(session)
        row.level, row.level_rules = reached.level, RULES
        session.add(row)
    return False


def _keep(task: Task, made: bytes, reached: Evidence, *, second: bool) -> bool:
    """Keep a checked document with its evidence; return whether it was kept now."""
    stored = store_content(made, "application/pdf")
    with services().database.transaction() as session:
        dossier = hold(session, task.code)
        row = session.get_one(LiftRow, task.row_id)
        if row.kept_at is not None:
            return False
        last = reached.timestamps[-1] if reached.timestamps else None
        _fill(row, stored, reached, last, second=second, session=session)
        position = task.document.position + 1 if task.document.kind == "lifted" else 0
        paper = Paper(
            dossier=task.code, kind="lifted", ordinal=task.ordinal, revision=task.revision, position=position
        )
        document = keep(session, paper, stored)
        write_level(session, document, reached, before=task.document.sha256)
        _tell(session, dossier, task, document, reached, last, second=second)
    return True


def _fill(
    row: LiftRow,
    stored: Stored,
    reached: Evidence,
    last: TimestampFound | None,
    *,
    second: bool,
    session: Session,
) -> None:
    """Write into the intent what became of it."""
    row.kept_sha256, row.kept_at = stored.sha256, now(session)
    row.level, row.level_rules = reached.level, RULES
    row.second = second
    if last is not None:
        row.authority, row.stamped_at, row.token_sha256 = last.authority, last.time, last.token_sha256
    session.add(row)


def _tell(
    session: Session,
    dossier: DossierRow,
    task: Task,
    document: DocumentRow,
    reached: Evidence,
    last: TimestampFound | None,
    *,
    second: bool,
) -> None:
    """Say in the history which level a document has reached, and who proves since when."""
    facts: dict[str, Json] = {
        "original": task.ordinal,
        "doc": {"sha256": document.sha256, "size": document.size},
        "before": task.document.sha256,
        "level": reached.level,
        "rules": RULES,
    }
    if last is not None:
        facts["timestamp"] = {
            "authority": last.authority,
            "second": second,
            "at": last.time.isoformat(),
            "token": last.token_sha256,
        }
    event = "document:lifted"
    if task.wanted is None:
        event = "evidence:renewed"
    # The dossier stays where it is: it may be released next, returned, or archived long ago.
    tell(session, dossier, Telling(event=event, facts=facts))


def write_level(
    session: Session, document: DocumentRow, reached: Evidence, *, before: str | None = None
) -> None:
    """
    Write the level of a document and of its signatures, by the file itself, and until when its evidence lasts.

    `before` is the document that this one takes the place of.
    """
    document.level, document.level_rules = reached.level, RULES
    session.add(document)
    enter(session, document, reached, before=before)


def is_wanting(code: str) -> list[int]:
    """Return the originals of a dossier whose finished document has not the level that the archive needs."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        wanted = procedure_of(session, dossier).evidence.archive
        if wanted == "B":
            return []
        query = (
            select(DocumentRow.ordinal)
            .where(DocumentRow.dossier == code, DocumentRow.kind == "sealed")
            .order_by(col(DocumentRow.ordinal))
            .distinct()
        )
        return [
            ordinal
            for ordinal in session.exec(query)
            if (row := finished(session, code, ordinal)) is not None and not reaches(row.level, wanted)
        ]
