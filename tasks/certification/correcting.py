"""
Correcting what was received wrongly, before anybody has signed: kind, scan, or the applicant's data.

The number stays with the original. The copy that was made is kept and superseded by a new revision, so a list
that names the old bytes leaves it out. After the first signature nothing is corrected here.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlmodel import Session

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.services import services
from tasks.certification.scanning import Presented, keep_scan, scan_original
from tasks.dossier.lifecycle import ENDED, Stage, Standing
from tasks.dossier.looking import hold, look, original_of, originals_of, procedure_of
from tasks.dossier.moves import Actor, Telling, follow, move_to, tell
from tasks.dossier.opening import Applicant, check_applicant
from tasks.dossier.routes import approvals
from tasks.dossier.tables import ApplicantRow, DossierRow, OriginalRow
from tasks.people.acting import acting_on

#: Standings in which nobody has signed, or will sign what is there.
_OPEN = (Standing.RECEIVED, Standing.CERTIFIED)

#: What can be corrected of an applicant.
APPLICANT = ("name", "identity", "address", "telephone", "email", "account")


def correct_original(
    code: str, ordinal: int, *, kind: str | None = None, presented: Presented | None = None, by: Actor
) -> bool:
    """
    Correct the kind of an original or replace its scan; return whether anything changed.

    The copy is made anew under its number. Raises `Forbidden` when somebody has signed it (CERT-23), or
    when it is with the examiner already, declined, or gone.
    """
    with services().database.transaction() as session:
        dossier = look(session, code)
        acting_on(session, by, "correct", dossier)
        procedure = procedure_of(session, dossier)
        _nobody_signed(session, dossier, original_of(session, code, ordinal))
    new = scan_original(presented, procedure, ordinal) if presented is not None else None
    kind = presented.kind if presented is not None else kind
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "correct", dossier)
        original = original_of(session, code, ordinal)
        _nobody_signed(session, dossier, original)
        before: dict[str, Json] = {"kind": original.kind, "pages": original.pages}
        what: list[Json] = []
        if kind is not None and kind.strip() and kind != original.kind:
            original.kind = kind.strip()
            what.append("kind")
        if new is not None:
            original.pages = original.compared_pages = new.declared
            what.append("scan")
        if not what:
            return False
        original.compared_by = by.staff
        original.compared_at = now(session)
        facts: dict[str, Json] = {"original": ordinal, "what": what}
        after: dict[str, Json] = {"kind": original.kind, "pages": original.pages}
        telling = Telling(
            event="original:corrected", by=by, facts=facts, private={"before": before, "after": after}
        )
        _make_anew(session, [original])
        if new is not None:
            keep_scan(session, code, ordinal, original.revision, new.scan)
        _go_back(session, dossier, telling)
        return True


def correct_applicant(code: str, changes: Mapping[str, str], *, by: Actor) -> bool:
    """
    Correct the applicant's data; return whether anything changed.

    Copies that wait for an official are made anew, because it may be another official now who may sign them
    (CERT-10). Raises `Forbidden` once somebody has signed for this dossier.
    """
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "correct", dossier)
        _is_open(dossier)
        originals = originals_of(session, code)
        for original in originals:
            _is_unsigned(session, original)
        row = session.get_one(ApplicantRow, code)
        before: dict[str, Json] = {name: getattr(row, name) for name in APPLICANT}
        after = {**before, **{name: value.strip() for name, value in changes.items()}}
        unknown = sorted(set(changes) - set(APPLICANT))
        if unknown:
            raise Forbidden(
                f"an applicant has no “{unknown[0]}”.",
                rule="DOS-12",
                way_out=f"What can be corrected: {', '.join(APPLICANT)}.",
            )
        check_applicant(Applicant(**after))  # type: ignore[arg-type]
        changed = sorted(name for name in APPLICANT if before[name] != after[name])
        if not changed:
            return False
        for name in changed:
            setattr(row, name, after[name])
        session.add(row)
        telling = Telling(
            event="applicant:corrected",
            by=by,
            facts={"what": list[Json](changed)},
            private={"before": before, "after": after},
        )
        waiting = [o for o in originals if o.standing == Standing.CERTIFIED]
        if waiting:
            _make_anew(session, waiting)
            _go_back(session, dossier, telling)
        else:
            tell(session, dossier, telling)
        return True


def _make_anew(session: Session, originals: list[OriginalRow]) -> None:
    """Let copies be made anew under their numbers, as a new revision."""
    for original in originals:
        original.revision += 1
        original.standing = Standing.RECEIVED
        session.add(original)
    session.flush()


def _go_back(session: Session, dossier: DossierRow, telling: Telling) -> None:
    """Bring the dossier to where its copies are made; from an official's list it goes by the examiner."""
    if dossier.stage == Stage.AWAITING_SIGNATURE:
        move_to(session, dossier, Stage.RETURNED_TO_EXAMINER, telling)
    follow(session, dossier, telling)


def _is_open(dossier: DossierRow) -> None:
    """Refuse to correct what was not received yet, or has ended."""
    if dossier.stage == Stage.BOOKED or dossier.stage in ENDED or dossier.ended_at is not None:
        raise Forbidden(
            f"dossier {dossier.code} stands at {dossier.stage}; there is nothing to correct before signing.",
            rule="DOS-06",
            way_out="A booking is cancelled and made anew; what has ended stays as it is.",
        )


def _is_unsigned(session: Session, original: OriginalRow) -> None:
    """Refuse a correction after the first signature."""
    signed = original.standing in (Standing.APPROVED, Standing.SEALED, Standing.VALID)
    if signed or approvals(session, original):
        raise Forbidden(
            f"original {original.ordinal} of {original.dossier} is signed and is not corrected any more.",
            rule="CERT-23",
            way_out="Let it be returned, then ask for a correction: “hoso correct CODE ORDINAL --why FILE”; before the"
            " last signature the next official can leave it out.",
        )


def _nobody_signed(session: Session, dossier: DossierRow, original: OriginalRow) -> None:
    """Refuse an original that cannot be corrected as it stands."""
    _is_open(dossier)
    _is_unsigned(session, original)
    if original.standing not in _OPEN:
        raise Forbidden(
            f"original {original.ordinal} of {original.dossier} is {original.standing}.",
            rule="CERT-15",
            way_out="What an official left out is put forward again with “hoso examine”.",
        )
