"""
The versions of procedures that an installation offers: loaded once, never changed, carried between installations.

A dossier keeps the version that it was opened under (GEN-02), so what may be loaded is decided by the
dossiers that are there: no version begins on a day on which one was opened under another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import rfc8785
from pydantic import ValidationError
from sqlalchemy import text
from sqlmodel import Session, col, func, select

from infra.clock import HANOI
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from tasks.dossier.moves import Actor
from tasks.dossier.procedures import Procedure, route_fault
from tasks.dossier.procedures.comparing import differences
from tasks.dossier.tables import DossierRow, ProcedureRow

#: How the file that carries versions to another installation is called in itself.
FORMAT = "hoso-procedures-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One version of a procedure with the hash of the text that it was written in."""

    procedure: Procedure
    source: str  # SHA-256 of the definition as it was first loaded, comments left out

    @classmethod
    def of(cls, procedure: Procedure, content: object) -> Definition:
        """Return a definition that was read from a file with this content; a comment makes no other one."""
        written = json.dumps(content, default=str, sort_keys=True, ensure_ascii=False).encode()
        return cls(procedure=procedure, source=hashlib.sha256(written).hexdigest())

    @property
    def name(self) -> str:
        """How people speak of it."""
        return f"{self.procedure.code} v{self.procedure.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """Whom a version concerns: dossiers that are open keep theirs, later ones go by it."""

    open_under: Mapping[int, int]  # version → open dossiers
    begins: date
    until: date | None  # the day on which a later version takes over

    def sentences(self, version: int) -> list[str]:
        """Return who goes by which version, in words."""
        kept = [
            f"{count} open {'dossier keeps' if count == 1 else 'dossiers keep'} version {one}"
            for one, count in sorted(self.open_under.items())
        ]
        end = f" until {self.until - timedelta(days=1)}" if self.until else " on"
        return [*(kept or ["no dossier is open under any version"]),
                f"dossiers that are opened from {self.begins}{end} go by version {version}"]  # fmt: skip


def load(session: Session, wanted: Definition, *, by: Actor, begins: date | None = None) -> bool:
    """
    Keep one version of a procedure, in the caller's transaction; return whether it was new.

    `begins` puts its beginning off, for a version whose own day has passed. A version that is here already
    must be the same. Refuses (GEN-02) the same number with another content, a beginning that is earlier
    than the file says or out of the order of the numbers, and one in the past of dossiers that were opened.
    """
    session.connection().execute(text("select pg_advisory_xact_lock(hashtextextended('procedure', 0))"))
    procedure = wanted.procedure
    if begins is not None and begins < procedure.effective_from:
        raise Forbidden(
            f"{wanted.name} begins on {procedure.effective_from}, and cannot begin on {begins}.",
            rule="GEN-02",
            way_out="Give that day or a later one.",
        )
    chosen = procedure.model_copy(update={"effective_from": begins or procedure.effective_from})
    row = session.get(ProcedureRow, (procedure.code, procedure.version))
    if row is not None:
        _must_be_same(row, wanted, chosen, begins)
        return False
    _may_begin(session, chosen)
    session.add(
        ProcedureRow(
            code=chosen.code,
            version=chosen.version,
            effective_from=chosen.effective_from,
            sha256=wanted.source,
            body=chosen.model_dump(mode="json", by_alias=True),
        )
    )
    facts: dict[str, Json] = {
        "event": "procedure:loaded",
        "actor": by.facts(),
        "procedure": chosen.code,
        "version": chosen.version,
        "begins": chosen.effective_from.isoformat(),
        "source": wanted.source,
    }
    record(session, f"procedure/{chosen.code}", facts)
    return True


def _must_be_same(row: ProcedureRow, wanted: Definition, chosen: Procedure, begins: date | None) -> None:
    """Refuse a version that is here with another content; dossiers were opened under it."""
    here = Procedure.model_validate(row.body)
    same_text = row.sha256 == wanted.source and begins in (None, row.effective_from)
    if same_text or here == chosen:
        return
    what = differences(here, chosen) or [f"begins: {row.effective_from} → {chosen.effective_from}"]
    raise Forbidden(
        f"procedure {row.code} version {row.version} is in use and differs from this one: {'; '.join(what)}.",
        rule="GEN-02",
        way_out="Give the changed definition a new version number and its own effective date.",
    )


def _may_begin(session: Session, wanted: Procedure) -> None:
    """Refuse a beginning that contradicts the other versions, or the dossiers that were opened."""
    begins, others = wanted.effective_from, versions(session, wanted.code)
    for other in others:
        if (other.version - wanted.version) * (other.effective_from - begins).days < 0:
            raise Forbidden(
                f"version {wanted.version} of {wanted.code} would begin on {begins}, and version {other.version} "
                f"on {other.effective_from}: the later version must not begin earlier.",
                rule="GEN-02",
                way_out="Number the versions in the order in which they begin.",
            )
    until = min((o.effective_from for o in others if o.version > wanted.version), default=None)
    opened = _opened(session, wanted.code, begins, until)
    if opened:
        count, last = opened
        raise Forbidden(
            f"version {wanted.version} of {wanted.code} would begin on {begins}, and {count} dossiers were opened "
            f"since then under another version, the last on {last}.",
            rule="GEN-02",
            way_out=f"Let it begin later: --from {last + timedelta(days=1)}; those dossiers keep their version.",
        )


def _opened(session: Session, code: str, first: date, until: date | None) -> tuple[int, date] | None:
    """Return how many dossiers of a procedure were opened in a span of days, and on which day the last."""
    query = select(func.count(), func.max(DossierRow.opened_at)).where(
        DossierRow.procedure == code, col(DossierRow.opened_at) >= _midnight(first)
    )
    if until is not None:
        query = query.where(col(DossierRow.opened_at) < _midnight(until))
    count, last = session.exec(query).one()
    return (count, last.astimezone(HANOI).date()) if count else None


def _midnight(day: date) -> datetime:
    """Return the moment at which a day begins at the offices."""
    return datetime.combine(day, time(0), tzinfo=HANOI)


def versions(session: Session, code: str | None = None) -> list[ProcedureRow]:
    """Return the versions that are loaded, of one procedure or of all, by code and number."""
    query = select(ProcedureRow).order_by(ProcedureRow.code, col(ProcedureRow.version))
    return list(session.exec(query if code is None else query.where(ProcedureRow.code == code)))


def open_dossiers(session: Session, code: str) -> dict[int, int]:
    """Return for each version of a procedure how many dossiers are open under it, where there are any."""
    query = (
        select(DossierRow.procedure_version, func.count())
        .where(DossierRow.procedure == code, col(DossierRow.ended_at).is_(None))
        .group_by(col(DossierRow.procedure_version))
    )
    return dict(session.exec(query).all())


def before(session: Session, procedure: Procedure) -> Procedure | None:
    """Return what a version is compared with: the same one if it is here, else the one before it."""
    known = [row for row in versions(session, procedure.code) if row.version <= procedure.version]
    return Procedure.model_validate(known[-1].body) if known else None


def concerned(session: Session, procedure: Procedure) -> Concerned:
    """Return whom a version concerns."""
    later = [r.effective_from for r in versions(session, procedure.code) if r.version > procedure.version]
    return Concerned(
        open_under=open_dossiers(session, procedure.code),
        begins=procedure.effective_from,
        until=min(later, default=None),
    )


def packed(rows: Sequence[ProcedureRow]) -> str:
    """Return versions as the text of one file for another installation, with its checksum in it."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "procedures": [{"source": row.sha256, "body": row.body} for row in rows],
    }
    return json.dumps(content | {"sha256": _checksum(content)}, ensure_ascii=False, indent=1) + "\n"


