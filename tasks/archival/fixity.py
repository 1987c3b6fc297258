"""
Reading the archive again, a share each night, so that damage is found while it can be mended (ARC-09).

What was read longest ago comes first. Each version is read to its end and compared with what was written down when
it was stored: bytes, lock, hold, and that nothing lies on top of it. Old entries of the history are read too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import HosoError, Unavailable
from infra.history import Json
from infra.history.recording import head, record
from infra.history.rereading import BLOCK, first_bad_in
from infra.object_store import Absent, ObjectStore
from infra.services import services
from tasks.archival.fixity_tables import FixityReadRow, FixityRunRow, HistoryBlockReadRow
from tasks.archival.locks import keep_for_ever
from tasks.archival.package import as_json
from tasks.archival.rules import Compared, Expected, differences, share_of
from tasks.dossier.moves import SYSTEM, Telling, hold, tell

#: How many objects are read at once: most of reading a small one is waiting.
_AT_ONCE = 4
#: Where the reports lie in the archive bucket.
FOLDER = "fixity/"

_ALL = """
    select key, version_id, sha256, size, mode, retain_until, held, dossier, read_back_at as since
    from archived_object where destroyed_at is null
    union all
    select key, version_id, sha256, size, mode, retain_until, false, null, kept_at from kept_object
"""
#: The share of a night: least recently read first up to so many bytes, and whatever is overdue.
_SHARE = f"""
    select * from (
        select a.*, coalesce(r.read_at, a.since) as last,
               sum(a.size + 1) over (order by coalesce(r.read_at, a.since), a.key) - a.size - 1 as before
        from ({_ALL}) a left join fixity_read r using (key, version_id)
    ) s
    where before < :share or last < :overdue order by last, key
