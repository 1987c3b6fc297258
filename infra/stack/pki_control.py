"""
What the stack's revocation and time-stamping server is told, and what it says it was asked.

A test, or somebody who tries things out, writes here; the server, in another process, reads it at every
request. Services are `ocsp`, `crl`, `tsa-primary` and `tsa-secondary`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from cryptography import x509

_REVOKED, _MODES, _ASKED = "revoked.json", "modes.json", "asked"


def revoke(served: Path, certificate: bytes, at: datetime, *, reason: str = "key_compromise") -> None:
    """Revoke a certificate (DER) as of a moment; `reason` is one of RFC 5280 §5.3.1, as asn1crypto writes it."""
    found = x509.load_der_x509_certificate(certificate)
    serial = str(found.serial_number)
    _write(
        served / _REVOKED,
        {**revoked(served), serial: {"at": at.replace(microsecond=0).isoformat(), "reason": reason}},
    )


def reinstate(served: Path, certificate: bytes) -> None:
    """Take a revocation back, as no real authority would: a test leaves the stack as it was."""
    serial = str(x509.load_der_x509_certificate(certificate).serial_number)
    _write(
        served / _REVOKED, {number: entry for number, entry in revoked(served).items() if number != serial}
    )


def revoked(served: Path) -> dict[str, dict[str, str]]:
    """Return what is revoked: moment and reason, by serial number."""
    return cast("dict[str, dict[str, str]]", _read(served / _REVOKED))


def modes(served: Path) -> dict[str, str]:
    """Return how services behave that do not do what they should."""
    return cast("dict[str, str]", _read(served / _MODES))


@contextmanager
def behaving(served: Path, **services: str) -> Iterator[None]:
    """
    Let services misbehave within a `with` block; an underscore in a name stands for a hyphen.

    All: `down`, `slow:SECONDS`, `503`. Time-stamps: `refuse`, `wrong-nonce`, `wrong-imprint`, `no-usage`,
    `stranger`, `other-policy`. OCSP: `unknown`, `stranger`, `stale`, `try-later`, `other-certificate`.
    CRL: `stale`, `stranger`, `huge`.
    """
    before = modes(served)
    _write(served / _MODES, {**before, **{name.replace("_", "-"): how for name, how in services.items()}})
    try:
        yield
    finally:
        _write(served / _MODES, before)


def tell_asked(served: Path, service: str) -> None:
    """Count one request."""
    with (served / _ASKED).open("a", encoding="utf-8") as file:
        file.write(f"{service}\n")


def times_asked(served: Path) -> Mapping[str, int]:
    """Return how often each service was asked."""
    try:
        lines = (served / _ASKED).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        lines = []
    return {service: lines.count(service) for service in ("ocsp", "crl", "tsa-primary", "tsa-secondary")}


def _read(path: Path) -> dict[str, Any]:
    """Return what a file says; nothing, if there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file whole: a reader sees the old content or the new."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(draft, path)
