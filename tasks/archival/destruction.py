"""
Destruction of packages whose time is over (ARC-04): a list, a decision on it by somebody else, a certificate.

Nothing goes before its date or under a hold: the rows say so, and the store refuses besides. The history keeps what
was destroyed, by hash; the certificate lies in the archive for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import rfc8785
from sqlmodel import Session, col, func, select

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.object_store import StillKept
from infra.ocfl import object_path
from infra.services import services
from tasks.archival.destruction_tables import DestructionItemRow, DestructionListRow
from tasks.archival.holdings import objects_of
from tasks.archival.locks import keep_for_ever
from tasks.archival.package import as_json
from tasks.archival.rules import package_id
from tasks.archival.tables import ArchivedObjectRow, PackageRow
from tasks.dossier.holds import hold_on
from tasks.dossier.lifecycle import Stage
from tasks.dossier.looking import hold, look, office_of, procedure_of
from tasks.dossier.moves import Actor, Telling, tell
from tasks.dossier.tables import DossierRow
from tasks.people.acting import acting

#: Where certificates of destruction lie in the archive bucket.
FOLDER = "destruction/"


def draw_up(office: str, *, by: Actor) -> tuple[DestructionListRow, list[DestructionItemRow]]:
    """
    List every dossier of an office whose retention is over, and return the list.

    Not on it: what is kept for ever, what is held, what is on another list that has not ended. The same dossiers
    give the same list again. Refuses when there is nothing to destroy.
    """
    with services().database.transaction() as session:
        actor = acting(session, by, "destruction list", office=office)
        items = [_item(session, code) for code in _due(session, office)]
        if not items:
            raise Forbidden(
                f"no dossier of {office} may be destroyed today.",
                rule="ARC-04",
                way_out="“hoso show” says until when a package is locked.",
            )
        digest = _digest(items, _ended(session, office))
        found = session.exec(select(DestructionListRow).where(DestructionListRow.digest == digest)).first()
        if found is None:
            found = DestructionListRow(
                office=office, digest=digest, drawn_by=f"{by.office}/{by.staff}", drawn_at=now(session)
            )
            session.add(found)
            session.flush()
            for item in items:
                item.list = found.id or 0
                session.add(item)
            facts: dict[str, Json] = {"list": digest, "dossiers": len(items)}
            _record(session, office, actor=actor, event="destruction:listed", facts=facts)
        return found, _items(session, found)


def approve(digest: str, decision: str, *, by: Actor) -> DestructionListRow:
    """
    Approve a list by a decision with a number; whoever drew it up may not (two persons).

    Approving it again by the same decision changes nothing.
    """
    if not decision.strip():
        raise Forbidden(
            "a destruction needs a decision with a number.", rule="ARC-04", way_out="Name it with --decision."
        )
    with services().database.transaction() as session:
        found = _list(session, digest, lock=True)
        actor = acting(session, by, "destruction approve", office=found.office)
        if found.drawn_by == f"{by.office}/{by.staff}":
            raise Forbidden(
                "whoever drew up a list of destruction does not approve it.",
                rule="ARC-04",
                way_out="Another supervisor of the office approves it.",
            )
        if found.decision is not None and found.decision != decision:
            raise Forbidden(
                f"the list is approved already, by decision {found.decision}.",
                rule="ARC-04",
                way_out="Carry it out, or draw up another one.",
            )
        if found.decision is None:
            found.decision, found.approved_at = decision, now(session)
            found.approved_by = f"{by.office}/{by.staff}"
            session.add(found)
            facts: dict[str, Json] = {"list": found.digest, "decision": decision}
            _record(session, found.office, actor=actor, event="destruction:approved", facts=facts)
        return found


def carry_out(digest: str, *, by: Actor) -> tuple[DestructionListRow, list[DestructionItemRow]]:
    """
    Destroy the packages on an approved list, one after the other, and lay the certificate into the archive.

    Each is looked at again at its moment: what is held meanwhile, or still locked, is left out with the reason.
    Interrupted, it goes on where it was; carried out, it says so again. Refuses a list without a decision.
    """
    with services().database.transaction() as session:
        found = _list(session, digest, lock=True)
        actor = acting(session, by, "destruction carry-out", office=found.office)
        if found.decision is None:
            raise Forbidden(
                "the list is not approved.",
                rule="ARC-04",
                way_out="Another person approves it first, with the number of the decision.",
            )
        if found.ended_at is not None:
            return found, _items(session, found)
        if found.begun_at is None:
            found.begun_by, found.begun_at = f"{by.office}/{by.staff}", now(session)
            session.add(found)
            facts: dict[str, Json] = {"list": found.digest, "decision": found.decision}
            _record(session, found.office, actor=actor, event="destruction:begun", facts=facts)
        waiting = [i.dossier for i in _items(session, found) if i.destroyed_at is None and i.left_out is None]
    for code in waiting:
        _destroy(found, code, by=actor)
    return _certify(found.digest, by=actor)


def _due(session: Session, office: str) -> Sequence[str]:
    """Return the dossiers of an office whose packages may be destroyed now and are on no open list."""
    listed = (
        select(DestructionItemRow.dossier)
        .join(DestructionListRow, col(DestructionListRow.id) == col(DestructionItemRow.list))
        .where(col(DestructionListRow.begun_at).is_not(None), col(DestructionListRow.ended_at).is_(None))
    )
    moment = now(session)
    still = select(ArchivedObjectRow.dossier).where(
        ArchivedObjectRow.retain_until >= moment, col(ArchivedObjectRow.destroyed_at).is_(None)
    )
    there = select(ArchivedObjectRow.dossier).where(col(ArchivedObjectRow.destroyed_at).is_(None))
    query = (
        select(DossierRow.code)
        .join(PackageRow, col(PackageRow.dossier) == col(DossierRow.code))
        .where(
            DossierRow.office == office,
            DossierRow.stage == Stage.ARCHIVED,
            PackageRow.retain_until < moment,
            col(PackageRow.permanent).is_(False),
            col(DossierRow.code).not_in(listed),
            col(DossierRow.code).not_in(still),
            col(DossierRow.code).in_(there),
        )
    )
    codes = session.exec(query.order_by(col(DossierRow.code)))
    return [code for code in codes if hold_on(session, code) is None]


def _item(session: Session, code: str) -> DestructionItemRow:
    """Return a dossier as a line of a list: what there is of it, and why it may go."""
    plan, objects = session.get_one(PackageRow, code), objects_of(session, code)
    inventory = f"{object_path(package_id(code))}/inventory.json"
    return DestructionItemRow(
        list=0,
        dossier=code,
        retain_until=plan.retain_until,
        rule=procedure_of(session, look(session, code)).retention.rule,
        objects=len(objects),
        size=sum(one.size for one in objects),
        inventory_sha256=next((one.sha256 for one in objects if one.key.endswith(inventory)), ""),
    )


def _ended(session: Session, office: str) -> int:
    """Return how many lists of an office were carried out."""
    query = select(func.count()).where(
        DestructionListRow.office == office, col(DestructionListRow.ended_at).is_not(None)
    )
    return session.exec(query).one()


def _digest(items: Sequence[DestructionItemRow], number: int) -> str:
    """Return the digest that names a list: over what is on it, in order, and how many were carried out before."""
    lines: list[Json] = [
        [i.dossier, i.retain_until.isoformat(), i.rule, i.objects, i.size, i.inventory_sha256] for i in items
    ]
    return sha256(rfc8785.dumps([number, lines])).hexdigest()


def _destroy(found: DestructionListRow, code: str, *, by: Actor) -> None:
    """Destroy one package: intended in the history first, and never whole to a reader when it is half gone."""
    with services().database.transaction() as session:
        dossier = hold(session, code)
        item = session.get_one(DestructionItemRow, (found.id, code))
        objects = objects_of(session, code)
        why = _in_the_way(session, objects, code)
        if why:
            item.left_out = why
            session.add(item)
            facts: dict[str, Json] = {"list": found.digest, "cause": why}
            tell(session, dossier, Telling(event="dossier:kept", by=by, facts=facts))
            return
        intent: dict[str, Json] = {
            "list": found.digest,
            "decision": found.decision or "",
            "objects": len(objects),
        }
        tell(session, dossier, Telling(event="dossier:destroying", by=by, facts=intent))
    for one in reversed(objects):  # The inventory, which was written last, goes first.
        try:
            services().archive.destroy(one.key, one.version_id)
        except StillKept as error:
            raise Broken(
                f"the store keeps {one.key}, whose retention ended {one.retain_until:%Y-%m-%d}"
            ) from error
    with services().database.transaction() as session:
        dossier = hold(session, code)
        item = session.get_one(DestructionItemRow, (found.id, code))
        if item.destroyed_at is not None:
            return
        item.destroyed_at = now(session)
        session.add(item)
        for one in objects_of(session, code):
            one.destroyed_at = item.destroyed_at
            session.add(one)
        done: dict[str, Json] = {
            "list": found.digest,
            "decision": found.decision or "",
            "objects": item.objects,
            "size": item.size,
            "inventory": {"sha256": item.inventory_sha256},
        }
        tell(session, dossier, Telling(event="dossier:destroyed", by=by, facts=done))


def _in_the_way(session: Session, objects: Sequence[ArchivedObjectRow], code: str) -> str:
    """Return why a package must not be destroyed now, or nothing."""
    if not objects:
        return "it was destroyed before"
    if hold_on(session, code) is not None:
        return "a legal hold"
    moment = now(session)
    if any(one.retain_until >= moment for one in objects):
        return "its retention has not ended"
    return ""


def _certify(digest: str, *, by: Actor) -> tuple[DestructionListRow, list[DestructionItemRow]]:
    """Lay the certificate of a list that was carried out into the archive, and end the list."""
    with services().database.transaction() as session:
        found = _list(session, digest, lock=False)
        items = _items(session, found)
        office = office_of(session, found.office)
    content = as_json(
        {
            "tenVanBan": "Biên bản tiêu hủy hồ sơ lưu trữ",
            "coQuan": {"maDinhDanh": office.code, "ten": office.name},
            "quyetDinh": found.decision,
            "danhSach": found.digest,
            "lapDanhSach": {"boi": found.drawn_by, "luc": found.drawn_at.isoformat()},
            "pheDuyet": {
                "boi": found.approved_by,
                "luc": found.approved_at and found.approved_at.isoformat(),
            },
            "thucHien": {"boi": found.begun_by, "luc": found.begun_at and found.begun_at.isoformat()},
            "hoSo": [
                {
                    "maHoSo": i.dossier,
                    "thoiHanDen": i.retain_until.isoformat(),
                    "canCu": i.rule,
                    "soTep": i.objects,
                    "dungLuong": i.size,
                    "sha256DanhMuc": i.inventory_sha256,
                    "daTieuHuyLuc": i.destroyed_at and i.destroyed_at.isoformat(),
                    "giuLaiVi": i.left_out,
                }
                for i in items
            ],
        }
    )
    stored = keep_for_ever("destruction", f"{FOLDER}{digest}.json", content, "application/json")
    with services().database.transaction() as session:
        found = _list(session, digest, lock=True)
        if found.ended_at is None:
            found.ended_at, found.certificate_key = now(session), stored.key
            session.add(found)
            facts: dict[str, Json] = {
                "list": digest,
                "decision": found.decision or "",
                "destroyed": sum(i.destroyed_at is not None for i in items),
                "kept": sum(i.left_out is not None for i in items),
                "doc": {"sha256": stored.sha256, "size": stored.size},
            }
            _record(session, found.office, actor=by, event="destruction:certified", facts=facts)
        return found, items


def _list(session: Session, digest: str, *, lock: bool) -> DestructionListRow:
    """Return a list by its digest or the beginning of it; refuses one that nobody drew up."""
    query = select(DestructionListRow).where(func.left(DestructionListRow.digest, len(digest)) == digest)
    rows = session.exec(query.with_for_update() if lock else query).all()
    if len(rows) != 1 or len(digest) < 8:
        raise Forbidden(
            f"there is no list of destruction {digest}.",
            rule="ARC-04",
            way_out="“hoso destruction list OFFICE” draws one up and prints its digest.",
        )
    return rows[0]


def _items(session: Session, found: DestructionListRow) -> list[DestructionItemRow]:
    """Return what is on a list, in order."""
    query = select(DestructionItemRow).where(DestructionItemRow.list == found.id)
    return list(session.exec(query.order_by(col(DestructionItemRow.dossier))))


def _record(session: Session, office: str, *, actor: Actor, event: str, facts: dict[str, Json]) -> None:
    """Write an entry about an office's list."""
    record(session, office, {"event": event, "actor": actor.facts(), "office": office, **facts})
