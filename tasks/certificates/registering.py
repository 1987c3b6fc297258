"""
Registering a certificate: the key shows that it is there, and only then does the certificate speak for somebody.

Everything that can be refused without the token is refused first. The test signature is told before it is
made. What follows is one transaction: record, device, state and history, or nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from infra.token.proving import Proof, prove, proves
from infra.token.uri import TokenUri
from tasks.certificates.activating import activate_now, taken_over_from
from tasks.certificates.choosing import whose
from tasks.certificates.lifecycle import CertificateState
from tasks.certificates.reading import CertificateFacts, read_certificate
from tasks.certificates.records import (
    become,
    holder_facts,
    holder_of,
    keep_token,
    policy,
    record_of,
    tell_of,
)
from tasks.certificates.rules import Holder, check_key, check_subject, check_use, check_validity, was_imported
from tasks.certificates.tables import CertificateRow
from tasks.dossier.moves import Actor
from tasks.people.acting import acting


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A certificate that is to be registered: whose, the file, the name of its key, the picture of a signature."""

    office: str
    holder: str  # a staff code, or `seal`
    certificate: bytes
    uri: str
    image: bytes | None = None


def register(
    presented: Presented,
    ask_pin: Callable[[], str],
    doubt: Callable[[Sequence[bytes]], Forbidden | None],
    *,
    by: Actor,
    later: bool = False,
) -> CertificateRow:
    """
    Prove that the key of a certificate is on its token, bind the two, and let it sign (or `later` not yet).

    The PIN is asked for when everything else was found right (a token with a pad asks by itself), offered
    once, and the key is used once. `doubt` says why a certificate may not be relied on: whether its issuer
    revoked it. Raises `Forbidden` with the reason for whatever is wrong
    with certificate, key or PIN, and nothing is changed but the history; `TokenAbsent`. Registering what is
    registered tests it again and binds it to where its key is now.
    """
    facts = read_certificate(presented.certificate)
    uri = TokenUri.parse(presented.uri)
    parts = services()
    with parts.database.transaction() as session:
        holder = holder_of(session, presented.office, presented.holder)
        by = acting(session, by, "certificate register", office=holder.office)
    try:
        with parts.database.transaction() as session:
            _must_be_admissible(session, session.get(CertificateRow, facts.sha256), holder, later=later)
            check_certificate(facts, holder, session)
        if (refusal := doubt([facts.der])) is not None:
            raise refusal
        _tell(holder, facts, event="certificate:testing", by=by)
        pin = None if parts.has_pad(str(uri)) else ask_pin()
        token = parts.open_token(str(uri), pin=pin, certificate=facts.der)
        try:
            proof = prove(token)
        finally:
            token.close()
        with parts.database.transaction() as session:
            row = take_in(session, facts, holder)
            _must_be_admissible(session, row, holder, later=later)
            bind(session, row, proof, by=by, image=presented.image)
            if not later and row.state != CertificateState.ACTIVE:
                activate_now(session, row, by=by)
            return row
    except Forbidden as error:
        _tell(holder, facts, event="certificate:refused", by=by, rule=error.rule)
        raise


def check_certificate(facts: CertificateFacts, holder: Holder, session: Session) -> None:
    """Refuse a certificate that is not this holder's, not for signatures, not valid, or not trusted."""
    from infra.pdf.signing import check_certificate as check_path  # noqa: PLC0415  Loads pyHanko.

    parts, asked = services(), policy()
    check_subject(facts, holder, asked)
    check_use(facts, asked)
    row, moment = session.get(CertificateRow, facts.sha256), now(session)
    check_validity(facts, asked, moment, renewed=row is not None and row.renewals > 0)
    check_path(facts.der, anchors=parts.anchors, chain=parts.chain, at=moment)


