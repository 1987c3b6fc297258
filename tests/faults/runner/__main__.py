"""
`python -m tests.faults.runner [--seed N …] [--dossiers N]`: faults, for real, and what was left after them.

Prints a table and writes `var/faults.json`; ends with 1 when anything was lost, doubled or otherwise wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.faults.runner.run import Plan, play


def main() -> int:
    """Run each seed and write down what was found."""
    parser = argparse.ArgumentParser(description="Faults, for real.")
    parser.add_argument(
        "--seed", type=int, action="append", help="repeat this seed; may be given several times"
    )
    parser.add_argument("--dossiers", type=int, default=30)
    parser.add_argument("--full", action="store_true", help="the long run: 300 dossiers, three seeds")
    parser.add_argument("--faults", default="", help="only these kinds, separated by commas")
    parser.add_argument("--most", type=int, default=0, help="at most so many faults")
    parser.add_argument("--twin", default="", help="take a protection away: the checker must fail")
    parser.add_argument("--root", type=Path, default=Path("var/faults"))
    parser.add_argument("--out", type=Path, default=Path("var/faults.json"))
    parser.add_argument("--keep", action="store_true", help="keep the stack's folder to look around")
    chosen = parser.parse_args()
    runs = []
    if chosen.full:
        chosen.seed, chosen.dossiers = chosen.seed or [1, 2, 3], max(300, chosen.dossiers)
    for seed in chosen.seed or [1]:
        root = chosen.root / str(seed)
        forget(root)
        plan = Plan(
            seed=seed, dossiers=chosen.dossiers, faults=frozenset(filter(None, chosen.faults.split(","))),
            most=chosen.most, twin=chosen.twin,
        )  # fmt: skip
        runs.append(play(root, plan))
        tell(runs[-1])
        if not runs[-1]["wrong"] and not chosen.keep:
            forget(root)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(total(runs), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"written to {chosen.out}")
    return 1 if any(run["wrong"] for run in runs) else 0


def forget(root: Path) -> None:
    """Remove what an earlier run left, its own file system included."""
    disk = root / "store" / "data"
    if os.path.ismount(disk):
        subprocess.run(["umount", "--lazy", str(disk)], check=False)
    shutil.rmtree(root, ignore_errors=True)


def total(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of all runs together, and each run's own."""
    faults: dict[str, int] = {}
    for run in runs:
        for kind, n in run["faults"].items():
            faults[kind] = faults.get(kind, 0) + n
    names = ("accepted", "finished", "declined", "waiting", "lost")
    recovered = [run["recovery_s"] for run in runs if run["recovery_s"]["dossiers"]]
    return {
        "seeds": [run["seed"] for run in runs],
        "faults": faults,
        **{name: sum(run[name] for run in runs) for name in names},
        "doubled": {n: sum(run["doubled"][n] for run in runs) for n in ("signatures", "packages", "mails")},
        "recovery_s": {
            "median": sorted(one["median"] for one in recovered)[len(recovered) // 2] if recovered else 0.0,
            "max": max((one["max"] for one in recovered), default=0.0),
        },
        "wrong": [line for run in runs for line in run["wrong"]],
        "runs": runs,
    }


def tell(run: dict[str, Any]) -> None:
    """Print one run."""
    print(f"\nseed {run['seed']}, {run['seconds']} s")
    for kind, n in run["faults"].items():
        print(f"  {n:4}  {kind}")
    print(f"accepted {run['accepted']} = finished {run['finished']} + declined {run['declined']} + waiting {run['waiting']}"
          f" (+ lost {run['lost']})")  # fmt: skip
    for cause, n in run["waiting_for"].items():
        print(f"  {n:4}  {cause}")
    doubled = ", ".join(f"{name} {n}" for name, n in run["doubled"].items())
    print(f"doubled: {doubled}; {run['signatures']['token_calls']} calls of the token, {run['signatures']['kept']} kept,"
          f" {run['signatures']['explained']} explained; {run['pdfs']} PDFs seen by pdfsig, {run['archive']['packages']} packages")  # fmt: skip
    taken = run["recovery_s"]
    print(
        f"dossiers of dead workers: {taken['dossiers']}, taken over after {taken['median']} s (median), {taken['max']} s (longest);"
        f" {taken['dossiers_with_further_deaths']} more whose next worker died too, {taken['max_with_further_deaths']} s (longest)"
    )
    print(f"history: {run['history'].get('entries')} entries hold; canaries: {run['canaries']}")
    for line in run["not_run"]:
        print(f"  NOT RUN {line}")
    for line in run["wrong"]:
        print(f"  WRONG {line}")


if __name__ == "__main__":
    sys.exit(main())
