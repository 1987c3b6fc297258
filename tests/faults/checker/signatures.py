"""Signatures: each step once, every call of the token told, every final PDF as another tool sees it."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.faults.checker.evidence import Evidence

ENDS = {"signature:done", "signature:failed", "signature:interrupted", "signature:unused"}


def count(evidence: Evidence) -> dict[str, Any]:
    """Return how often the token was asked and what became of it; blames what is there twice or not told."""
    kept = evidence.rows("select * from signature where kept_at is not null")
    places = Counter((row["dossier"], row["ordinal"], row["revision"], row["field"]) for row in kept)
    # One row holds a step, so a second one can only be another file, or another number of the same step.
    doubled = sum(n - 1 for n in places.values())
    for place, n in places.items():
        if n > 1:
            evidence.blame("SIGNED-TWICE", f"{place} has {n} signatures that are kept")
    tries: dict[tuple[Any, ...], Counter[str]] = {}
    done = 0
    for entry in evidence.entries:
        event = entry["event"]
        if event.startswith("signature:") and "try" in entry and event != "signature:refused":
            place = (entry.get("dossier"), entry.get("original"), entry.get("notice"), entry["field"], entry["try"],
                     entry.get("round"), entry.get("list"))  # fmt: skip
            tries.setdefault(place, Counter())[event] += 1
            done += event == "signature:done"
    explained = 0
    for place, said in tries.items():
        ends = {event: n for event, n in said.items() if event in ENDS}
        if not ends:
            evidence.blame("TRY", f"how the try {place} ended is not told")
        if said["signature:done"] > 1:
            doubled += said["signature:done"] - 1
            evidence.blame("SIGNED-TWICE", f"{place} is done {said['signature:done']} times")
        explained += not said["signature:done"]
    asked = _ledger(evidence.root / "shim" / "calls")
    # A try that is explained may have ended before it reached the token, one that is done never did.
    if not done <= asked <= done + explained:
        told = f"{done} that are done and {explained} that are explained"
        evidence.blame("TOKEN", f"the token was asked {asked} times; the history tells of {told}")
    return {"token_calls": asked, "kept": len(kept), "explained": explained, "doubled": doubled}


def _ledger(file: Path) -> int:
    """Return how many signatures reached the token, by the ledger that no death touches."""
    return sum(line.startswith("sign ") for line in file.read_text().splitlines()) if file.exists() else 0


def look_at_pdfs(evidence: Evidence) -> int:
    """Let poppler check every released document: each step's signature once and valid; return how many were seen."""
    query = (
        "select d.*, (select count(*) from signature s where s.dossier = d.dossier and s.ordinal = d.ordinal and "
        "s.revision = d.revision and s.kept_at is not null) as steps from document d join original o on "
        "o.dossier = d.dossier and o.ordinal = d.ordinal and o.revision = d.revision "
        "where o.standing = 'valid' and d.kind in ('sealed', 'lifted')"
    )
    rows = list(evidence.rows(query))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda row: _look(evidence, row), rows))
    return len(rows)


def _look(evidence: Evidence, row: dict[str, Any]) -> None:
    """Check one PDF."""
    name = f"{row['dossier']}/{row['ordinal']} ({row['kind']})"
    try:
        content = evidence.read("hoso-work", row["key"])
    except Exception as error:
        evidence.blame("PDF", f"{name} cannot be read: {type(error).__name__}")
        return
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        evidence.blame("PDF", f"{name} is not the bytes that its row names")
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        file.write(content)
        file.flush()
        said = subprocess.run(["pdfsig", "-nocert", file.name], capture_output=True, text=True).stdout
    fields = [line.split(":", 1)[1].strip() for line in said.splitlines() if "Signature Field Name:" in line]
    steps = [field for field in fields if not field.startswith("timestamp")]
    valid = said.count("Signature Validation: Signature is Valid.")
    if len(set(steps)) != len(steps) or valid != row["steps"] or len(steps) != row["steps"]:
        evidence.blame(
            "PDF", f"{name} shows {fields}, {valid} of them valid, where {row['steps']} steps are kept"
        )
