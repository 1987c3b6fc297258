"""What people do with exchanged documents: accept, return, work on, decide about a recall, recall, send again."""

from __future__ import annotations

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.object_store import Stored
from infra.services import services
from tasks.certification.results import take_result
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor
from tasks.dossier.tables import DossierRow
from tasks.dossier.waiting import results_awaited
from tasks.exchange import arriving, books, posting
from tasks.exchange.lifecycle import allowed, is_wanted_back
from tasks.exchange.outgoing import queue_letter, recalled
from tasks.exchange.tables import ExchangeDocumentRow
from tasks.people.acting import acting

#: The longest reason of a return or a recall, in characters (STA-06).
LONGEST_REASON = 1000


def _held(
    session: Session, code: str, by: Actor, act: str, direction: str
) -> tuple[ExchangeDocumentRow, Actor]:
    """Return a document for an act, locked, and the person in the role that allows it."""
    row = books.look(session, code)
    by = acting(session, by, f"exchange {act}", office=row.office)
    row = books.hold(session, code)
    if row.direction != direction:
        raise Forbidden(
            f"{code} is {'an outgoing' if row.direction == 'out' else 'an incoming'} document.",
            rule="EXC-09",
            way_out="Outgoing ones are recalled; incoming ones are accepted, returned and worked on.",
        )
    if row.state == "cancelled":
        raise Forbidden(
            f"{code} was cancelled; only its name and hashes are kept.",
            rule="EXC-10",
            way_out="“hoso exchange show” tells when and why.",
        )
    return row, by


def accept(code: str, *, by: Actor) -> ExchangeDocumentRow:
    """
    Register an incoming document: status 03 goes to its sender. Accepting it again changes nothing.

    Where it answers an open dossier of this office that awaits a result, it becomes that result at once (DOS-27).
    """
    with services().database.transaction() as session:
        row, by = _held(session, code, by, "accept", "in")
        if row.state == "registered":
            return row
        _must_be(row, "arrived")
        office = office_of(session, row.office)
        row.state, row.answered_at, row.attention = "registered", now(session), ""
        row.dossier = _awaiting(session, row)
        if row.dossier is not None:
            row.ordinal = _hand_in(session, row, by)
        session.add(row)
        facts: dict[str, Json] = {"dossier": row.dossier} if row.dossier else {}
        books.tell(session, row, event="exchange:registered", by=by, facts=facts)
        books.queue_status(session, row, office, "03", by=by)
        return row


def _awaiting(session: Session, row: ExchangeDocumentRow) -> str | None:
    """Return the open dossier of this office that a document brings the result of, or `None` (DOS-27)."""
    for answers in books.letter_of(row).answers:
        named = {answers.code, answers.document_id.rpartition(",")[2]}
        query = select(DossierRow.code).where(
            col(DossierRow.code).in_(named), DossierRow.office == row.office
        )
        for code in session.exec(query):
            if results_awaited(session, code):
                return code
    return None


def _hand_in(session: Session, row: ExchangeDocumentRow, by: Actor) -> int:
    """Let the document that came be the dossier's result; return which original it is (DOS-27)."""
    assert row.dossier is not None
    main = books.files_of(session, row.code)[0]
    if row.legal_effect != "replaces-paper":
        raise Forbidden(
            f"{row.code} is not signed, so it cannot be the result of {row.dossier}.",
            rule="EXC-02",
            way_out="Return it to its sender with “hoso exchange return”.",
        )
    stored = Stored(key=main.key, version_id="", sha256=main.sha256, size=main.size)
    return take_result(session, row.dossier, stored, sender=row.sender, by=by)


def give_back(code: str, reason: str, *, by: Actor) -> None:
    """Return an incoming document to its sender with the reason: status 02 (NĐ 30 Art. 21). Again changes nothing."""
    with services().database.transaction() as session:
        row, by = _held(session, code, by, "return", "in")
        if row.state == "returned":
            return
        _must_be(row, "arrived")
        reason = _reason(reason)
        office = office_of(session, row.office)
        row.state, row.answered_at, row.attention, row.ended_at = "returned", now(session), "", now(session)
        session.add(row)
        books.tell(session, row, event="exchange:returned", by=by)
        books.queue_status(session, row, office, "02", reason, by=by)


