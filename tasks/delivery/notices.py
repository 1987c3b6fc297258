"""Messages owed to the applicant: sent by e-mail where there is an address, else handed over at the counter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text, union
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from infra.database import now
from infra.errors import Forbidden, Unavailable
from infra.history import Json
from infra.services import services
from tasks.delivery.legs import legs_of
from tasks.delivery.papers import waits_for_seal
from tasks.delivery.rules import PATIENCE
from tasks.delivery.tables import LegRow
from tasks.dossier.looking import hold
from tasks.dossier.moves import Telling, tell
from tasks.dossier.tables import DossierRow, NoticeRow, StatusReportRow

#: Notices in these states were not answered for yet.
OPEN = ("owed", "trying", "awaiting-seal")

#: Papers that the applicant must know of; a receipt is handed over at once, a booking is known to who booked.
HANDED_OVER = frozenset({"declined", "supplement", "stopped", "postponed", "result-withdrawn"})

_HEARD = text("""
    update status_report set sent_at = heard.moment
    from unnest(cast(:dossiers as text[]), cast(:sequences as int[]), cast(:moments as timestamptz[]))
        as heard (code, number, moment)
    where dossier = heard.code and sequence = heard.number
""")


def notices_due(code: str, *, only: str | None = None) -> list[int]:
    """Return the messages (of one kind, if named) that can be sent now, oldest first."""
    with services().database.transaction() as session:
        moment = now(session)
        return [
            notice.id or 0
            for notice in _owed(session, code)
            if (notice.next_try_at is None or notice.next_try_at <= moment) and only in (None, notice.kind)
        ]


def unanswered(code: str) -> bool:
    """Whether a message was put off because the mail server said nothing at all to its last try."""
    with services().database.transaction() as session:
        return any(n.state == "owed" and n.last_answer.startswith("0 ") for n in _owed(session, code))


def papers_to_seal(code: str) -> list[int]:
    """Return the messages that can be sent now but for the agency's signature on their paper."""
    with services().database.transaction() as session:
        return [n.id or 0 for n in _owed(session, code) if n.kind != "booked" and waits_for_seal(session, n)]


def to_send(codes: Sequence[str]) -> dict[str, list[tuple[int, bool]]]:
    """
    Return what `notices_due` says of each of some dossiers, in one look, for those that have anything owed.

    Beside each message stands whether its paper waits for the agency's signature, as `papers_to_seal` says.
    """
    with services().database.transaction() as session:
        # Read at once and kept, because each message asks for its own.
        theirs = session.exec(select(DossierRow).where(col(DossierRow.code).in_(list(codes)))).all()
        query = select(NoticeRow).where(
            col(NoticeRow.dossier).in_([one.code for one in theirs]), col(NoticeRow.state).in_(OPEN)
        )
        moment = now(session)
        found: dict[str, list[tuple[int, bool]]] = {}
        for notice in session.exec(query.order_by(col(NoticeRow.id))).all():
            due = found.setdefault(notice.dossier, [])
            if notice.next_try_at is None or notice.next_try_at <= moment:
                due.append((notice.id or 0, notice.kind != "booked" and waits_for_seal(session, notice)))
        return found


def await_seal(code: str, notice_id: int, cause: str) -> None:
    """
    Put a message off whose paper the agency cannot sign now, and say so under that name.

    It is tried again ever more patiently; neither the dossier nor another message is held up.
    """
    with services().database.transaction() as session:
        dossier = hold(session, code)
        notice = session.get_one(NoticeRow, notice_id)
        if notice.state not in OPEN:
            return
        first = notice.state != "awaiting-seal"
        notice.state = "awaiting-seal"
        notice.last_answer = cause[:300]
        notice.attempts += 1
        notice.next_try_at = now(session) + PATIENCE[min(notice.attempts, 3) - 1]
        session.add(notice)
        if first:
            facts: dict[str, Json] = {"notice": notice.kind, "state": "awaiting-seal"}
            tell(session, dossier, Telling(event="notice:awaiting-seal", facts=facts))


def reports_due(code: str) -> bool:
    """Whether there is a portal that can be told a status code of this dossier now."""
    return bool(owing([code]).reports)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owing:
    """Which of some dossiers owe their applicant a message, and the portal a status code, in one look."""

    notices: frozenset[str]
    reports: frozenset[str]


def owing(codes: Sequence[str]) -> Owing:
    """Return which of some dossiers have messages that were not answered for, and reports that can be told now."""
    with services().database.transaction() as session:
        notices = select(NoticeRow.dossier).where(
            col(NoticeRow.dossier).in_(list(codes)), col(NoticeRow.state).in_(OPEN)
        )
        owed = frozenset(session.exec(notices))
        if services().portal is None:
            return Owing(notices=owed, reports=frozenset())
        unheard = (
            select(StatusReportRow.dossier, StatusReportRow.next_try_at)
            .where(col(StatusReportRow.dossier).in_(list(codes)), col(StatusReportRow.sent_at).is_(None))
            .order_by(col(StatusReportRow.dossier), col(StatusReportRow.sequence).desc())
        )
        # Reports are told in order, so the first that is unheard says when: it comes last here, and stays.
        firsts = dict(iter(session.exec(unheard)))
        moment = now(session)
        reports = frozenset(code for code, at in firsts.items() if at is None or at <= moment)
        return Owing(notices=owed, reports=reports)


