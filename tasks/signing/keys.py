"""Opening keys: the agency's on the machine that holds it, an official's beside the official."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from sqlmodel import Session, col, select

from infra.errors import Forbidden
from infra.services import services
from tasks.dossier.moves import office_of
from tasks.dossier.tables import CertificateRow
from tasks.signing.steps import Signer

_seals: dict[str, Signer] = {}
_opening = Lock()


def seal_of(office_code: str) -> Signer:
    """
    Return the agency's key, opened once a process; raises `Forbidden` on a machine without the seal.

    A refused PIN is remembered for the life of the process: nobody tries it again by itself.
    """
    with _opening:
        if office_code in _seals:
            return _seals[office_code]
        parts = services()
        with parts.database.transaction() as session:
            office = office_of(session, office_code)
            row = _certificate(session, office_code, office.seal.key)
        pin = _refused_before(office_code) or parts.seal_pin()
        try:
            token = parts.open_token(row.token_uri, pin=pin, certificate=row.der)
        except Forbidden as error:
            _refusals[office_code] = error
            raise
        _seals[office_code] = Signer(role="agency", staff="", token=token, image=row.image)
        return _seals[office_code]


_refusals: dict[str, Forbidden] = {}


def _refused_before(office_code: str) -> str:
    """Raise the token's earlier refusal; return nothing when there was none."""
    if error := _refusals.get(office_code):
        raise error
    return ""


@contextmanager
def official_key(office_code: str, staff: str, pin: str) -> Iterator[Signer]:
    """Open an official's own key for the length of a `with` block; the PIN is tried once."""
    parts = services()
    with parts.database.transaction() as session:
        office = office_of(session, office_code)
        officer = office.officer(staff, "official")
        if officer.key is None:
            raise Forbidden(
                f"{staff} has no registered key.", rule="AUTH-06", way_out="Register a certificate first."
            )
        row = _certificate(session, office_code, officer.key)
    token = parts.open_token(row.token_uri, pin=pin, certificate=row.der)
    try:
        yield Signer(role="official", staff=staff, token=token, image=row.image)
    finally:
        token.close()


def _certificate(session: Session, office: str, key: str) -> CertificateRow:
    """Return the certificate that is registered for a key of an office now."""
    row = session.exec(
        select(CertificateRow)
        .where(
            CertificateRow.office == office,
            CertificateRow.key == key,
            col(CertificateRow.ended_at).is_(None),
        )
        .order_by(col(CertificateRow.registered_at).desc())
    ).first()
    if row is None:
        raise Forbidden(
            f"no certificate is registered for the key “{key}” of {office}.",
            rule="AUTH-06",
            way_out="Register it with “hoso office load --keys”.",
        )
    return row
