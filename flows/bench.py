"""
How fast batches are, beside a plain single-process pyHanko loop over the same files in the same run.

The loop signs each file twice, visibly, at level B, and does nothing else. hoso does everything: it examines and
receives, certifies, signs with the official's key, seals, validates, logs, returns by e-mail, tells the portal,
archives under object lock and reads back, and shows each dossier in Prefect. The result is refused when anything
of that was not done, or when a document that was spoilt on purpose got through.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import get_client
from rich.console import Console

from flows.batches import parallel, run_batch
from flows.bench_costs import Cost, measured, peaks
from flows.bench_proof import prove, spoil
from flows.bench_single import scan_of, single_lives
from flows.desks import OFFICE, OFFICE_FILE, Desks, officials_pin
from flows.projector import project
from infra.environment import environment
from infra.errors import Broken
from infra.services import services
from infra.stack.bench_sign import Bench, make_file, measure
from infra.stack.layout import Place
from infra.stack.postgres import administrator
from tasks.batches import records
from tasks.batches.rules import Kind
from tasks.certification.manifests import OrderLine
from tasks.certification.ordering import Order, examine_rows, place_order
from tasks.dossier.looking import office_of
from tasks.dossier.moves import Actor, person
from tasks.dossier.opening import Applicant
from tasks.dossier.procedures import SHIPPED
from tasks.signing.acts import write_list

#: Files of the plain loop; more would only take longer.
_PLAIN = 100
#: Documents in one of the official's lists.
_LIST = 500

say = Console(highlight=False, soft_wrap=True).print


def bench(sizes: Sequence[int], *, singles: int, out: Path) -> None:
    """Measure batches of these sizes and `singles` lives by the warm path, print the figures, and write them down."""
    with tempfile.TemporaryDirectory(prefix="hoso-bench-") as folder:
        _set_up(Path(folder))
        naive = _plain(min(_PLAIN, *sizes))
        say(f"plain pyHanko loop: {naive:.2f} documents/s")
        rounds = [_round(size, Path(folder)) for size in sizes]
    figures = _figures(naive, rounds)
    figures["single"] = single_lives(singles, _officer("mai", "clerk")) if singles else None
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    say(json.dumps(figures, indent=1))
    say(f"ratio sign_seal {figures['ratio']['sign_seal']:.2f} whole {figures['ratio']['whole']:.2f}")


def _set_up(folder: Path) -> None:
    """Load the sample office with long codes, and the e-copy procedure at level B, and let people log in."""
    definition = (SHIPPED / "e-copy.v1.yaml").read_text(encoding="utf-8")
    definition = definition.replace("version: 1\n", "version: 900\n").replace("2025-11-01", "2026-01-02", 1)
    (folder / "e-copy.yaml").write_text(definition, encoding="utf-8")
    office = yaml.safe_load(OFFICE_FILE.read_text(encoding="utf-8")) | {"sequence_width": 6}
    shutil.copytree(OFFICE_FILE.parent, folder / "office")
    (folder / "office" / "office.yaml").write_text(
        yaml.safe_dump(office, allow_unicode=True), encoding="utf-8"
    )
    keys = services().settings.trust_anchors.parent / "tokens.json"
    _hoso("procedure", "load")
    _hoso("procedure", "load", str(folder / "e-copy.yaml"))
    _hoso("office", "load", str(folder / "office" / "office.yaml"), "--keys", str(keys))
    _hoso("deploy")
    _desks().log_in_by_token("ha", _hoso)
    _desks().log_in("mai", _hoso)


def _plain(count: int) -> float:
    """Return how many documents a second the plain loop signs twice."""
    one = Bench()
    result = measure(one.plain, [make_file(number) for number in range(count)])
    for token in one.tokens.values():
        token.close()
    return result.signatures / 2 / result.wall


def _round(size: int, folder: Path) -> dict[str, Any]:
    """Take so many dossiers from the counter to the archive, and return what each step cost."""
    scans = folder / f"scans-{size}"
    scans.mkdir()
    lines = [_scan(scans, number) for number in range(size)]
    steps: dict[str, Cost] = {}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        with measured() as cost:
            yield
        steps[name] = cost
        spent = ", ".join(f"{part} {1000 * s / size:.0f}" for part, s in cost.cpu.most_common(4) if s > 0)
        say(
            f"{size:6}  {name:14} {cost.wall:8.1f} s  {1000 * cost.wall / size:7.1f} ms a dossier"
            f"  (processor: {spent}; busy {cost.busy:.0%})"
        )

    mai = _officer("mai", "clerk")
    order = Order(office=OFFICE, procedure="e-copy", applicant=_applicant(size), folder=scans, paid="BL")
    stored = _prefect_bytes()
    with step("receive"):
        fit, bad = examine_rows(order, lines, by=mai)
        if bad:
            raise Broken(f"{len(bad)} scans of the bench are not fit: {bad[0].why}")
        codes = list(place_order(order, fit, by=mai).dossiers)
    with step("certify"):
        _batch(Kind.CERTIFICATION)
    spoilt = spoil(codes)
    # The login of somebody who has not typed anything for a while has ended.
    _desks().log_in_by_token("ha", _hoso)
    with step("sign"):
        _sign(codes)
    spoilt |= spoil(codes, signed=True)
    with step("seal"):
        _batch(Kind.SEALING)
    with step("return"):
        _batch(Kind.DELIVERY)
    with step("archive"):
        _batch(Kind.ARCHIVAL)
    with step("show"):
        _show(codes)
    prove(codes, spoilt)
    shutil.rmtree(scans)
    grown = (_prefect_bytes() - stored) // size
    say(f"{size:6}  {grown} bytes a dossier in Prefect's database")
    return {"n": size, "steps": steps, "peaks": peaks(), "prefect_bytes": grown}


def _scan(folder: Path, number: int) -> OrderLine:
    """Write the colour scan of one of the loop's files and return its row."""
    file = folder / f"{number}.jpg"
    file.write_bytes(scan_of(number))
    return OrderLine(row=number + 2, kind="Bằng tốt nghiệp", files=(file.name,), pages=1)


