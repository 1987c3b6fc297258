"""Archiving: one OCFL package under object lock, inventory last, every version read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, date, datetime, time
from functools import cache, lru_cache

from sqlmodel import Session, col, select

from infra.database import now, once_at_end
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.history.recording import head
from infra.object_store import Stored
from infra.object_store.probing import require_safe
from infra.ocfl import is_inventory, object_path, ocfl_root
from infra.reading import rows_of
from infra.services import services
from tasks.archival.locks import keep_in_mind, locked_until
from tasks.archival.package import Package, gather, render, rendered_once
from tasks.archival.rules import package_id
from tasks.archival.tables import ArchivedObjectRow, PackageRow
from tasks.dossier.lifecycle import Stage
from tasks.dossier.looking import hold, look, office_of, procedure_of
from tasks.dossier.moves import SYSTEM, Actor, Telling, ask_to_continue, move_to, tell
from tasks.dossier.tables import DossierRow
from tasks.people.acting import acting_on, scope

#: The OCFL storage root within the bucket; the probe keeps its own objects beside it.
ARCHIVE_ROOT = "archive/"

#: Where a session keeps the packages that are begun in it.
_PLANS = "plans"

#: Files of a package that are on their way to the archive at once.
_AT_ONCE = 4


def ask_for_archive(code: str | None, *, by: Actor = SYSTEM) -> list[str]:
    """Ask that a returned dossier (or, without a code, every one that is theirs) be archived now; return the codes."""
    asked = []
    with services().database.transaction() as session:
        query = select(DossierRow.code).where(DossierRow.stage == Stage.RETURNED)
        if code is None and by != SYSTEM:
            theirs = scope(session, by, "archive")
            query = query.where(theirs.within(DossierRow.office, DossierRow.procedure))
        codes = [look(session, code).code] if code else list(session.exec(query))
    for one in codes:
        with services().database.transaction() as session:
            dossier = hold(session, one)
            actor = acting_on(session, by, "archive", dossier)
            if dossier.stage == Stage.ARCHIVED:
                continue
            if dossier.stage == Stage.RETURNED and not dossier.archive_asked:
                dossier.archive_asked = True
                session.add(dossier)
                tell(session, dossier, Telling(event="archive:asked", by=actor))
            elif dossier.stage != Stage.RETURNED:
                raise Forbidden(
                    f"dossier {one} stands at {dossier.stage}; only a returned dossier is archived.",
                    rule="DOS-06",
                    way_out="“hoso show” says what it waits for.",
                )
            ask_to_continue(session, one)
            asked.append(one)
    return asked


def is_due(code: str) -> bool:
    """Whether a dossier was returned and its archive asked for."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        return dossier.stage == Stage.RETURNED and dossier.archive_asked


def is_begun(code: str) -> bool:
    """Whether it is fixed what a dossier's package will hold."""
    with services().database.transaction() as session:
        return session.get(PackageRow, code) is not None


def begun_of(codes: Sequence[str]) -> list[str]:
    """Return those of some dossiers that are not archived and whose package was begun, in order."""
    with services().database.transaction() as session:
        query = (
            select(PackageRow.dossier)
            .join(DossierRow, col(DossierRow.code) == col(PackageRow.dossier))
            .where(col(PackageRow.dossier).in_(list(codes)), DossierRow.stage == Stage.RETURNED)
        )
        begun = set(session.exec(query))
    return [code for code in codes if code in begun]


def begin_package(code: str) -> bool:
    """
    Fix by a committed row what a returned dossier's package will hold; return whether it is fixed.

    From its last entry, `dossier:archiving`, on the dossier waits for a checkpoint that covers it. Beginning
    again changes nothing. `False` for a dossier whose archive was not asked for, or that is archived.
    """
    with services().database.transaction() as session:
        dossier = hold(session, code)
        if dossier.stage != Stage.RETURNED or not dossier.archive_asked:
            return False
        if not rows_of(session, PackageRow, dossier=code):
            retention = procedure_of(session, dossier).retention
            office = office_of(session, dossier.office)
            moment = now(session).replace(microsecond=0)
            tell(session, dossier, Telling(event="dossier:archiving", facts={"rule": retention.rule}))
            plan = PackageRow(
                dossier=code,
                begun_at=moment,
                history_position=-1,
                retain_until=locked_until(moment, retention.years),
                permanent=retention.years is None,
                user_name=office.name,
                user_address=f"mailto:{office.mailbox}",
            )
            session.add(plan)
            session.info.setdefault(_PLANS, []).append(plan)
            if not once_at_end(session, _fix_positions):
                _fix_positions(session)
        return True


