"""`python -m tests.faults.checker --root FOLDER --export FOLDER`: what is left after the faults, as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.faults.checker import books, outside, packages, signatures, trials, watches
from tests.faults.checker.evidence import Evidence


def main() -> int:
    """Check everything, print it, and end with 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description="Count what is left after the faults.")
    parser.add_argument("--root", type=Path, required=True, help="the folder of the stack")
    parser.add_argument("--export", type=Path, required=True, help="an export of its history")
    chosen = parser.parse_args()
    evidence = Evidence(chosen.root)
    found = books.balance(evidence)
    found["acknowledged_acts"] = books.acknowledged(evidence)
    found["signatures"] = signatures.count(evidence)
    found["pdfs"] = signatures.look_at_pdfs(evidence)
    found["archive"] = packages.count(evidence)
    found["mail"] = outside.mails(evidence)
    found["portal"] = outside.portal(evidence)
    found["register"] = outside.register(evidence)
    found["lease_changes"] = watches.leases(evidence)
    found["history"] = watches.history(evidence, chosen.export)
    found["canaries"] = watches.canaries(evidence)
    found["trials"] = trials.judge(evidence)
    for line in evidence.told("finding"):
        evidence.blame(
            "RUNNER", json.dumps({k: v for k, v in line.items() if k != "kind"}, ensure_ascii=False)
        )
    found["doubled"] = {
        "signatures": found["signatures"].pop("doubled"),
        "packages": found["archive"].pop("doubled"),
        "mails": found["mail"].pop("doubled"),
    }
    found["wrong"] = evidence.wrong
    print(json.dumps(found, ensure_ascii=False, indent=1))
    return 1 if evidence.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
