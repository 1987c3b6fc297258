"""
Taking in what other agencies sent: kept first, checked, written down, and only then confirmed to the axis.

A package is data from outside. Its size is bounded while it is read, its signature and every signature in its
files are judged, and whatever is wrong is answered with its code while the package is kept aside (EXC-06).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from hashlib import sha256
from pathlib import Path

from sqlalchemy import text
from sqlmodel import Session, col, select

from infra.axis import Waits
from infra.database import now
from infra.edxml.faults import Fault, Faulty, mismatch
from infra.edxml.reading import Opened, read_package
from infra.edxml.splitting import Most, split
from infra.edxml.values import Letter
from infra.errors import Broken, Forbidden, Unavailable
from infra.history import Json
from infra.history.recording import record
from infra.pdf.signing import check_certificate
from infra.services import services
from tasks.certificates.tables import CertificateRow
from tasks.dossier.calendar import local
from tasks.dossier.moves import SYSTEM
from tasks.dossier.papers import store_file
from tasks.exchange import arriving
from tasks.exchange.abreast import abreast
from tasks.exchange.arriving import Came
from tasks.exchange.judging import Judged, judge
from tasks.exchange.organisations import resolve, same_agency
from tasks.exchange.tables import ArrivalRow

#: How often a package is fetched that does not arrive as it was sent.
MOST_FETCHES = 5
#: Seconds for which one process fetches what waits for an office.
_ALONE = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What became of the packages that waited for an office."""

    taken: int = 0
    others: int = 0


def fetch_waiting(office: str) -> Fetched:
    """
    Take in what waits on the axis for an office; a second process that looks at the same time leaves it alone.

    Raises `Unavailable` when the axis or a service does not answer; what was taken in until then stays so.
    """
    parts = services()
    if parts.axis is None:
        return Fetched()
    with parts.database.locked(f"exchange/{office}", patience=_ALONE) as alone:
        if not alone:
            return Fetched()
        taken = others = 0
        waiting = parts.axis.waiting(office)
        known = _known(office, [waits.axis_id for waits in waiting])
        fetched = abreast(
            waiting,
            lambda waits, folder: _fetch(office, waits, known.get(waits.axis_id), folder),
            size=_weight,
        )
        for waits, became in fetched:
            state = became()()
            if state != "damaged":
                _confirm(office, waits)
            taken += state == "taken"
            others += state != "taken"
        if taken:
            arriving.settle_held(office)
        return Fetched(taken=taken, others=others)


def _weight(waits: Waits) -> int:
    """Return how many bytes a package takes while it is read."""
    return waits.size


def _fetch(office: str, waits: Waits, known: str | None, folder: Path) -> Callable[[], str]:
    """Fetch one package and look at it; what is returned writes it down. `known` is what became of it before."""
    parts = services()
    assert parts.axis is not None
    if known is not None and known != "damaged":
        return lambda: known  # It died between keeping and confirming: only that is left to do.
    package = folder / "package.xml"
    if parts.axis.fetch(waits.axis_id, office, package) != waits.sha256:
        return partial(_damaged, office, waits)
    return look_into(office, waits, package)


def _confirm(office: str, waits: Waits) -> None:
    """Tell the axis that a package is here, and write down that it knows."""
    parts = services()
    assert parts.axis is not None
    parts.axis.confirm(waits.axis_id, office, "done")
    with parts.database.transaction() as session:
        session.connection().execute(_CONFIRMED, {"office": office, "axis_id": waits.axis_id})


_CONFIRMED = text("""
    update exchange_arrival set confirmed_at = coalesce(confirmed_at, clock_timestamp())
    where office = :office and axis_id = :axis_id
""")


def _known(office: str, axis_ids: Sequence[str]) -> dict[str, str]:
    """Return what became of those of some packages that came before."""
    if not axis_ids:
        return {}
    query = select(ArrivalRow.axis_id, ArrivalRow.state).where(
        ArrivalRow.office == office, col(ArrivalRow.axis_id).in_(axis_ids)
    )
    with services().database.transaction() as session:
        return dict(session.exec(query).all())


def _damaged(office: str, waits: Waits) -> str:
    """Count a package that was damaged on its way, and return `damaged`; after five times a person looks at it."""
    with services().database.transaction() as session:
        row = session.get(ArrivalRow, (office, waits.axis_id)) or ArrivalRow(
            office=office,
            axis_id=waits.axis_id,
            kind=waits.kind,
            sender=waits.sender,
            state="damaged",
            arrived_at=now(session),
        )
        row.attempts += 1
        row.faults = [str(mismatch("edXML", "the package did not come as the axis says that it was sent"))]
        over = row.attempts >= MOST_FETCHES
        row.state = "set-aside" if over else "damaged"
        session.add(row)
        facts: dict[str, Json] = {
            "event": "exchange:damaged",
            "actor": SYSTEM.facts(),
            "office": office,
            "axis": waits.axis_id,
            "try": row.attempts,
        }
        record(session, office, facts)
    if over and services().axis is not None:
        services().axis.confirm(waits.axis_id, office, "fail")  # type: ignore[union-attr]
    return "damaged"