def progress(code: str, status: str, *, by: Actor) -> None:
    """Tell the sender how far the work on a registered document is: 04, 05 or 06 (EXC-09)."""
    if status not in ("04", "05", "06"):
        raise Forbidden(
            f"“{status[:10]}” is no step of the work on a document.",
            rule="STA-02",
            way_out="04 is assigned, 05 is being worked on, 06 is done.",
        )
    with services().database.transaction() as session:
        row, by = _held(session, code, by, "progress", "in")
        chain = books.chain_of(session, row.code, row.office)
        if chain and chain[-1] == status:
            return
        _must_be(row, "registered")
        books.queue_status(session, row, office_of(session, row.office), status, by=by)
        if status == "06":
            row.ended_at = now(session)
            session.add(row)


def decide(code: str, *, agree: bool, reason: str, by: Actor) -> None:
    """
    Decide about a registered document that its sender wants back: 15 gives it back and cancels it, 16 keeps it.

    A refusal needs its reason.
    """
    with services().database.transaction() as session:
        row, by = _held(session, code, by, "confirm", "in")
        _must_be(row, "awaiting-decision")
        office = office_of(session, row.office)
        facts: dict[str, Json] = {"agree": agree}
        books.tell(session, row, event="exchange:decided", by=by, facts=facts)
        if agree:
            arriving.cancel(session, office, row)
            return
        books.queue_status(session, row, office, "16", _reason(reason), by=by)
        row.state, row.attention = "registered", ""
        session.add(row)


def recall(code: str, reason: str, *, by: Actor) -> str:
    """
    Have a document back; return `cancelled` when nothing had left, `asked` when the agencies were asked (STA-04).

    Raises `Forbidden` when every agency has finished with it. Asking again changes nothing.
    """
    with services().database.transaction() as session:
        row, by = _held(session, code, by, "recall", "out")
        reason = _reason(reason)
        if posting.cancel_queued(session, row):
            row.state, row.ended_at = "cancelled", now(session)
            session.add(row)
            books.tell(session, row, event="exchange:recalled", by=by, private={"reason": reason})
            return "cancelled"
        chains = {
            one.organ: books.chain_of(session, code, one.organ) for one in books.recipients_of(session, code)
        }
        if any(map(is_wanted_back, chains.values())):
            return "asked"
        asked = [organ for organ, chain in chains.items() if "13" in allowed(chain)]
        if not asked:
            raise Forbidden(
                f"every agency has finished with {code} or returned it.",
                rule="STA-02",
                way_out="Correct it by another document of the same form (EXC-11).",
            )
        moment = now(session)
        letter = recalled(books.letter_of(row), reason)
        queue_letter(session, row, recall=letter)
        for organ in asked:
            books.add_status(session, row, organ, "13", sender=row.office, at=moment, reason=reason, by=by)
        books.tell(session, row, event="exchange:recall-asked", by=by, private={"reason": reason})
        return "asked"


def send_again(code: str, *, by: Actor) -> int:
    """Queue the dead letters of a document again; return how many there were."""
    with services().database.transaction() as session:
        row = books.look(session, code)
        by = acting(session, by, "exchange resend", office=row.office)
        row = books.hold(session, code)
        count = posting.resend(session, row)
        if count:
            row.attention = ""
            session.add(row)
            books.tell(session, row, event="exchange:resent", by=by, facts={"packages": count})
        return count


def _must_be(row: ExchangeDocumentRow, state: str) -> None:
    """Refuse an act that a document's state does not allow."""
    if row.state != state:
        raise Forbidden(
            f"{row.code} is {row.state}.",
            rule="STA-02",
            way_out="“hoso exchange show” says what it waits for.",
        )


def _reason(text: str) -> str:
    """Return a reason, or refuse one that is missing or too long (STA-06)."""
    text = " ".join(text.split())
    if not text or len(text) > LONGEST_REASON:
        raise Forbidden(
            f"a reason has 1 to {LONGEST_REASON} characters; this one has {len(text)}.",
            rule="STA-06",
            way_out="Write the reason in a sentence.",
        )
    return text
