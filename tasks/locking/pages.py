"""The page of a locked year, as it is now: made for the official of today, approved, sealed (CERT-29)."""

from __future__ import annotations

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.moves import SYSTEM
from tasks.dossier.papers import sha256_of, store_content
from tasks.dossier.procedures import Procedure
from tasks.dossier.tables import ProcedureRow
from tasks.forms.values import Signatory
from tasks.locking.locking import authority_over, locks_of, tell_register
from tasks.locking.printing import register_pdf
from tasks.locking.tables import RegisterLockRow, RegisterPaperRow, RegisterSignatureRow


def freeze_register(lock: RegisterLockRow, official: str) -> RegisterPaperRow:
    """
    Return the page of a locked year as an official signs it today; it is made where it is not there.

    One that somebody has signed stays for ever. One that nobody signed on its day, or that names another
    official or capacity, is made anew. Raises `NoAuthority` when the official may not sign it now.
    """
    with services().database.transaction() as session:
        newest = newest_form(session, lock, "frozen")
        if newest is not None and signed_form(session, newest) is not None:
            return newest
        today = local(now(session)).date()
        decision = authority_over(session, lock.office, lock.symbol, official).or_refuse()
        named = (today, official, list(decision.lines))
        if newest is not None and (newest.for_day, newest.official, newest.lines) == named:
            return newest
        officer = office_of(session, lock.office).officer(official, "official")
        signatory = Signatory(title_lines=decision.lines, full_name=officer.name)
        content = register_pdf(session, lock, _title(session, lock.symbol), signatory, today)
        revision = newest.revision + 1 if newest else 0
    stored = store_content(content, "application/pdf")
    with services().database.transaction() as session:
        held = session.get_one(RegisterLockRow, (lock.office, lock.year, lock.symbol))
        newest = newest_form(session, held, "frozen")
        if newest is not None and newest.revision >= revision:
            return newest
        row = RegisterPaperRow(
            office=lock.office,
            year=lock.year,
            symbol=lock.symbol,
            kind="frozen",
            revision=revision,
            for_day=named[0],
            official=official,
            lines=named[2],
            sha256=stored.sha256,
            size=stored.size,
            key=stored.key,
            made_at=now(session),
        )
        session.add(row)
        session.flush()
        facts: dict[str, Json] = {
            "doc": {"sha256": stored.sha256, "size": stored.size},
            "for_day": named[0].isoformat(),
        }
        tell_register(session, held, event="register:frozen", by=SYSTEM, facts=facts)
        return row


def page_of(lock: RegisterLockRow) -> tuple[RegisterPaperRow, bytes]:
    """Return the page of a locked year as far as it is signed, with its bytes; refuses where there is none yet."""
    with services().database.transaction() as session:
        frozen = newest_form(session, lock, "frozen")
        row = (signed_form(session, frozen) or frozen) if frozen else None
    if row is None:
        raise Forbidden(
            f"the register {lock.symbol} of {lock.office} for {lock.year} has no page yet.",
            rule="CERT-29",
            way_out="“hoso register pdf --official STAFF” makes the page that this official signs.",
        )
    content = services().work.get(row.key)
    if sha256_of(content) != row.sha256:
        raise Broken(f"the page of the register of {lock.year} in the work store is not what was kept there")
    return row, content


def newest_form(session: Session, lock: RegisterLockRow, kind: str) -> RegisterPaperRow | None:
    """Return the newest form of a kind of the page of a locked year."""
    query = select(RegisterPaperRow).where(
        RegisterPaperRow.office == lock.office,
        RegisterPaperRow.year == lock.year,
        RegisterPaperRow.symbol == lock.symbol,
        RegisterPaperRow.kind == kind,
    )
    return session.exec(query.order_by(col(RegisterPaperRow.revision).desc())).first()


def signed_form(session: Session, frozen: RegisterPaperRow) -> RegisterPaperRow | None:
    """Return the page with the signatures that it has, if it has one."""
    lock = session.get_one(RegisterLockRow, (frozen.office, frozen.year, frozen.symbol))
    forms = [newest_form(session, lock, kind) for kind in ("sealed", "approved")]
    return next((one for one in forms if one is not None and one.revision == frozen.revision), None)


def signed_fields(session: Session, frozen: RegisterPaperRow) -> list[str]:
    """Return the fields of a page whose signature is kept."""
    query = select(RegisterSignatureRow.field).where(
        RegisterSignatureRow.paper == frozen.id, col(RegisterSignatureRow.kept_at).is_not(None)
    )
    return list(session.exec(query))


def _title(session: Session, symbol: str) -> str:
    """Return what a register is called by the procedure that has it."""
    for row in session.exec(select(ProcedureRow).order_by(col(ProcedureRow.version).desc())):
        register = Procedure.model_validate(row.body).register_
        if register is not None and register.symbol == symbol:
            return register.title
    raise Broken(f"no procedure has the register {symbol}")


def one_lock(office: str, year: int, symbol: str = "") -> RegisterLockRow:
    """Return the lock of an office's year; refuses to guess where there are several registers."""
    with services().database.transaction() as session:
        found = [one for one in locks_of(session, office, year) if symbol in ("", one.symbol)]
    if len(found) != 1:
        symbols = ", ".join(one.symbol for one in found) or "none of that symbol"
        raise Forbidden(
            f"{office} has {len(found)} locked registers of {year}: {symbols}.",
            rule="CERT-24",
            way_out="Name one with --symbol.",
        )
    return found[0]
