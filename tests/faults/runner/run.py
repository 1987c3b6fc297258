"""One run of one seed: lives, faults, quiet, and the checker."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from infra.stack.layout import PROJECT
from tests.faults.runner.injectors import Fault, Scene, all_faults
from tests.faults.runner.lives import LIVES, live
from tests.faults.runner.office import Office
from tests.faults.runner.people import Life
from tests.faults.runner.site import REASON, Site, running
from tests.faults.runner.tampering import tamper
from tests.faults.runner.workers import Keeper, Worker

#: What citizens bring that must be refused; the file of a gigabyte of zeros and its kind included.
HOSTILE = PROJECT / "tests" / "vectors" / "scans"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to be."""

    seed: int
    dossiers: int
    #: Names of faults; empty: all.
    faults: frozenset[str] = frozenset()
    #: At most so many faults; 0: every one that was chosen, once.
    most: int = 0
    at_once: int = 8
    twin: str = ""
    settings: tuple[tuple[str, str], ...] = ()


def play(root: Path, plan: Plan) -> dict[str, Any]:
    """Do one run and return what the checker found, with the faults that were injected."""
    with running(root, plan.seed, settings=dict(plan.settings)) as site:
        began = time.monotonic()
        workers = [Worker(site=site, name=f"worker-{n}", twin=plan.twin) for n in (1, 2)]
        with Keeper(site=site, workers=workers) as keeper, Office(site) as office:
            _storm(site, office, keeper, plan)
            _calm(site, keeper)
            site.hoso("history", "checkpoint", by="nobody")
            tamper(site)
        found = checked(site)
        site.store.close()
    return {
        **found,
        "seed": plan.seed,
        "seconds": round(time.monotonic() - began),
        "faults": _counted(site),
        "not_run": [f"{line['what']}: {line['why']}" for line in _journal(site) if line["kind"] == "not-run"],
        "moments_died_at": sorted({line["moment"] for line in _journal(site) if line.get("moment")}),
        "recovery_s": _recovery(keeper.recovered),
    }


def _storm(site: Site, office: Office, keeper: Keeper, plan: Plan) -> None:
    """Let people live their lives while faults come."""
    scans, hostile = make_scans(site), sorted(HOSTILE.iterdir())
    chance = site.random("lives")
    kinds = _kinds(plan.dossiers, chance)
    lives = [
        Life(office=office, number=n, scans=scans, hostile=hostile, kind=kind, random=site.random("life", n))
        for n, kind in enumerate(kinds, start=1)
    ]
    ended = threading.Event()
    chosen = [fault for fault in all_faults() if not plan.faults or fault.name in plan.faults]
    numbers = count(9001)
    throwers = [
        threading.Thread(target=_throw, args=(scene, plan.most, faults, pause, ended), daemon=True)
        for faults, pause, scene in (
            (
                [fault for fault in chosen if _hand(fault) == name],
                pause,
                Scene(
                    site=site,
                    office=office,
                    keeper=keeper,
                    random=site.random(name),
                    scans=scans,
                    numbers=numbers,
                ),
            )
            for name, pause in (("deaths", 12.0), ("slow", 4.0), ("faults", 2.0))
        )
    ]
    with ThreadPoolExecutor(plan.at_once) as people:
        living = [people.submit(live, life) for life in lives]
        for thrower in throwers:
            thrower.start()
        for done in living:
            done.result()
    ended.set()
    for thrower in throwers:
        thrower.join(400)


def _hand(fault: Fault) -> str:
    """Return which of those who throw faults throws one: workers die all the time, and some faults take minutes."""
    return "deaths" if fault.row == "F1" else "slow" if fault.slow else "faults"


