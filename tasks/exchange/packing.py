"""
A package is made and signed once: intent committed, token asked, result checked, stored, kept.

The five moments are those of every signature here. What an earlier try stored under the package's key is taken
over, so that the token is not asked twice, and of each try the history says how it ended.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from threading import Event

from sqlmodel import Session

from infra.database import now
from infra.edxml.reading import read_package
from infra.edxml.signature import sign_envelope
from infra.edxml.splitting import split
from infra.edxml.values import Letter
from infra.edxml.writing import write_letter, write_status
from infra.errors import Broken, Forbidden, Unavailable
from infra.history import Json
from infra.history.recording import record
from infra.pdf.signing import check_certificate
from infra.services import services
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor
from tasks.dossier.offices import OfficeData
from tasks.dossier.papers import fetch_file
from tasks.exchange import books
from tasks.exchange.tables import ExchangeFileRow, MessageRow
from tasks.signing.authorising import Signer, authorise_agency_alone, why
from tasks.signing.keys import seal_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One package that is to be made."""

    key: str
    office: OfficeData
    document: str | None
    letter: Letter | None
    status: dict[str, object] | None
    files: tuple[ExchangeFileRow, ...]
    number: int
    stored: bool
    moment: datetime
    #: Set as soon as the token may have been asked for this package; others use the same key meanwhile.
    asked: Event = field(default_factory=Event)

    @property
    def subject(self) -> str:
        """Return what the history's entries about it are about."""
        return self.document or self.key

    @property
    def place(self) -> str:
        """Return the key under which the signed package is stored, once."""
        return f"exchange/out/{self.key}.xml"

    @property
    def actor(self) -> Actor:
        """Return the agency, as the history names it."""
        return Actor(role="agency", staff="seal", post=self.office.unit, office=self.office.code)


def pack(key: str, folder: Path) -> tuple[MessageRow, Path]:
    """
    Return a queued message and its signed package as a file in `folder`; it is made and signed if that was not done.

    Raises `Forbidden` when a rule says no (which the history records), `Unavailable` when the token or the store is
    away, `Broken` when what was made does not verify. Repeating is harmless at every point.
    """
    package = folder / "package.xml"
    with services().database.transaction() as session:
        message = session.get_one(MessageRow, key)
    if message.sha256:
        return message, fetch_file(message.store_key, message.sha256, package)
    signer = seal_of(message.office)
    task = _intend(key, signer)
    with _told_when_it_fails(task):
        if task.stored:
            services().work.get_file(task.place, package)  # An earlier try stored it before it died.
        else:
            _make(task, signer, package)
        digest = _check(task, signer, package)
        if not task.stored:
            digest = _store(task, signer, package, digest)
    return _keep(task, signer, package, digest), package


def _intend(key: str, signer: Signer) -> _Task:
    """Ask whether the agency may sign now and write the intent; a refusal is written too."""
    parts = services()
    refusal: Forbidden | None = None
    with parts.database.transaction() as session:
        message = session.get_one(MessageRow, key, with_for_update=True)
        office = office_of(session, message.office)
        letter: Letter | None = None
        files: tuple[ExchangeFileRow, ...] = ()
        if message.kind == "edoc" and message.document is not None:
            row = books.look(session, message.document)
            letter = books.letter_in(message.letter) if message.letter else books.letter_of(row)
            files = () if message.letter else tuple(books.files_of(session, row.code))
        stored = message.signings > 0 and parts.work.find(f"exchange/out/{key}.xml") is not None
        message.signings += 0 if stored else 1
        session.add(message)
        task = _Task(
            key=key,
            office=office,
            document=message.document,
            letter=letter,
            status=message.status,
            files=files,
            number=message.signings,
            stored=stored,
            moment=now(session),
        )
        try:
            decision = authorise_agency_alone(session, office, signer, what="exchange")
            check_certificate(
                signer.token.certificate, anchors=parts.anchors, chain=parts.chain, at=now(session)
            )
        except Forbidden as error:
            refusal = error
            message.signings -= 0 if stored else 1
            _tell(session, task, event="exchange:package-refused", facts=why(office.code, error))
        else:
            if not stored:
                _tell(session, task, event="exchange:package-intended", facts={"authority": decision.facts()})
    if refusal is not None:
        raise refusal
    return task


