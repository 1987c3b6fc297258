"""
Sending what applicants are owed: the intent of each try before its effect, and its end after it.

What a crash leaves in doubt is one message: its Message-ID is the same over all tries, and its tries are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, select

from infra.database import now
from infra.errors import Forbidden, HosoError, Unavailable
from infra.history import Json
from infra.services import services
from tasks.delivery.legs import open_task
from tasks.delivery.letters import booked_message, paper_message
from tasks.delivery.notices import HANDED_OVER, OPEN
from tasks.delivery.papers import TITLES, paper_of, papers_of
from tasks.delivery.rules import PATIENCE, after, message_id
from tasks.dossier.looking import hold, hold_these, office_of
from tasks.dossier.moves import Telling, tell
from tasks.dossier.offices import OfficeData
from tasks.dossier.tables import ApplicantRow, NoticeRow


@dataclass(frozen=True, slots=True, kw_only=True)
class _Try:
    """A try that was begun, and whom it is for."""

    code: str
    notice: NoticeRow
    office: OfficeData
    account: str | None
    email: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """How a try ended."""

    code: str
    notice: int
    state: str
    answer: str
    next_try: datetime | None = None
    ambiguous: int = 0


def send_notice(code: str, notice_id: int) -> str:
    """
    Make one owed paper, send it once if there is an address, and return the notice's state.

    The Message-ID is the same over all tries. A server that puts it off is tried again later; what it
    refuses is left for the counter, because a notice never holds a dossier up.
    """
    begun = _begin(code, notice_id)
    return begun if isinstance(begun, str) else _end(_attempt(begun, None))


def send_notices(owed: Sequence[tuple[str, int]]) -> Iterator[tuple[str, str | Exception]]:
    """
    Send messages of several dossiers (code, notice) as `send_notice` does; yield of each its state, or why it has none.

    Their papers are made first, and one connection serves all. The end of one and the intent of the next are written
    down together; behind a message that was not taken nothing is begun before the caller asks for the next.
    """
    with services().database.transaction() as session:
        numbers = [number for _, number in owed]
        rows = session.exec(select(NoticeRow).where(col(NoticeRow.id).in_(numbers))).all()
    papers = papers_of([row for row in rows if row.kind != "booked" and row.state in OPEN])
    ended: _End | None = None
    with services().mail.connected():
        for code, number in owed:
            before, begun = _turn(ended, code, number)
            if ended is not None:
                yield ended.code, before
            ended = None
            if isinstance(begun, str | Exception):
                yield code, begun
                continue
            try:
                ended = _attempt(begun, papers.get(number))
            except Exception as error:  # noqa: BLE001  It is one dossier's; the caller raises or tells it.
                yield code, error
                continue
            if ended.state == "owed":
                yield code, _end(ended)
                ended = None
        if ended is not None:
            yield ended.code, _end(ended)


def _turn(ended: _End | None, code: str, number: int) -> tuple[str, _Try | str | Exception]:
    """Write down at once how one try ended and that the next begins; return the first's state, and the next."""

    def write() -> tuple[str, _Try | str | Exception]:
        with services().database.transaction() as session:
            hold_these(session, {code} if ended is None else {code, ended.code})
        state = _end(ended) if ended is not None else ""
        try:
            return state, _begin(code, number)
        except HosoError as error:
            return state, error

    return services().database.as_one(write)