def _kinds(many: int, chance: random.Random) -> list[str]:
    """Return each life's kind: every kind at least once where there is room, then by their shares."""
    names = list(LIVES)
    kinds = (names * (many // len(names) > 1))[:many]
    kinds += chance.choices(names, weights=[LIVES[name][0] for name in names], k=many - len(kinds))
    chance.shuffle(kinds)
    return kinds


def _throw(scene: Scene, most: int, faults: Sequence[Fault], pause: float, ended: threading.Event) -> None:
    """Inject one fault after the other, in the order that the seed gives, for as long as anybody lives."""
    site, chance = scene.site, scene.random
    for fault in _by_turns(faults, chance)[: most or None]:
        # A slow one brings its own dossier and has its turn although everybody else has left.
        if ended.wait(chance.uniform(pause / 6, pause)) and not fault.slow:
            return
        began = site.journal.seconds
        try:
            did = fault.inject(scene)
        except Exception as error:
            site.journal.tell(
                "finding", what="an injector broke", fault=fault.name, said=f"{type(error).__name__}: {error}"
            )
            continue
        if did:
            site.journal.tell("fault", row=fault.row, what=fault.name, did=did, began=round(began, 2))


def _by_turns(faults: Sequence[Fault], chance: random.Random) -> list[Fault]:
    """Return faults in an order of chance in which each row of the matrix has its turn before any has its second."""
    rows: dict[str, list[Fault]] = {}
    for fault in chance.sample(list(faults), k=len(faults)):
        rows.setdefault(fault.row, []).append(fault)
    turns = [(turn, chance.random(), fault) for row in rows.values() for turn, fault in enumerate(row)]
    return [fault for _, _, fault in sorted(turns, key=lambda one: one[:2])]


def _calm(site: Site, keeper: Keeper) -> None:
    """Heal everything, let an engineer try again what stopped, and wait until nothing is under way."""
    site.store.heal()
    site.shim.let_be()
    site.up()
    tried: set[str] = set()
    end = time.monotonic() + 420
    while time.monotonic() < end:
        stopped = site.ask(
            "select dossier from outbox where last_error like 'needs attention:%%' or last_error like 'broken:%%'"
        )
        for (code,) in stopped:
            if code not in tried:
                tried.add(code)
                said = site.hoso("retry", code, "--why", REASON, by="mai")
                site.journal.tell("retried", codes=[code], code=said.code, said=said.err[:200])
        busy = site.ask(
            "select count(*) from outbox where lease_owner is not null or (asked > done and not_before < clock_timestamp() + interval '90 s')"
        )[0][0]
        if not busy and keeper.is_quiet:
            return
        time.sleep(0.5)
    site.journal.tell("note", what="it never became quiet")


def checked(site: Site) -> dict[str, Any]:
    """Export the history and let the checker judge, in a process of its own."""
    site.hoso("history", "checkpoint", by="nobody")
    export = site.folder / f"export-{site.journal.seconds:.2f}"
    said = site.hoso("history", "export", export, by="nobody")
    if said.code:
        site.journal.tell("finding", what="the history could not be exported", said=said.err)
    words = [sys.executable, "-m", "tests.faults.checker", "--root", str(site.root), "--export", str(export)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=PROJECT)
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"the checker broke: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _journal(site: Site) -> list[dict[str, Any]]:
    """Return what was written down."""
    return [
        json.loads(line) for line in (site.folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def _counted(site: Site) -> dict[str, int]:
    """Return how often each kind of fault happened, those of the people's acts included."""
    kinds: dict[str, int] = {}
    for line in _journal(site):
        if line["kind"] == "fault":
            name = f"{line['row']} {line['what']}"
            kinds[name] = kinds.get(name, 0) + 1
    return dict(sorted(kinds.items(), key=lambda kind: (int(kind[0].split()[0][1:]), kind[0])))


def _recovery(waits: Sequence[tuple[float, bool]]) -> dict[str, float | int]:
    """Return how long the dossiers of dead workers waited for another one; apart, when further workers died meanwhile."""
    alone = [seconds for seconds, further in waits if not further]
    more = [seconds for seconds, further in waits if further]
    return {
        "median": round(median(alone), 1) if alone else 0.0,
        "max": round(max(alone), 1) if alone else 0.0,
        "dossiers": len(alone),
        "dossiers_with_further_deaths": len(more),
        "max_with_further_deaths": round(max(more), 1) if more else 0.0,
    }


def make_scans(site: Site) -> list[Path]:
    """Make some small scans that are really different."""
    folder, found = site.place.folder("faults", "scans"), []
    for n in range(5):
        chance = site.random("scan", n)
        small = Image.new("RGB", (12, 8))
        small.putdata(
            [(chance.randrange(256), chance.randrange(256), chance.randrange(256)) for _ in range(96)]
        )
        out = io.BytesIO()
        small.resize((236, 157), Image.Resampling.BICUBIC).save(out, "JPEG", dpi=(200, 200))
        found.append(folder / f"{n}.jpg")
        found[-1].write_bytes(out.getvalue())
    return found
