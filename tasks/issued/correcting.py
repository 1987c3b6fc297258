"""
Correcting what was issued: asked for with a reason, approved by somebody else who may sign it, made anew.

The corrected result comes from a dossier of its own, which goes the common way: number, list, signature,
seal, evidence, return. It has its own number where there is a register, because a number stays with its
original for ever (CERT-23). When it is released it takes the place of the old one; both are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.object_store import Stored
from infra.pdf.intake import PageImage
from infra.services import services
from tasks.certification.receiving import Receipt, take_in
from tasks.certification.scanning import Presented, Scan, Scanned, scan_original
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import GONE, Standing
from tasks.dossier.looking import hold, look, office_of, original_of, procedure_of, procedure_on
from tasks.dossier.moves import Actor, Telling, ask_to_continue, tell
from tasks.dossier.opening import Applicant, Opening, open_dossier
from tasks.dossier.papers import all_of
from tasks.dossier.releases import released
from tasks.dossier.tables import ApplicantRow, DossierRow, OriginalRow
from tasks.issued.authorising import authority_over
from tasks.issued.standing import end_standing, must_be_issued
from tasks.issued.tables import CorrectionRow
from tasks.people.acting import acting_on

#: Requests in these states stand in the way of another one for the same result.
_OPEN = ("asked", "approved")


def ask_correction(
    code: str,
    ordinal: int,
    reason: str,
    *,
    kind: str | None = None,
    presented: Presented | None = None,
    by: Actor,
) -> int:
    """
    Ask that an issued result be corrected, and return the number of the request.

    What is not named stays as it was: `kind` is another name of the original, `presented` a new scan. The
    result stands until the corrected one is released. Raises `Forbidden` without a reason, for what was not
    issued or stands no more, and while another request about it is open.
    """
    if not reason.strip():
        raise Forbidden(
            f"original {ordinal} of {code} was issued; nobody corrects it without a reason.",
            rule="CERT-23",
            way_out="Name a file with the reason (--why), for whoever decides.",
        )
    with services().database.transaction() as session:
        dossier = look(session, code)
        acting_on(session, by, "correct", dossier)
        must_be_issued(session, dossier, original_of(session, code, ordinal), "corrected")
        procedure = procedure_on(session, dossier.procedure, local(now(session)).date())
    new = scan_original(presented, procedure, ordinal) if presented is not None else None
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "correct", dossier)
        original = original_of(session, code, ordinal)
        must_be_issued(session, dossier, original, "corrected")
        _none_is_open(session, original)
        row = CorrectionRow(
            dossier=code,
            ordinal=ordinal,
            reason=reason.strip(),
            kind=(new.presented.kind if new else kind or original.kind).strip() or original.kind,
            pages=new.declared if new else original.pages,
            files=_files(new.scan) if new else _known_files(session, original),
            asked_by=by.staff,
            asked_at=now(session),
        )
        session.add(row)
        session.flush()
        facts: dict[str, Json] = {"original": ordinal, "request": row.id}
        private: dict[str, Json] = {"reason": row.reason, "kind": row.kind}
        tell(session, dossier, Telling(event="correction:asked", by=by, facts=facts, private=private))
        return row.id or 0


def approve_correction(number: int, *, by: Actor) -> str:
    """
    Approve a request and open the dossier that makes the corrected result; return its code.

    It needs somebody else than who asked (AUTH-06), with the authority to sign such a result at this moment.
    Nothing is owed for it: the office corrects its own mistake [M]. Approving again returns the same code.
    """
    with services().database.transaction() as session:
        row, dossier, by = _to_decide(session, number, by, "correction approve")
        if row.state in ("approved", "settled") and row.new_dossier:
            return row.new_dossier
        _still_asked(row)
        original = original_of(session, row.dossier, row.ordinal)
        must_be_issued(session, dossier, original, "corrected")
        decision = authority_over(session, dossier, by, "correction approve")
        new = _open_anew(session, dossier, original, row, by)
        row.state, row.new_dossier = "approved", new
        row.decided_by, row.decided_at, row.decision = by.staff, now(session), decision.kept()
        session.add(row)
        facts: dict[str, Json] = {
            "original": row.ordinal,
            "request": row.id,
            "new": new,
            "authority": decision.facts(),
        }
        tell(session, dossier, Telling(event="correction:approved", by=by, facts=facts))
        return new


def refuse_correction(number: int, reason: str, *, by: Actor) -> None:
    """Refuse a request, with a reason; the result stands as it did. Refusing again changes nothing."""
    with services().database.transaction() as session:
        row, dossier, by = _to_decide(session, number, by, "correction refuse")
        if row.state == "refused":
            return
        _still_asked(row)
        row.state, row.decided_by, row.decided_at = "refused", by.staff, now(session)
        session.add(row)
        facts: dict[str, Json] = {"original": row.ordinal, "request": row.id}
        private: dict[str, Json] = {"reason": reason}
        tell(session, dossier, Telling(event="correction:refused", by=by, facts=facts, private=private))


def is_to_settle(code: str) -> bool:
    """Whether this dossier corrects another one, and it has shown whether there will be a corrected result."""
    with services().database.transaction() as session:
        row = _correction_by(session, code)
        return row is not None and _standing_of(session, code) in {Standing.VALID, *GONE}


def settle_correction(code: str) -> bool:
    """
    Put the released result of a correction in the place of the old one; return whether that was done now.

    Where the correction's own dossier came to nothing the old result stands, and another request may be
    made. Doing it again changes nothing.
    """
    with services().database.transaction() as session:
        found = _correction_by(session, code)
        if found is None:
            return False
        old, new = hold(session, found.dossier), hold(session, code)
        row = session.get_one(CorrectionRow, found.id, with_for_update=True, populate_existing=True)
        standing = _standing_of(session, code)
        if row.state != "approved" or standing not in {Standing.VALID, *GONE}:
            return False
        row.state = "dropped" if standing in GONE else "settled"
        session.add(row)
        facts: dict[str, Json] = {"original": 1, "request": row.id, "of": f"{old.code}/{row.ordinal}"}
        original = original_of(session, old.code, row.ordinal)
        if row.state == "dropped" or original.standing != Standing.VALID:
            facts["state"] = row.state
            tell(session, new, Telling(event="correction:ended", facts=facts))
            return False
        end_standing(
            session,
            old,
            original,
            Standing.REPLACED,
            by=row.decided_by or "",
            decision=row.decision,
            replaced_by=code,
        )
        document = released(session, original_of(session, code, 1)).document
        told: dict[str, Json] = {
            "original": row.ordinal,
            "request": row.id,
            "by": code,
            "doc": {"sha256": document.sha256, "size": document.size},
        }
        tell(session, old, Telling(event="result:replaced", facts=told))
        tell(session, new, Telling(event="correction:settled", facts=facts))
        ask_to_continue(session, old.code)
        return True


def corrections_of(session: Session, code: str) -> list[CorrectionRow]:
    """Return the requests about a dossier's results, and the one that it was opened for."""
    query = select(CorrectionRow).where(
        (col(CorrectionRow.dossier) == code) | (col(CorrectionRow.new_dossier) == code)
    )
    return list(session.exec(query.order_by(col(CorrectionRow.id))))


