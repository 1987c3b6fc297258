"""Reading what is on record about authority, with the clock of the same database, and asking the rules."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from infra.errors import Forbidden
from infra.history import Json
from infra.reading import read_once, rows_of
from tasks.authority.rules import decide
from tasks.authority.tables import HoldingEndRow, HoldingRow, MandateEndRow, MandateRow, PostRow
from tasks.authority.values import Asked, Basis, Decision, Holding, Mandate, Post, Records
from tasks.dossier.calendar import local
from tasks.dossier.moves import Actor
from tasks.dossier.offices import OfficeData, Officer
from tasks.dossier.procedures import Procedure, SignatureStep
from tasks.dossier.tables import ApplicantRow, OriginalRow
from tasks.people.persons import officials_of
from tasks.people.rules import EVERY
from tasks.people.tables import PersonRoleRow, PersonRow

#: Everything in one answer: it is asked twice a signature, and the moment belongs to what was read.
_READ = text(
    """
    select json_build_object(
        'posts', (select coalesce(json_agg(p), '[]') from
            (select distinct on (code) code, title, rank, under from post where office = :office
             order by code, id desc) p),
        'holdings', (select coalesce(json_agg(h), '[]') from
            (select h.id, h.post, h.staff, h.manner, h.decision, h.since,
                    least(h.ends_before, e.ends_before) as before,
                    case when e.ends_before <= coalesce(h.ends_before, 'infinity') then e.decision end as ended_by
             from holding h left join lateral
                (select ends_before, decision from holding_end where holding = h.id
                 order by ends_before, id limit 1) e on true
             where h.office = :office order by h.id) h),
        'mandates', (select coalesce(json_agg(m), '[]') from
            (select m.*, least(m.ends_before, e.ends_before) as before,
                    case when e.ends_before <= coalesce(m.ends_before, 'infinity') then e.decision end as ended_by
             from mandate m left join lateral
                (select ends_before, decision from mandate_end where mandate = m.id
                 order by ends_before, id limit 1) e on true
             where m.office = :office order by m.id) m)
    ), clock_timestamp()
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnRecord:
    """What an office has on record, and PostgreSQL's moment of reading it."""

    records: Records
    moment: datetime
    #: Who is an official that day: staff code and procedure, `*` for every one.
    officials: frozenset[tuple[str, str]] = frozenset()

    def official_for(self, staff: str, procedure: str) -> bool:
        """Tell whether somebody is an official of a procedure that day."""
        return bool({(staff, procedure), (staff, EVERY)} & self.officials)


def read_records(session: Session, office: str) -> OnRecord:
    """Return everything that was ever put on record about an office's posts and mandates, and today's officials."""
    body, moment = session.connection().execute(_READ, {"office": office}).one()
    records = Records(
        posts=tuple(Post(**p) for p in body["posts"]),
        holdings=tuple(_holding(h) for h in body["holdings"]),
        mandates=tuple(_mandate(m) for m in body["mandates"]),
    )
    officials = frozenset(officials_of(session, office, local(moment).date()))
    return OnRecord(records=records, moment=moment.astimezone(UTC), officials=officials)


def records_once(session: Session, office: str) -> OnRecord:
    """
    Return what `read_records` returns, once for all pages that are looked at in one transaction.

    Not for a signature: whoever signs reads again under the lock.
    """
    kinds = (PostRow, HoldingRow, HoldingEndRow, MandateRow, MandateEndRow, PersonRow, PersonRoleRow)
    return read_once(session, kinds, ("records", office), lambda: read_records(session, office))


def _holding(row: dict[str, Any]) -> Holding:
    """Return one holding with its real end."""
    return Holding(
        id=row["id"],
        post=row["post"],
        staff=row["staff"],
        manner=row["manner"],
        decision=row["decision"],
        since=_moment(row["since"]),
        before=_end(row["before"]),
        ended_by=row["ended_by"] or "",
    )


