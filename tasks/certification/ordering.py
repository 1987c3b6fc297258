"""
Bulk orders: one requester, many originals from a table and a folder, every row examined before anything starts.

An order is named by what is in it, and each of its dossiers by the order, so placing it again after a crash goes
on where it stood. Its dossiers wait for the office's batches; what would be late is pulled forward (CERT-17).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import rfc8785
from sqlmodel import Session, col, func, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record, told_together
from infra.services import services
from tasks.batches.rules import pulled_at
from tasks.certification.manifests import BadRow, OrderLine, grouped
from tasks.certification.receiving import Receipt, take_in
from tasks.certification.scanning import Presented, Scanned, scan_original
from tasks.certification.tables import BulkOrderRow, OrderedOriginalRow
from tasks.dossier.calendar import local
from tasks.dossier.deadlines import check_extension
from tasks.dossier.looking import office_of, procedure_on
from tasks.dossier.moves import Actor
from tasks.dossier.offices import OfficeData
from tasks.dossier.opening import Applicant, Opening, all_answered_before, check_applicant, open_dossiers
from tasks.dossier.outbox import leave_to_batches
from tasks.dossier.procedures import Procedure, check_channels
from tasks.dossier.tables import OriginalRow
from tasks.people.acting import acting

#: Dossiers that are opened in one transaction.
_TOGETHER = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one requester asks for, besides the rows."""

    office: str
    procedure: str
    applicant: Applicant
    folder: Path
    channels: Sequence[str] = ()
    paid: str | None = None
    extended_by: int = 0
    agreed: bool = False

    @property
    def receipt(self) -> Receipt:
        """What is established at the counter for each of its dossiers."""
        return Receipt(paid=self.paid, extended_by=self.extended_by, agreed=self.agreed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A row whose files were read, found fit, and stored."""

    line: OrderLine
    scanned: Scanned


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An order that was placed: its name, its dossiers in the order of the table, and whether it had been before."""

    order: str
    dossiers: tuple[str, ...]
    repeated: bool


def examine_rows(
    order: Order, lines: Sequence[OrderLine], *, by: Actor, told: Callable[[int], None] = lambda _n: None
) -> tuple[list[Examined], list[BadRow]]:
    """
    Read the files of every row as the counter does, and return those that are fit and those that are not, with why.

    Refuses the whole order for what concerns all rows: the requester, the channels, the extra days (CERT-18).
    Nothing is decided and no dossier touched; the bytes of fit files are stored under their hashes.
    """
    procedure, _ = _checked(order, by)

    def one(line: OrderLine) -> Examined | BadRow:
        try:
            presented = Presented(
                kind=line.kind, files=_files(order.folder, line), pages=line.pages, copies=line.copies
            )
            return Examined(line=line, scanned=_without_content(scan_original(presented, procedure, 1)))
        except Forbidden as error:
            return BadRow(row=line.row, why=f"{error.message} [{error.rule}] {error.way_out}")

    fit: list[Examined] = []
    bad: list[BadRow] = []
    # Each is read in a process of its own, so threads use every processor.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        tries = [pool.submit(copy_context().run, one, line) for line in lines]
        for number, done in enumerate(tries, start=1):
            found = done.result()
            (fit if isinstance(found, Examined) else bad).append(found)  # type: ignore[arg-type]
            told(number)
    return fit, bad


def place_order(
    order: Order, rows: Sequence[Examined], *, by: Actor, told: Callable[[int], None] = lambda _n: None
) -> Placed:
    """
    Open and receive a dossier for each group of rows, and leave them to the office's batches.

    Placing the same order again opens nothing new, and after a crash goes on with what is missing. Refuses an
    order that another requester placed with the same files.
    """
    procedure, office = _checked(order, by)
    name = _name(order, rows)
    known = {one.line.row: one for one in rows}
    groups = [[known[line.row] for line in group] for group in grouped([one.line for one in rows])]
    with services().database.transaction() as session:
        repeated = session.get(BulkOrderRow, name) is not None
        if not repeated:
            _begin(session, name, order, by, rows=len(rows))
    codes: list[str] = []
    for start in range(0, len(groups), _TOGETHER):
        some = dict(enumerate(groups[start : start + _TOGETHER], start=start + 1))
        with services().database.transaction() as session:
            codes += _open(session, name, order, some, procedure, office, by)
        told(len(codes))
    with services().database.transaction() as session:
        row = session.get_one(BulkOrderRow, name)
        if row.ended_at is None:
            row.ended_at = now(session)
            session.add(row)
    return Placed(order=name, dossiers=tuple(codes), repeated=repeated)


def _checked(order: Order, by: Actor) -> tuple[Procedure, OfficeData]:
    """Refuse what concerns the whole order; return the procedure of today, and the office."""
    with services().database.transaction() as session:
        office = office_of(session, order.office)
        acting(session, by, "order place", office=office.code, procedure=order.procedure)
        procedure = procedure_on(session, order.procedure, local(now(session)).date())
    applicant = order.applicant
    check_applicant(applicant)
    check_channels(procedure, order.channels, email=applicant.email, account=applicant.account)
    check_extension(order.extended_by, procedure.time_limit.rule(), agreed_in_writing=order.agreed)
    if not order.folder.is_dir():
        raise Forbidden(
            f"{order.folder} is no folder.", rule="INTAKE-01", way_out="Name the folder of the scans."
        )
    return procedure, office


def _files(folder: Path, line: OrderLine) -> tuple[tuple[str, bytes], ...]:
    """Return the names and contents of a row's files; refuses what is not a plain file of the folder."""
    limit, root = services().settings.upload_limit_bytes, folder.resolve()
    found = []
    for name in line.files:
        path = (root / name).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            raise Forbidden(
                f"the folder has no file {name}.",
                rule="INTAKE-01",
                way_out="Correct the row, or add the scan.",
            )
        if path.stat().st_size > limit:
            raise Forbidden(
                f"the file {name} is larger than {limit / 1e6:g} MB.",
                rule="INTAKE-03",
                way_out="Scan at 200 to 300 dpi, or split the original into several files.",
            )
        found.append((path.name, path.read_bytes()))
    return tuple(found)


def _without_content(scanned: Scanned) -> Scanned:
    """Return what was read without the bytes, which are stored; thousands of scans do not fit into memory."""
    pages = [(replace(page, content=b""), stored) for page, stored in scanned.scan.pages]
    presented = replace(scanned.presented, files=tuple((name, b"") for name, _ in scanned.presented.files))
    return replace(scanned, presented=presented, scan=replace(scanned.scan, pages=pages))


def _name(order: Order, rows: Sequence[Examined]) -> str:
    """Return the name of an order: a hash of what is asked for, by whom, and of every file."""
    body = {
        "office": order.office,
        "procedure": order.procedure,
        "requester": hashlib.sha256(order.applicant.identity.strip().encode()).hexdigest(),
        "rows": [
            [
                one.line.kind,
                one.line.copies,
                one.line.dossier,
                [stored.sha256 for _, stored in one.scanned.scan.files],
            ]
            for one in rows
        ],
    }
    return hashlib.sha256(rfc8785.dumps(body)).hexdigest()[:32]  # type: ignore[arg-type]


def _begin(session: Session, name: str, order: Order, by: Actor, *, rows: int) -> None:
    """Write down that an order is placed, before its first dossier."""
    by = acting(session, by, "order place", office=order.office, procedure=order.procedure)
    session.add(
        BulkOrderRow(
            id=name,
            office=order.office,
            procedure=order.procedure,
            placed_by=by.staff,
            rows=rows,
            extended_by=order.extended_by,
            begun_at=now(session),
        )
    )
    facts: dict[str, Json] = {
        "office": order.office,
        "order": name,
        "rows": rows,
        "extended_by": order.extended_by,
    }
    event = "order:placed"
    record(session, f"order/{name}", {"event": event, "actor": by.facts(), **facts})


def _open(
    session: Session,
    name: str,
    order: Order,
    groups: Mapping[int, Sequence[Examined]],
    procedure: Procedure,
    office: OfficeData,
    by: Actor,
) -> list[str]:
    """Open and receive, in the caller's transaction, what of an order was not; return the codes of all its numbers."""
    openings = {number: _opening(name, number, order) for number in groups}
    before = all_answered_before(session, list(openings.values()))
    codes = {
        n: before[known].code for n, one in openings.items() if (known := one.request_id or "") in before
    }
    fresh = [number for number in groups if number not in codes]
    if not fresh:
        return list(codes.values())
    by = acting(session, by, "order place", office=order.office, procedure=order.procedure)
    every = timedelta(minutes=services().settings.batch_minutes)
    left: dict[str, datetime] = {}
    with told_together(session):
        opened = open_dossiers(session, [openings[n] for n in fresh], office, by=by, walk_in=True)
        for number, dossier in zip(fresh, opened, strict=True):
            scanned = [one.scanned for one in groups[number]]
            take_in(session, dossier, procedure, scanned, order.receipt, by)
            left[dossier.code] = pulled_at(office.calendar(), dossier.due_at or now(session), every)
            session.add_all(_ordered(name, dossier.code, groups[number]))
            codes[number] = dossier.code
    leave_to_batches(session, left)
    return [codes[number] for number in groups]


def _opening(name: str, number: int, order: Order) -> Opening:
    """Return what is asked for with one dossier of an order."""
    return Opening(
        office=order.office,
        procedure=order.procedure,
        applicant=order.applicant,
        channels=tuple(order.channels),
        request_id=f"order/{name}/{number}",
    )


def _ordered(name: str, code: str, group: Sequence[Examined]) -> list[OrderedOriginalRow]:
    """Return the rows that say which original came from which row of an order."""
    return [
        OrderedOriginalRow(
            bulk_order=name,
            row=one.line.row,
            dossier=code,
            ordinal=ordinal,
            facts={"kind": one.line.kind, "files": len(one.line.files)},
        )
        for ordinal, one in enumerate(group, start=1)
    ]


def orders_at(office: str) -> list[tuple[BulkOrderRow, dict[str, int]]]:
    """Return an office's bulk orders, the newest first, each with how many of its originals stand where."""
    with services().database.transaction() as session:
        query = select(BulkOrderRow).where(BulkOrderRow.office == office)
        found = []
        for order in session.exec(query.order_by(col(BulkOrderRow.begun_at).desc())):
            counted = (
                select(OriginalRow.standing, func.count())
                .join(
                    OrderedOriginalRow,
                    (col(OrderedOriginalRow.dossier) == col(OriginalRow.dossier))
                    & (col(OrderedOriginalRow.ordinal) == col(OriginalRow.ordinal)),
                )
                .where(OrderedOriginalRow.bulk_order == order.id)
                .group_by(OriginalRow.standing)
            )
            found.append((order, {str(standing): n for standing, n in session.exec(counted)}))
        return found