def _to_decide(session: Session, number: int, by: Actor, act: str) -> tuple[CorrectionRow, DossierRow, Actor]:
    """Return a request, locked, and its dossier; refuses a number that there is not, and who asked for it."""
    row = session.get(CorrectionRow, number)
    if row is None:
        raise Forbidden(
            f"there is no request {number} for a correction.",
            rule="CERT-23",
            way_out="“hoso correction list” numbers them.",
        )
    dossier = hold(session, row.dossier)
    row = session.get_one(CorrectionRow, number, with_for_update=True, populate_existing=True)
    by = acting_on(session, by, act, dossier)
    if by.staff == row.asked_by:
        raise Forbidden(
            f"{by.staff} asked for correction {number} and cannot decide it.",
            rule="AUTH-06",
            way_out="Another official who may sign such a result decides.",
        )
    return row, dossier, by


def _still_asked(row: CorrectionRow) -> None:
    """Refuse to decide what was decided."""
    if row.state != "asked":
        raise Forbidden(
            f"correction {row.id} of {row.dossier}/{row.ordinal} was decided: {row.state}.",
            rule="CERT-23",
            way_out="Ask for another one with “hoso correct”, with its own reason.",
        )


def _none_is_open(session: Session, original: OriginalRow) -> None:
    """Refuse a second request beside one that is open."""
    query = select(CorrectionRow).where(
        CorrectionRow.dossier == original.dossier,
        CorrectionRow.ordinal == original.ordinal,
        col(CorrectionRow.state).in_(_OPEN),
    )
    row = session.exec(query).first()
    if row is not None:
        raise Forbidden(
            f"correction {row.id} of {original.dossier}/{original.ordinal} is open ({row.state}).",
            rule="CERT-23",
            way_out="Let it be decided first (“hoso correction list”).",
        )