def _begin(code: str, notice_id: int) -> _Try | str:
    """Write down that a try begins, before anything is sent; return the state of a message that needs none."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        notice = session.get_one(NoticeRow, notice_id, populate_existing=True)
        if notice.state not in OPEN:
            return notice.state
        if notice.state == "awaiting-seal":
            notice.attempts = 0  # Those were no tries to send it.
        # An earlier try died before its answer was written down: what it sent may have arrived.
        notice.ambiguous += notice.state == "trying"
        notice.state = "trying"
        notice.attempts += 1
        session.add(notice)
        office = office_of(session, dossier.office)
        applicant = session.get_one(ApplicantRow, code)
        return _Try(code=code, notice=notice, office=office, account=applicant.account, email=applicant.email)


def _attempt(begun: _Try, paper: bytes | None) -> _End:
    """Make the paper if it is not here, send it by its channel, and return how that ended."""
    code, notice = begun.code, begun.notice
    pdf = None if notice.kind == "booked" else paper or paper_of(code, notice)
    # A notice that names no channel goes by e-mail; one about copies that were sent follows each of them.
    channel = notice.facts.get("channel", "email")
    if channel == "portal" and pdf is not None:
        return _deposit(begun, pdf)
    if channel == "paper":
        return _at_counter(begun, "its copy was handed over on paper")
    if not begun.email:
        return _at_counter(begun, "no e-mail address")
    return _mail(begun, begun.email, pdf)


def _mail(begun: _Try, email: str, pdf: bytes | None) -> _End:
    """Send one message from the office's mailbox."""
    code, notice, office = begun.code, begun.notice, begun.office
    errand = message_id(f"{code}/{notice.kind}/{notice.ordinal}/{notice.occasion}", office.mailbox)
    if pdf is None:
        starts_at = datetime.fromisoformat(str(notice.facts["starts_at"]))
        message = booked_message(code=code, office=office, to=email, message_id=errand, starts_at=starts_at)
    else:
        message = paper_message(
            code=code, office=office, to=email, message_id=errand, title=TITLES[notice.kind], pdf=pdf
        )
    answer = services().mail.send(message)
    doubtful = notice.ambiguous + (answer.outcome == "ambiguous")
    following = after(answer.outcome, attempts=notice.attempts, ambiguous=doubtful)
    state = {"accepted": "sent", "refused": "at-counter"}.get(following.state, "owed")
    if following.wait is None and state == "owed":
        state = "at-counter"
    return _End(
        code=code,
        notice=notice.id or 0,
        state=state,
        answer=f"{answer.code} {answer.text}",
        next_try=services().clock.now() + following.wait if following.wait else None,
        ambiguous=doubtful,
    )


def _deposit(begun: _Try, pdf: bytes) -> _End:
    """Put a paper into the applicant's account, which knows it by its id; what is refused goes to the counter."""
    portal, code, notice = services().portal, begun.code, begun.notice
    if portal is None or not begun.account:
        return _at_counter(begun, "no account that it could go to")
    name = f"{code}-{notice.ordinal}-{notice.kind}.pdf"
    try:
        portal.deposit(account=begun.account, deposit_id=f"{code}/{name}", filename=name, content=pdf)
    except Forbidden as error:
        return _at_counter(begun, error.message)
    except Unavailable as error:
        wait: timedelta = PATIENCE[min(notice.attempts, len(PATIENCE)) - 1]
        later = services().clock.now() + wait
        return _End(code=code, notice=notice.id or 0, state="owed", answer=str(error), next_try=later)
    return _End(code=code, notice=notice.id or 0, state="sent", answer="deposited")


def _at_counter(begun: _Try, why: str) -> _End:
    """Leave a paper for the counter."""
    return _End(code=begun.code, notice=begun.notice.id or 0, state="at-counter", answer=why)


def _end(ended: _End) -> str:
    """Write down how a try ended, and return the notice's state."""
    with services().database.transaction() as session:
        dossier = hold(session, ended.code)
        notice = session.get_one(NoticeRow, ended.notice)
        notice.state = ended.state
        notice.last_answer = ended.answer[:300]
        notice.next_try_at = ended.next_try
        notice.ambiguous = ended.ambiguous
        notice.ended_at = now(session) if ended.state != "owed" else None
        session.add(notice)
        if ended.state == "at-counter" and notice.kind in HANDED_OVER:
            open_task(
                session,
                ended.code,
                f"paper-{notice.kind}",
                f"hand the paper over or reach the applicant ({TITLES[notice.kind]})",
            )
        facts: dict[str, Json] = {"notice": notice.kind, "state": ended.state}
        event = f"notice:{'put-off' if ended.state == 'owed' else ended.state}"
        tell(session, dossier, Telling(event=event, facts=facts))
        return ended.state
