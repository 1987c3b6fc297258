"""What was tried on purpose: poison, hostile sizes, the wrong person, a list again, and a restored copy."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from tests.faults.checker.evidence import Evidence

#: How a command ends that was refused by a rule, that is to be typed again, or whose process was killed.
NOT_DONE = (1, 4, -9)
_OFFICE = "H49.21"


def judge(evidence: Evidence) -> dict[str, int]:
    """Check each trial against the database and the history; return how many there were of each kind."""
    kinds: dict[str, Callable[[Evidence, dict[str, Any]], None]] = {
        "poison": poison,
        "oversized": oversized,
        "forbidden": forbidden,
        "replayed": replayed,
        "restored": restored,
    }
    counted = {}
    for kind, check in kinds.items():
        lines = evidence.told(kind)
        for line in lines:
            check(evidence, line)
        counted[kind] = len(lines)
    return counted


def poison(evidence: Evidence, line: dict[str, Any]) -> None:
    """A dossier that kills its workers waits for a person by name, and others go on meanwhile."""
    (code,) = line["codes"]
    if not line["parked"]:
        evidence.blame("POISON", f"{code} went on to kill workers and was never given up")
    if not line["others"]:
        evidence.blame("POISON", f"nothing happened to any other dossier while {code} killed workers")


def oversized(evidence: Evidence, line: dict[str, Any]) -> None:
    """A hostile file is refused with the rule's name, is nowhere afterwards, and leaves no room taken."""
    said = f"{line['file']} at {line['codes'][0]} ended with {line['code']}: {line['said']}"
    if line["code"] not in NOT_DONE:
        evidence.blame("SIZES", f"it was not refused: {said}")
    if line["code"] == 1 and not line["rule"]:
        evidence.blame("SIZES", f"no rule is named: {said}")
    if line["left"]:
        evidence.blame("SIZES", f"{line['left']} bytes are still taken: {said}")
    if evidence.rows("select 1 from document where sha256 = %s", line["sha256"]):
        evidence.blame("SIZES", f"it was kept: {said}")


def forbidden(evidence: Evidence, line: dict[str, Any]) -> None:
    """What is not somebody's to do is refused, and the history does not say that they did it."""
    (code,) = line["codes"]
    if line["code"] not in NOT_DONE:
        evidence.blame("RIGHTS", f"{line['by']} was let through with “{line['verb']}” at {code}")
    who = sha256(f"{_OFFICE}/{line['by']}".encode()).hexdigest()
    done = [
        entry["seq"]
        for entry in evidence.entries
        if entry["event"] == line["event"]
        and entry.get("actor", {}).get("id_hash") == who
        and entry.get("dossier", code) == code
    ]
    if done:
        evidence.blame("RIGHTS", f"{line['by']} did {line['event']} at {code}: entries {done}")


def replayed(evidence: Evidence, line: dict[str, Any]) -> None:
    """A list that was signed to its end and is signed again changes nothing."""
    if line["before"] != line["after"]:
        evidence.blame("RIGHTS", f"list {line['digest']} again: {line['before']} became {line['after']}")


def restored(evidence: Evidence, line: dict[str, Any]) -> None:
    """Everything that was acknowledged before a copy ended is in what was restored from it."""
    if line["size"] < line["acknowledged"] or line["entries"] != line["size"] or not line["same"]:
        evidence.blame(
            "RESTORE",
            f"{line['acknowledged']} entries were acknowledged, {line['size']} are counted and {line['entries']} kept",
        )
    opened = {
        code
        for one in evidence.told("act")
        if one["code"] == 0 and one["s"] < line["at"]
        for code in one["codes"]
    }
    missing = sorted(opened - set(line["known"]))
    if missing:
        evidence.blame(
            "RESTORE", f"acts at {missing} were acknowledged, and the restored office knows nothing of them"
        )
