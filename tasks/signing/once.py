"""
One signature, exactly once: what a document, a paper of the office and a list of a round have in common.

1. The *intent* is committed: which bytes, which field, which key, which try (whoever calls has done that).
2. The token signs.
3. The result is checked: the previous bytes, one good signature more, nothing else.
4. It is stored under a write-once name computed from the intent; of two writers the first one wins.
5. It is *kept*, in one transaction with its history entry, after authority was asked again.

A process may die between any two of them. The next try looks under the name first, so what was stored at 4 is
found, and the token is not called again. Every call of the token has an entry (1), and one whose result is
not kept is explained by another: failed, unused, or interrupted, which whoever comes next tells of one that died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from infra.errors import Broken, Unavailable
from infra.history import Json
from infra.pdf.checking import SignatureFound, check_signed
from infra.pdf.lettering import Lettering
from infra.pdf.signing import sign_field
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.papers import sha256_of
from tasks.signing.authorising import Signer

#: Seconds to wait for somebody who signs the same thing.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """One signature as it was intended, and how whoever intended it tells and keeps it."""

    #: What it is, in words for a message.
    what: str
    document_key: str
    document_sha256: str
    field: str
    #: Whether it certifies, as the first signature of a file of ours does.
    first: bool
    place: str
    #: The name of its one result.
    key: str
    #: An earlier try has stored its result and died; the token is not asked again.
    stored: bool
    #: Tells how a try ended whose result is not kept: `failed` or `unused`, and why.
    tell_end: Callable[[str, dict[str, Json]], None]
    #: Keeps a checked result, or tells why not; returns whether it was kept now.
    keep: Callable[[bytes, SignatureFound], bool]
    image: bytes | None
    #: The lines that it shows as of a signing time; `None`: none.
    text: Callable[[datetime], Lettering | None] | None = None
    #: What anybody reads of the signer's authority who checks the file alone.
    reason: str | None = None
    #: Whether the signature is to bring a time-stamp of its own.
    stamped: bool = False


@contextmanager
def alone_at(name: str, what: str) -> Iterator[None]:
    """Hold a name at the database meanwhile; raises `Unavailable` when somebody else holds it for a minute."""
    with services().database.locked(name, patience=PATIENCE) as alone:
        if not alone:
            raise Unavailable(f"somebody else has been signing {what} for a minute")
        yield


def sign_once(task: Once, signer: Signer) -> bool:
    """
    Do what was intended, from the token to the kept result; return whether a signature was kept now.

    The caller holds the name of what is signed (`alone_at`). Raises what the token and the store raise, and
    `Broken` when what the token gave does not verify or the document is not the one that was intended; the
    history says so.
    """
    return task.keep(*make_once(task, signer))


def make_once(task: Once, signer: Signer) -> tuple[bytes, SignatureFound]:
    """Return the one signed revision that was intended, stored and checked, and what is to be kept of it."""
    work = services().work
    with _told_when_it_fails(task, signer):
        previous = work.get(task.document_key)
        if sha256_of(previous) != task.document_sha256:
            raise Broken(f"the document of {task.what} in the store is not the one that was listed")
        if task.stored:
            signed = made = work.get(task.key)
        else:
            made = _make(task, signer, previous)
        found = _check(task, signer, previous, made)
        if not task.stored:
            _, signed = work.put_first(task.key, made, content_type="application/pdf")
    if signed != made:
        task.tell_end("unused", {"cause": "another was stored first"})
        found = _check(task, signer, previous, signed)
    return signed, found


def _make(task: Once, signer: Signer, previous: bytes) -> bytes:
    """Return the signed revision by one call of the token."""
    parts = services()
    at = local(parts.clock.now())
    return sign_field(
        previous,
        field=task.field,
        token=signer.token,
        image=task.image,
        text=task.text(at) if task.text is not None else None,
        at=at,
        certify=task.first,
        name=None,
        location=task.place,
        reason=task.reason,
        chain=parts.chain,
        timestamps=parts.timestamps if task.stamped else None,
    )


def _check(task: Once, signer: Signer, previous: bytes, signed: bytes) -> SignatureFound:
    """Return what a validator says of a new revision; raises `Broken` when it may not be kept."""
    parts = services()
    return check_signed(
        previous,
        signed,
        field=task.field,
        certificate=signer.token.certificate,
        anchors=parts.anchors,
        chain=parts.chain,
        at=parts.clock.now(),
    )


@contextmanager
def _told_when_it_fails(task: Once, signer: Signer) -> Iterator[None]:
    """
    Say in the history that a signature that was intended did not come to be, whatever the reason.

    `called` says whether the token was asked. While the database is away the try stays open, and whoever
    comes next says that it was interrupted.
    """
    before = signer.token.calls
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        facts: dict[str, Json] = {"cause": type(error).__name__, "called": signer.token.calls > before}
        if not task.stored:
            with suppress(Unavailable):
                task.tell_end("failed", facts)
        raise