def unpacked(written: str, name: str) -> list[Definition]:
    """Return the versions in such a file; refuses (GEN-02) one that is torn, changed or of another format."""
    try:
        content = json.loads(written)
        said = content.pop("sha256")
        if content["format"] != FORMAT:
            raise _unreadable(name, f"its format is “{content['format']}”, not “{FORMAT}”")
        if _checksum(content) != said:
            raise _unreadable(name, "its checksum does not fit its content")
        found = [
            Definition(procedure=Procedure.model_validate(one["body"]), source=one["source"])
            for one in content["procedures"]
        ]
    except ValidationError as error:
        raise _unreadable(name, f"a definition does not fit the schema of this release: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(name, "it is torn, or no file of “hoso procedure export”") from error
    for one in found:
        if fault := route_fault(one.procedure):
            raise Forbidden(f"{one.name} in {name} {fault[1]}.", rule=fault[0], way_out=fault[2])
    return found


def _checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the content in its canonical form (RFC 8785)."""
    return hashlib.sha256(rfc8785.dumps(dict(content))).hexdigest()


def _unreadable(name: str, why: str) -> Forbidden:
    """Return the refusal of a file that carries versions."""
    return Forbidden(
        f"{name} is not imported: {why}.",
        rule="GEN-02",
        way_out="Export it again where it comes from, and bring it here unchanged.",
    )