def _tell(session: Session, task: _Task, *, event: str, facts: dict[str, Json]) -> None:
    """Write an entry about a package."""
    said: dict[str, Json] = {
        "event": event,
        "actor": task.actor.facts(),
        "exchange": task.subject,
        "office": task.office.code,
        "package": task.key,
        "try": task.number,
        **facts,
    }
    record(session, task.subject, said)


@contextmanager
def _told_when_it_fails(task: _Task) -> Iterator[None]:
    """Say in the history that a package that was intended did not come to be, and whether the token was asked."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        facts: dict[str, Json] = {"cause": type(error).__name__, "called": task.asked.is_set()}
        if not task.stored:
            with suppress(Unavailable), services().database.transaction() as session:
                _tell(session, task, event="exchange:package-failed", facts=facts)
        raise


def _store(task: _Task, signer: Signer, package: Path, digest: str) -> str:
    """Store a package unless another try did, and return the hash of the one that is stored, which the file is then."""
    held = services().work.put_file(task.place, package, content_type="application/xml")
    if held.sha256 == digest:
        return digest
    services().work.get_file(task.place, package)
    return _check(task, signer, package)


def _make(task: _Task, signer: Signer, package: Path) -> None:
    """Write the package, signed by one call of the token."""
    folder = package.parent
    paths = [fetch_file(one.key, one.sha256, folder / f"file-{n}") for n, one in enumerate(task.files)]
    hashes = {one.content_id: one.sha256 for one in task.files}

    def sign(envelope: object) -> None:
        task.asked.set()
        sign_envelope(envelope, hashes, certificate=signer.token.certificate, sign=signer.token.sign)

    if task.letter is not None:
        write_letter(task.letter, paths, package, sign=sign, made_at=task.moment)
    elif task.status is not None:
        write_status(books.status_in(task.status), package, sign=sign)
    else:
        raise Broken(f"the message {task.key} carries nothing")


def _check(task: _Task, signer: Signer, package: Path) -> str:
    """Read the package as its receiver will, and return its hash; raises `Broken` when it may not leave."""
    with tempfile.TemporaryDirectory(prefix="parts-", dir=package.parent) as parts:
        found = split(package, Path(parts))
        opened = read_package(found)
    if opened.faults:
        raise Broken(f"the package {task.key} has a fault: {opened.faults[0].code}")
    if opened.signed is None or opened.signed.certificate != signer.token.certificate:
        raise Broken(f"the package {task.key} is not signed by the certificate that is registered")
    wanted = {one.content_id: one.sha256 for one in task.files}
    if {one.entry.content_id: one.part.sha256 for one in opened.attached} != wanted:
        raise Broken(f"the package {task.key} does not hold what was to be sent")
    return found.sha256


def _keep(task: _Task, signer: Signer, package: Path, digest: str) -> MessageRow:
    """Keep a checked package, unless the authority has ended since the intent; return its message."""
    refusal: Forbidden | None = None
    with services().database.transaction() as session:
        message = session.get_one(MessageRow, task.key, with_for_update=True)
        if message.sha256:
            return message
        facts: dict[str, Json] = {
            "doc": {"sha256": digest, "size": package.stat().st_size},
            "certificate": sha256(signer.token.certificate).hexdigest(),
        }
        try:
            authorise_agency_alone(session, task.office, signer, what="exchange")
        except Forbidden as error:
            refusal = error
            _tell(
                session,
                task,
                event="exchange:package-unused",
                facts={**facts, **why(task.office.code, error)},
            )
        else:
            message.sha256, message.store_key, message.size = digest, task.place, package.stat().st_size
            session.add(message)
            _tell(session, task, event="exchange:package-signed", facts=facts)
    if refusal is not None:
        raise refusal
    return message
