"""May a list be signed, now, by this key: written down before the token is touched, and how every try ended."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.pdf.signing import check_certificate
from infra.services import services
from tasks.authority.records import signing_actor
from tasks.authority.values import Decision
from tasks.certificates.tables import CertificateRow
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor, person
from tasks.dossier.offices import OfficeData
from tasks.evidence.standing import doubt_about
from tasks.registration.authorising import ask_agency, ask_official
from tasks.registration.lists import list_of, newest_paper
from tasks.registration.rounds import hold_round, round_of, tell
from tasks.registration.tables import ListRow, PaperRow, PaperSignatureRow, RoundRow
from tasks.signing.authorising import Signer, key_is_registered, why
from tasks.signing.rules import agrees_with_page, kept_key, order_holds

#: The field that each role signs, and what the page is called then.
FIELDS = {"official": "official_1", "agency": "seal"}
AFTER = {"official": "approved", "agency": "sealed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What one signature of a list is to be, as it was written down."""

    code: str
    ordinal: int
    field: str
    document: PaperRow
    row_id: int
    key: str
    place: str
    actor: Actor
    decision: Decision
    #: Which try of this signature it is, counted from 1.
    number: int
    #: An earlier try has stored its signature and died; the token is not asked again.
    stored: bool

    @property
    def first(self) -> bool:
        """Whether nobody has signed the page before."""
        return self.document.kind == "frozen"


def intend(code: str, ordinal: int, signer: Signer, expected: str | None) -> Intent | None:
    """Check the authority at this moment and write the intent; a refusal is written too. `None`: signed before."""
    refusal: Forbidden | None = None
    # Asked now, and not while the round is locked: a responder may take its time.
    doubt = doubt_about([*_certificates_before(code, ordinal), signer.token.certificate])
    with services().database.transaction() as session:
        round_row = hold_round(session, code)
        one = list_of(session, code, ordinal)
        frozen = newest_paper(session, code, ordinal, "frozen")
        if frozen is None:
            raise Broken(f"list {ordinal} of {code} was not frozen")
        office, field = office_of(session, round_row.office), FIELDS[signer.role]
        signed = signed_fields(session, frozen)
        if field in signed:
            return None
        try:
            document, decision = _authorise(session, round_row, one, signer, signed, expected)
            parts = services()
            check_certificate(
                signer.token.certificate, anchors=parts.anchors, chain=parts.chain, at=now(session)
            )
            if doubt is not None:
                raise doubt
        except Forbidden as error:
            refusal = error
            facts: dict[str, Json] = {"list": ordinal, "field": field, **why(office.code, error)}
            actor = _actor(office, signer)
            tell(session, round_row, event="registration:signature-refused", by=actor, facts=facts)
        else:
            official = signer.role == "official"
            actor = signing_actor(office.code, decision) if official else _actor(office, signer)
            row = _intent_row(session, document, field, signer, decision)
            stored = row.tries > 0 and services().work.find(row.kept_key) is not None
            if not stored:
                _begin_try(session, round_row, row, actor, decision)
            return Intent(
                code=code,
                ordinal=ordinal,
                field=field,
                document=document,
                row_id=row.id or 0,
                key=row.kept_key,
                place=office.place,
                actor=actor,
                decision=decision,
                number=row.tries,
                stored=stored,
            )
    raise refusal


def _certificates_before(code: str, ordinal: int) -> list[bytes]:
    """Return the certificates of those who have signed a list's newest page already, for one may be revoked since."""
    with services().database.transaction() as session:
        frozen = newest_paper(session, code, ordinal, "frozen")
        if frozen is None:
            return []
        query = select(CertificateRow.der).join(
            PaperSignatureRow, col(PaperSignatureRow.certificate_sha256) == col(CertificateRow.sha256)
        )
        return list(
            session.exec(
                query.where(
                    PaperSignatureRow.round == code,
                    PaperSignatureRow.list_ordinal == ordinal,
                    PaperSignatureRow.revision == frozen.revision,
                    col(PaperSignatureRow.kept_at).is_not(None),
                )
            )
        )


def authority_now(session: Session, round_row: RoundRow, signer: Signer, signed: list[str]) -> Decision:
    """Return by which authority a key signs a list now; raises `Forbidden` (AUTH-06, SIG-12, SIG-13, SIG-16)."""
    office = office_of(session, round_row.office)
    key_is_registered(session, office.code, signer)
    if signer.role == "agency":
        return ask_agency(session, round_of(round_row), signed=bool(signed)).or_refuse()
    return ask_official(session, round_of(round_row), signer.staff).or_refuse()


