"""
Certificates: which ones are trusted, and how pyHanko is asked about them.

Nothing here goes to the network, and pyHanko never does: what issuers say of revocation is asked for in
`infra.revocation`, and the answers are handed in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from asn1crypto import x509  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from pyhanko_certvalidator import ValidationContext

from infra.errors import Broken
from infra.pdf.hexadecimal import read_at_once

_Answer = TypeVar("_Answer")

#: What pyHanko logs there as an error, with a trace, is an answer here and is told by the caller.
logging.getLogger("pyhanko.sign.validation.generic_cms").setLevel(logging.CRITICAL)

read_at_once()


def finish(work: Coroutine[Any, Any, _Answer]) -> _Answer:
    """
    Run pyHanko's asynchronous work to its end and return its answer, whatever thread this is.

    It runs in an event loop of its own. Where the calling thread already runs one, the work is done
    in another thread, and the caller's loop waits: so call this from a worker thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(work)
    with ThreadPoolExecutor(max_workers=1) as aside:
        return aside.submit(_run, work).result()


def _run(work: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Run work in a fresh loop that leaves no trace in this thread."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def read_certificates(folder: Path) -> tuple[bytes, ...]:
    """Return the certificates (DER) of every `.pem` and `.crt` file in a folder, in the order of names."""
    found: list[bytes] = []
    for path in sorted(folder.iterdir()):
        if path.suffix in (".pem", ".crt"):
            try:
                certificates = load_pem_x509_certificates(path.read_bytes())
            except ValueError as error:
                raise Broken(f"{path} holds no certificates in PEM form.") from error
            found += [certificate.public_bytes(Encoding.DER) for certificate in certificates]
    return tuple(found)


@lru_cache(maxsize=512)
def parsed(certificate: bytes) -> x509.Certificate:
    """Return a certificate (DER) as pyHanko wants it; raises `Broken` when it cannot be read."""
    try:
        found = x509.Certificate.load(certificate, strict=True)
        # The library reads late; what is damaged shall be found here.
        found.native  # noqa: B018
    except (ValueError, TypeError) as error:
        raise Broken("A certificate cannot be read.") from error
    return found


def common_name(certificate: x509.Certificate) -> str:
    """Return the name that a certificate gives its holder."""
    subject = certificate.subject.native
    return str(
        subject.get("common_name") or subject.get("organization_name") or certificate.subject.human_friendly
    )


def context(*, anchors: Sequence[bytes], chain: Sequence[bytes], at: datetime) -> ValidationContext:
    """Return a validation context for one moment (aware), which asks nobody outside."""
    return ValidationContext(
        trust_roots=[parsed(anchor) for anchor in anchors],
        other_certs=[parsed(certificate) for certificate in chain],
        moment=at,
        allow_fetching=False,
        revocation_mode="soft-fail",
        time_tolerance=timedelta(0),
    )