def take_in(office: str, waits: Waits, package: Path) -> str:
    """
    Keep a package and write down what it says; return what became of it.

    The file is the one of which `waits` says the hash; who calls has compared them. `taken`, `duplicate`, `held` (it
    overtook what it belongs to), or `set-aside` with its faults. The same package again changes nothing.
    """
    return look_into(office, waits, package)()


def look_into(office: str, waits: Waits, package: Path) -> Callable[[], str]:
    """
    Keep a package and judge it; what is returned writes down what became of it, as `take_in` says.

    Nothing is written down before that, so that several may be looked into at a time and written down in order.
    """
    parts = services()
    digest = waits.sha256
    stored = parts.work.put_file(f"exchange/in/{digest}.xml", package, content_type="application/xml")
    if stored.sha256 != digest:
        raise Broken(f"{stored.key} in the work store holds another package than its name says")
    with tempfile.TemporaryDirectory(prefix="hoso-read-") as name:
        try:
            most = Most(file_bytes=parts.settings.axis_limit_bytes)
            opened = read_package(split(package, Path(name), most))
        except Faulty as error:
            return partial(arriving.set_aside, office, waits, stored, error.faults, None)
        judged = [judge(one.entry.name, one.part.path, one.part.sha256) for one in opened.attached]
        faults = [*opened.faults, *_authentic(office, waits, opened), *_broken(judged)]
        if faults:
            return partial(arriving.set_aside, office, waits, stored, faults, opened)
        files = [
            store_file(
                one.part.path,
                one.entry.media_type or "application/octet-stream",
                digest=one.part.sha256,
            )
            for one in opened.attached
        ]
    came = Came(office=office, waits=waits, package=stored, opened=opened, judged=judged, files=files)
    return partial(arriving.write_down, came)


def _broken(judged: Sequence[Judged]) -> list[Fault]:
    """Return the faults of the files' signatures."""
    return [mismatch("AttachmentEncoded.Attachment", fault) for one in judged for fault in one.faults]


def _authentic(office: str, waits: Waits, opened: Opened) -> list[Fault]:
    """Return why a package is not from whom it says, or not for this office (EXC-06, EDX-12)."""
    said = opened.letter or opened.status
    if opened.signed is None or said is None:
        return []
    parts = services()
    faults: list[Fault] = []
    with parts.database.transaction() as session:
        today = local(now(session)).date()
        path = "Status.From.OrganId" if opened.status else "MessageHeader.From.OrganId"
        if not same_agency(session, said.sender.code, waits.sender, today):
            faults.append(mismatch(path, "the axis says that another agency sent it"))
        own = _is_own(session, opened.signed.certificate, said.sender.code)
        if not own:
            faults += _certified(session, opened.signed.certificate, said.sender.code, path, today)
        if opened.letter is not None and not _addressed(session, office, opened.letter, today):
            faults.append(mismatch("MessageHeader.To.OrganId", f"it is not addressed to {office}"))
        try:
            check_certificate(
                opened.signed.certificate,
                anchors=parts.anchors if own else parts.foreign_anchors,
                chain=parts.chain if own else parts.foreign_chain,
                at=now(session),
            )
        except Forbidden as error:
            faults.append(mismatch("edXMLHeader.Signature.KeyInfo", error.message))
    return faults


def _addressed(session: Session, office: str, letter: Letter, today: date) -> bool:
    """Whether a letter is for an office, under whichever of its codes."""
    return any(same_agency(session, one.code, office, today) for one in letter.to)


def _is_own(session: Session, certificate: bytes, code: str) -> bool:
    """
    Whether an agency that works in this very system signs with a certificate (ORG-06).

    The register of certificates says so, and says more than the directory: whose it is was proved by a test
    signature, and it knows what was revoked.
    """
    row = session.get(CertificateRow, sha256(certificate).hexdigest())
    return row is not None and (row.office, row.holder) == (code, "") and row.revoked_at is None


def _certified(session: Session, certificate: bytes, code: str, path: str, today: date) -> list[Fault]:
    """Return whether a certificate is one of the agency's: by the directory, else by the name in it."""
    try:
        agency = resolve(session, code, today)
    except Forbidden as error:
        return [mismatch(path, error.message)]
    if agency.certificates:
        if sha256(certificate).hexdigest() in agency.certificates:
            return []
        return [
            mismatch("edXMLHeader.Signature.KeyInfo", "the certificate is not the agency's in the directory")
        ]
    if _names(certificate) & {_folded(agency.name), _folded(agency.code)}:
        return []
    return [mismatch("edXMLHeader.Signature.KeyInfo", "the certificate does not name the agency")]


def _names(certificate: bytes) -> set[str]:
    """Return what a certificate calls its holder."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    subject = x509.load_der_x509_certificate(certificate).subject
    held = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)
    return {_folded(str(one.value)) for one in subject if one.oid in held}


def _folded(name: str) -> str:
    """Return a name as names are compared."""
    import unicodedata  # noqa: PLC0415

    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def check_axis() -> None:
    """Raise `Unavailable` on an installation that takes no part in the exchange."""
    if services().axis is None:
        raise Unavailable("this installation has no axis (HOSO_AXIS_URL)")
