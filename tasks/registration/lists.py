"""Consolidated lists: confirmed rows under one number, its page for signing, and its way to the provider (CER-12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, func, select

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.object_store import Stored
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.moves import Actor
from tasks.dossier.papers import sha256_of
from tasks.registration.authorising import ask_official
from tasks.registration.entries import current_rows, rows_digest
from tasks.registration.form_sets import Subject
from tasks.registration.lifecycle import State, check_move
from tasks.registration.rounds import hold_round, look_round, round_of, tell, units_of
from tasks.registration.tables import EntryRow, ListRow, PaperRow, PaperSignatureRow, RoundRow, VersionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Consolidated:
    """What became of a consolidation: the list, how many rows stand on it, and how many still wait for what."""

    ordinal: int
    number: str
    rows: int
    waiting: dict[str, int]


def consolidate(code: str, subject: Subject, number: str, *, by: Actor, official: str) -> Consolidated:
    """
    Put every confirmed row of a kind on a new list under one number, in the order of units, and return it.

    Before the deadline only when every unit has answered. What is confirmed later goes on a further list. A
    number is used once a round. `official` is whom its page names, where the round says that one signs it.
    History: `registration:consolidated`.
    """
    with services().database.transaction() as session:
        round_row = hold_round(session, code)
        _must_be_time(session, round_row)
        rows = [entry for entry, _ in current_rows(session, code, subject=subject, state=State.CONFIRMED)]
        if not rows:
            raise Forbidden(
                f"no row for {subject}s of {code} is confirmed and on no list yet.",
                rule="CER-15",
                way_out="“hoso registration status” says how each unit stands.",
            )
        before = lists_of(session, code)
        if any(one.number == number for one in before):
            raise Forbidden(
                f"a list of {code} has the number {number} already.",
                rule="CER-12",
                way_out="Give the list a number of its own.",
            )
        one = ListRow(
            round=code,
            ordinal=len(before) + 1,
            subject=subject,
            number=number,
            official=_signatory(session, round_row, official),
            made_at=now(session),
        )
        session.add(one)
        for place, entry in enumerate(rows, start=1):
            check_move(State(entry.state), State.CONSOLIDATED)
            entry.state, entry.list_ordinal, entry.number = State.CONSOLIDATED, one.ordinal, place
            entry.changed_at = one.made_at
            session.add(entry)
        session.flush()
        facts: dict[str, Json] = {
            "list": one.ordinal,
            "number": number,
            "subject": subject,
            "rows": len(rows),
            "rows_sha256": digest_of(session, rows),
        }
        tell(session, round_row, event="registration:consolidated", by=by, facts=facts)
        return Consolidated(
            ordinal=one.ordinal, number=number, rows=len(rows), waiting=_waiting(session, code, subject)
        )


def send(code: str, ordinal: int, document: str, *, by: Actor) -> int:
    """
    Write down that a sealed list went to the provider with a letter, and return how many rows went (CER-01).

    Sending it twice changes nothing. An unsealed list is refused. History: `registration:sent`.
    """
    with services().database.transaction() as session:
        round_row = hold_round(session, code)
        one = list_of(session, code, ordinal)
        if one.sent_at is not None:
            return 0
        paper = newest_paper(session, code, ordinal, "sealed")
        if paper is None:
            raise Forbidden(
                f"list {ordinal} of {code} is not sealed.",
                rule="CER-01",
                way_out="Requests go as signed documents: sign it, then “hoso registration seal”.",
            )
        rows = rows_of_list(session, code, ordinal, State.CONSOLIDATED)
        one.sent_at, one.sent_with = now(session), document
        session.add(one)
        for entry in rows:
            check_move(State(entry.state), State.SENT)
            entry.state, entry.changed_at = State.SENT, one.sent_at
            session.add(entry)
        facts: dict[str, Json] = {
            "list": ordinal,
            "document": document,
            "rows": len(rows),
            "doc": {"sha256": paper.sha256},
        }
        tell(session, round_row, event="registration:sent", by=by, facts=facts)
        return len(rows)


def take_over(code: str, ordinal: int, *, by: Actor) -> None:
    """
    Address a list that nobody has signed to the official who acts, who must be allowed to sign it now.

    Taking it over twice changes nothing. History: `registration:taken-over`.
    """
    with services().database.transaction() as session:
        round_row = hold_round(session, code)
        one = list_of(session, code, ordinal)
        paper = newest_paper(session, code, ordinal, "frozen")
        if paper is not None and is_signed(session, paper):
            raise Forbidden(
                f"list {ordinal} of {code} is signed.",
                rule="SIG-12",
                way_out="What is signed stays; seal it.",
            )
        official = _signatory(session, round_row, by.staff)
        if one.official != official:
            one.official = official
            session.add(one)
            tell(session, round_row, event="registration:taken-over", by=by, facts={"list": ordinal})


def lists_of(session: Session, code: str) -> list[ListRow]:
    """Return the lists of a round in order."""
    return list(session.exec(select(ListRow).where(ListRow.round == code).order_by(col(ListRow.ordinal))))


def list_of(session: Session, code: str, ordinal: int) -> ListRow:
    """Return one list of a round; refuses an ordinal that it does not have."""
    found = session.get(ListRow, (code, ordinal))
    if found is None:
        count = len(lists_of(session, code))
        raise Forbidden(
            f"the round {code} has no list {ordinal}.",
            rule="CER-12",
            way_out=f"It has {count}: count from 1."
            if count
            else "Make one with “hoso registration consolidate”.",
        )
    return found


def rows_of_list(session: Session, code: str, ordinal: int, state: State) -> list[EntryRow]:
    """Return the rows of a list that stand at a state, in their order."""
    query = select(EntryRow).where(
        EntryRow.round == code, EntryRow.list_ordinal == ordinal, EntryRow.state == state
    )
    return list(session.exec(query.order_by(col(EntryRow.number))))


def newest_paper(session: Session, code: str, ordinal: int, kind: str) -> PaperRow | None:
    """Return a list's document of a kind in its newest revision."""
    query = (
        select(PaperRow)
        .where(PaperRow.round == code, PaperRow.list_ordinal == ordinal, PaperRow.kind == kind)
        .order_by(col(PaperRow.revision).desc())
    )
    return session.exec(query).first()


