"""
Everything outside, as one value.

`services()` gives the real parts, each built from the settings when it is first used, so that a command
at the counter never waits for the import of something that it does not need. `using(other)` puts other
parts in their place for a while; tasks called directly and in worker threads both see them.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from infra.clock import Clock
from infra.database import Database, DatabaseClock, connection_url
from infra.errors import Forbidden
from infra.settings import Settings, read_secret, settings

if TYPE_CHECKING:
    from infra.axis import Axis
    from infra.mail import Mail
    from infra.object_store import ObjectStore
    from infra.portal import Portal
    from infra.revocation import Revocation
    from infra.revocation.http import HttpRevocation
    from infra.timestamp import Timestamps
    from infra.token import Token


class Services:
    """The real parts, by the settings; a test replaces any of them by assigning to its name."""

    def __init__(self, chosen: Settings) -> None:
        """Remember the settings; nothing is opened yet."""
        self.settings = chosen

    @cached_property
    def database(self) -> Database:
        """The database, as the role `hoso_app`."""
        return Database(connection_url(self.settings.database_url, self.settings.database_password_file))

    @cached_property
    def clock(self) -> Clock:
        """PostgreSQL's clock."""
        return DatabaseClock(self.database)

    @cached_property
    def work(self) -> ObjectStore:
        """The bucket of work documents."""
        return self._bucket(self.settings.s3_work_bucket)

    @cached_property
    def archive(self) -> ObjectStore:
        """The bucket whose objects nobody can delete."""
        return self._bucket(self.settings.s3_archive_bucket)

    def _bucket(self, name: str) -> ObjectStore:
        from infra.object_store.s3 import S3Store

        chosen = self.settings
        return S3Store(
            chosen.s3_endpoint,
            access_key=chosen.s3_access_key,
            secret_key=read_secret(chosen.s3_secret_key_file),
            secure=chosen.s3_secure,
            bucket=name,
            stranger_doors=[door for door in chosen.s3_stranger_doors.split(",") if door],
        )

    @cached_property
    def mail(self) -> Mail:
        """The office's mail server."""
        from infra.mail.smtp import SmtpMail

        chosen = self.settings
        login = (chosen.smtp_user, chosen.smtp_password_file) if chosen.smtp_password_file else None
        return SmtpMail(
            chosen.smtp_host,
            chosen.smtp_port,
            limit_bytes=chosen.mail_limit_bytes,
            tls=ssl.create_default_context() if chosen.smtp_starttls else None,
            login=login,
        )

    @cached_property
    def portal(self) -> Portal | None:
        """The portal, if this installation has one."""
        from infra.portal.http import HttpPortal

        chosen = self.settings
        if not chosen.portal_url or chosen.portal_token_file is None:
            return None
        return HttpPortal(chosen.portal_url, token_file=chosen.portal_token_file)

    @cached_property
    def axis(self) -> Axis | None:
        """The axis between agencies, if this installation takes part."""
        chosen = self.settings
        if not chosen.axis_url or chosen.axis_token_file is None:
            return None
        from infra.axis.http import HttpAxis

        return HttpAxis(chosen.axis_url, token_file=chosen.axis_token_file)

    @cached_property
    def timestamps(self) -> Timestamps:
        """The time-stamping authorities, the preferred one first."""
        chosen = self.settings
        urls = [url for url in (chosen.tsa_url, chosen.tsa_second_url) if url]
        return self.timestamps_of(urls, seconds=chosen.tsa_seconds)

    def timestamps_of(self, urls: Sequence[str], *, seconds: float) -> Timestamps:
        """Return authorities at some addresses, each with so many seconds for a time-stamp."""
        from infra.timestamp.http import HttpTimestamps

        return HttpTimestamps(
            urls,
            anchors=self.anchors,
            chain=self.chain,
            seconds=seconds,
            policy=self.settings.tsa_policy or None,
            revocation=self.revocation,
        )

    @cached_property
    def revocation(self) -> Revocation:
        """Who is asked about revocation."""
        return self.revocation_of(seconds=self.settings.revocation_seconds)

    def revocation_of(self, *, seconds: float) -> HttpRevocation:
        """Return those who are asked about revocation, with so many seconds for an answer; they know none yet."""
        from infra.revocation.http import HttpRevocation

        chosen = self.settings
        pairs = (pair.partition("=") for pair in chosen.revocation_rewrite.split(",") if pair)
        return HttpRevocation(
            hosts=[host for host in chosen.revocation_hosts.split(",") if host],
            rewrite={name: place for name, _, place in pairs},
            seconds=seconds,
            limit_bytes=chosen.revocation_limit_bytes,
            kept_seconds=chosen.revocation_kept_seconds,
        )

    def open_token(self, uri: str, *, pin: str | None, certificate: bytes, last_try: bool = False) -> Token:
        """
        Return a key on a PKCS#11 token, logged in; see `infra.token` for the errors.

        Without a PIN the token's own pad asks for it (`has_pad`). The module runs in a process of its own.
        """
        from infra.token.process import open_token

        chosen = self.settings
        return open_token(
            uri,
            module=chosen.pkcs11_module,
            pin=pin,
            certificate=certificate,
            softhsm2_conf=chosen.softhsm2_conf,
            seconds=chosen.token_seconds,
            pad_seconds=chosen.pad_seconds,
            last_try=last_try,
        )

    def has_pad(self, uri: str) -> bool:
        """Tell whether the PIN of a token is typed on the token itself."""
        from infra.token.process import has_pad

        chosen = self.settings
        return has_pad(
            uri,
            module=chosen.pkcs11_module,
            softhsm2_conf=chosen.softhsm2_conf,
            seconds=chosen.token_seconds,
        )

    def seal_pin(self) -> str:
        """Return the PIN of the agency's token, on the machine that holds it."""
        if self.settings.seal_pin_file is None:
            raise Forbidden(
                "this machine does not hold the agency's token.",
                rule="SIG-13",
                way_out="Run the worker on the machine of the seal, or set HOSO_SEAL_PIN_FILE there.",
            )
        return read_secret(self.settings.seal_pin_file)

    def seal_pin_version(self) -> str:
        """Return what changes when the PIN file is written anew; it says nothing about the PIN."""
        file = self.settings.seal_pin_file
        return str(file.stat().st_mtime_ns) if file else ""

    @cached_property
    def anchors(self) -> tuple[bytes, ...]:
        """The certificates (DER) that every chain must end at."""
        return _certificates(self.settings.trust_anchors)

    @cached_property
    def chain(self) -> tuple[bytes, ...]:
        """The certificates (DER) between the anchors and the officials."""
        return _certificates(self.settings.trust_anchors.parent / "chain")

    @cached_property
    def foreign_anchors(self) -> tuple[bytes, ...]:
        """The certificates (DER) that the chains of other agencies' signatures must end at."""
        folder = self.settings.foreign_anchors
        return self.anchors if folder is None else _certificates(folder)

    @cached_property
    def foreign_chain(self) -> tuple[bytes, ...]:
        """The certificates (DER) between those anchors and other agencies, besides what their files bring."""
        folder = self.settings.foreign_anchors
        return self.chain if folder is None else _certificates(folder.parent / "chain")


def _certificates(folder: Path) -> tuple[bytes, ...]:
    """Return every certificate of a folder's PEM files as DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    files = sorted(folder.glob("*.pem"))
    found = [c for f in files for c in x509.load_pem_x509_certificates(f.read_bytes())]
    return tuple(c.public_bytes(Encoding.DER) for c in found)


_in_use: ContextVar[Services | None] = ContextVar("services", default=None)


@cache
def _real() -> Services:
    """Build the real parts once a process."""
    return Services(settings())


def services() -> Services:
    """Return the parts in use: those of the innermost `using`, else the real ones."""
    return _in_use.get() or _real()


@contextmanager
def using(parts: Services) -> Iterator[Services]:
    """Put other parts in place of the real ones within a `with` block."""
    token = _in_use.set(parts)
    try:
        yield parts
    finally:
        _in_use.reset(token)