def _authorise(
    session: Session,
    round_row: RoundRow,
    one: ListRow,
    signer: Signer,
    signed: list[str],
    expected: str | None,
) -> tuple[PaperRow, Decision]:
    """Return the bytes that this signer may sign now, and by which authority; raises `Forbidden`."""
    route = ["official_1", "seal"] if one.official is not None else ["seal"]
    field, which = FIELDS[signer.role], f"list {one.ordinal} of {one.round}"
    if field not in route:
        raise Forbidden(
            f"{which} is signed by the seal alone.",
            rule="SIG-16",
            way_out="Seal it with “hoso registration seal”.",
        )
    order_holds(route, signed, field)
    if signer.role == "official" and signer.staff != one.official:
        raise Forbidden(
            f"the page of {which} names {one.official}, not {signer.staff}.",
            rule="AUTH-06",
            way_out="Take it over with “hoso registration take-over” before anybody has signed it.",
        )
    decision = authority_now(session, round_row, signer, signed)
    document = newest_paper(session, one.round, one.ordinal, "approved" if signed else "frozen")
    if document is None:
        raise Broken(f"{which} is signed but has no signed page")
    if signer.role == "official":
        agrees_with_page({"lines": {field: document.facts.get("lines")}}, field, decision)
    if expected is not None and expected != document.sha256:
        raise Forbidden(
            f"the page of {which} is not the one that was reviewed.",
            rule="SIG-12",
            way_out="Export and review it again; then sign it by its new digest.",
        )
    return document, decision


def signed_fields(session: Session, frozen: PaperRow) -> list[str]:
    """Return the fields of a page whose signature is kept."""
    query = select(PaperSignatureRow.field).where(
        PaperSignatureRow.round == frozen.round,
        PaperSignatureRow.list_ordinal == frozen.list_ordinal,
        PaperSignatureRow.revision == frozen.revision,
        col(PaperSignatureRow.kept_at).is_not(None),
    )
    return list(session.exec(query))


def _actor(office: OfficeData, signer: Signer) -> Actor:
    """Return the signer as the history names it, where no decision does."""
    if signer.role == "agency":
        return Actor(role="agency", staff="seal", post=office.unit, office=office.code)
    return person(office, office.officer(signer.staff, "official"), "official")


def _intent_row(
    session: Session, document: PaperRow, field: str, signer: Signer, decision: Decision
) -> PaperSignatureRow:
    """Write down, before the token is touched, what is about to be signed by which key."""
    row = session.exec(
        select(PaperSignatureRow).where(
            PaperSignatureRow.round == document.round,
            PaperSignatureRow.list_ordinal == document.list_ordinal,
            PaperSignatureRow.revision == document.revision,
            PaperSignatureRow.field == field,
        )
    ).one_or_none()
    row = row or PaperSignatureRow(
        round=document.round,
        list_ordinal=document.list_ordinal,
        revision=document.revision,
        field=field,
        document_sha256="",
        signer="",
        certificate_sha256="",
        kept_key="",
        intended_at=now(session),
    )
    row.signer, row.document_sha256 = signer.staff, document.sha256
    row.certificate_sha256 = sha256(signer.token.certificate).hexdigest()
    row.kept_key = kept_key(document.sha256, field, row.certificate_sha256)
    row.decision = decision.kept()
    session.add(row)
    session.flush()
    return row


def _begin_try(
    session: Session, round_row: RoundRow, row: PaperSignatureRow, actor: Actor, decision: Decision
) -> None:
    """
    Begin a try: say so in the history, after an earlier one that nobody told the end of.

    The caller holds the name of the list, so nobody is at that one any more; its process has died.
    """
    facts: dict[str, Json] = {"list": row.list_ordinal, "field": row.field, "try": row.tries}
    if row.open_try:
        tell(session, round_row, event="registration:signature-interrupted", by=actor, facts=facts)
    row.tries, row.open_try, row.intended_at = row.tries + 1, True, now(session)
    session.add(row)
    facts |= {
        "try": row.tries,
        "doc": {"sha256": row.document_sha256},
        "certificate": row.certificate_sha256,
        "authority": decision.facts(),
    }
    tell(session, round_row, event="registration:signature-intended", by=actor, facts=facts)


def tell_end(task: Intent, *, event: str, facts: dict[str, Json]) -> None:
    """Say in the history how a try ended whose result is not kept."""
    with services().database.transaction() as session:
        round_row = hold_round(session, task.code)
        row = session.get_one(PaperSignatureRow, task.row_id)
        if row.tries == task.number:
            row.open_try = False
            session.add(row)
        told: dict[str, Json] = {"list": task.ordinal, "field": task.field, "try": task.number, **facts}
        tell(session, round_row, event=event, by=task.actor, facts=told)
