"""E-mail over an encrypted connection with a login, against a server that asks for both."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.mail import Outcome
from infra.mail.smtp import SmtpMail

USER, PASSWORD = "motcua", "mat-khau-dai"


@dataclass
class Kept:
    """What the server took."""

    messages: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.messages.append(envelope.content)
        return "250 taken"


def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (
        USER.encode(),
        PASSWORD.encode(),
    )
    return AuthResult(success=right)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today)
        .not_valid_after(today.replace(year=2046))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "server.pem", tmp_path / "server.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@pytest.fixture
def strict(certificate: tuple[Path, Path]) -> Iterator[tuple[Controller, Kept]]:
    """A server that takes nothing before STARTTLS and a login."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    kept = Kept()
    server = Controller(
        kept,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
    )
    server.start()
    yield server, kept
    server.stop()


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "motcua@binhlieu.example", "sen@citizen.example"
    message["Message-ID"], message["Subject"] = "<1@binhlieu.example>", "Kết quả"
    message.set_content("Kính gửi")
    return message


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port(server: Controller) -> int:
    return int(server.port)


def test_a_message_travels_encrypted_under_the_office_login(
    strict: tuple[Controller, Kept], certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    tls = ssl.create_default_context(cafile=str(certificate[0]))
    mail = SmtpMail("127.0.0.1", port(strict[0]), 100_000, tls=tls, login=(USER, secret))
    assert mail.send(letter()).outcome is Outcome.ACCEPTED
    assert len(strict[1].messages) == 1


def test_a_wrong_password_is_put_off_and_nothing_is_sent(
    strict: tuple[Controller, Kept], certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("wrong")
    tls = ssl.create_default_context(cafile=str(certificate[0]))
    # The server is slow to answer a wrong password on purpose; a short patience is as good an ending.
    mail = SmtpMail("127.0.0.1", port(strict[0]), 100_000, 3.0, tls=tls, login=(USER, secret))
    answer = mail.send(letter())
    assert answer.outcome is Outcome.DEFERRED
    assert strict[1].messages == []
    assert PASSWORD not in answer.text


def test_a_server_whose_certificate_is_not_trusted_gets_no_message(strict: tuple[Controller, Kept]) -> None:
    answer = SmtpMail("127.0.0.1", port(strict[0]), 100_000, tls=ssl.create_default_context()).send(letter())
    assert answer.outcome is Outcome.DEFERRED
    assert strict[1].messages == []


def test_a_server_that_hides_starttls_gets_no_message() -> None:
    kept = Kept()
    server = Controller(kept, hostname="127.0.0.1", port=free_port())
    server.start()
    try:
        mail = SmtpMail("127.0.0.1", port(server), 100_000, tls=ssl.create_default_context())
        assert mail.send(letter()).outcome is Outcome.DEFERRED
        assert kept.messages == []
    finally:
        server.stop()
