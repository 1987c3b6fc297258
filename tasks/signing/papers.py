"""
The agency's signature on one of the office's own papers, before it is sent (DOS-11); exactly once, like a result's.

A paper is set with an empty field and stored as `unsealed-…`; what is kept of it has the paper's own name. It
belongs to the dossier and to no original, so its tries are told with `original` 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from sqlmodel import Session, select

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.pdf.checking import SignatureFound
from infra.pdf.signing import check_certificate
from infra.services import services
from tasks.authority.seal import ask_seal_alone
from tasks.authority.values import Decision
from tasks.dossier.looking import hold, office_of, procedure_of
from tasks.dossier.moves import Actor, Telling, tell
from tasks.dossier.offices import OfficeData
from tasks.dossier.papers import PAPER_FIELD, UNSEALED, Paper, find, keep, store_content
from tasks.dossier.tables import DocumentRow
from tasks.forms.appearances import inscription, profile_called
from tasks.signing.authorising import Signer, key_is_registered, why
from tasks.signing.looks import Shown
from tasks.signing.once import Once, alone_at, sign_once
from tasks.signing.rules import kept_key
from tasks.signing.tables import SignatureRow
from tasks.signing.tries import close_try, name_of, tell_intended


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One paper that is to be signed, as it was written down."""

    page: DocumentRow
    paper: Paper  # what it becomes
    certificate: str
    row_id: int
    number: int
    key: str
    stored: bool
    actor: Actor
    place: str
    shown: Shown

    @property
    def code(self) -> str:
        """Return the dossier's code."""
        return self.page.dossier


def sealed_name(page: DocumentRow) -> Paper:
    """Return what a page becomes once the agency has signed it."""
    return Paper(
        dossier=page.dossier,
        kind=page.kind.removeprefix(UNSEALED),
        ordinal=page.ordinal,
        revision=page.revision,
    )


def sign_paper(page: DocumentRow, signer: Signer) -> bool:
    """
    Give a paper the agency's signature; return whether it was added now.

    Raises `Forbidden` when a rule says no (which the history records), `Unavailable` when the token or the
    store is away, `Broken` when what the token gave does not verify. Repeating is harmless at every point.
    """
    with alone_at(name_of(page.dossier, 0), f"a paper of {page.dossier}"):
        task = _intend(page, signer)
        return task is not None and sign_once(_once(task, signer), signer)


def _once(task: _Task, signer: Signer) -> Once:
    """Return the signature of a paper as it was intended."""
    return Once(
        what=f"a paper of {task.code}",
        document_key=task.page.key,
        document_sha256=task.page.sha256,
        field=PAPER_FIELD,
        first=True,
        place=task.place,
        key=task.key,
        stored=task.stored,
        image=task.shown.image(signer.image),
        text=task.shown.lettering,
        tell_end=lambda ending, facts: _tell_end(task, f"signature:{ending}", facts),
        keep=lambda signed, found: _keep(task, signer, signed, found),
    )


def _intend(page: DocumentRow, signer: Signer) -> _Task | None:
    """Ask whether the agency may sign it now and write the intent; `None` when it was signed before."""
    parts = services()
    refusal: Forbidden | None = None
    with parts.database.transaction() as session:
        dossier = hold(session, page.dossier)
        office = office_of(session, dossier.office)
        if find(session, sealed_name(page)) is not None:
            return None
        actor = Actor(role="agency", staff="seal", post=office.unit, office=office.code)
        try:
            decision = _authority(session, office, procedure_of(session, dossier).code, signer)
            check_certificate(
                signer.token.certificate, anchors=parts.anchors, chain=parts.chain, at=now(session)
            )
        except Forbidden as error:
            refusal = error
            facts: dict[str, Json] = {"original": 0, "field": PAPER_FIELD, **why(office.code, error)}
            tell(session, dossier, Telling(event="signature:refused", by=actor, facts=facts))
        else:
            row = _row(session, page, signer)
            row.decision = decision.kept()
            stored = row.tries > 0 and parts.work.find(row.kept_key) is not None
            if not stored:
                tell_intended(session, dossier, row, actor, decision.facts())
            return _Task(
                page=page,
                paper=sealed_name(page),
                certificate=row.certificate_sha256,
                row_id=row.id or 0,
                number=row.tries,
                key=row.kept_key,
                stored=stored,
                actor=actor,
                place=office.place,
                shown=_shown(page, office),
            )
    raise refusal


