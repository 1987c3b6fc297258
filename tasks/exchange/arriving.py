"""What a package that holds becomes, in one transaction: a document, a step of one that is here, or a held-up one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from infra.axis import Waits
from infra.database import now
from infra.edxml.faults import Fault
from infra.edxml.reading import Opened
from infra.edxml.values import Business, Letter, Response, Status
from infra.history import Json
from infra.history.recording import record
from infra.object_store import Stored
from infra.services import services
from tasks.dossier.looking import office_of
from tasks.dossier.moves import SYSTEM
from tasks.dossier.offices import OfficeData
from tasks.exchange import books
from tasks.exchange.judging import Judged
from tasks.exchange.lifecycle import allowed, is_said, is_wanted_back, may_still_come
from tasks.exchange.rules import acknowledge_by, legal_effect, message_key
from tasks.exchange.tables import (
    ArrivalRow,
    ExchangeDocumentRow,
    ExchangeFileRow,
    MessageRow,
    RecipientRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """A package that was kept and holds: what it says, and what its files are worth."""

    office: str
    waits: Waits
    package: Stored
    opened: Opened
    judged: Sequence[Judged]
    files: Sequence[Stored]


def _came_before(session: Session, office: str, waits: Waits, package: Stored) -> str | None:
    """Return what became of a package that is here already, under this id or (`duplicate`) under another one."""
    here = session.get(ArrivalRow, (office, waits.axis_id))
    if here is not None and here.state not in ("damaged", "held"):
        return here.state
    query = select(ArrivalRow).where(
        ArrivalRow.office == office,
        ArrivalRow.sha256 == package.sha256,
        ArrivalRow.axis_id != waits.axis_id,
        col(ArrivalRow.state).in_(["taken", "held", "set-aside"]),
    )
    twin = session.exec(query).first()
    if twin is None:
        return None
    _arrived(session, office, waits, package, "duplicate", document=twin.document)
    return "duplicate"


def _arrived(
    session: Session,
    office: str,
    waits: Waits,
    package: Stored,
    state: str,
    *,
    document: str | None,
    faults: Sequence[Fault] = (),
) -> None:
    """Write down that a package came and what became of it."""
    row = session.get(ArrivalRow, (office, waits.axis_id)) or ArrivalRow(
        office=office,
        axis_id=waits.axis_id,
        kind=waits.kind,
        sender=waits.sender,
        state=state,
        arrived_at=now(session),
    )
    before, row.state = row.state, state
    row.sha256, row.store_key, row.size = package.sha256, package.key, package.size
    row.document = document
    row.faults = [str(fault)[:300] for fault in faults]
    session.add(row)
    session.flush()
    if state == "held" and before == "held" and row.attempts:
        return
    row.attempts += 1
    facts: dict[str, Json] = {
        "event": f"exchange:came-{state}",
        "actor": SYSTEM.facts(),
        "office": office,
        "axis": waits.axis_id,
        "kind": waits.kind,
        "sender": waits.sender,
        "doc": {"sha256": package.sha256, "size": package.size},
    }
    if document is not None:
        facts["exchange"] = document
    if faults:
        facts["faults"] = [fault.code[:120] for fault in faults]
    record(session, document or office, facts)


def set_aside(
    office: str, waits: Waits, package: Stored, faults: Sequence[Fault], opened: Opened | None
) -> str:
    """
    Keep a package aside with what is wrong with it, and answer its sender with status 02 where it names a document.

    A status is answered with nothing, and so is a document of which one is here already: the answer would speak of
    that one. Nothing of the package becomes a document. A package that came before changes nothing.
    """
    with services().database.transaction() as session:
        if known := _came_before(session, office, waits, package):
            return known
        _arrived(session, office, waits, package, "set-aside", document=None, faults=faults)
        letter = opened.letter if opened is not None else None
        if letter is None or not letter.document_id or letter.business is Business.RECALL:
            return "set-aside"
        if books.named(session, office, "in", letter.document_id):
            return "set-aside"
        data = office_of(session, office)
        moment = now(session)
        reason = "; ".join(str(fault) for fault in faults)[:1000]
        status = Status(
            code="02",
            sender=books.organ_of(data),
            answers=Response(
                organ=waits.sender,
                code=f"{letter.number}/{letter.notation}",
                day=letter.day,
                document_id=letter.document_id,
            ),
            at=moment,
            description=reason,
        )
        arrived = Status(code="01", sender=status.sender, answers=status.answers, at=moment)
        for place, one in enumerate((arrived, status)):
            books.queue(
                session,
                MessageRow(
                    key=message_key(f"{office}/{waits.axis_id}", f"refusal-{one.code}", [waits.sender], place),
                    office=office, kind="status", to=[waits.sender],
                    internal=books.is_internal(session, waits.sender), status=books.kept(one),
                    next_try_at=moment, queued_at=moment,
                ),
            )  # fmt: skip
    return "set-aside"


def write_down(came: Came) -> str:
    """
    Write down what a sound package says, in one transaction; return what became of it.

    A package that came before changes nothing; one that was held up is looked at again.
    """
    with services().database.transaction() as session:
        if known := _came_before(session, came.office, came.waits, came.package):
            return known
        office = office_of(session, came.office)
        status, letter = came.opened.status, came.opened.letter
        if status is not None:
            state, document = _status_came(session, office, status)
        elif letter is not None and letter.business is Business.RECALL:
            state, document = _recall_came(session, office, letter)
        else:
            assert letter is not None
            state, document = _letter_came(session, office, letter, came)
        _arrived(session, came.office, came.waits, came.package, state, document=document)
    return state


def settle_held(office: str) -> int:
    """Look again at packages that overtook what they belong to; return how many found it."""
    from tasks.exchange.opening import open_again  # noqa: PLC0415  It reads packages, which most acts do not.

    with services().database.transaction() as session:
        query = select(ArrivalRow).where(ArrivalRow.office == office, ArrivalRow.state == "held")
        held = list(session.exec(query.order_by(col(ArrivalRow.arrived_at))))
    waiting = [came for came in map(open_again, held) if came is not None]
    found = 0
    while waiting:
        left = [came for came in waiting if write_down(came) == "held"]
        if len(left) == len(waiting):
            break
        found += len(waiting) - len(left)
        waiting = left  # What was settled may be what another one waits for.
    return found


def _status_came(session: Session, office: OfficeData, status: Status) -> tuple[str, str | None]:
    """Add a status to the chain of what this office sent, wait for what it overtook, or set it aside."""
    found = _sent_to(session, office.code, status)
    if not found:
        return "held", None
    for row in found:
        if status.code in allowed(books.chain_of(session, row.code, _organ(session, row, status))):
            organ = _organ(session, row, status)
            books.add_status(
                session,
                row,
                organ,
                status.code,
                sender=status.sender.code,
                at=status.at,
                reason=status.description,
            )
            _after_status(session, row, status)
            return "taken", row.code
    newest = found[0]
    chain = books.chain_of(session, newest.code, _organ(session, newest, status))
    if is_said(chain, status.code):
        return "duplicate", newest.code
    return ("held" if may_still_come(chain, status.code) else "set-aside"), newest.code


def _sent_to(session: Session, office: str, status: Status) -> list[ExchangeDocumentRow]:
    """Return what this office sent under the name that a status answers, to the agency that says it."""
    rows = books.named(session, office, "out", status.answers.document_id)
    return [row for row in rows if session.get(RecipientRow, (row.code, _organ(session, row, status)))]


def _organ(session: Session, row: ExchangeDocumentRow, status: Status) -> str:
    """Return under which code the agency that says a status got the document."""
    from tasks.exchange.organisations import same_agency  # noqa: PLC0415

    today = now(session).date()
    for one in books.recipients_of(session, row.code):
        if same_agency(session, one.organ, status.sender.code, today):
            return one.organ
    return status.sender.code


def _after_status(session: Session, row: ExchangeDocumentRow, status: Status) -> None:
    """Let the sender see what a status asks for."""
    states = {one.status for one in books.recipients_of(session, row.code)}
    if status.code == "02":
        row.attention = f"returned by {status.sender.code}"
    if status.code == "16":
        row.attention = f"{status.sender.code} does not give it back"
    if status.code == "15" and row.attention.startswith(status.sender.code):
        row.attention = ""
    if states <= {"02", "06", "15"}:
        row.ended_at = now(session)
    session.add(row)


def _recall_came(session: Session, office: OfficeData, letter: Letter) -> tuple[str, str | None]:
    """Give back what is not registered yet; what is waits for a person's decision (EXC-10, STA-06)."""
    wanted = letter.about or letter.document_id
    rows = [r for r in books.named(session, office.code, "in", wanted) if r.state != "cancelled"]
    if not rows:
        known = books.named(session, office.code, "in", wanted)
        return ("duplicate", known[0].code) if known else ("held", None)
    row = rows[0]
    return wanted_back(session, office, row, letter.sender.code, letter.reason), row.code


