"""A dossier's life as one page for supervisors: what was done when, by which post and staff code; never for whom."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session, select

from flows.standing import Waiting
from infra.history.recording import contents_of, entries
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.looking import look
from tasks.dossier.moves import Actor
from tasks.people.tables import PersonRow


def life(code: str) -> list[dict[str, Any]]:
    """Return the history entries of a dossier in order, as their JSON says."""
    with services().database.transaction() as session:
        look(session, code)
        return [json.loads(entry.content) for entry in entries(session, code)]


def artifact_key(code: str) -> str:
    """
    Return the key of a dossier's timeline; Prefect allows lower case, digits and dashes.

    >>> artifact_key("H49.21-261123-0001")
    'dossier-h49-21-261123-0001'
    """
    return "dossier-" + "".join(c if c.isalnum() else "-" for c in code.lower())


def render(some: Sequence[Waiting]) -> dict[str, str]:
    """
    Return the timelines of dossiers as Markdown, by code: what it waits for and whose turn it is, then its history.

    The first line says as of when. Persons are named by the codes that the office gave them. The histories, and the
    staff of their offices, are read once for all.
    """
    with services().database.transaction() as session:
        told = contents_of(session, [waits.code for waits in some])
        staff = {office: _staff_codes(session, office) for office in {waits.office for waits in some}}
    moment = local(services().clock.now())
    return {waits.code: _page(waits, told[waits.code], staff[waits.office], moment) for waits in some}


def _page(waits: Waiting, told: Sequence[bytes], codes: Mapping[str, str], moment: datetime) -> str:
    """Return one dossier's timeline."""
    turn = f" Whose turn it is: {waits.whom}." if waits.whom else ""
    lines = [
        f"**As of {moment:%Y-%m-%d %H:%M:%S}: {waits.name}** – {waits.why}.{turn}",
        "",
        f"Procedure {waits.procedure}, office {waits.office}. A document is named by the beginning of its SHA-256.",
        "",
        "| when | what | by | document | stage |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_line(json.loads(content), codes) for content in told)])


def _staff_codes(session: Session, office: str) -> dict[str, str]:
    """Return the staff codes of an office by what the history has in their place."""
    staff = session.exec(select(PersonRow.staff).where(PersonRow.office == office)).all()
    hashed = {code: Actor(role="", staff=code, office=office).facts()["id_hash"] for code in staff}
    return {str(known): code for code, known in hashed.items()}


def _line(entry: dict[str, Any], codes: Mapping[str, str]) -> str:
    """Return one row of the timeline."""
    at = local(datetime.fromisoformat(entry["at"]))
    actor = entry["actor"]
    post = actor.get("post") or actor["role"]
    staff = codes.get(actor.get("id_hash", ""), "")
    by = f"{staff}, {post}" if staff else post
    stage = entry["to"] if entry["from"] == entry["to"] else f"{entry['from']} → {entry['to']}"
    sha256 = (entry.get("doc") or {}).get("sha256", "")
    document = f"`{sha256[:12]}`" if sha256 else ""
    detail = f" {entry['original']}" if "original" in entry else ""
    detail += f" ({entry['channel']})" if "channel" in entry else ""
    return f"| {at:%Y-%m-%d %H:%M:%S} | {entry['event']}{detail} | {by} | {document} | {stage} |"
