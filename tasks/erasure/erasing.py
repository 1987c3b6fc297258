"""
What is personal about an ended dossier goes when its procedure's period is over.

Contact data, identity number, account and collector, what was said in words, letters, scans and every working
file. What stays is named with its rule: the register, the archive's package, the issued result itself, and the
history, whose entries hold salted commitments only, so that every proof is as good as before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import text
from sqlmodel import Session, col, delete, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json, subject_hash
from infra.history.tables import HistoryPayload
from infra.services import services
from tasks.delivery.legs import legs_of
from tasks.dossier.calendar import local
from tasks.dossier.holds import hold_on, must_not_be_held
from tasks.dossier.looking import hold, look, originals_of, procedure_of
from tasks.dossier.moves import SYSTEM, Actor, Telling, tell
from tasks.dossier.papers import finished, newest
from tasks.dossier.register import number_of
from tasks.dossier.tables import ApplicantRow, DocumentRow, DossierRow, NoticeRow
from tasks.erasure.rules import Kept, due_on, is_working
from tasks.erasure.tables import ErasureRow
from tasks.issued.correcting import corrections_of
from tasks.people.acting import acting_on

#: What of an applicant goes; the name too, where no register names the requester.
_GOES = ("identity", "address", "telephone")

#: Which of these keys another dossier still needs, whose data is there: equal bytes are stored once.
_SHARED = text(
    """
    select key from document where key = any(:keys) and dossier <> :code
           and dossier not in (select dossier from erasure)
    union
    select f->>'key' from correction, jsonb_array_elements(files) f
    where f->>'key' = any(:keys) and dossier <> :code and state in ('asked', 'approved')
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What goes of one dossier and what stays; when, and what stands against it."""

    code: str
    due: date | None
    goes: dict[str, int]
    stays: tuple[Kept, ...]
    #: Why it is not erased now, if it is not.
    waits: str = ""
    done: bool = False
    keys: tuple[str, ...] = field(default=(), repr=False)


def look_at_erasure(code: str, *, by: Actor) -> Erasure:
    """Return what would go of a dossier and what would stay, under which rule; nothing is changed."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        acting_on(session, by, "erase", dossier)
        return _plan(session, dossier)


def erase(code: str, *, by: Actor = SYSTEM) -> Erasure:
    """
    Erase what is personal about a dossier, and return what went and what stays.

    The rows go first, with an entry, in one transaction; then the working files, every version of each; then
    it is written down that it is done. A crash in between is finished by doing it again, and doing it again
    after that changes nothing. Raises `Forbidden` before the period is over (PRIVATE-02), while something is
    still under way, and under a legal hold (ARC-HOLD); `Unavailable` when the store does not answer.
    """
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "erase", dossier)
        plan = _plan(session, dossier)
        if plan.done:
            return plan
        must_not_be_held(session, code, "erased")
        if plan.waits:
            raise Forbidden(
                f"the personal data of {code} is not erased now: {plan.waits}.",
                rule="PRIVATE-02",
                way_out="“hoso erase CODE --dry-run” says what goes when, and what stays.",
            )
        facts: dict[str, Json] = {"goes": dict(plan.goes), "stays": [kept.rule for kept in plan.stays]}
        tell(session, dossier, Telling(event="erasure:begun", by=by, facts=facts))
        _erase_rows(session, dossier)
    for key in plan.keys:
        services().work.remove(key)
    with services().database.transaction() as session:
        dossier = hold(session, code)
        if session.get(ErasureRow, code) is None:
            for request in corrections_of(session, code):
                if request.dossier == code:
                    request.files = []
                    session.add(request)
            session.add(
                ErasureRow(
                    dossier=code, erased_at=now(session), by=by.staff or by.role, counts=dict(plan.goes)
                )
            )
            tell(session, dossier, Telling(event="erasure:done", by=by, facts={"files": len(plan.keys)}))
    return plan


def erasures_due() -> list[str]:
    """Return the dossiers whose personal data can go now, oldest end first; those under a hold are not among them."""
    with services().database.transaction() as session:
        query = (
            select(DossierRow)
            .where(
                col(DossierRow.ended_at).is_not(None),
                col(DossierRow.code).not_in(select(ErasureRow.dossier)),
            )
            .order_by(col(DossierRow.ended_at))
        )
        moment = local(now(session)).date()
        ended = [d for d in session.exec(query) if (day := _due(session, d)) is not None and day <= moment]
        return [d.code for d in ended if not _under_way(session, d) and hold_on(session, d.code) is None]


def _due(session: Session, dossier: DossierRow) -> date | None:
    """Return the day on which a dossier's personal data goes; `None` before it has ended."""
    if dossier.ended_at is None:
        return None
    return due_on(local(dossier.ended_at).date(), procedure_of(session, dossier).erasure.after_days)


