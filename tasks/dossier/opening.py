"""Opening a dossier: its code, its applicant, its first entry; for appointments and for walk-ins."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from pydantic import TypeAdapter
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from tasks.dossier.calendar import local
from tasks.dossier.codes import dossier_code
from tasks.dossier.lifecycle import Stage
from tasks.dossier.moves import Actor, Telling, ask_to_continue, procedure_on, tell
from tasks.dossier.offices import OfficeData
from tasks.dossier.procedures import check_channels
from tasks.dossier.tables import (
    ApplicantRow,
    CommandRow,
    DayCounterRow,
    DossierRow,
    StatusReportRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """Who asks, and how they can be reached."""

    name: str
    identity: str
    address: str = ""
    telephone: str = ""
    email: str | None = None
    account: str | None = None
    kin_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What is asked for when a dossier is opened."""

    office: str
    procedure: str
    applicant: Applicant
    channels: Sequence[str] = ()
    confidential: bool = False
    #: The papers came by public post (BCCI) and nobody stood at the counter.
    by_post: bool = False
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A dossier that was opened (or, for a repeated request, had been), and what to warn of."""

    code: str
    warnings: tuple[str, ...] = field(default=())
    repeated: bool = False


def check_applicant(applicant: Applicant) -> None:
    """Refuse an applicant who could not be named or reached."""
    if not applicant.name.strip() or not applicant.identity.strip():
        raise Forbidden(
            "the applicant's name and identity number are needed.",
            rule="DOS-12",
            way_out="Give --name and --identity as they stand on the identity paper.",
        )
    if applicant.email and ("@" not in applicant.email or any(c.isspace() for c in applicant.email)):
        raise Forbidden(
            f"“{applicant.email}” is not an e-mail address.",
            rule="DOS-22",
            way_out="Write it as name@domain, or choose another channel.",
        )


def answered_before(session: Session, opening: Opening) -> Opened | None:
    """
    Return the earlier answer to the same request; refuses the same id for another request.

    A request that comes twice at once is answered by the first: the second waits here for its commit.
    """
    if opening.request_id is None:
        return None
    session.connection().exec_driver_sql(
        "select pg_advisory_xact_lock(hashtextextended(%s, 1))", (opening.request_id,)
    )
    row = session.get(CommandRow, opening.request_id)
    if row is None:
        return None
    if row.request_hash != _request_hash(opening):
        raise Forbidden(
            f"request {opening.request_id} was made before with other content.",
            rule="DOS-01",
            way_out="Use a new request id for a new request.",
        )
    return Opened(code=row.answer, repeated=True)


def open_dossier(
    session: Session, opening: Opening, office: OfficeData, *, by: Actor, walk_in: bool, warn: bool = True
) -> tuple[DossierRow, Opened]:
    """
    Open a dossier in the caller's transaction: code, applicant, first history entry, first outbox row.

    Warns of an open dossier of the same person for the same procedure at the same office, unless `warn` is off: a
    bulk order is nothing else.
    """
    check_applicant(opening.applicant)
    moment = now(session)
    day = local(moment).date()
    procedure = procedure_on(session, opening.procedure, day)
    applicant = opening.applicant
    channels = check_channels(procedure, opening.channels, email=applicant.email, account=applicant.account)
    warnings = _duplicates(session, opening, office) if warn else ()
    code = dossier_code(
        office.code, day, _next_sequence(session, office.code, day), width=office.sequence_width
    )
    dossier = DossierRow(
        code=code,
        office=office.code,
        resolving_office=office.code,
        procedure=procedure.code,
        procedure_version=procedure.version,
        stage=Stage.BOOKED,
        channels=list(channels),
        opened_by=by.staff or by.role,
        opened_at=moment,
        walk_in=walk_in,
        came_by="post" if opening.by_post else "portal" if by.role == "portal" else "counter",
        confidential=opening.confidential,
    )
    session.add(dossier)
    session.flush()
    session.add(_applicant_row(code, applicant))
    session.add(StatusReportRow(dossier=code, sequence=0, code=1, at=moment))
    if opening.request_id:
        session.add(
            CommandRow(
                request_id=opening.request_id, request_hash=_request_hash(opening), answer=code, at=moment
            )
        )
    session.flush()
    tell(
        session,
        dossier,
        Telling(
            event="dossier:opened",
            by=by,
            facts={
                "procedure": procedure.code,
                "version": procedure.version,
                "channels": list(channels),
                "walk_in": walk_in,
            },
            private={"name": applicant.name, "identity": applicant.identity},
            command=opening.request_id,
        ),
    )
    ask_to_continue(session, code)
    return dossier, Opened(code=code, warnings=warnings)


def _request_hash(opening: Opening) -> str:
    """Return a hash of what is asked, whatever the request id."""
    # What is new here is left out where it says nothing: a request may be repeated after an upgrade.
    without = {"request_id"} if opening.by_post else {"request_id", "by_post"}
    body = TypeAdapter(Opening).dump_json(opening, exclude=without)
    return hashlib.sha256(body).hexdigest()


def _applicant_row(code: str, applicant: Applicant) -> ApplicantRow:
    """Return the applicant's row."""
    return ApplicantRow(
        dossier=code,
        name=applicant.name.strip(),
        identity=applicant.identity.strip(),
        address=applicant.address,
        telephone=applicant.telephone,
        email=applicant.email,
        account=applicant.account,
        kin_of=list(applicant.kin_of),
    )


def _next_sequence(session: Session, office: str, day: date) -> int:
    """Return the next dossier sequence of an office's day; the row is locked until the commit (DOS-04)."""
    row = insert(DayCounterRow).values(office=office, day=day, last=1)
    table = DayCounterRow.__table__  # type: ignore[attr-defined]
    statement = row.on_conflict_do_update(
        index_elements=["office", "day"], set_={"last": table.c.last + 1}
    ).returning(table.c.last)
    return int(session.connection().execute(statement).scalar_one())


def _duplicates(session: Session, opening: Opening, office: OfficeData) -> tuple[str, ...]:
    """Return a warning for each open dossier of the same person, procedure and office."""
    query = (
        select(DossierRow.code, DossierRow.stage)
        .join(ApplicantRow, col(ApplicantRow.dossier) == col(DossierRow.code))
        .where(
            ApplicantRow.identity == opening.applicant.identity.strip(),
            DossierRow.procedure == opening.procedure,
            DossierRow.office == office.code,
            col(DossierRow.ended_at).is_(None),
        )
        .order_by(col(DossierRow.opened_at))
    )
    return tuple(
        f"the same person has dossier {code}, which stands at {stage}" for code, stage in session.exec(query)
    )
