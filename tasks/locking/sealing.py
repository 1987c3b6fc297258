"""
The page of a locked year is signed exactly once: by the certifier who locks it, then by the agency (CERT-29).

The five moments are those of every signature (`tasks.signing.once`). The sealed page goes into the archive for
ever (ARC-01).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from sqlmodel import Session, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.pdf.checking import SignatureFound
from infra.pdf.signing import check_certificate
from infra.services import services
from tasks.archival.locks import keep_for_ever
from tasks.authority.rules import decide_seal
from tasks.authority.seal import seal_keeper
from tasks.authority.values import Decision, SealAsked
from tasks.dossier.calendar import local
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor
from tasks.dossier.papers import store_content
from tasks.evidence.standing import doubt_about
from tasks.locking.locking import authority_over, tell_register
from tasks.locking.pages import freeze_register, newest_form, page_of, signed_fields, signed_form
from tasks.locking.tables import RegisterLockRow, RegisterPaperRow, RegisterSignatureRow
from tasks.signing.authorising import Signer, key_is_registered, same_authority, why
from tasks.signing.once import Once, alone_at, sign_once
from tasks.signing.rules import kept_key

#: The field that each role signs, and what the page is called then.
_FIELDS = {"official": "official_1", "agency": "seal"}
_AFTER = {"official": "approved", "agency": "sealed"}


def sign_register(lock: RegisterLockRow, signer: Signer, *, expected_sha256: str | None = None) -> bool:
    """
    Give the page of a locked year its next signature by this signer; return whether one was added now.

    `expected_sha256` is the page that was reviewed: another one is refused (SIG-12). Raises `Forbidden` when
    a rule says no (the history records it), `Unavailable` when token or store are away, `Broken` when what the
    token gave does not verify. Repeating is harmless at every point; a sealed page is in the archive too.
    """
    if signer.role == "official":
        freeze_register(lock, signer.staff)
    what = f"the register {lock.symbol} of {lock.year}"
    with alone_at(f"register/{lock.office}/{lock.year}/{lock.symbol}", what):
        intent = _intend(lock, signer, expected_sha256)
        done = intent is not None and sign_once(intent.once(what, signer), signer)
    if signer.role == "agency":
        _archive(lock)
    return done


@dataclass(frozen=True, slots=True, kw_only=True)
class _Intent:
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

    def once(self, what: str, signer: Signer) -> Once:
        """Return it as the five moments know it."""
        return Once(
            what=what,
            document_key=self.document.key,
            document_sha256=self.document.sha256,
            field=self.field,
            first=self.field == "official_1",
            place=self.place,
            key=self.key,
            stored=self.stored,
            tell_end=self.tell_end,
            keep=lambda signed, found: _keep(self, signer, signed, found),
            image=signer.image,
        )

    def tell_end(self, end: str, facts: dict[str, Json]) -> None:
        """Say in the history how a try ended whose result is not kept."""
        with services().database.transaction() as session:
            row = session.get_one(RegisterSignatureRow, self.row_id)
            row.open_try = False
            session.add(row)
            said: dict[str, Json] = {"field": self.field, "try": self.number, **facts}
            tell_register(session, self.lock, event=f"register:signature-{end}", by=self.actor, facts=said)


def _intend(lock: RegisterLockRow, signer: Signer, expected: str | None) -> _Intent | None:
    """Check the authority at this moment and write the intent; a refusal is written too. `None`: signed before."""
    parts, refusal = services(), None
    doubt = doubt_about([signer.token.certificate])
    with parts.database.transaction() as session:
        frozen = newest_form(session, lock, "frozen")
        if frozen is None:
            raise Forbidden(
                f"the page of the register of {lock.year} was not made yet.",
                rule="SIG-12",
                way_out="The official signs first: “hoso register sign”.",
            )
        office, field = office_of(session, lock.office), _FIELDS[signer.role]
        document = signed_form(session, frozen) or frozen
        if field in signed_fields(session, frozen):
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
            return _Intent(
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
            signed=len(set(signed_fields(session, frozen)) - {"seal"}),
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


def _keep(intent: _Intent, signer: Signer, signed: bytes, found: SignatureFound) -> bool:
    """Keep a checked signature, or say why it is not used; return whether it was kept now."""
    stored, refusal = store_content(signed, "application/pdf"), None
    with services().database.transaction() as session:
        row = session.get_one(RegisterSignatureRow, intent.row_id, with_for_update=True)
        if row.kept_at is not None:
            return False
        facts: dict[str, Json] = {
            "field": intent.field,
            "try": intent.number,
            "doc": {"sha256": stored.sha256, "size": stored.size},
            "certificate": row.certificate_sha256,
        }
        try:
            # The moment has passed since the intent: certificate, post or mandate may have ended, the day too.
            decision = _authority(session, intent.lock, intent.frozen, signer)
            same_authority(intent.decision, decision, f"the register of {intent.lock.year}")
        except Forbidden as error:
            refusal = error
        row.open_try = False
        session.add(row)
        if refusal is not None:
            facts |= {"cause": refusal.rule, **why(intent.lock.office, refusal)}
            tell_register(
                session, intent.lock, event="register:signature-unused", by=intent.actor, facts=facts
            )
        else:
            row.kept_sha256, row.level = stored.sha256, found.level
            row.signed_at, row.kept_at = found.time, now(session)
            kept = intent.frozen.model_dump(exclude={"id"})
            kept |= {"kind": _AFTER[signer.role], "sha256": stored.sha256, "size": stored.size}
            session.add(RegisterPaperRow(**{**kept, "key": stored.key, "made_at": now(session)}))
            facts |= {"level": found.level, "authority": intent.decision.facts()}
            tell_register(session, intent.lock, event="register:signature-done", by=intent.actor, facts=facts)
            return True
    raise refusal


def _archive(lock: RegisterLockRow) -> None:
    """Lay the sealed page into the archive, locked as long as the store allows; again is the same object."""
    row, content = page_of(lock)
    if row.kind != "sealed":
        return
    name = f"registers/{lock.office}/{lock.year}-{lock.symbol.replace('/', '-')}.pdf"
    keep_for_ever("register", name, content, "application/pdf")


def _actor(lock: RegisterLockRow, signer: Signer, unit: str) -> Actor:
    """Return the signer as the history names it."""
    if signer.role == "agency":
        return Actor(role="agency", staff="seal", post=unit, office=lock.office)
    return Actor(role="official", staff=signer.staff, office=lock.office)