def keep_paper(session: Session, paper: PaperRow, stored: Stored) -> PaperRow:
    """Say what stored bytes are to a list; saying it again returns the row that is there, other bytes are `Broken`."""
    there = session.get(PaperRow, (paper.round, paper.list_ordinal, paper.kind, paper.revision))
    if there is not None:
        if there.sha256 != stored.sha256:
            raise Broken(f"list {paper.list_ordinal} of {paper.round} holds another {paper.kind} already")
        return there
    paper.sha256, paper.key, paper.size, paper.made_at = stored.sha256, stored.key, stored.size, now(session)
    session.add(paper)
    session.flush()
    return paper


def is_signed(session: Session, paper: PaperRow) -> bool:
    """Tell whether a signature of a page is kept."""
    query = select(PaperSignatureRow.id).where(
        PaperSignatureRow.round == paper.round,
        PaperSignatureRow.list_ordinal == paper.list_ordinal,
        PaperSignatureRow.revision == paper.revision,
        col(PaperSignatureRow.kept_at).is_not(None),
    )
    return session.exec(query).first() is not None


def take_off(session: Session, entry: EntryRow) -> None:
    """Take a row off a list that nobody has signed, and close the gap in its numbers; refuses a signed list."""
    paper = newest_paper(session, entry.round, entry.list_ordinal or 0, "frozen")
    if paper is not None and is_signed(session, paper):
        raise Forbidden(
            f"row {entry.id} stands on list {entry.list_ordinal} of {entry.round}, which is signed.",
            rule="SIG-12",
            way_out="What was signed stays: send the list, then reject the row with a letter to the provider.",
        )
    for other in rows_of_list(session, entry.round, entry.list_ordinal or 0, State.CONSOLIDATED):
        if (other.number or 0) > (entry.number or 0):
            other.number = (other.number or 0) - 1
            session.add(other)
    entry.list_ordinal = entry.number = None


def read_paper(paper: PaperRow) -> bytes:
    """Return a document's bytes; raises `Broken` when they are not the bytes that were kept."""
    content = services().work.get(paper.key)
    if sha256_of(content) != paper.sha256:
        raise Broken(f"the {paper.kind} list {paper.list_ordinal} of {paper.round} is not what was kept")
    return content