def wanted_back(
    session: Session, office: OfficeData, row: ExchangeDocumentRow, sender: str, reason: str
) -> str:
    """Say in a document's chain that its sender wants it back, and do what follows; return what became of it."""
    chain = books.chain_of(session, row.code, office.code)
    if "13" not in allowed(chain):
        return "duplicate" if is_wanted_back(chain) else "set-aside"
    moment = now(session)
    books.add_status(session, row, office.code, "13", sender=sender, at=moment, reason=reason)
    if row.state == "arrived":
        cancel(session, office, row)
    else:
        row.state, row.attention = "awaiting-decision", f"{sender} wants it back"
        session.add(row)
    return "taken"


def cancel(session: Session, office: OfficeData, row: ExchangeDocumentRow) -> None:
    """Cancel an incoming document and tell its sender; what stays is its tombstone: names and hashes (EXC-10)."""
    books.queue_status(session, row, office, "15")
    row.state, row.attention, row.ended_at = "cancelled", "", now(session)
    session.add(row)
    facts: dict[str, Json] = {"files": [one.sha256 for one in books.files_of(session, row.code)]}
    books.tell(session, row, event="exchange:cancelled", facts=facts)


def _letter_came(session: Session, office: OfficeData, letter: Letter, came: Came) -> tuple[str, str | None]:
    """Write a document down, say that it arrived, and look at what it takes the place of."""
    replaced = [one.document_id for one in letter.replaces] + ([letter.about] if letter.about else [])
    olds = [
        row
        for name in replaced
        for row in books.named(session, office.code, "in", name)
        if row.state not in ("cancelled", "returned")
    ]
    if replaced and not olds and not any(books.named(session, office.code, "in", n) for n in replaced):
        return "held", None
    business = int(letter.business)
    if business == Business.NEW and books.named(session, office.code, "in", letter.document_id):
        # Other bytes under the same name: whoever changes a document sends an update (STA-05).
        return "set-aside", None
    moment = now(session)
    code = books.next_code(session, office.code, "in")
    signed = bool(came.judged) and came.judged[0].signed
    row = ExchangeDocumentRow(
        code=code,
        office=office.code,
        direction="in",
        document_id=letter.document_id,
        business=business,
        round=books.rounds_before(session, office.code, "in", letter.document_id, business),
        sender=came.waits.sender,
        number=letter.number,
        notation=letter.notation,
        day=letter.day,
        type_name=letter.type_name[:200],
        priority=letter.priority,
        letter=books.kept(letter),
        state="arrived",
        legal_effect=legal_effect(signed),
        about=olds[0].code if olds else None,
        signed_at=came.judged[0].signed_at if came.judged else None,
        made_at=moment,
        sent_at=came.waits.sent_at,
        due_at=acknowledge_by(moment),
    )
    session.add(row)
    session.flush()
    session.add(RecipientRow(document=code, organ=office.code, name=office.unit))
    for position, (one, stored, judged) in enumerate(
        zip(came.opened.attached, came.files, came.judged, strict=True)
    ):
        session.add(
            ExchangeFileRow(
                document=code, position=position, content_id=one.entry.content_id[:200], name=one.entry.name,
                media_type=one.entry.media_type[:200], description=one.entry.description[:500],
                sha256=stored.sha256, key=stored.key, size=stored.size, verdict=judged.kept(),
            )
        )  # fmt: skip
    session.flush()
    weak = came.opened.signed is not None and came.opened.signed.weak
    facts: dict[str, Json] = {
        "sender": row.sender,
        "business": business,
        "files": [stored.sha256 for stored in came.files],
        "effect": row.legal_effect,
        "weak": weak or any(one.weak for one in came.judged),
    }
    books.tell(session, row, event="exchange:arrived", facts=facts)
    if facts["weak"]:
        row.attention = "a signature rests on SHA-1"
    books.queue_status(session, row, office, "01")
    for old in olds:
        wanted_back(session, office, old, row.sender, f"{letter.number}/{letter.notation}")
    return "taken", code