def _plan(session: Session, dossier: DossierRow) -> Erasure:
    """Return what goes of a dossier, what stays, and what stands against it now."""
    keys = _working_keys(session, dossier)
    payloads = select(HistoryPayload.commitment).where(HistoryPayload.subject == subject_hash(dossier.code))
    notices = select(NoticeRow.id).where(NoticeRow.dossier == dossier.code)
    due = _due(session, dossier)
    waits = _under_way(session, dossier)
    if due is not None and not waits and due > local(now(session)).date():
        waits = f"the period of its procedure ends on {due}"
    return Erasure(
        code=dossier.code,
        due=due,
        goes={
            "contact data": 1,
            "what was said in words": len(session.exec(payloads).all()),
            "texts of messages": len(session.exec(notices).all()),
            "working files": len(keys),
        },
        stays=_stays(session, dossier),
        waits=waits,
        done=session.get(ErasureRow, dossier.code) is not None,
        keys=tuple(keys),
    )


def _under_way(session: Session, dossier: DossierRow) -> str:
    """Return what still needs the personal data of a dossier, if something does."""
    if dossier.ended_at is None:
        return f"it stands at {dossier.stage}"
    if any(leg.ended_at is None for leg in legs_of(session, dossier.code)):
        return "its result is on the way once more"
    owed = select(NoticeRow.id).where(
        NoticeRow.dossier == dossier.code, col(NoticeRow.state).in_(["owed", "trying", "awaiting-seal"])
    )
    if session.exec(owed).first() is not None:
        return "a message is owed to the applicant"
    if any(request.state in ("asked", "approved") for request in corrections_of(session, dossier.code)):
        return "a correction of its result is open"
    return ""


def _working_keys(session: Session, dossier: DossierRow) -> list[str]:
    """Return the keys of the working files that nobody else needs."""
    query = select(DocumentRow).where(DocumentRow.dossier == dossier.code)
    documents = list(session.exec(query))
    final = {
        row.id or 0
        for original in originals_of(session, dossier.code)
        for row in (
            finished(session, dossier.code, original.ordinal),
            newest(session, dossier.code, original.ordinal, "result"),
        )
        if row is not None
    }
    stays = {d.key for d in documents if not is_working(d.kind, final=final, document=d.id or 0)}
    made = text("select kept_key from signature where dossier = :code")
    keys = {d.key for d in documents}
    keys |= set(session.connection().execute(made, {"code": dossier.code}).scalars())
    keys |= {
        f["key"] for r in corrections_of(session, dossier.code) if r.dossier == dossier.code for f in r.files
    }
    shared = set(
        session.connection().execute(_SHARED, {"keys": sorted(keys), "code": dossier.code}).scalars()
    )
    return sorted(keys - stays - shared - {""})


def _erase_rows(session: Session, dossier: DossierRow) -> None:
    """Erase what the database says of people, in the caller's transaction."""
    applicant = session.get_one(ApplicantRow, dossier.code)
    names_stay = any(number_of(session, dossier.code, o.ordinal) for o in originals_of(session, dossier.code))
    for name in _GOES if names_stay else (*_GOES, "name"):
        setattr(applicant, name, "")
    applicant.email = applicant.account = None
    applicant.kin_of = []
    session.add(applicant)
    for notice in session.exec(select(NoticeRow).where(NoticeRow.dossier == dossier.code)):
        notice.facts = {k: v for k, v in notice.facts.items() if k == "channel"}
        notice.last_answer = ""
        session.add(notice)
    for leg in legs_of(session, dossier.code):
        leg.last_answer, leg.receipt, leg.message_id = "", None, None
        session.add(leg)
    for original in originals_of(session, dossier.code):
        original.reason = None
        session.add(original)
    for request in corrections_of(session, dossier.code):
        if request.dossier == dossier.code:
            request.reason = ""
            session.add(request)
    session.exec(delete(HistoryPayload).where(col(HistoryPayload.subject) == subject_hash(dossier.code)))


def _stays(session: Session, dossier: DossierRow) -> tuple[Kept, ...]:
    """Return what stays of a dossier, and under which rule."""
    retention = procedure_of(session, dossier).retention
    years = "for ever" if retention.years is None else f"{retention.years} years"
    numbered = any(number_of(session, dossier.code, o.ordinal) for o in originals_of(session, dossier.code))
    kept = []
    if numbered:
        kept.append(Kept(what="the register's line with its number and the requester's name", rule="ARC-01"))
    if str(dossier.stage) == "Archived":
        kept.append(Kept(what=f"the package in the archive, for {years}", rule=retention.rule))
        kept.append(Kept(what="the issued result, from which its evidence is renewed", rule="PKI-08"))
    kept += [
        Kept(what="hash, standing and sent copies of every result, without addresses", rule="ARC-02"),
        Kept(what="what was owed and paid", rule="CERT-31"),
        Kept(what="every entry of the history; of what is personal only salted commitments", rule="ARC-02"),
    ]
    return tuple(kept)