def bind(session: Session, row: CertificateRow, proof: Proof, *, by: Actor, image: bytes | None) -> None:
    """Write down where a certificate's key is, after its proof and the key's attributes were looked at."""
    asked = policy().key
    if not proves(proof, row.der):
        raise Broken("the test signature does not verify with the certificate")
    check_key(proof.key, asked)
    token = keep_token(session, proof.key, row.office, row.holder)
    row.token_serial, row.key_id = token.serial, proof.key.key_id
    row.token_uri = str(
        TokenUri(token=token.label, serial=token.serial, id=bytes.fromhex(row.key_id), type="private")
    )
    row.tested_at = now(session)
    row.image = image or row.image or _last_image(session, row)
    session.add(row)
    session.flush()
    described: dict[str, Json] = {
        k: v for k, v in asdict(proof.key).items() if isinstance(v, bool) or v is None
    }
    facts: dict[str, Json] = {
        "serial": row.serial,
        "token": token.serial,
        "key_id": row.key_id,
        "key": described,
        "proof": {"content": proof.content.hex(), "signature_sha256": sha256(proof.signature).hexdigest()},
    }
    if was_imported(proof.key):
        facts["decision"] = asked.imported_keys_decision
    tell_of(
        session, row, event="certificate:registered", by=by, facts=facts, private={"subject": row.subject}
    )


def _last_image(session: Session, row: CertificateRow) -> bytes:
    """Return the picture that the holder's certificate before this one showed; refuses a holder without any."""
    query = select(CertificateRow.image).where(
        CertificateRow.office == row.office,
        CertificateRow.holder == row.holder,
        CertificateRow.sha256 != row.sha256,
        col(CertificateRow.image) != b"",
    )
    image = session.exec(query.order_by(col(CertificateRow.registered_at).desc())).first()
    if image is None:
        raise Forbidden(
            "there is no picture of this signature yet.",
            rule="SIG-01",
            way_out="Give it with --image (PNG, transparent).",
        )
    return image


def take_in(session: Session, facts: CertificateFacts, holder: Holder) -> CertificateRow:
    """
    Return the locked record of a certificate, a new one for one that is not known.

    A certificate that nobody asked for here was issued and handed over before this system knew of it; that
    its key answers on the holder's token is the proof.
    """
    row = session.exec(
        select(CertificateRow).where(CertificateRow.sha256 == facts.sha256).with_for_update()
    ).one_or_none()
    if row is None:
        row = record_of(facts, holder, session)
        become(session, row, CertificateState.HANDED_OVER)
    return row


def must_be_of(row: CertificateRow | None, holder: Holder) -> None:
    """Refuse a certificate that is on record for somebody else."""
    if row is not None and (row.office, row.holder) != (holder.office, holder.staff):
        raise Forbidden(
            f"the certificate is registered for {whose(row)}.",
            rule="AUTH-06",
            way_out="A certificate belongs to one holder at one office.",
        )


def _must_be_admissible(session: Session, row: CertificateRow | None, holder: Holder, *, later: bool) -> None:
    """Refuse a certificate of another holder, one that is not handed over, has ended, or has no place yet (CER-14)."""
    must_be_of(row, holder)
    if row is not None and row.state == CertificateState.ISSUED:
        raise Forbidden(
            "the device of this certificate was not handed over yet.",
            rule="CER-15",
            way_out="Record the minutes with “hoso certificate hand-over”.",
        )
    if row is not None and row.state not in (CertificateState.HANDED_OVER, CertificateState.ACTIVE):
        raise Forbidden(
            f"the certificate is {row.state}.",
            rule="CER-15",
            way_out="Ask for a new one with “hoso certificate request”.",
        )
    if not later and (row is None or row.state == CertificateState.HANDED_OVER):
        taken_over_from(session, holder.office, holder.staff, row.follows if row else None)


def _tell(holder: Holder, facts: CertificateFacts, *, event: str, by: Actor, **said: Json) -> None:
    """Write an entry of its own about a certificate that is perhaps not on record."""
    with services().database.transaction() as session:
        entry: dict[str, Json] = {
            "event": event,
            "actor": by.facts(),
            "office": holder.office,
            "holder": holder_facts(holder.office, holder.staff),
            "certificate": facts.sha256,
            **said,
        }
        record(session, f"certificate/{facts.sha256}", entry)