def _authority(session: Session, office: OfficeData, procedure: str, signer: Signer) -> Decision:
    """Ask at this moment whether the agency may sign with this key; raises `Forbidden`."""
    key_is_registered(session, office.code, signer)
    return ask_seal_alone(session, office, procedure, rule="DOS-11").or_refuse()


def _row(session: Session, page: DocumentRow, signer: Signer) -> SignatureRow:
    """Return the row of a paper's signature: which bytes, which key, and where the result will be."""
    certificate = sha256(signer.token.certificate).hexdigest()
    row = session.exec(
        select(SignatureRow).where(
            SignatureRow.document_sha256 == page.sha256, SignatureRow.field == PAPER_FIELD
        )
    ).one_or_none() or SignatureRow(
        dossier=page.dossier,
        ordinal=0,
        revision=page.revision,
        field=PAPER_FIELD,
        role="agency",
        document_sha256=page.sha256,
        signer="",
        certificate_sha256=certificate,
        kept_key="",
        intended_at=now(session),
    )
    row.certificate_sha256 = certificate
    row.kept_key = kept_key(page.sha256, PAPER_FIELD, certificate)
    session.add(row)
    session.flush()
    return row


def _shown(page: DocumentRow, office: OfficeData) -> Shown:
    """Return what the signature will show."""
    held = page.facts["look"]
    look = profile_called(held["profile"]).look("paper")
    return Shown(text=inscription(look, office), width=held["width"], height=held["height"])


def _tell_end(task: _Task, event: str, facts: dict[str, Json]) -> None:
    """Say in the history how a try ended whose result is not kept."""
    with services().database.transaction() as session:
        dossier = hold(session, task.code)
        row = session.get_one(SignatureRow, task.row_id)
        close_try(row, task.number)
        session.add(row)
        said: dict[str, Json] = {"original": 0, "field": PAPER_FIELD, "try": task.number, **facts}
        tell(session, dossier, Telling(event=event, by=task.actor, facts=said))


def _keep(task: _Task, signer: Signer, signed: bytes, found: SignatureFound) -> bool:
    """Keep a checked signature, or say in the history why it may not be; return whether it was kept now."""
    stored = store_content(signed, "application/pdf")
    refusal: Forbidden | None = None
    with services().database.transaction() as session:
        dossier = hold(session, task.code)
        row = session.get_one(SignatureRow, task.row_id)
        if row.kept_at is not None:
            return False
        if row.kept_key != task.key:
            raise Broken(f"a paper of {task.code} was intended for another certificate meanwhile")
        office = office_of(session, dossier.office)
        try:
            # The moment has passed since the intent: the certificate or the keeper may have ended.
            decision = _authority(session, office, procedure_of(session, dossier).code, signer)
        except Forbidden as error:
            refusal = error
        close_try(row, task.number)
        facts: dict[str, Json] = {
            "original": 0,
            "paper": task.paper.kind,
            "field": PAPER_FIELD,
            "try": task.number,
            "doc": {"sha256": stored.sha256, "size": stored.size},
            "certificate": task.certificate,
        }
        if refusal is not None:
            facts |= {"cause": refusal.rule, **why(office.code, refusal)}
            tell(session, dossier, Telling(event="signature:unused", by=task.actor, facts=facts))
        else:
            row.decision = decision.kept()
            row.kept_sha256, row.level = stored.sha256, found.level
            row.signed_at, row.kept_at = found.time, now(session)
            keep(session, task.paper, stored)
            facts |= {"level": found.level, "authority": decision.facts()}
            tell(session, dossier, Telling(event="signature:done", by=task.actor, facts=facts))
        session.add(row)
    if refusal is not None:
        raise refusal
    return True