"""  # noqa: S608  Nothing in it comes from outside.


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing in the archive, or in the history, that is not as it was written."""

    key: str
    version: str
    what: str
    expected: str
    found: str
    dossier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What one run has really read, and what it found."""

    run: int
    objects: int
    bytes: int
    seconds: float
    entries: int
    findings: tuple[Finding, ...]
    report: str

    @property
    def speed(self) -> float:
        """Return the megabytes read a second."""
        return self.bytes / 1e6 / self.seconds if self.seconds else 0.0


def read_archive(*, everything: bool = False) -> Night:
    """
    Read the share of a night (or everything) and return what was read; the report lies locked in the archive.

    A clean archive has no findings. What is found is in the history, once; it stays in every report until it is
    mended. A run that was interrupted is begun anew and reads first what it had not read. Raises `Unavailable`
    when the store gives nothing at all.
    """
    with services().database.transaction() as session:
        run = FixityRunRow(begun_at=now(session))
        session.add(run)
        session.flush()
        number = run.id or 0
        chosen = _chosen(session, everything=everything)
    began = monotonic()
    findings, size = _read_objects(number, chosen)
    seconds = monotonic() - began
    bad, entries = _read_history(everything=everything)
    night = Night(
        run=number,
        objects=len(chosen),
        bytes=size,
        seconds=round(seconds, 3),
        entries=entries,
        findings=(*findings, *bad),
        report=f"{FOLDER}{number:08}.json",
    )
    _end(night)
    return night


def _chosen(session: Session, *, everything: bool) -> list[Expected]:
    """Return what is to be read now, as it was written down."""
    days = services().settings.fixity_days
    total = session.connection().execute(text(f"select sum(size + 1) from ({_ALL}) a")).scalar() or 0  # noqa: S608
    moment = now(session)
    values = {
        "share": total + 1 if everything else share_of(int(total), days),
        "overdue": moment - timedelta(days=max(days - 1, 0)),
    }
    rows = session.connection().execute(text(_SHARE), values)
    return [
        Expected(
            key=r.key,
            version=r.version_id,
            sha256=r.sha256,
            size=r.size,
            mode=r.mode,
            retain_until=r.retain_until,
            held=r.held,
            dossier=r.dossier,
        )
        for r in rows
    ]


def _read_objects(run: int, chosen: Sequence[Expected]) -> tuple[list[Finding], int]:
    """Read objects, several at once; return what is wrong, and how many bytes were read."""
    store = services().archive
    findings, size, mute = [], 0, []  # type: list[Finding], int, list[Expected]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for batch in _batches(chosen):
            done: list[tuple[Expected, str | None]] = []
            for one, compared in zip(batch, pool.map(lambda o: _compared(store, o), batch), strict=True):
                if isinstance(compared, HosoError):
                    mute.append(one)
                    continue
                size += compared.size
                found = [_finding(one, *said) for said in differences(one, compared)]
                findings += found
                done.append((one, "; ".join(f.what for f in found) or None))
            _remember(run, done, findings)
    if mute and len(mute) == len(chosen):
        raise Unavailable("the archive's store does not answer")
    for one in mute:
        # The store answers for others: a second silence about this one is a finding.
        compared = _compared(store, one)
        said = (
            differences(one, compared)
            if isinstance(compared, Compared)
            else [("unreadable", one.sha256, str(compared))]
        )
        size += compared.size if isinstance(compared, Compared) else 0
        found = [_finding(one, *words) for words in said]
        findings += found
        _remember(run, [(one, "; ".join(f.what for f in found) or None)], findings)
    return findings, size


def _batches(chosen: Sequence[Expected], room: int = 256) -> Iterable[Sequence[Expected]]:
    """Yield pieces of a list."""
    for begin in range(0, len(chosen), room):
        yield chosen[begin : begin + room]


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


def _finding(one: Expected, what: str, expected: str, found: str) -> Finding:
    """Return a finding about an object."""
    return Finding(
        key=one.key, version=one.version, what=what, expected=expected, found=found, dossier=one.dossier
    )


def _remember(run: int, done: Sequence[tuple[Expected, str | None]], findings: Sequence[Finding]) -> None:
    """Write down that objects were read, and tell the history what was not known before."""
    with services().database.transaction() as session:
        moment = now(session)
        for one, what in done:
            before = session.get(FixityReadRow, (one.key, one.version))
            known = before.finding if before else None
            row = insert(FixityReadRow).values(
                key=one.key, version_id=one.version, read_at=moment, run=run, finding=what
            )
            update = {"read_at": moment, "run": run, "finding": what}
            session.connection().execute(
                row.on_conflict_do_update(index_elements=["key", "version_id"], set_=update)
            )
            if what is not None and what != known:
                for finding in findings:
                    if (finding.key, finding.version) == (one.key, one.version):
                        _tell(session, finding)


def _tell(session: Session, finding: Finding) -> None:
    """Write a finding into the history, of its dossier if it has one."""
    facts: dict[str, Json] = {k: v for k, v in asdict(finding).items() if k != "dossier" and v is not None}
    if finding.dossier is not None:
        tell(session, hold(session, finding.dossier), Telling(event="fixity:found", facts=facts))
    else:
        record(session, "archive", {"event": "fixity:found", "actor": SYSTEM.facts(), **facts})


def _read_history(*, everything: bool) -> tuple[list[Finding], int]:
    """Read the least recently read blocks of the history; return what is wrong, and how many entries were read."""
    with services().database.transaction() as session:
        size = head(session)[0]
        blocks = -(-size // BLOCK)
        count = blocks if everything else share_of(blocks, services().settings.fixity_days)
        due = session.connection().execute(
            text(
                "select b from generate_series(0, cast(:last as bigint)) b"
                " left join history_block_read r on r.block = b"
                " order by r.read_at nulls first, b limit :count"
            ),
            {"last": blocks - 1, "count": count},
        )
        chosen = [int(row.b) for row in due] if blocks else []
    findings: dict[int, Finding] = {}
    for block in chosen:
        with services().database.transaction() as session:
            bad = first_bad_in(session, block)
            if bad is not None:
                findings[bad] = _bad_entry(bad)
            row = insert(HistoryBlockReadRow).values(block=block, read_at=now(session))
            again = row.on_conflict_do_update(
                index_elements=["block"], set_={"read_at": row.excluded.read_at}
            )
            session.connection().execute(again)
    with services().database.transaction() as session:
        for finding in findings.values():
            _tell(session, finding)
    return list(findings.values()), min(len(chosen) * BLOCK, size)


def _bad_entry(position: int) -> Finding:
    """Return the finding about an entry of the history."""
    return Finding(
        key=f"history/{position}",
        version="",
        what="rewritten",
        expected="the entry that was signed",
        found="another one",
    )


def _end(night: Night) -> None:
    """Lay the report into the archive and write down that the run has ended."""
    with services().database.transaction() as session:
        begun = session.get_one(FixityRunRow, night.run).begun_at
    report: dict[str, object] = {
        **asdict(night),
        "begun_at": begun.isoformat(),
        "megabytes_a_second": round(night.speed, 1),
    }
    content = as_json(report)
    stored = keep_for_ever("fixity", night.report, content, "application/json")
    with services().database.transaction() as session:
        run = session.get_one(FixityRunRow, night.run)
        run.ended_at, run.objects, run.bytes, run.seconds = (
            now(session),
            night.objects,
            night.bytes,
            night.seconds,
        )
        run.entries, run.findings = night.entries, [asdict(finding) for finding in night.findings]
        run.report_key = stored.key
        session.add(run)
        facts: dict[str, Json] = {
            "event": "fixity:read",
            "actor": SYSTEM.facts(),
            "run": night.run,
            "objects": night.objects,
            "bytes": night.bytes,
            "entries": night.entries,
            "findings": len(night.findings),
            "doc": {"sha256": stored.sha256, "size": stored.size},
        }
        record(session, "archive", facts)


def last_read(session: Session) -> datetime | None:
    """Return when the archive was read last, or `None` before the first time."""
    done = select(FixityRunRow.ended_at).where(col(FixityRunRow.ended_at).is_not(None))
    return session.exec(done.order_by(col(FixityRunRow.ended_at).desc())).first()
