"""
Objects of the archive, read to their end and compared with what was written down when they were stored.

Several are read at once while the ones before are written down. One request an object is enough: whoever asks for the
bare key learns which version lies on top, its lock and its hold with the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from sqlalchemy import text
from sqlmodel import Session

from infra.database import now
from infra.errors import HosoError, Unavailable
from infra.history import Json
from infra.history.recording import record
from infra.object_store import Absent, ObjectStore
from infra.services import services
from tasks.archival.fixity_tables import FixityReadRow
from tasks.archival.rules import Compared, Expected, differences
from tasks.dossier.looking import hold
from tasks.dossier.moves import SYSTEM, Telling, tell

#: How many objects are read at once: most of reading a small one is waiting.
_AT_ONCE = 8
#: How many are written down in one transaction.
_ROOM = 256

_READ = """
    insert into fixity_read (key, version_id, read_at, run, finding)
    select k, v, :moment, :run, f
    from unnest(cast(:keys as text[]), cast(:versions as text[]), cast(:findings as text[])) as read (k, v, f)
    on conflict (key, version_id) do update
    set read_at = excluded.read_at, run = excluded.run, finding = excluded.finding
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing in the archive, or in the history, that is not as it was written."""

    key: str
    version: str
    what: str
    expected: str
    found: str
    dossier: str | None = None


def read_objects(run: int, chosen: Sequence[Expected]) -> tuple[list[Finding], int]:
    """
    Read objects and write down that they were read; return what is wrong, and how many bytes were read.

    Raises `Unavailable` when the store gives none of them. What was written down of a run that is interrupted stays.
    """
    store = services().archive
    findings, size, mute = [], 0, []  # type: list[Finding], int, list[Expected]
    for read in _answers(store, chosen):
        said = [(one, answer) for one, answer in read if isinstance(answer, Compared)]
        mute += [one for one, answer in read if not isinstance(answer, Compared)]
        size += sum(answer.size for _, answer in said)
        findings += _remember(run, [(one, _findings(one, differences(one, answer))) for one, answer in said])
    if mute and len(mute) == len(chosen):
        raise Unavailable("the archive's store does not answer")
    for one in mute:
        # The store answers for others: a second silence about this one is a finding.
        again = _compared(store, one)
        if isinstance(again, Compared):
            size += again.size
            words = differences(one, again)
        else:
            words = [("unreadable", one.sha256, str(again))]
        findings += _remember(run, [(one, _findings(one, words))])
    return findings, size


def tell_of(session: Session, finding: Finding) -> None:
    """Write a finding into the history, of its dossier if it has one."""
    facts: dict[str, Json] = {k: v for k, v in asdict(finding).items() if k != "dossier" and v is not None}
    if finding.dossier is not None:
        tell(session, hold(session, finding.dossier), Telling(event="fixity:found", facts=facts))
    else:
        record(session, "archive", {"event": "fixity:found", "actor": SYSTEM.facts(), **facts})


def _answers(
    store: ObjectStore, chosen: Sequence[Expected]
) -> Iterator[list[tuple[Expected, Compared | HosoError]]]:
    """Yield objects with what the store has of them, a batch at a time; the next batch is being read meanwhile."""

    def compared(one: Expected) -> tuple[Expected, Compared | HosoError]:
        return one, _compared(store, one)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        before: Iterable[tuple[Expected, Compared | HosoError]] | None = None
        for begin in range(0, len(chosen), _ROOM):
            going = pool.map(compared, chosen[begin : begin + _ROOM])
            if before is not None:
                yield list(before)
            before = going
        if before is not None:
            yield list(before)


def _compared(store: ObjectStore, one: Expected) -> Compared | HosoError:
    """Return one version as the store has it now, or why it cannot be said."""
    try:
        found = store.measure(one.key, one.version)
    except Absent:
        return Compared(sha256="", size=0, mode="", retain_until=None, held=False, newest=False)
    except HosoError as error:
        return error
    stored = found.stored
    return Compared(
        sha256=stored.sha256,
        size=stored.size,
        mode=stored.mode or "",
        retain_until=stored.retain_until,
        held=stored.held,
        newest=found.newest,
    )


def _findings(one: Expected, words: Sequence[tuple[str, str, str]]) -> list[Finding]:
    """Return findings about an object."""
    return [
        Finding(
            key=one.key, version=one.version, what=what, expected=expected, found=found, dossier=one.dossier
        )
        for what, expected, found in words
    ]


def _remember(run: int, read: Sequence[tuple[Expected, list[Finding]]]) -> list[Finding]:
    """Write down that objects were read, tell the history what was not known before, and return all findings."""
    said = ["; ".join(finding.what for finding in found) or None for _, found in read]
    with services().database.transaction() as session:
        for (one, found), what in zip(read, said, strict=True):
            if what is not None and what != _known(session, one):
                for finding in found:
                    tell_of(session, finding)
        values = {
            "moment": now(session),
            "run": run,
            "keys": [one.key for one, _ in read],
            "versions": [one.version for one, _ in read],
            "findings": said,
        }
        session.connection().execute(text(_READ), values)
    return [finding for _, found in read for finding in found]


def _known(session: Session, one: Expected) -> str | None:
    """Return what was found wrong with an object when it was read before."""
    before = session.get(FixityReadRow, (one.key, one.version))
    return before.finding if before else None
