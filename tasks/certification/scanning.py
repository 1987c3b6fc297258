"""An original as it lies on the counter: its scan read and stored before anything is decided about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from sqlmodel import Session

from infra.errors import Forbidden
from infra.object_store import Stored
from infra.pdf.intake import Limits, PageImage, read_scans
from infra.services import services
from tasks.certification.rules import (
    check_attachments,
    check_legalised,
    check_pages,
    check_resolution,
    comparison_is_complete,
)
from tasks.dossier.papers import Paper, keep, store_content
from tasks.dossier.procedures import Procedure


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """One original as it lies on the counter, with its scan."""

    kind: str
    files: Sequence[tuple[str, bytes]]
    pages: int | None = None  # declared; None: as many as the scan shows
    copies: int = 1
    compared: int | None = None  # pages compared with the scan; None: all of them
    foreign: bool = False
    legalised: bool = False
    exempt: bool = False
    #: Another agency's result that is still to come; it has no file yet.
    awaited: bool = False
    #: A file attached to the original before it (SIG-06), with the number and notation of that document.
    attached: bool = False
    number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One original's files as they came (or another agency's result), and its clean pages, all stored."""

    files: Sequence[tuple[str, Stored]]
    pages: Sequence[tuple[PageImage, Stored]]
    kind: Literal["scan", "result"] = "scan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """An original whose files were read and stored."""

    presented: Presented
    scan: Scan
    declared: int


def read_original(
    presented: Presented, procedure: Procedure, *, ordinal: int
) -> tuple[Sequence[PageImage], int]:
    """Return the pages of an original's scan and its declared number of pages, or refuse the scan."""
    chosen = services().settings
    limits = Limits(
        file_bytes=chosen.upload_limit_bytes,
        total_bytes=chosen.upload_limit_bytes,
        pages=procedure.scan.max_pages,
    )
    pages = read_scans(presented.files, limits=limits)
    check_resolution([p.dpi for p in pages], procedure.scan.min_dpi, ordinal=ordinal)
    declared = presented.pages if presented.pages is not None else len(pages)
    check_pages(len(pages), declared, ordinal=ordinal)
    return pages, declared


def scan_all(
    originals: Sequence[Presented], procedure: Procedure, *, may_be_none: bool = False
) -> list[Scanned]:
    """Read and store the files of every original before anything is decided about the dossier."""
    if not originals and not may_be_none:
        raise Forbidden(
            "a dossier without an original cannot be received.",
            rule="CERT-02",
            way_out="Name each one with --original KIND FILE….",
        )
    check_attachments([one.attached for one in originals], taken=procedure.attachments is not None)
    return [scan_original(presented, procedure, n) for n, presented in enumerate(originals, start=1)]


def scan_original(presented: Presented, procedure: Procedure, ordinal: int) -> Scanned:
    """Read one original, apply the rules of the counter to it, and store its bytes."""
    if not presented.kind.strip() or presented.copies < 1:
        raise Forbidden(
            f"original {ordinal} needs a kind and at least one copy.",
            rule="CERT-23",
            way_out="Write --original KIND FILE… --copies N.",
        )
    check_legalised(presented.foreign, presented.legalised, presented.exempt, ordinal=ordinal)
    if procedure.kind == "return":
        return _take_result(presented, ordinal)
    pages, declared = read_original(presented, procedure, ordinal=ordinal)
    compared = presented.compared if presented.compared is not None else declared
    comparison_is_complete(compared, declared, ordinal=ordinal)
    return Scanned(presented=presented, scan=store_scan(presented, pages), declared=declared)


def store_scan(presented: Presented, pages: Sequence[PageImage]) -> Scan:
    """Store the files and the pages of an original under their own hashes."""
    return Scan(
        files=[(_media_type(c), store_content(c, _media_type(c))) for _, c in presented.files],
        pages=[(p, store_content(p.content, p.media_type)) for p in pages],
    )


def _take_result(presented: Presented, ordinal: int) -> Scanned:
    """Take another agency's signed file as it is; whether its signatures hold is checked before release."""
    if presented.awaited and not presented.files:
        return Scanned(
            presented=presented, scan=Scan(files=[], pages=[], kind="result"), declared=presented.pages or 1
        )
    content = presented.files[0][1] if len(presented.files) == 1 else b""
    limit = services().settings.upload_limit_bytes
    if presented.attached:
        _check_attached(presented, content, ordinal, limit)
    elif not content.startswith(b"%PDF-") or b"/ByteRange" not in content or len(content) > limit:
        raise Forbidden(
            f"result {ordinal} is not one signed PDF file of at most {limit // 1_000_000} MB.",
            rule="SIG-20",
            way_out="Ask the resolving agency for the signed file; a scan of a paper is not a result.",
        )
    kept = Scan(
        files=[("application/pdf", store_content(content, "application/pdf"))], pages=[], kind="result"
    )
    return Scanned(presented=presented, scan=kept, declared=presented.pages or 1)


def _check_attached(presented: Presented, content: bytes, ordinal: int, limit: int) -> None:
    """Refuse an attachment that is not one PDF file, or whose document's number is not said (SIG-06)."""
    if not content.startswith(b"%PDF-") or len(content) > limit:
        raise Forbidden(
            f"attachment {ordinal} is not one PDF file of at most {limit // 1_000_000} MB.",
            rule="SIG-06",
            way_out="Ask the resolving agency for the file; signed or not, it stays as it is.",
        )
    if not presented.number.strip():
        raise Forbidden(
            f"it is not said which document attachment {ordinal} belongs to; its signature shows that number.",
            rule="SIG-06",
            way_out="Write --attachment KIND FILE --number 'Số: 12/QĐ-UBND'.",
        )


def _media_type(content: bytes) -> str:
    """Return the media type of a file that intake has accepted, by its first bytes."""
    if content.startswith(b"\xff\xd8"):
        return "image/jpeg"
    return "image/png" if content.startswith(b"\x89PNG") else "application/pdf"


def keep_scan(session: Session, code: str, ordinal: int, revision: int, scan: Scan) -> None:
    """Say which stored bytes are an original's files and its clean page images."""
    for paper, stored in papers_of_scan(code, ordinal, revision, scan):
        keep(session, paper, stored)


def papers_of_scan(code: str, ordinal: int, revision: int, scan: Scan) -> list[tuple[Paper, Stored]]:
    """Return what an original's stored files and clean page images are to its dossier."""
    papers = []
    for position, (media_type, stored) in enumerate(scan.files):
        of_file = Paper(
            dossier=code,
            kind=scan.kind,
            ordinal=ordinal,
            revision=revision,
            position=position,
            media_type=media_type,
        )
        papers.append((of_file, stored))
    for position, (page, stored) in enumerate(scan.pages):
        facts = {k: v for k, v in asdict(page).items() if k not in ("content", "source")}
        of_page = Paper(
            dossier=code,
            kind="page",
            ordinal=ordinal,
            revision=revision,
            position=position,
            media_type=page.media_type,
            facts=facts,
        )
        papers.append((of_page, stored))
    return papers
