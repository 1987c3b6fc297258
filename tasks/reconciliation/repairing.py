"""Mending what a comparison found: started by a person, with a reason, never by the program itself."""

from __future__ import annotations

from sqlmodel import Session, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.services import services
from tasks.archival.holdings import packages_of
from tasks.archival.steps import ask_for_archive
from tasks.delivery.acts import resend
from tasks.delivery.legs import legs_of
from tasks.delivery.tables import PublicationRow
from tasks.dossier.lifecycle import Standing
from tasks.dossier.looking import hold, original_of
from tasks.dossier.moves import Actor, Telling, ask_to_continue, tell
from tasks.dossier.papers import sha256_of
from tasks.dossier.register import certify_number, number_of, void_number
from tasks.dossier.releases import released
from tasks.dossier.tables import DossierRow
from tasks.people.acting import acting_on
from tasks.reconciliation.rules import FINDINGS, Repair
from tasks.reconciliation.tables import FindingRow

_ISSUED = (Standing.VALID, Standing.WITHDRAWN, Standing.REPLACED)


def repair(number: int, reason: str, *, by: Actor) -> Repair:
    """
    Start what mends a finding, and return what that was; the next comparison says whether it is gone.

    The change and its entry (`finding:repaired`) share a transaction where it is one of rows. Repairing
    again does the same again, which changes nothing that is right already. Raises `Forbidden` without a
    reason or the role (AUTH-06), for a finding that there is not, and for what has to be mended by hand.
    """
    if not reason.strip():
        raise Forbidden(
            f"finding {number} is not repaired without a reason.",
            rule="AUTH-06",
            way_out="Name a file with the reason (--why).",
        )
    with services().database.transaction() as session:
        finding = _open(session, number)
        dossier = hold(session, finding.subject) if session.get(DossierRow, finding.subject) else None
        gap = FINDINGS[finding.code]
        if dossier is not None:
            by = acting_on(session, by, "repair", dossier)
        if gap.repair is Repair.BY_HAND or dossier is None:
            raise Forbidden(
                f"finding {number} ({finding.code}, {finding.subject}) cannot be mended by the program:"
                f" {gap.sentence}.",
                rule="REPAIR",
                way_out=gap.how,
            )
        _mend_rows(session, dossier, finding, gap.repair, by)
        facts: dict[str, Json] = {
            "original": finding.ordinal,
            "finding": finding.id,
            "gap": finding.code,
            "repair": str(gap.repair),
        }
        telling = Telling(event="finding:repaired", by=by, facts=facts, private={"reason": reason.strip()})
        tell(session, dossier, telling)
        finding.repaired_by, finding.repaired_at = by.staff, now(session)
        session.add(finding)
        ask_to_continue(session, dossier.code)
    _mend_beside(finding, gap.repair, by)
    return gap.repair


def _open(session: Session, number: int) -> FindingRow:
    """Return an open finding, locked; refuses a number that there is not, and what is gone."""
    query = select(FindingRow).where(FindingRow.id == number).with_for_update()
    finding = session.exec(query).one_or_none()
    if finding is None or finding.ended_at is not None:
        raise Forbidden(
            f"there is no open finding {number}.",
            rule="REPAIR",
            way_out="“hoso findings” lists those that the last comparison saw.",
        )
    return finding


def _mend_rows(session: Session, dossier: DossierRow, finding: FindingRow, action: Repair, by: Actor) -> None:
    """Set rows right in the caller's transaction; what is right by now stays as it is."""
    code, ordinal = dossier.code, finding.ordinal
    if action is Repair.CERTIFY and original_of(session, code, ordinal).standing in _ISSUED:
        certify_number(session, code, ordinal)
    elif action is Repair.VOID and original_of(session, code, ordinal).standing not in _ISSUED:
        void_number(session, code, ordinal, "nobody certifies it", by)
    elif action in (Repair.PUBLISH, Repair.CORRECT_PUBLICATION):
        _publish(session, code, ordinal)
    elif action is Repair.TAKE_DOWN:
        row = session.get(PublicationRow, (code, ordinal))
        if row is not None:
            session.delete(row)


def _publish(session: Session, code: str, ordinal: int) -> None:
    """Let what is public say number, hash and standing as they are."""
    original = original_of(session, code, ordinal)
    document = released(session, original).document
    row = session.get(PublicationRow, (code, ordinal)) or PublicationRow(
        dossier=code, ordinal=ordinal, number="", sha256="", standing="", published_at=now(session)
    )
    row.number = number_of(session, code, ordinal) or code
    row.sha256, row.standing = document.sha256, str(original.standing)
    session.add(row)


def _mend_beside(finding: FindingRow, action: Repair, by: Actor) -> None:
    """Do what has a transaction, or a store, of its own."""
    if action is Repair.ARCHIVE:
        ask_for_archive(finding.subject, by=by)
    elif action is Repair.RESEND:
        with services().database.transaction() as session:
            channel = legs_of(session, finding.subject)[0].channel
        resend(finding.subject, channel, by=by)
    elif action is Repair.RESTORE_FILE:
        _restore(finding)


def _restore(finding: FindingRow) -> None:
    """Put a lost file back from the dossier's package in the archive; refuses where no package has it."""
    wanted, key = finding.facts["sha256"], finding.facts["key"]
    for package in packages_of(finding.subject):
        for content in package.files.values():
            if sha256_of(content) == wanted:
                services().work.put(key, content, content_type="application/pdf")
                return
    raise Forbidden(
        f"no package of {finding.subject} has the file {wanted[:16]}.",
        rule="REPAIR",
        way_out="Restore it from the store's second copy, by its hash.",
    )
