"""
Reading the archive again, a share each night, so that damage is found while it can be mended (ARC-09).

What was read longest ago comes first. Each version is read to its end and compared with what was written down when
it was stored: bytes, lock, hold, and that nothing lies on top of it. Old entries of the history are read too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from infra.database import now
from infra.history import Json
from infra.history.recording import head, record
from infra.history.rereading import BLOCK, first_bad_in
from infra.services import services
from tasks.archival.fixity_tables import FixityRunRow, HistoryBlockReadRow
from tasks.archival.locks import keep_for_ever
from tasks.archival.package import as_json
from tasks.archival.rereading import Finding, read_objects, tell_of
from tasks.archival.rules import Expected, share_of
from tasks.dossier.moves import SYSTEM

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
    findings, size = read_objects(number, chosen)
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
            tell_of(session, finding)
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
