"""
How long the office waits: from the commit of an act to the commit of what follows from it.

Every act is a command in a process of its own, as at a desk. The times are those of the history, written
by PostgreSQL's clock inside the transactions of the act and of what followed.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.desks import APPLICANT, OFFICE, OFFICE_FILE, Desks, officials_pin
from flows.timeline import life
from infra.environment import environment
from infra.errors import Broken
from infra.services import services
from infra.stack.sample_scans import make_scans
from tasks.appointment.rules import next_slot
from tasks.dossier.looking import office_of

#: Seconds after which what should follow is missed.
_PATIENCE = 60.0

#: What follows from each kind of act: the event, and the stage that it leads to.
_FOLLOWS = {
    "book": ("notice:sent", "Booked"),
    "receive": ("copy:frozen", "AwaitingSignature"),
    "pay": ("copy:frozen", "AwaitingSignature"),
    "sign": ("document:validated", "Signed"),
    "archive": ("dossier:archived", "Archived"),
}

#: Who does what follows: nobody.
_NOBODY = ("system", "agency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act: its kind, how long its command took, and how long what follows from it took, in seconds."""

    kind: str
    command: float
    follows: float


def bench_latency(acts: int) -> list[Act]:
    """Open the sample office on the running stack and do as `do_acts`."""
    open_office()
    return do_acts(acts)


def do_acts(acts: int, *, first: int = 0) -> list[Act]:
    """
    Do at least `acts` acts in the open office, one after the other, and return how long each took.

    The dossiers are booked one a slot, from the one with the number `first` on.
    """
    done: list[Act] = []
    with tempfile.TemporaryDirectory(prefix="hoso-latency-") as folder:
        scan = make_scans(Path(folder))[0]
        files = [str(file) for file in scan.files]
        original = ["--original", scan.kind, *files, "--pages", str(scan.pages)]
        dossier = first
        while len(done) < acts:
            done += _one_life(dossier, original)
            dossier += 1
    return done


def _one_life(number: int, original: Sequence[str]) -> Iterator[Act]:
    """Take one dossier from the booking to the archive; every other one pays after it was received."""
    seconds, code = book(number)
    yield _act("book", seconds, code)
    if number % 2:
        yield _act("receive", _hoso("receive", code, "--paid", "BL-1", *original, by="mai")[0], code)
    else:
        _hoso("receive", code, *original, by="mai")
        yield _act("pay", _hoso("pay", code, "--receipt", "BL-1", by="mai")[0], code)
    _, listed = _hoso("sign", "--list", "--only", code, "--json", by="ha")
    digest = json.loads(listed)["digest"]
    yield _act(
        "sign", _hoso("sign", "--manifest", digest, "--pin-file", str(officials_pin()), by="ha")[0], code
    )
    _seen(code, "result:returned", "Returned")
    yield _act("archive", _hoso("archive", code, by="mai")[0], code)


def book(number: int) -> tuple[float, str]:
    """Book a slot of its own; return how long the command took, and the code."""
    with services().database.transaction() as session:
        office = office_of(session, OFFICE)
    moment = services().clock.now()
    later = moment + number * timedelta(minutes=office.slot_minutes)
    slot = next_slot(later, office.calendar(), office.slot_minutes, now=moment)
    applicant = ["--applicant", str(APPLICANT)]
    when = ["--date", f"{slot:%Y-%m-%d}", "--hour", f"{slot:%H:%M}"]
    seconds, booked = _hoso("book", "--office", OFFICE, *applicant, *when, "--json", by="cong")
    return seconds, str(json.loads(booked)["code"])


def _act(kind: str, command: float, code: str) -> Act:
    """Wait for what follows from an act, and return how long it took."""
    entries = _seen(code, *_FOLLOWS[kind])
    after = datetime.fromisoformat(entries[-1]["at"])
    before = next(e for e in reversed(entries) if e["actor"]["role"] not in _NOBODY)
    waited = (after - datetime.fromisoformat(before["at"])).total_seconds()
    return Act(kind=kind, command=command, follows=waited)


def _seen(code: str, event: str, stage: str) -> list[dict[str, Any]]:
    """Return a dossier's history up to the first such entry, waiting for it; raises `Broken` if it does not come."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        entries = life(code)
        for number, entry in enumerate(entries, start=1):
            if (entry["event"], entry["to"]) == (event, stage):
                return entries[:number]
        time.sleep(0.05)
    raise Broken(f"dossier {code}: nobody saw {event} to {stage}; is the warm worker running?")


def open_office() -> None:
    """Load the procedures and the sample office, deploy, and let people log in; all of it may be repeated."""
    keys = services().settings.trust_anchors.parent / "tokens.json"
    _hoso("procedure", "load")
    _hoso("office", "load", str(OFFICE_FILE), "--keys", str(keys))
    _hoso("deploy")

    def typed(*words: str, by: str) -> str:
        """Type a command whose time does not count."""
        return _hoso(*words, by=by)[1]

    _desks().log_in("cong", typed)
    _desks().log_in("mai", typed)
    _desks().log_in_by_token("ha", typed)


def _desks() -> Desks:
    """Return the desks of those who are measured."""
    return Desks(services().settings.var_dir / "desks")


def _hoso(*words: str, by: str = "") -> tuple[float, str]:
    """Run one command in a process of its own; return how many seconds it took, and what it printed."""
    command = [sys.executable, "-m", "flows.command", *words]
    began = time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(_desks().settings(by)), check=False
    )
    if done.returncode != 0:
        raise Broken(f"“hoso {words[0]}” ended with {done.returncode}: {done.stderr.strip()}")
    return time.monotonic() - began, done.stdout


def percentile(values: Sequence[float], share: float) -> float:
    """
    Return the smallest value that at least this share of the values does not exceed.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([1.0, 2.0, 3.0, 4.0], 0.95)
    (2.0, 4.0)
    """
    ordered = sorted(values)
    return ordered[max(1, math.ceil(share * len(ordered))) - 1]


def tell_latency(done: Sequence[Act]) -> None:
    """Print a table by kind of act, and as the last line the percentiles over all acts."""
    grid = Table(title="From an act to what follows from it", title_justify="left")
    for column in ("act", "acts", "then", "p50 s", "p95 s", "slowest s", "its command, median s"):
        grid.add_column(column, justify="left" if column in ("act", "then") else "right")
    for kind, (event, stage) in _FOLLOWS.items():
        some = [act for act in done if act.kind == kind]
        if some:
            waited = [act.follows for act in some]
            figures = [percentile(waited, 0.5), percentile(waited, 0.95), max(waited)]
            command = statistics.median(act.command for act in some)
            then = event if stage == "Booked" else stage
            grid.add_row(kind, str(len(some)), then, *(f"{f:.2f}" for f in (*figures, command)))
    console = Console(highlight=False, soft_wrap=True)
    console.print(grid)
    commands = statistics.median(act.command for act in done)
    console.print(f"{len(done)} acts; a command took {commands:.2f} s (median, process start included)")
    waited = [act.follows for act in done]
    console.print(f"p50 {percentile(waited, 0.5):.2f} s p95 {percentile(waited, 0.95):.2f} s")
