"""
The page of a locked year is signed exactly once: by the certifier who locks it, then by the agency (CERT-29).

The same five moments as for a dossier's document: intent committed, token asked, result checked, stored under a
name computed from the intent, kept. The sealed page goes into the archive for ever (ARC-01).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken, Forbidden, Unavailable
from infra.history import Json
from infra.pdf.checking import SignatureFound, check_signed
from infra.pdf.signing import check_certificate, sign_field
from infra.services import services
from tasks.archival.locks import keep_for_ever
from tasks.authority.rules import decide_seal
from tasks.authority.seal import seal_keeper
from tasks.authority.values import Decision, SealAsked
from tasks.dossier.calendar import local
from tasks.dossier.moves import SYSTEM, Actor, office_of
from tasks.dossier.papers import sha256_of, store_content
from tasks.dossier.procedures import Procedure
from tasks.dossier.tables import ProcedureRow
from tasks.evidence.standing import doubt_about
from tasks.forms.values import Signatory
from tasks.locking.locking import authority_over, locks_of, tell_register
from tasks.locking.printing import register_pdf
from tasks.locking.tables import RegisterLockRow, RegisterPaperRow, RegisterSignatureRow
from tasks.signing.authorising import Signer, key_is_registered, same_authority, why
from tasks.signing.rules import kept_key

#: The field that each role signs, and what the page is called then.
_FIELDS = {"official": "official_1", "agency": "seal"}
_AFTER = {"official": "approved", "agency": "sealed"}

#: Seconds to wait for somebody who signs the same page.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One signature of a page, as it was written down."""

    lock: RegisterLockRow
    frozen: RegisterPaperRow
    document: RegisterPaperRow
    field: str
    row_id: int
    key: str
    number: int
    stored: bool
    actor: Actor
    decision: Decision
    place: str


def freeze_register(lock: RegisterLockRow, official: str) -> RegisterPaperRow:
    """
    Return the page of a locked year as an official signs it today; it is made where it is not there.

    One that somebody has signed stays for ever. One that nobody signed on its day, or that names another
    official or capacity, is made anew. Raises `NoAuthority` when the official may not sign it now.
    """
    with services().database.transaction() as session:
        newest = _newest(session, lock, "frozen")
        if newest is not None and _signed_form(session, newest) is not None:
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
        newest = _newest(session, held, "frozen")
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


def sign_register(lock: RegisterLockRow, signer: Signer, *, expected_sha256: str | None = None) -> bool:
    """
    Give the page of a locked year its next signature by this signer; return whether one was added now.

    `expected_sha256` is the page that was reviewed: another one is refused (SIG-12). Raises `Forbidden` when
    a rule says no (the history records it), `Unavailable` when token or store are away, `Broken` when what the
    token gave does not verify. Repeating is harmless at every point; a sealed page is in the archive too.
    """
    if signer.role == "official":
        freeze_register(lock, signer.staff)
    name = f"register/{lock.office}/{lock.year}/{lock.symbol}"
    with services().database.locked(name, patience=PATIENCE) as alone:
        if not alone:
            raise Unavailable(f"somebody else has been signing the register of {lock.year} for a minute")
        task = _intend(lock, signer, expected_sha256)
        done = task is not None and _sign(task, signer)
    if signer.role == "agency":
        _archive(lock)
    return done


def page_of(lock: RegisterLockRow) -> tuple[RegisterPaperRow, bytes]:
    """Return the page of a locked year as far as it is signed, with its bytes; refuses where there is none yet."""
    with services().database.transaction() as session:
        frozen = _newest(session, lock, "frozen")
        row = (_signed_form(session, frozen) or frozen) if frozen else None
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


def _intend(lock: RegisterLockRow, signer: Signer, expected: str | None) -> _Task | None:
    """Check the authority at this moment and write the intent; a refusal is written too. `None`: signed before."""
    parts, refusal = services(), None
    doubt = doubt_about([signer.token.certificate])
    with parts.database.transaction() as session:
        frozen = _newest(session, lock, "frozen")
        if frozen is None:
            raise Forbidden(
                f"the page of the register of {lock.year} was not made yet.",
                rule="SIG-12",
                way_out="The official signs first: “hoso register sign”.",
            )
        office, field = office_of(session, lock.office), _FIELDS[signer.role]
        document = _signed_form(session, frozen) or frozen
        if field in _signed(session, frozen):
            return None
        actor = _actor(lock, signer, office.unit)
        try:
            decision = _authority(session, lock, frozen, signer)
            _must_be_reviewed(document, expected)
            check_certificate(
                signer.token.certificate, anchors=parts.anchors, chain=parts.chain, at=now(session)
            )
            if doubt is not None:
                raise doubt
        except Forbidden as error:
            refusal = error
            facts: dict[str, Json] = {"field": field, **why(office.code, error)}
            tell_register(session, lock, event="register:signature-refused", by=actor, facts=facts)
        else:
            row = _row(session, frozen, document, field, signer)
            row.decision = decision.kept()
            stored = row.tries > 0 and parts.work.find(row.kept_key) is not None
            if not stored:
                _begin_try(session, lock, row, document, actor, decision)
            return _Task(
                lock=lock,
                frozen=frozen,
                document=document,
                field=field,
                row_id=row.id or 0,
                key=row.kept_key,
                number=row.tries,
                stored=stored,
                actor=actor,
                decision=decision,
                place=office.place,
            )
    raise refusal