def _open_anew(
    session: Session, dossier: DossierRow, original: OriginalRow, row: CorrectionRow, by: Actor
) -> str:
    """Open and receive the dossier of a correction, with the applicant, channels and office of the old one."""
    known = session.get_one(ApplicantRow, dossier.code)
    applicant = Applicant(
        **{
            name: getattr(known, name)
            for name in ("name", "identity", "address", "telephone", "email", "account")
        },
        kin_of=tuple(known.kin_of),
    )
    opening = Opening(
        office=dossier.office,
        procedure=dossier.procedure,
        applicant=applicant,
        channels=dossier.channels,
        confidential=dossier.confidential,
    )
    office = office_of(session, dossier.office)
    new, opened = open_dossier(session, opening, office, by=by, walk_in=True)
    presented = Presented(
        kind=row.kind,
        files=(),
        copies=original.copies,
        foreign=original.foreign,
        legalised=original.legalised,
    )
    scanned = Scanned(presented=presented, scan=_scan(row), declared=row.pages)
    receipt = Receipt(free=True, examiner=row.asked_by)
    take_in(session, new, procedure_of(session, new), [scanned], receipt, by)
    return opened.code


def _correction_by(session: Session, code: str) -> CorrectionRow | None:
    """Return the approved request that a dossier was opened for, if it was and is not settled."""
    query = select(CorrectionRow).where(CorrectionRow.new_dossier == code, CorrectionRow.state == "approved")
    return session.exec(query).one_or_none()


def _standing_of(session: Session, code: str) -> Standing:
    """Return how the one original of a correction's dossier stands."""
    return original_of(session, code, 1).standing


def _files(scan: Scan) -> list[dict[str, Any]]:
    """Return what a request keeps of a scan: which stored bytes, and what is known of them."""
    files = [_file(scan.kind, media_type, stored, {}) for media_type, stored in scan.files]
    pages = [
        _file(
            "page",
            page.media_type,
            stored,
            {k: v for k, v in asdict(page).items() if k not in ("content", "source")},
        )
        for page, stored in scan.pages
    ]
    return files + pages


def _file(kind: str, media_type: str, stored: Stored, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return one file of a request."""
    return {
        "kind": kind,
        "media_type": media_type,
        "sha256": stored.sha256,
        "key": stored.key,
        "size": stored.size,
        "facts": dict(facts),
    }


def _known_files(session: Session, original: OriginalRow) -> list[dict[str, Any]]:
    """Return the files and pages that the issued copy was made of."""
    return [
        {
            "kind": row.kind,
            "media_type": row.media_type,
            "sha256": row.sha256,
            "key": row.key,
            "size": row.size,
            "facts": row.facts,
        }
        for kind in ("scan", "result", "page")
        for row in all_of(session, original.dossier, original.ordinal, kind)
    ]


def _scan(row: CorrectionRow) -> Scan:
    """Return the scan that a request keeps; its bytes stay where they were stored."""
    files = [f for f in row.files if f["kind"] != "page"]
    return Scan(
        files=[(f["media_type"], _stored(f)) for f in files],
        pages=[
            (PageImage(content=b"", source="page", **f["facts"]), _stored(f))
            for f in row.files
            if f["kind"] == "page"
        ],
        kind="result" if any(f["kind"] == "result" for f in files) else "scan",
    )


def _stored(file: Mapping[str, Any]) -> Stored:
    """Return stored bytes as a request names them; whoever reads them checks their hash."""
    return Stored(key=file["key"], version_id="", sha256=file["sha256"], size=file["size"])