def report_status(code: str) -> int:
    """
    Tell the portal the status codes that it has not heard yet, in order; return how many it heard now.

    The portal ignores a sequence that it knows, so a report whose answer was lost is simply sent again.
    A portal that is away, or refuses, is told later: the picture it has never holds a dossier up.
    """
    heard, errors = report_these([code])
    for error in errors.values():
        raise error
    return heard


def report_these(codes: Sequence[str]) -> tuple[int, dict[str, Exception]]:
    """
    Tell the portal of several dossiers, as `report_status` does of one; what it heard is written down at once for all.

    Returns how many reports it heard, and by dossier what no later try cures. After a crash those that were
    not written down are sent again.
    """
    portal = services().portal
    if portal is None:
        return 0, {}
    with services().database.transaction() as session:
        unheard = list(session.exec(_unheard(codes)))
    heard: list[tuple[str, int, datetime]] = []
    errors: dict[str, Exception] = {}
    stopped: set[str] = set()
    for report in unheard:
        code = report.dossier
        if code in stopped:
            continue  # They are told in their order.
        try:
            portal.report(
                reference=code, sequence=report.sequence, code=report.code, at=report.at.isoformat()
            )
            heard.append((code, report.sequence, services().clock.now()))
        except (Unavailable, Forbidden):
            _put_off_report(report)
            stopped.add(code)
        except Exception as error:  # noqa: BLE001  It is one dossier's; the caller raises or tells it.
            errors[code] = error
            stopped.add(code)
    _keep_heard(heard)
    return len(heard), errors


def _keep_heard(heard: Sequence[tuple[str, int, datetime]]) -> None:
    """Write down which reports the portal heard, and when."""
    if not heard:
        return
    dossiers, sequences, moments = zip(*heard, strict=True)
    with services().database.transaction() as session:
        rows = {"dossiers": list(dossiers), "sequences": list(sequences), "moments": list(moments)}
        session.connection().execute(_HEARD, rows)


def _unheard(codes: Sequence[str]) -> SelectOfScalar[StatusReportRow]:
    """Select the status codes of dossiers that the portal has not heard, in order."""
    return (
        select(StatusReportRow)
        .where(col(StatusReportRow.dossier).in_(list(codes)), col(StatusReportRow.sent_at).is_(None))
        .order_by(col(StatusReportRow.dossier), col(StatusReportRow.sequence))
    )


def _next_report(session: Session, code: str) -> StatusReportRow | None:
    """Return the first status code that the portal has not heard."""
    return session.exec(_unheard([code]).limit(1)).first()


def _put_off_report(report: StatusReportRow) -> None:
    """Try a report again later, ever more patiently."""
    with services().database.transaction() as session:
        row = session.get_one(StatusReportRow, (report.dossier, report.sequence))
        row.attempts += 1
        row.next_try_at = now(session) + PATIENCE[min(row.attempts, len(PATIENCE)) - 1]
        session.add(row)


def wake_at(code: str) -> datetime | None:
    """Return when the next message or leg that was put off may be tried again."""
    with services().database.transaction() as session:
        waits = [n.next_try_at for n in _owed(session, code)]
        waits += [leg.next_try_at for leg in legs_of(session, code) if leg.ended_at is None]
        report = _next_report(session, code)
        waits.append(report.next_try_at if report else None)
        return min((w for w in waits if w is not None), default=None)


def unfinished(codes: Sequence[str]) -> set[str]:
    """Return those of some dossiers that have a message, a leg or a report that was not answered for: one look."""
    codes = list(codes)
    with services().database.transaction() as session:
        open_notices = select(NoticeRow.dossier).where(
            col(NoticeRow.dossier).in_(codes), col(NoticeRow.state).in_(OPEN)
        )
        open_legs = select(LegRow.dossier).where(
            col(LegRow.dossier).in_(codes), col(LegRow.ended_at).is_(None)
        )
        unheard = select(StatusReportRow.dossier).where(
            col(StatusReportRow.dossier).in_(codes), col(StatusReportRow.sent_at).is_(None)
        )
        return set(session.connection().execute(union(open_notices, open_legs, unheard)).scalars())


def _owed(session: Session, code: str) -> list[NoticeRow]:
    """Return a dossier's owed messages in the order in which they arose."""
    query = select(NoticeRow).where(NoticeRow.dossier == code, col(NoticeRow.state).in_(OPEN))
    return list(session.exec(query.order_by(col(NoticeRow.id))))
