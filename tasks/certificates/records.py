"""Finding certificates, whose they are to be, and writing each change down with its history entry."""

from __future__ import annotations

from collections.abc import Mapping

from sqlmodel import Session, col, or_, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from infra.token import KeyDescription
from tasks.certificates.lifecycle import CertificateState, move
from tasks.certificates.policy import CertificatePolicy, read_policy
from tasks.certificates.reading import CertificateFacts
from tasks.certificates.rules import Holder
from tasks.certificates.tables import CertificateRow, TokenRow
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor
from tasks.people.persons import works_here

#: What commands call the agency as a holder.
SEAL = "seal"

#: The shortest beginning of a SHA-256 that names a certificate.
_SHORTEST = 8


def policy() -> CertificatePolicy:
    """Return what this installation asks of certificates."""
    return read_policy(services().settings.certificate_policy)


def holder_of(session: Session, office_code: str, said: str) -> Holder:
    """Return whose certificate is meant: a person by staff code, or the agency by `seal`."""
    office = office_of(session, office_code)
    if said == SEAL:
        return Holder(office=office.code, staff="", name=office.unit, unit=office.unit)
    person = works_here(session, office.code, said)
    if person is None:
        raise Forbidden(
            f"nobody at {office_code} has the staff code “{said}”.",
            rule="AUTH-06",
            way_out=f"Name somebody who works there today (“hoso person list”), or “{SEAL}” for the agency.",
        )
    return Holder(
        office=office.code, staff=said, name=person.name, unit=office.unit, identity=person.identity
    )


def find_certificate(session: Session, named: str, *, lock: bool = False) -> CertificateRow:
    """Return the one certificate with this serial number or SHA-256 (or its beginning); refuses none and two."""
    wanted = named.replace(":", "").strip().lower()
    query = select(CertificateRow)
    same = [col(CertificateRow.serial) == wanted.lstrip("0")]
    if len(wanted) >= _SHORTEST:
        same.append(col(CertificateRow.sha256).startswith(wanted, autoescape=True))
    query = query.where(or_(*same)).limit(2)
    rows = list(session.exec(query.with_for_update() if lock else query))
    if len(rows) != 1:
        raise Forbidden(
            f"{'two certificates are' if rows else 'no certificate is'} named “{named}”.",
            rule="CER-10",
            way_out="Copy the serial number or the SHA-256 from “hoso certificate list --json”.",
        )
    return rows[0]


def record_of(facts: CertificateFacts, holder: Holder, session: Session) -> CertificateRow:
    """Return a new record of a certificate, not added yet; its state is `issued`."""
    return CertificateRow(
        sha256=facts.sha256,
        office=holder.office,
        holder=holder.staff,
        state=CertificateState.ISSUED,
        der=facts.der,
        image=b"",
        serial=facts.serial,
        subject=facts.subject_text,
        issuer=facts.issuer_text,
        not_before=facts.not_before,
        not_after=facts.not_after,
        registered_at=now(session),
    )


def holder_facts(office: str, staff: str) -> dict[str, Json]:
    """Return a holder as the history names one: no name, a hash of office and staff code."""
    return Actor(role="holder" if staff else "agency", staff=staff, office=office).facts()


def tell_of(
    session: Session,
    row: CertificateRow,
    *,
    event: str,
    by: Actor,
    facts: Mapping[str, Json] | None = None,
    private: Mapping[str, Json] | None = None,
) -> None:
    """Write one history entry about a certificate, in the transaction of the change."""
    said: dict[str, Json] = {
        "event": event,
        "actor": by.facts(),
        "office": row.office,
        "holder": holder_facts(row.office, row.holder),
        "certificate": row.sha256,
        "state": str(row.state),
        **(facts or {}),
    }
    record(session, f"certificate/{row.sha256}", said, private=private)


def become(session: Session, row: CertificateRow, wanted: CertificateState) -> None:
    """Bring a certificate to a state that its present one allows; whoever calls tells the history."""
    row.state = move(row.state, wanted)
    session.add(row)
    session.flush()


def keep_token(session: Session, key: KeyDescription, office: str, keeper: str) -> TokenRow:
    """Return the record of a device, made when it is seen first; refuses another device of the same serial number."""
    row = session.get(TokenRow, key.device_serial)
    if row is None:
        row = TokenRow(
            serial=key.device_serial,
            label=key.device_label,
            model=key.device_model,
            manufacturer=key.device_manufacturer,
            office=office,
            keeper=keeper,
            registered_at=now(session),
        )
    elif (row.model, row.manufacturer) not in (("", ""), (key.device_model, key.device_manufacturer)):
        raise Forbidden(
            f"the token {key.device_serial} is on record as {row.manufacturer} {row.model}, not as"
            f" {key.device_manufacturer} {key.device_model}.",
            rule="SIG-13",
            way_out="Look at the device: two of them must not have one serial number.",
        )
    row.label, row.model, row.manufacturer = key.device_label, key.device_model, key.device_manufacturer
    session.add(row)
    session.flush()
    return row