def _batch(kind: Kind) -> None:
    """Run one batch with as many processes as there are processors."""
    number = asyncio.run(run_batch(kind, OFFICE, here=True, workers=parallel()))
    if number is None:
        raise Broken(f"nothing waits for {kind}")
    row = records.batch_row(number)
    if row.cause is not None:
        raise Broken(f"the batch was stopped by {row.cause}")


def _sign(codes: Sequence[str]) -> None:
    """Let the official sign everything, in lists of 500 at most, as many at once as there are processors."""
    room = min(_LIST, -(-len(codes) // parallel()))
    parts = [codes[start : start + room] for start in range(0, len(codes), room)]
    lists = [write_list(OFFICE, "ha", only=part).digest for part in parts]
    command = [
        sys.executable,
        "-m",
        "flows.command",
        "sign",
        "--pin-file",
        str(officials_pin()),
    ]
    running: list[subprocess.Popen[bytes]] = []
    with ExitStack() as files:
        said = [files.enter_context(tempfile.TemporaryFile()) for _ in lists]
        for digest, out in zip(lists, said, strict=True):
            while sum(one.poll() is None for one in running) >= parallel():
                time.sleep(0.05)
            asked = [*command, "--manifest", digest, "--json"]
            env = environment(_desks().settings("ha"))
            running.append(subprocess.Popen(asked, env=env, stdout=out, stderr=subprocess.DEVNULL))
        for one, out in zip(running, said, strict=True):
            # 1: documents that were spoilt on purpose were refused; what was signed is proved in the end.
            if one.wait() not in (0, 1) or not out.tell():
                raise Broken(f"“hoso sign” ended with {one.returncode}, and signed nothing")


def _show(codes: Sequence[str]) -> None:
    """Let Prefect show every dossier as it stands."""

    async def go() -> None:
        async with get_client() as client:
            await project(client, codes)

    asyncio.run(go())


def _prefect_bytes() -> int:
    """Return the size of Prefect's database."""
    root = services().settings.trust_anchors.absolute().parent.parent
    with administrator(Place(root), "postgres") as connection:
        row = connection.execute("select pg_database_size('prefect')").fetchone()
    return int(row[0]) if row else 0


def _figures(naive: float, rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is written down."""
    sizes = []
    for one in rounds:
        n, steps = one["n"], one["steps"]
        cpu: Counter[str] = Counter()
        for cost in steps.values():
            cpu.update(cost.cpu)
        whole = sum(cost.wall for cost in steps.values())
        sizes.append(
            {
                "n": n,
                "sign_seal_per_s": round(n / (steps["sign"].wall + steps["seal"].wall), 3),
                "whole_per_s": round(n / whole, 3),
                "cpu_ms_by_process": {name: round(1000 * s / n, 1) for name, s in cpu.items() if s > 0},
                "peak_mb_by_process": one["peaks"],
                "prefect_bytes": one["prefect_bytes"],
                "_wall": whole,
            }
        )
    fixed, marginal = _fitted([(one["n"], one["_wall"]) for one in sizes])
    for one in sizes:
        del one["_wall"]
        one["fixed_s"], one["marginal_ms"] = fixed, marginal
    last = rounds[-1]
    whole = sum(cost.wall for cost in last["steps"].values())
    return {
        "naive_per_s": round(naive, 3),
        "ratio": {
            "sign_seal": round(sizes[-1]["sign_seal_per_s"] / naive, 3),
            "whole": round(sizes[-1]["whole_per_s"] / naive, 3),
        },
        "sizes": sizes,
        "steps": {name: round(cost.wall / whole, 3) for name, cost in last["steps"].items()},
    }


def _fitted(points: Sequence[tuple[int, float]]) -> tuple[float | None, float]:
    """
    Return the fixed seconds and the marginal milliseconds of a line through (dossiers, seconds); one point has none.

    >>> _fitted([(1000, 110.0), (10000, 1010.0)])
    (10.0, 100.0)
    """
    if len(points) < 2:
        ((n, wall),) = points
        return None, round(1000 * wall / n, 1)
    (few, short), (many, long) = points[0], points[-1]
    each = (long - short) / (many - few)
    return round(short - each * few, 1), round(1000 * each, 1)


def _officer(staff: str, role: str) -> Actor:
    """Return somebody of the sample office."""
    with services().database.transaction() as session:
        office = office_of(session, OFFICE)
    return person(office, office.officer(staff, role), role)  # type: ignore[arg-type]


def _applicant(number: int) -> Applicant:
    """Return the one requester of a round; nobody is called so."""
    return Applicant(name="Công ty Đo thử", identity=f"{number:012d}", email="do.thu@citizen.example")


def _desks() -> Desks:
    """Return the desks of those who work here."""
    return Desks(services().settings.var_dir / "desks")


def _hoso(*words: str, by: str = "") -> str:
    """Type one command in a process of its own and return what it printed."""
    command = [sys.executable, "-c", "from flows.cli import main; main()", *words]
    env = environment(_desks().settings(by))
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        raise Broken(f"“hoso {words[0]}” ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
