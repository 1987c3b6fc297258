"""The directory of agencies: old and new codes, from when to when, and whose work goes on under which (ORG-01 ff.)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlmodel import Session, select

from infra.database import now
from infra.edxml.limits import is_organ
from infra.edxml.values import Organ, read_day
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.sheets import Row
from tasks.dossier.moves import Actor
from tasks.exchange.rules import check_organ, converted
from tasks.exchange.tables import OrganisationRow

_HEADINGS = {
    "code": ("ma dinh danh", "ma", "code"),
    "name": ("ten co quan", "ten", "name"),
    "old_code": ("ma cu", "old_code"),
    "email": ("thu dien tu", "email"),
    "valid_from": ("hieu luc tu", "valid_from"),
    "valid_until": ("hieu luc den", "valid_until"),
    "successor": ("co quan ke thua", "successor"),
    "certificates": ("chung thu so", "certificates"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A row of a directory that was not taken, and why."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of a directory: how many agencies are new, changed or as they were, and which rows were rejected."""

    new: int
    changed: int
    same: int
    rejected: tuple[Rejected, ...]


def import_directory(session: Session, rows: Sequence[Row], *, by: Actor, office: str) -> Imported:
    """
    Take a directory in: good rows are kept, each other one is reported with its reason.

    Importing the same again changes nothing. Nothing is ever removed: an agency that ends gets the day on which it
    does, and a successor.
    """
    places = _places(rows)
    moment = now(session)
    counts = {"new": 0, "changed": 0, "same": 0}
    rejected: list[Rejected] = []
    seen: set[str] = set()
    for row in rows[1:]:
        said = {name: row.cell(place).text.strip() for name, place in places.items()}
        reason = _reason(said, seen, formula=any(cell.typed == "formula" for cell in row.cells))
        if reason:
            rejected.append(Rejected(row=row.number, reason=reason))
            continue
        seen.add(said["code"])
        wanted = _wanted(said)
        held = session.get(OrganisationRow, said["code"])
        if held is None:
            session.add(OrganisationRow(imported_at=moment, **wanted))
            counts["new"] += 1
        elif any(getattr(held, name) != value for name, value in wanted.items()):
            for name, value in wanted.items():
                setattr(held, name, value)
            held.imported_at = moment
            session.add(held)
            counts["changed"] += 1
        else:
            counts["same"] += 1
    facts: dict[str, Json] = {
        "event": "exchange:directory-imported",
        "actor": by.facts(),
        "office": office,
        "rejected": len(rejected),
        **counts,
    }
    record(session, office, facts)
    return Imported(rejected=tuple(rejected), **counts)


def _places(rows: Sequence[Row]) -> dict[str, int]:
    """Return in which column what stands; refuses a table without codes and names."""
    names = {text: name for name, texts in _HEADINGS.items() for text in texts}
    heads = [_plain(cell.text) for cell in rows[0].cells] if rows else []
    places = {names[head]: place for place, head in enumerate(heads) if head in names}
    if not {"code", "name"} <= set(places):
        raise Forbidden(
            "the first row must hold the headings “Mã định danh” and “Tên cơ quan”.",
            rule="ORG-05",
            way_out="“Mã cũ”, “Thư điện tử”, “Hiệu lực từ”, “Hiệu lực đến”, “Cơ quan kế thừa” and “Chứng thư số”"
            " may follow.",
        )
    return places


def _plain(text: str) -> str:
    """Return a heading without marks and capitals."""
    bare = unicodedata.normalize("NFD", text.strip().lower().replace("đ", "d"))
    return "".join(c for c in bare if not unicodedata.combining(c))


def _reason(said: dict[str, str], seen: set[str], *, formula: bool) -> str:
    """Return why a row is not taken; empty: it is."""
    if formula:
        return "a cell holds a formula"
    if not is_organ(said["code"]):
        return f"“{said['code'][:40]}” is no code of an agency (ORG-01, ORG-02)"
    if said["code"] in seen:
        return f"{said['code']} stands in the list twice"
    if not said["name"]:
        return "the agency has no name"
    for name in ("old_code", "successor"):
        if said.get(name) and not is_organ(said[name]):
            return f"“{said[name][:40]}” is no code of an agency (ORG-01, ORG-02)"
    if said.get("successor") == said["code"]:
        return "an agency cannot succeed itself"
    days = {name: said.get(name, "") for name in ("valid_from", "valid_until")}
    for text in days.values():
        if text and read_day(text) is None:
            return f"“{text[:40]}” is no date"
    first, last = (read_day(days[name]) if days[name] else None for name in ("valid_from", "valid_until"))
    if first and last and last < first:
        return "it ends before it begins"
    for one in said.get("certificates", "").split():
        if len(one) != 64 or any(c not in "0123456789abcdef" for c in one.lower()):
            return f"“{one[:20]}…” is no SHA-256 of a certificate"
    return ""


def _wanted(said: dict[str, str]) -> dict[str, Any]:
    """Return a row as it is kept."""
    first, last = said.get("valid_from", ""), said.get("valid_until", "")
    return {
        "code": said["code"],
        "name": said["name"],
        "old_code": said.get("old_code", ""),
        "email": said.get("email", ""),
        "valid_from": (read_day(first) if first else None) or date(2000, 1, 1),
        "valid_until": read_day(last) if last else None,
        "successor": said.get("successor", ""),
        "certificates": said.get("certificates", "").lower().split(),
    }


def resolve(session: Session, code: str, day: date) -> OrganisationRow:
    """
    Return the agency that a code, old or new, stands for on a day; a merger leads to whose work it is now.

    Refuses a code that the directory does not hold, or that has ended without a successor (ORG-05).
    """
    check_organ(code)
    row = _known(session, code)
    followed: list[str] = []
    while row is not None and row.valid_until is not None and row.valid_until < day:
        followed.append(row.code)
        if not row.successor or row.successor in followed:
            raise Forbidden(
                f"the code {code} ended on {row.valid_until} and nobody is named in its place.",
                rule="ORG-03",
                way_out="Ask the agency for its present code, or import a newer directory.",
            )
        row = _known(session, row.successor)
    if row is None or row.valid_from > day:
        raise Forbidden(
            f"the directory holds no agency {code} on {day}.",
            rule="ORG-05",
            way_out="Import the directory of the axis with “hoso exchange organisations --import FILE”.",
        )
    return row


def _known(session: Session, code: str) -> OrganisationRow | None:
    """Return an agency by its code, by the old one that it had, or by the rule of conversion (ORG-03)."""
    row = session.get(OrganisationRow, code)
    if row is None:
        query = select(OrganisationRow).where(OrganisationRow.old_code == code)
        row = session.exec(query).first()
    if row is None and converted(code) != code:
        row = session.get(OrganisationRow, converted(code))
    return row


def same_agency(session: Session, one: str, other: str, day: date) -> bool:
    """Whether two codes stand for one agency on a day."""
    if one == other or converted(one) == converted(other):
        return True
    try:
        return resolve(session, one, day).code == resolve(session, other, day).code
    except Forbidden:
        return False


def organ_of_row(row: OrganisationRow) -> Organ:
    """Return an agency as packages name it."""
    return Organ(code=row.code, name=row.name, email=row.email)


def listed(session: Session) -> list[OrganisationRow]:
    """Return the directory in order of codes."""
    return list(session.exec(select(OrganisationRow).order_by(OrganisationRow.code)))
