"""Opening a dossier: its code, its applicant, its first entry; for appointments and for walk-ins."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, SQLModel, col, select

from infra.database import now
from infra.errors import Forbidden
from tasks.dossier.calendar import local
from tasks.dossier.codes import dossier_code
from tasks.dossier.lifecycle import Stage
from tasks.dossier.looking import procedure_on
from tasks.dossier.moves import Actor, Telling, ask_to_continue, tell
from tasks.dossier.offices import OfficeData
from tasks.dossier.procedures import check_channels
from tasks.dossier.tables import (
    ApplicantRow,
    CommandRow,
    DayCounterRow,
    DossierRow,
    StatusReportRow,
)

#: Locked one after the other in the order of the ids, so that nobody waits crosswise.
_LOCK_REQUESTS = text("""
    select pg_advisory_xact_lock(hashtextextended(id, 1)) from unnest(cast(:ids as text[])) as asked (id)
""")
#: Where a session keeps what it wrote beside the dossiers that it opened.
_OPENED = "opened"


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
    return all_answered_before(session, [opening]).get(opening.request_id or "")


def all_answered_before(session: Session, openings: Sequence[Opening]) -> Mapping[str, Opened]:
    """Return by their ids the earlier answers to requests, as `answered_before` does, in one look."""
    asked = {one.request_id: one for one in openings if one.request_id is not None}
    if not asked:
        return {}
    session.connection().execute(_LOCK_REQUESTS, {"ids": sorted(asked)})
    rows = session.exec(select(CommandRow).where(col(CommandRow.request_id).in_(list(asked)))).all()
    for row in rows:
        if row.request_hash != _request_hash(asked[row.request_id]):
            raise Forbidden(
                f"request {row.request_id} was made before with other content.",
                rule="DOS-01",
                way_out="Use a new request id for a new request.",
            )
    return {row.request_id: Opened(code=row.answer, repeated=True) for row in rows}


def open_dossier(
    session: Session, opening: Opening, office: OfficeData, *, by: Actor, walk_in: bool, warn: bool = True
) -> tuple[DossierRow, Opened]:
    """
    Open a dossier in the caller's transaction: code, applicant, first history entry, first outbox row.

    Warns of an open dossier of the same person for the same procedure at the same office, unless `warn` is off: a
    bulk order is nothing else.
    """
    warnings = _duplicates(session, opening, office) if warn else ()
    [dossier] = open_dossiers(session, [opening], office, by=by, walk_in=walk_in)
    return dossier, Opened(code=dossier.code, warnings=warnings)


def open_dossiers(
    session: Session, openings: Sequence[Opening], office: OfficeData, *, by: Actor, walk_in: bool
) -> list[DossierRow]:
    """
    Open dossiers of one office in the caller's transaction, in their order, with codes that follow each other.

    It asks once for what concerns all, and writes their rows together; nobody is warned of other dossiers.
    """
    moment = now(session)
    day = local(moment).date()
    last = _last_sequence(session, office.code, day, len(openings)) if openings else 0
    dossiers = []
    for sequence, opening in enumerate(openings, start=last - len(openings) + 1):
        code = dossier_code(office.code, day, sequence, width=office.sequence_width)
        dossiers.append(_dossier_row(session, code, opening, office, moment, by, walk_in=walk_in))
    session.add_all(dossiers)
    session.flush()
    beside: list[SQLModel] = []
    for dossier, opening in zip(dossiers, openings, strict=True):
        beside += _rows_beside(dossier, opening, moment)
    session.add_all(beside)
    session.flush()
    # A session forgets rows that nobody refers to.
    session.info[_OPENED] = beside
    for dossier, opening in zip(dossiers, openings, strict=True):
        _tell_opened(session, dossier, opening, by)
        ask_to_continue(session, dossier.code)
    return dossiers


def _dossier_row(
    session: Session,
    code: str,
    opening: Opening,
    office: OfficeData,
    moment: datetime,
    by: Actor,
    *,
    walk_in: bool,
) -> DossierRow:
    """Return the row of a dossier that is opened; refuses an applicant or a channel that will not do."""
    check_applicant(opening.applicant)
    procedure = procedure_on(session, opening.procedure, local(moment).date())
    applicant = opening.applicant
    channels = check_channels(procedure, opening.channels, email=applicant.email, account=applicant.account)
    return DossierRow(
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


def _rows_beside(dossier: DossierRow, opening: Opening, moment: datetime) -> list[SQLModel]:
    """Return what an opened dossier has besides its row: applicant, first status code, the answer to the request."""
    code = dossier.code
    rows: list[SQLModel] = [
        _applicant_row(code, opening.applicant),
        StatusReportRow(dossier=code, sequence=0, code=1, at=moment),
    ]
    if opening.request_id:
        digest = _request_hash(opening)
        rows.append(CommandRow(request_id=opening.request_id, request_hash=digest, answer=code, at=moment))
    return rows


def _tell_opened(session: Session, dossier: DossierRow, opening: Opening, by: Actor) -> None:
    """Write the first entry of a dossier."""
    tell(
        session,
        dossier,
        Telling(
            event="dossier:opened",
            by=by,
            facts={
                "procedure": dossier.procedure,
                "version": dossier.procedure_version,
                "channels": list(dossier.channels),
                "walk_in": dossier.walk_in,
            },
            private={"name": opening.applicant.name, "identity": opening.applicant.identity},
            command=opening.request_id,
        ),
    )


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


def _last_sequence(session: Session, office: str, day: date, count: int) -> int:
    """Take the next dossier sequences of an office's day, and return the last; locked until the commit (DOS-04)."""
    row = insert(DayCounterRow).values(office=office, day=day, last=count)
    table = DayCounterRow.__table__  # type: ignore[attr-defined]
    statement = row.on_conflict_do_update(
        index_elements=["office", "day"], set_={"last": table.c.last + count}
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
