"""Leases, the history's own proof, and personal data where it must not be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.faults.checker.evidence import Evidence

PROJECT = Path(__file__).resolve().parents[3]


def leases(evidence: Evidence) -> int:
    """
    Check every change of every lease: none is taken while it is held, none ended by another, fences only grow.

    The lines were written by a trigger in the database, with the process that each connection belongs to.
    """
    rows = evidence.rows("select * from lease_watch order by n")
    for row in rows:
        by = row["by"].removeprefix("hoso/")
        if row["fence_is"] < row["fence_was"]:
            evidence.blame(
                "FENCE", f"{row['dossier']}: the fence fell from {row['fence_was']} to {row['fence_is']}"
            )
        taken = row["is_now"] is not None and row["fence_is"] > row["fence_was"]
        if taken and row["was"] is not None and not _ended(row):
            evidence.blame("FENCE", f"{row['dossier']} was taken from {row['was']} before its lease ended")
        # What too many workers died at is given up by whoever looks next, with a new fence.
        given_up = row["is_now"] is None and row["fence_is"] > row["fence_was"] and _ended(row)
        if (
            not taken
            and not given_up
            and row["was"] is not None
            and "/" in row["by"]
            and f"/{by}/" not in row["was"]
        ):
            evidence.blame("FENCE", f"{row['dossier']}: process {by} changed the lease of {row['was']}")
        if not taken and row["was"] is None:
            evidence.blame("FENCE", f"{row['dossier']}: process {by} changed a lease that nobody had")
        if row["done_is"] > row["asked_is"]:
            evidence.blame("FENCE", f"{row['dossier']}: more was done than asked for")
    return len(rows)


def _ended(row: dict[str, Any]) -> bool:
    """Whether a lease had ended when it was changed."""
    return bool(row["was_until"] <= row["at"])


def history(evidence: Evidence, export: Path) -> dict[str, Any]:
    """Let the stand-alone verifier judge an export, in a process that has nothing of ours; return what it said."""
    verifier = PROJECT / "infra" / "history" / "verify_history.py"
    key = next(iter(sorted(export.glob("*key*"))), None)
    if key is None:
        evidence.blame("HISTORY", f"no key lies in {export}")
        return {}
    words = [sys.executable, "-I", str(verifier), "export", str(export), "--key", str(key)]
    done = subprocess.run(words, capture_output=True, text=True, cwd="/")
    said: dict[str, Any] = json.loads(done.stdout or "{}")
    if done.returncode or not said.get("holds"):
        evidence.blame("HISTORY", f"the verifier says: {said or done.stderr[-300:]}")
    size = evidence.rows("select size from history_head")[0]["size"]
    if said.get("entries") != size or len(evidence.entries) != size:
        evidence.blame(
            "HISTORY", f"{said.get('entries')} entries exported, {len(evidence.entries)} kept, {size} counted"
        )
    return said


def canaries(evidence: Evidence) -> dict[str, int]:
    """Look for what applicants and officers are called in Prefect's database and in every log; return bytes read."""
    secrets = set()
    for file in (evidence.root / "faults" / "desks").glob("*-applicant.yaml"):
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
        secrets |= {said["name"], said["address"], said["telephone"], said["identity"][:8]}
    office = yaml.safe_load((PROJECT / "infra/stack/sample_office/office.yaml").read_text(encoding="utf-8"))
    secrets |= {one["name"] for one in office["officers"]} | {
        one["identity"] for one in office["officers"] if "identity" in one
    }
    secrets |= {"canary.example", evidence.secret("pin_officials"), evidence.secret("pin_seal")}
    secrets |= {json.dumps(secret)[1:-1] for secret in secrets}
    looked_at, hits = 0, 0
    tables = evidence.rows(
        "select tablename as t from pg_tables where schemaname = 'public'", database="prefect"
    )
    for table in tables:
        for row in evidence.rows(f'select t::text as line from "{table["t"]}" t', database="prefect"):
            looked_at += len(row["line"])
            found = [secret for secret in secrets if secret in row["line"]]
            if found:
                hits += 1
                evidence.blame("CANARY", f"{found} in Prefect's {table['t']}")
    for log in evidence.logs:
        text = log.read_text(encoding="utf-8", errors="replace")
        looked_at += len(text)
        found = [secret for secret in secrets if secret in text]
        if found:
            hits += 1
            evidence.blame("CANARY", f"{found} in {log.name}")
    return {"characters": looked_at, "hits": hits}
