"""A dossier's life as one page for supervisors: what was done, by which post, when; never by whom or for whom."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from infra.history.recording import entries
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.moves import look


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


def render(code: str, waits_for: str, why: str) -> str:
    """Return the timeline as Markdown: what it waits for, then every entry of its history."""
    lines = [
        f"# {code}",
        "",
        f"**{waits_for}** – {why}",
        "",
        "| when | what | by | stage | document |",
        "|---|---|---|---|---|",
    ]
    lines += [_line(entry) for entry in life(code)]
    return "\n".join(lines)


def _line(entry: dict[str, Any]) -> str:
    """Return one row of the timeline."""
    at = local(datetime.fromisoformat(entry["at"]))
    actor = entry["actor"]
    by = actor.get("post") or actor["role"]
    stage = entry["to"] if entry["from"] == entry["to"] else f"{entry['from']} → {entry['to']}"
    sha256 = (entry.get("doc") or {}).get("sha256", "")
    detail = f" {entry['original']}" if "original" in entry else ""
    detail += f" ({entry['channel']})" if "channel" in entry else ""
    return f"| {at:%Y-%m-%d %H:%M:%S} | {entry['event']}{detail} | {by} | {stage} | `{sha256[:12]}` |"