def _fix_positions(session: Session) -> None:
    """Say of packages that were begun how far the history is that they tell of: to the last entry as of now."""
    position = head(session)[0] - 1
    for plan in session.info.pop(_PLANS):
        plan.history_position = position


def archive(code: str) -> bool:
    """
    Put a returned dossier's package into the archive and read it back; return whether it was done now.

    What is written is fixed by a committed row first (`begin_package`, done here if nobody did), so a second try
    after a crash writes the same keys with the same bytes. `False` as long as no stamped checkpoint covers its
    entries. Refuses a store that fails the WORM probe (design: archival refuses to run).
    """
    if not begin_package(code):
        return False
    found = gather(code)
    package = None if found is None else rendered_once(render(found))
    return package is not None and end_package(package, lay_down_package(package))


def lay_down_package(package: Package) -> list[Stored]:
    """Lock a package in the archive, read it back, and return its objects as the store reports them."""
    store_is_safe()
    write_root(package.plan.begun_at.date())
    folder = ARCHIVE_ROOT + object_path(package_id(package.code))
    return lay_down(folder, package.written, package.plan.retain_until)


def lay_down(folder: str, files: Mapping[str, bytes], until: datetime) -> list[Stored]:
    """
    Lock the files of an OCFL object in the archive, read each back, and return them as the store reports them.

    What the inventories name goes first, some at a time, because most of it is waiting; they follow in order, the
    root's last, so that an object is there as a whole or not at all. Raises what the store raises, and `Broken`.
    """

    def one(name: str) -> Stored:
        stored = services().archive.put_locked(
            f"{folder}/{name}",
            files[name],
            content_type="application/octet-stream",
            retain_until=until,
            looks=False,  # It is read back next.
        )
        return read_back(stored, files[name], until)

    named = [name for name in files if not is_inventory(name)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        going = [pool.submit(copy_context().run, one, name) for name in named]
    return [done.result() for done in going] + [one(name) for name in files if is_inventory(name)]


@lru_cache(maxsize=1)
def write_root(day: date) -> None:
    """
    Make the archive an OCFL storage root, its files locked as long as what is kept for ever; once a day and process.

    Again is harmless.
    """
    moment = datetime.combine(day, time.min, UTC)
    stored = [
        services().archive.put_locked(
            ARCHIVE_ROOT + name,
            content,
            content_type="application/octet-stream",
            retain_until=locked_until(moment, None),
        )
        for name, content in ocfl_root().items()
    ]
    with services().database.transaction() as session:
        for one in stored:
            keep_in_mind(session, "root", one)


@cache
def store_is_safe() -> None:
    """Probe the archive once a process; raises `Unsafe` naming what it would let somebody do."""
    require_safe(services().archive.probe())


def read_back(stored: Stored, content: bytes, until: datetime) -> Stored:
    """Return a version as the store reports it now; raises `Broken` when it is not what was written."""
    again, held = services().archive.read_back(stored.key, stored.version_id)
    locked = again.mode == "COMPLIANCE" and again.retain_until is not None and again.retain_until >= until
    if held != content or again.sha256 != stored.sha256 or not locked:
        raise Broken(f"the archive does not hold {stored.key} as it was written")
    return again


def end_package(package: Package, kept: Sequence[Stored]) -> bool:
    """Write down what the archive holds and end the dossier's life; `False` if somebody did."""
    code, plan = package.code, package.plan
    with services().database.transaction() as session:
        dossier = hold(session, code)
        if dossier.stage == Stage.ARCHIVED:
            return False
        moment = now(session)
        for stored in kept:
            session.add(
                ArchivedObjectRow(
                    dossier=code,
                    key=stored.key,
                    version_id=stored.version_id,
                    sha256=stored.sha256,
                    size=stored.size,
                    mode=stored.mode or "",
                    retain_until=stored.retain_until or plan.retain_until,
                    read_back_at=moment,
                )
            )
        folder = ARCHIVE_ROOT + object_path(package_id(code))
        inventory = next(s for s in kept if s.key == f"{folder}/inventory.json")
        facts: dict[str, Json] = {
            "package": folder,
            "objects": len(kept),
            "inventory": {"sha256": inventory.sha256, "version": inventory.version_id},
            "retain_until": plan.retain_until.isoformat(),
        }
        move_to(session, dossier, Stage.ARCHIVED, Telling(event="dossier:archived", facts=facts))
        # It lies in the archive now, and holds what erasure is to find nowhere else.
        for row in rows_of(session, PackageRow, dossier=code):
            row.rendered = {}
        return True
