"""
Certificates that come with an office's file: keys that a set-up made, with the proof that it kept of each.

The file says where each key is; the certificate, the test signature and the key's attributes have to pass the
checks that registering by hand makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.token.proving import Proof
from tasks.certificates.activating import activate_now
from tasks.certificates.lifecycle import CertificateState
from tasks.certificates.reading import CertificateFacts, read_certificate
from tasks.certificates.records import become, holder_of, tell_of
from tasks.certificates.registering import bind, check_certificate, must_be_of, take_in
from tasks.certificates.tables import CertificateRow
from tasks.dossier.moves import Actor
from tasks.dossier.offices import OfficeData


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One key that an office's file names, and what the file of keys says of it; no staff code: the agency's."""

    holder: str
    key: str
    said: Mapping[str, object]
    folder: Path
    image: bytes


def bind_from_file(session: Session, office: OfficeData, bound: Bound, *, by: Actor) -> bool:
    """
    Register one certificate of a file of keys; return whether it signs now.

    Binding it again changes its picture only. A certificate that stood for this key before ends; one whose
    life is over, or that is suspended, stays so: a file raises nobody from the dead. Refuses what
    registering by hand refuses.
    """
    facts, proof = _read(bound)
    holder = holder_of(session, office.code, bound.holder or "seal")
    known = session.get(CertificateRow, facts.sha256)
    must_be_of(known, holder)
    if known is not None and known.state == CertificateState.ACTIVE and known.key == bound.key:
        known.image = bound.image
        session.add(known)
        return True
    if known is not None and known.state not in (CertificateState.HANDED_OVER, CertificateState.ACTIVE):
        return False
    check_certificate(facts, holder, session)
    row = take_in(session, facts, holder)
    _end_others(session, row, bound.key, by=by)
    row.key = bound.key
    bind(session, row, proof, by=by, image=bound.image)
    activate_now(session, row, by=by)
    return True


def _read(bound: Bound) -> tuple[CertificateFacts, Proof]:
    """Return the certificate and the proof of a key; refuses a key whose file holds no proof."""
    path = Path(str(bound.said["certificate"]))
    facts = read_certificate((path if path.is_absolute() else bound.folder / path).read_bytes())
    try:
        said = bound.said["proof"]
        if not isinstance(said, dict):
            raise TypeError
        return facts, Proof.from_json(said)
    except (KeyError, TypeError, ValueError) as error:
        raise Forbidden(
            f"the file of keys holds no proof that the key “{bound.key}” is on its token.",
            rule="SIG-13",
            way_out="Load the office without --keys, then register the certificate with its token:"
            " “hoso certificate register”.",
        ) from error


def _end_others(session: Session, row: CertificateRow, key: str, *, by: Actor) -> None:
    """End the certificates that stood for a key before the file named another."""
    query = select(CertificateRow).where(
        CertificateRow.office == row.office,
        CertificateRow.key == key,
        CertificateRow.state == CertificateState.ACTIVE,
        col(CertificateRow.ended_at).is_(None),
        CertificateRow.sha256 != row.sha256,
    )
    for other in session.exec(query.with_for_update()).all():
        other.ended_at = now(session)
        become(session, other, CertificateState.CHANGED)
        tell_of(session, other, event="certificate:taken-over", by=by, facts={"by": row.sha256})