def _authority(session: Session, lock: RegisterLockRow, frozen: RegisterPaperRow, signer: Signer) -> Decision:
    """Return by which authority a key signs the page now; raises `Forbidden` (AUTH-06, SIG-12, SIG-13)."""
    office = office_of(session, lock.office)
    key_is_registered(session, office.code, signer)
    if signer.role == "agency":
        keeper = seal_keeper(session, office.code)
        asked = SealAsked(
            office=office.code,
            agency=office.unit,
            procedure="register",
            officials=1,
            signed=len(set(_signed(session, frozen)) - {"seal"}),
            alone="",
            keeper=keeper.keeper if keeper else "",
            moment=now(session),
        )
        return decide_seal(asked).or_refuse()
    if signer.staff != frozen.official:
        raise Forbidden(
            f"the page names {frozen.official}, not {signer.staff}.",
            rule="AUTH-06",
            way_out="Nobody signs what is addressed to somebody else.",
        )
    decision = authority_over(session, lock.office, lock.symbol, signer.staff).or_refuse()
    if list(decision.lines) != frozen.lines or frozen.for_day != local(now(session)).date():
        raise Forbidden(
            "the page is of another day, or names another capacity than the one of now.",
            rule="CERT-26",
            way_out="Sign again; the page is made anew first.",
        )
    return decision


def _must_be_reviewed(document: RegisterPaperRow, expected: str | None) -> None:
    """Refuse a page that is not the one that was looked at."""
    if expected is not None and expected != document.sha256:
        raise Forbidden(
            "the page is not the one that was reviewed.",
            rule="SIG-12",
            way_out="Write it again with “hoso register pdf”, and sign it by its new digest.",
        )


def _row(
    session: Session, frozen: RegisterPaperRow, document: RegisterPaperRow, field: str, signer: Signer
) -> RegisterSignatureRow:
    """Return the row of a signature: which key, and where the result will be."""
    query = select(RegisterSignatureRow).where(
        RegisterSignatureRow.paper == frozen.id, RegisterSignatureRow.field == field
    )
    row = session.exec(query).one_or_none() or RegisterSignatureRow(
        paper=frozen.id or 0, field=field, intended_at=now(session)
    )
    row.certificate_sha256 = sha256(signer.token.certificate).hexdigest()
    row.kept_key = kept_key(document.sha256, field, row.certificate_sha256)
    session.add(row)
    session.flush()
    return row


def _begin_try(
    session: Session,
    lock: RegisterLockRow,
    row: RegisterSignatureRow,
    document: RegisterPaperRow,
    actor: Actor,
    decision: Decision,
) -> None:
    """Begin a try, said in the history after an earlier one whose process died."""
    facts: dict[str, Json] = {"field": row.field, "try": row.tries}
    if row.open_try:
        tell_register(session, lock, event="register:signature-interrupted", by=actor, facts=facts)
    row.tries, row.open_try, row.intended_at = row.tries + 1, True, now(session)
    session.add(row)
    facts |= {
        "try": row.tries,
        "doc": {"sha256": document.sha256},
        "certificate": row.certificate_sha256,
        "authority": decision.facts(),
    }
    tell_register(session, lock, event="register:signature-intended", by=actor, facts=facts)


def _sign(task: _Task, signer: Signer) -> bool:
    """Do what was intended; return whether a signature was kept now."""
    parts = services()
    with _told_when_it_fails(task, signer):
        previous = parts.work.get(task.document.key)
        if sha256_of(previous) != task.document.sha256:
            raise Broken(f"the page of the register of {task.lock.year} in the store is not the one frozen")
        if task.stored:
            # An earlier try got this far and died: what it stored is the signature of this step.
            signed = parts.work.get(task.key)
        else:
            made = _make(task, signer, previous)
            _check(task, signer, previous, made)
            _, signed = parts.work.put_first(task.key, made, content_type="application/pdf")
        found = _check(task, signer, previous, signed)
    return _keep(task, signer, signed, found)


def _make(task: _Task, signer: Signer, previous: bytes) -> bytes:
    """Return the signed revision by one call of the token."""
    parts = services()
    return sign_field(
        previous,
        field=task.field,
        token=signer.token,
        image=signer.image,
        at=local(parts.clock.now()),
        certify=task.field == "official_1",
        name=None,
        location=task.place,
        reason=None,
        chain=parts.chain,
    )