def export(code: str, ordinal: int, kind: str, *, by: Actor) -> tuple[bytes, str]:
    """
    Return a document of a list and its SHA-256, and say in the history who took it: it is full of personal data.

    `kind` is `workbook`, or `page`: the newest of the page as it was frozen, signed and sealed. History:
    `registration:exported`.
    """
    with services().database.transaction() as session:
        round_row = hold_round(session, code)
        list_of(session, code, ordinal)
        kinds = ("sealed", "approved", "frozen") if kind == "page" else ("workbook",)
        paper = next((p for p in (newest_paper(session, code, ordinal, k) for k in kinds) if p), None)
        if paper is None:
            raise Broken(f"list {ordinal} of {code} was not made")
        facts: dict[str, Json] = {"list": ordinal, "kind": paper.kind, "doc": {"sha256": paper.sha256}}
        tell(session, round_row, event="registration:exported", by=by, facts=facts)
    return read_paper(paper), paper.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class ListStatus:
    """How a list stands: its number, how many rows count, how far its page is signed, and whether it was sent."""

    ordinal: int
    subject: str
    number: str
    rows: dict[str, int]
    page: str
    sha256: str
    sent_with: str | None


def lists_status(code: str) -> list[ListStatus]:
    """Return how each list of a round stands; no personal data."""
    with services().database.transaction() as session:
        look_round(session, code)
        found = []
        for one in lists_of(session, code):
            query = (
                select(EntryRow.state, func.count())
                .where(EntryRow.round == code, EntryRow.list_ordinal == one.ordinal)
                .group_by(col(EntryRow.state))
            )
            papers = (newest_paper(session, code, one.ordinal, k) for k in ("sealed", "approved", "frozen"))
            page = next((paper for paper in papers if paper), None)
            found.append(
                ListStatus(
                    ordinal=one.ordinal,
                    subject=one.subject,
                    number=one.number,
                    rows={str(state): count for state, count in session.exec(query)},
                    page=page.kind if page else "not made",
                    sha256=page.sha256 if page else "",
                    sent_with=one.sent_with,
                )
            )
        return found


def _must_be_time(session: Session, round_row: RoundRow) -> None:
    """Refuse a consolidation while units may still answer."""
    if now(session) > round_row.deadline:
        return
    missing = [unit.code for unit in units_of(session, round_row.code) if unit.answered_at is None]
    if missing:
        raise Forbidden(
            f"{len(missing)} units may still answer until {local(round_row.deadline):%d/%m/%Y %H:%M}: "
            f"{', '.join(missing[:12])}.",
            rule="CER-12",
            way_out="Wait for them or for the deadline; “hoso registration reminders” writes a mail list.",
        )


def digest_of(session: Session, rows: Sequence[EntryRow]) -> str:
    """Return the hash by which the history names rows."""
    commitments: list[list[Json]] = []
    for entry in rows:
        version = session.get_one(VersionRow, (entry.id, entry.version))
        commitments.append([entry.id or 0, entry.version, bytes(version.commitment).hex()])
    return rows_digest(commitments)


def _signatory(session: Session, round_row: RoundRow, official: str) -> str | None:
    """Return who signs a list before the seal; refuses somebody who is no official, and anybody too many (SIG-16)."""
    if round_of(round_row).signed_by == "seal":
        if official:
            raise Forbidden(
                f"the lists of {round_row.code} are signed by the seal alone.",
                rule="SIG-16",
                way_out="Leave --official out; the round says signed_by: seal.",
            )
        return None
    return ask_official(session, round_of(round_row), official).or_refuse().staff


def _waiting(session: Session, code: str, subject: str) -> dict[str, int]:
    """Return how many rows are not on a list yet, by state."""
    query = (
        select(EntryRow.state, func.count())
        .where(
            EntryRow.round == code,
            EntryRow.subject == subject,
            col(EntryRow.state).in_([State.DRAFT, State.SUBMITTED]),
        )
        .group_by(col(EntryRow.state))
    )
    return {str(state): count for state, count in session.exec(query)}
