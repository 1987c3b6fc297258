"""
Officials log in by their token: it signs a challenge that is answered once.

The signed text begins with a fixed line, so that it can never be taken for a document's signature: what a
token signs for a PDF is the DER of CMS attributes (RFC 5652 §5.4), which begins with the byte 0x31.
"""

from __future__ import annotations

from datetime import UTC, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from sqlmodel import Session

from infra.chance import random_bytes
from infra.database import now
from infra.errors import Forbidden
from infra.pdf.signing import check_certificate
from infra.services import services
from tasks.certificates.choosing import can_sign, signing_certificates
from tasks.dossier.moves import Actor
from tasks.people.logins import open_login
from tasks.people.persons import held, tell_of, works_here
from tasks.people.tables import ChallengeRow, LoginRow, PersonRow

PREFIX = "hoso login challenge, version 1"

#: How long a challenge may be answered.
_LIFE = timedelta(minutes=2)


def challenge(office: str, staff: str) -> bytes:
    """Return a text that a person's token must sign within two minutes; refuses whoever is no official (AUTH-06)."""
    with services().database.transaction() as session:
        if not any(role.role == "official" for role in held(session, office, staff)):
            raise Forbidden(
                f"{office}/{staff} is no official there.",
                rule="AUTH-06",
                way_out="Officials log in with their token; everybody else with “hoso login” and a password.",
            )
        row = ChallengeRow(
            nonce=random_bytes(32), office=office, staff=staff, expires_at=now(session) + _LIFE
        )
        session.add(row)
        return _text(row)


def open_with_signature(content: bytes, signature: bytes) -> LoginRow:
    """
    Log an official in by the token's signature over a challenge, verified with the registered certificate.

    A challenge is used up by the first answer, right or wrong. Raises `Forbidden` LOGIN-02 for an answer
    that does not count: unknown, used, late, or signed by another key.
    """
    with services().database.transaction() as session:
        row = session.get(ChallengeRow, _nonce(content), with_for_update=True)
        fresh = row is not None and row.answered_at is None and now(session) < row.expires_at
        if row is not None and row.answered_at is None:
            row.answered_at = now(session)
            session.add(row)
        person = works_here(session, row.office, row.staff) if row is not None else None
        if row is not None and person is not None:
            if fresh and content == _text(row) and _signed(session, person, content, signature):
                return open_login(session, person, "token")
            tell_of(
                session, person, event="login:failed", by=Actor(role="nobody"), facts={"barred": not fresh}
            )
    raise Forbidden(
        "nobody was logged in: the token's answer does not count.",
        rule="LOGIN-02",
        way_out="Log in again with “hoso login OFFICE/STAFF --token”; a challenge is answered once, in two minutes.",
    )


def _signed(session: Session, person: PersonRow, content: bytes, signature: bytes) -> bool:
    """Whether a signature was made by a key of the person whose certificate is good now."""
    parts = services()
    if not can_sign(session, person.office, person.staff):
        return False
    for row in signing_certificates(session, person.office, person.staff):
        try:
            check_certificate(row.der, anchors=parts.anchors, chain=parts.chain, at=now(session))
            key = x509.load_der_x509_certificate(row.der).public_key()
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
                return True
        except (InvalidSignature, Forbidden):
            continue
    return False


def _text(row: ChallengeRow) -> bytes:
    """Return what is signed: the fixed line, which installation, who, the nonce, and until when."""
    until = row.expires_at.astimezone(UTC)
    return (
        f"{PREFIX}\ninstallation: {services().settings.history_log}\nperson: {row.office}/{row.staff}\n"
        f"nonce: {row.nonce.hex()}\nuntil: {until.isoformat()}\n"
    ).encode()


def _nonce(content: bytes) -> bytes:
    """Return the nonce in a challenge; nothing that any challenge has when there is none."""
    lines = [line for line in content.split(b"\n") if line.startswith(b"nonce: ")]
    try:
        return bytes.fromhex(lines[0][7:].decode())
    except (IndexError, ValueError):
        return b""