def _check(task: _Task, signer: Signer, previous: bytes, signed: bytes) -> SignatureFound:
    """Return what a validator says of a new revision; raises `Broken` when it may not be kept."""
    parts = services()
    return check_signed(
        previous,
        signed,
        field=task.field,
        certificate=signer.token.certificate,
        anchors=parts.anchors,
        chain=parts.chain,
        at=parts.clock.now(),
    )


@contextmanager
def _told_when_it_fails(task: _Task, signer: Signer) -> Iterator[None]:
    """Say in the history that a signature that was intended did not come to be, whatever the reason."""
    before = signer.token.calls
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        facts: dict[str, Json] = {
            "field": task.field,
            "try": task.number,
            "cause": type(error).__name__,
            "called": signer.token.calls > before,
        }
        if not task.stored:
            with suppress(Unavailable), services().database.transaction() as session:
                row = session.get_one(RegisterSignatureRow, task.row_id)
                row.open_try = False
                session.add(row)
                tell_register(
                    session, task.lock, event="register:signature-failed", by=task.actor, facts=facts
                )
        raise


def _keep(task: _Task, signer: Signer, signed: bytes, found: SignatureFound) -> bool:
    """Keep a checked signature, or say why it is not used; return whether it was kept now."""
    stored, refusal = store_content(signed, "application/pdf"), None
    with services().database.transaction() as session:
        row = session.get_one(RegisterSignatureRow, task.row_id, with_for_update=True)
        if row.kept_at is not None:
            return False
        facts: dict[str, Json] = {
            "field": task.field,
            "try": task.number,
            "doc": {"sha256": stored.sha256, "size": stored.size},
            "certificate": row.certificate_sha256,
        }
        try:
            # The moment has passed since the intent: certificate, post or mandate may have ended, the day too.
            decision = _authority(session, task.lock, task.frozen, signer)
            same_authority(task.decision, decision, f"the register of {task.lock.year}")
        except Forbidden as error:
            refusal = error
        row.open_try = False
        session.add(row)
        if refusal is not None:
            facts |= {"cause": refusal.rule, **why(task.lock.office, refusal)}
            tell_register(session, task.lock, event="register:signature-unused", by=task.actor, facts=facts)
        else:
            row.kept_sha256, row.level = stored.sha256, found.level
            row.signed_at, row.kept_at = found.time, now(session)
            kept = task.frozen.model_dump(exclude={"id"})
            kept |= {"kind": _AFTER[signer.role], "sha256": stored.sha256, "size": stored.size}
            session.add(RegisterPaperRow(**{**kept, "key": stored.key, "made_at": now(session)}))
            facts |= {"level": found.level, "authority": task.decision.facts()}
            tell_register(session, task.lock, event="register:signature-done", by=task.actor, facts=facts)
            return True
    raise refusal


def _archive(lock: RegisterLockRow) -> None:
    """Lay the sealed page into the archive, locked as long as the store allows; again is the same object."""
    row, content = page_of(lock)
    if row.kind != "sealed":
        return
    name = f"registers/{lock.office}/{lock.year}-{lock.symbol.replace('/', '-')}.pdf"
    keep_for_ever("register", name, content, "application/pdf")


def _newest(session: Session, lock: RegisterLockRow, kind: str) -> RegisterPaperRow | None:
    """Return the newest form of a kind of the page of a locked year."""
    query = select(RegisterPaperRow).where(
        RegisterPaperRow.office == lock.office,
        RegisterPaperRow.year == lock.year,
        RegisterPaperRow.symbol == lock.symbol,
        RegisterPaperRow.kind == kind,
    )
    return session.exec(query.order_by(col(RegisterPaperRow.revision).desc())).first()


def _signed_form(session: Session, frozen: RegisterPaperRow) -> RegisterPaperRow | None:
    """Return the page with the signatures that it has, if it has one."""
    lock = session.get_one(RegisterLockRow, (frozen.office, frozen.year, frozen.symbol))
    forms = [_newest(session, lock, kind) for kind in ("sealed", "approved")]
    return next((one for one in forms if one is not None and one.revision == frozen.revision), None)


def _signed(session: Session, frozen: RegisterPaperRow) -> list[str]:
    """Return the fields of a page whose signature is kept."""
    query = select(RegisterSignatureRow.field).where(
        RegisterSignatureRow.paper == frozen.id, col(RegisterSignatureRow.kept_at).is_not(None)
    )
    return list(session.exec(query))


def _actor(lock: RegisterLockRow, signer: Signer, unit: str) -> Actor:
    """Return the signer as the history names it."""
    if signer.role == "agency":
        return Actor(role="agency", staff="seal", post=unit, office=lock.office)
    return Actor(role="official", staff=signer.staff, office=lock.office)


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