def _mandate(row: dict[str, Any]) -> Mandate:
    """Return one mandate with its real end."""
    return Mandate(
        id=row["id"],
        capacity=row["capacity"],
        giver_post=row["giver_post"],
        giver=row["giver"],
        to=row["to_staff"],
        to_post=row["to_post"],
        covers=tuple(row["covers"]),
        limits=row["limits"],
        basis=Basis(
            kind=row["basis_kind"],
            number=row["basis_number"],
            date=date.fromisoformat(row["basis_date"]),
            issuer=row["basis_issuer"],
        ),
        since=_moment(row["since"]),
        before=_end(row["before"]),
        ended_by=row["ended_by"] or "",
    )


def _moment(said: str) -> datetime:
    """Return a moment that PostgreSQL wrote as JSON."""
    return datetime.fromisoformat(said).astimezone(UTC)


def _end(said: str | None) -> datetime | None:
    """Return the end of a span, if it has one."""
    return _moment(said) if said else None


def ask(
    session: Session,
    office: OfficeData,
    officer: Officer,
    procedure: Procedure,
    step: SignatureStep,
    original: OriginalRow,
    *,
    read: OnRecord | None = None,
) -> Decision:
    """
    Return whether an officer may give one step's signature on an original, now by PostgreSQL's clock.

    `read` serves several questions of one moment. The decision is not kept here: whoever signs writes it
    beside the signature and into the history.
    """
    known = read or read_records(session, office.code)
    (applicant,) = rows_of(session, ApplicantRow, dossier=original.dossier)
    question = _asked(office, officer, procedure, step, known)
    return decide(
        replace(
            question,
            applicant=applicant.identity,
            kin_of=tuple(applicant.kin_of),
            examiner=original.compared_by,
        )
    )


def may_sign(
    session: Session,
    office: OfficeData,
    staff: str,
    procedure: Procedure,
    step: SignatureStep,
    moment: datetime,
) -> Decision:
    """Return whether somebody may give a step's signature at a moment, whoever asks and whoever examined."""
    officer = next((one for one in office.officers if one.staff == staff), None)
    if officer is None:
        known = ", ".join(one.staff for one in office.officers)
        raise Forbidden(
            f"“{staff}” does not work at {office.code}.", rule="AUTH-06", way_out=f"Known people: {known}."
        )
    read = read_records(session, office.code)
    officials = frozenset(officials_of(session, office.code, local(moment).date()))
    return decide(_asked(office, officer, procedure, step, replace(read, moment=moment, officials=officials)))


def _asked(
    office: OfficeData, officer: Officer, procedure: Procedure, step: SignatureStep, known: OnRecord
) -> Asked:
    """Return the question about a step, of nobody's dossier."""
    return Asked(
        office=office.code,
        regime=office.regime,
        staff=officer.staff,
        name=officer.name,
        identity=officer.identity,
        is_official=known.official_for(officer.staff, procedure.code),
        procedure=procedure.code,
        kind=procedure.kind,
        capacities=step.capacities,
        records=known.records,
        moment=known.moment,
    )


def person_hash(office: str, staff: str) -> str:
    """Return what the history calls a person: SHA-256 of office and staff code, in hexadecimal."""
    return hashlib.sha256(f"{office}/{staff}".encode()).hexdigest()


def refusal_facts(office: str, decision: Decision) -> dict[str, Json]:
    """Return what the history says of a refusal: the rule, both officials by hash, and the inputs' digest."""
    facts: dict[str, Json] = {
        "rule": decision.rule,
        "officials": [person_hash(office, staff) for staff in decision.officials],
    }
    if decision.holding is not None:
        facts["holding"] = decision.holding
    if decision.mandates:
        facts["mandates"] = list(decision.mandates)
    if decision.inputs:
        facts["inputs"] = decision.inputs
    return facts


def signing_actor(office: str, decision: Decision) -> Actor:
    """Return the one who signs as the history names a person: by the post that the decision found."""
    return Actor(role="official", staff=decision.staff, post=decision.post, office=office)
