"""
One dossier through its whole life, typed as people at the office would type it.

Every step is the command itself, in a process of its own; what the demo knows it reads back from the
database, the store and Prefect, like anybody who wants to check it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from flows.cli.looking import describe
from flows.desks import APPLICANT, OFFICE, OFFICE_FILE, Desks, officials_pin
from flows.standing import waiting
from infra.environment import environment
from infra.errors import Broken
from infra.history.recording import head
from infra.pdf.checking import signatures_of
from infra.services import services
from infra.stack.sample_scans import SampleOriginal, make_scans
from tasks.dossier.calendar import local
from tasks.dossier.papers import finished, read

#: Seconds after which a step that follows by itself is missed.
_PATIENCE = 60.0

say = Console(highlight=False, soft_wrap=True)


def demo(folder: Path) -> None:
    """
    Certify two originals of one applicant, from the booking to the archive, and leave the results in `folder`.

    `result.pdf` (the first signed copy), `receipt.pdf` and `summary.json`. Each run is a new dossier.
    """
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    _set_up()
    scans = make_scans(folder / "scans")
    code = _book()
    _receive(code, scans)
    _hoso("pay", code, "--receipt", "BL-0001", by="mai")
    _until(code, "AwaitingSignature")
    _sign(code)
    _until(code, "AwaitingArchive")
    _hoso("archive", code, by="mai")
    _until(code, "Archived")
    _hoso("document", code, "1", "--out", str(folder / "result.pdf"), by="mai")
    _hoso("paper", code, "--out", str(folder / "receipt.pdf"), by="mai")
    summary = _summary(code)
    (folder / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=1), encoding="utf-8")
    _tell(summary, folder, time.monotonic() - began)


def _set_up() -> None:
    """Load the procedures and the sample office, deploy, and let people log in; all of it may be repeated."""
    keys = services().settings.trust_anchors.parent / "tokens.json"
    _hoso("procedure", "load")
    _hoso("office", "load", str(OFFICE_FILE), "--keys", str(keys))
    _hoso("deploy")
    desks().log_in("cong", _hoso)
    desks().log_in("mai", _hoso)
    desks().log_in_by_token("ha", _hoso)


def desks() -> Desks:
    """Return the desks of the demo's people."""
    return Desks(services().settings.var_dir / "desks")


def _book() -> str:
    """Book the next slot and return the dossier's code."""
    booked = _hoso("book", "--office", OFFICE, "--applicant", str(APPLICANT), "--json", by="cong")
    return str(json.loads(booked)["code"])


def _receive(code: str, scans: Sequence[SampleOriginal]) -> None:
    """Receive two originals: one as a PDF, one as two pictures."""
    words = ["receive", code]
    for scan in scans:
        words += ["--original", scan.kind, *(str(file) for file in scan.files), "--pages", str(scan.pages)]
    _hoso(*words, by="mai")


def _sign(code: str) -> None:
    """Write the official's list and sign exactly it."""
    listed = json.loads(_hoso("sign", "--list", "--only", code, "--json", by="ha"))
    _hoso("sign", "--manifest", listed["digest"], "--pin-file", str(officials_pin()), by="ha")


def _hoso(*words: str, by: str = "") -> str:
    """Run one command as a person would at a desk, and show who types what."""
    shown = " ".join(word if " " not in word else f"'{word}'" for word in words)
    say.print(f"[dim]{by}$ hoso {shown}[/dim]" if "[" not in shown else f"{by}$ hoso {shown}")
    command = [sys.executable, "-m", "flows.command", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(desks().settings(by)), check=False
    )
    if done.returncode != 0:
        raise Broken(f"“hoso {shown}” ended with {done.returncode}: {done.stderr.strip()}")
    if "--json" not in words and done.stdout.strip():
        say.print(done.stdout.rstrip(), markup=False)
    return done.stdout


def _until(code: str, name: str) -> None:
    """Wait until a dossier waits under a name; raises `Broken` when it does not get there."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        waits = waiting(code)
        if waits.name == name:
            say.print(f"{code}  {name}", style="bold")
            return
        if waits.name == "NeedsAttention":
            break
        time.sleep(0.1)
    raise Broken(f"dossier {code} waits under {waits.name}, not {name}: {waits.why}")


def _summary(code: str) -> dict[str, Any]:
    """Return what happened, as the database, the archive and Prefect say."""
    described = describe(code)
    with services().database.transaction() as session:
        size, last = head(session)
    run_id = str(described["run_id"])
    return {
        "code": code,
        "stage": described["stage"],
        "history": {"size": size, "head": last.hex()},
        "originals": [
            {
                "number": original["number"],
                "sha256": original["sha256"],
                "signatures": _signatures(code, original["ordinal"]),
            }
            for original in described["originals"]
        ],
        "legs": [{"channel": leg["channel"], "state": leg["state"]} for leg in described["legs"]],
        "objects": [
            {
                name: value.isoformat() if name == "retain_until" else value
                for name, value in stored.items()
                if name != "destroyed_at"
            }
            for stored in described["objects"]
        ],
        "prefect": {
            "run_id": run_id,
            "state": _prefect_state(run_id, "Archived"),
            "url": f"{services().settings.prefect_ui_url}/runs/flow-run/{run_id}",
        },
    }


def _signatures(code: str, ordinal: int) -> list[dict[str, Any]]:
    """Return the signatures of a sealed copy as a validator finds them in the file."""
    parts = services()
    with parts.database.transaction() as session:
        document = finished(session, code, ordinal)
    if document is None:
        raise Broken(f"{code}/{ordinal} has no sealed document")
    return [
        {
            "field": found.field,
            "signer": found.signer,
            "kind": found.kind,
            "level": found.level,
            "time": local(found.time).isoformat(),
        }
        for found in signatures_of(read(document), anchors=parts.anchors, chain=parts.chain)
    ]


def _prefect_state(run_id: str, expected: str) -> str:
    """Return the name of a run's state, given the projector's few seconds to show the end."""
    url = f"{services().settings.prefect_api_url}/flow_runs/{run_id}"
    state = ""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and state != expected:
        state = httpx.get(url, timeout=10).json()["state"]["name"]
        time.sleep(0.2)
    return state


def _tell(summary: dict[str, Any], folder: Path, seconds: float) -> None:
    """Say what happened and where to look."""
    grid = Table(title=f"Dossier {summary['code']}: {summary['stage']}", title_justify="left")
    grid.add_column("what")
    grid.add_column("result", overflow="fold")
    for number, original in enumerate(summary["originals"], start=1):
        signers = ", then ".join(s["signer"] for s in original["signatures"])
        grid.add_row(f"original {number}", f"{original['number']}, signed by {signers}")
    for leg in summary["legs"]:
        grid.add_row(f"returned by {leg['channel']}", leg["state"])
    locked = [o for o in summary["objects"] if o["mode"] == "COMPLIANCE"]
    until = min((o["retain_until"] for o in locked), default="")
    grid.add_row("archived", f"{len(locked)} objects locked until {until[:10]}")
    grid.add_row("history", f"{summary['history']['size']} entries, head {summary['history']['head'][:16]}…")
    grid.add_row("certified copy", str(folder / "result.pdf"))
    grid.add_row("receipt", str(folder / "receipt.pdf"))
    grid.add_row("summary", str(folder / "summary.json"))
    grid.add_row("Prefect", f"{summary['prefect']['state']}  {summary['prefect']['url']}")
    Console(highlight=False).print(grid)
    say.print(f"took {seconds:.0f} s; the stack keeps running to look around, “make down” ends it")
