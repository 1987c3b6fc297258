"""Every copy of a result that went to somebody: which file, by which channel, when; never to which address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from infra.database import now
from tasks.delivery.tables import SentCopyRow
from tasks.dossier.releases import Released

#: What kind of address each channel goes to.
ADDRESS_KINDS: Mapping[str, str] = {
    "email": "e-mail address",
    "portal": "portal account",
    "paper": "collector",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile:
    """One file that a try sends: whose result, which part of it, and which bytes."""

    ordinal: int
    part: str
    sha256: str
    size: int


def files_of(ordinal: int, result: Released) -> list[SentFile]:
    """Return the files that a released result consists of, in the order in which they are sent."""
    parts = [("result", result.document), ("note", result.note)]
    return [
        SentFile(ordinal=ordinal, part=part, sha256=document.sha256, size=document.size)
        for part, document in parts
        if document is not None
    ]


def list_copies(
    session: Session, code: str, *, channel: str, errand: int, files: Sequence[SentFile], outcome: str
) -> None:
    """
    Put the files of a try on the list of what was sent, in the transaction that writes its answer down.

    A try whose answer was lost is listed as `in doubt`; one more try lists its copies again, because two
    may have arrived.
    """
    for file in files:
        session.add(
            SentCopyRow(
                dossier=code,
                ordinal=file.ordinal,
                channel=channel,
                errand=errand,
                address_kind=ADDRESS_KINDS[channel],
                part=file.part,
                sha256=file.sha256,
                size=file.size,
                outcome=outcome,
                at=now(session),
            )
        )


def copies_of(session: Session, code: str) -> list[SentCopyRow]:
    """Return every copy that was sent of a dossier's results, oldest first."""
    query = select(SentCopyRow).where(SentCopyRow.dossier == code).order_by(col(SentCopyRow.id))
    return list(session.exec(query))


def channels_used(session: Session, code: str, ordinal: int) -> list[str]:
    """Return the channels by which a result reached somebody, or may have, in the order of their first copy."""
    copies = copies_of(session, code)
    return list(dict.fromkeys(copy.channel for copy in copies if copy.ordinal == ordinal))
