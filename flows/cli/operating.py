"""Commands of those who run the system: worker, projector, the archive's probe, migrations, demo."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import app
from flows.cli.desk import operator
from flows.cli.printing import AsJson, say, show, table
from infra.errors import Unavailable
from infra.services import services


@app.command()
def work() -> None:
    """Carry dossiers on until told to stop: the warm worker."""
    from flows.prefect_api import prepare

    prepare()
    from flows.work import work as work_on

    work_on()


@app.command()
def project(as_json: AsJson = False) -> None:
    """Compare every dossier with its Prefect run now and set wrong ones right."""
    from flows.prefect_api import prepare

    operator("project")
    prepare()
    import httpx
    from prefect.client.orchestration import get_client

    from flows.projector import project as compare

    async def go() -> int:
        """Compare over one connection."""
        async with get_client() as client:
            return await compare(client)

    try:
        wrong = asyncio.run(go())
    except httpx.TransportError as error:
        raise Unavailable(
            f"the Prefect server at {services().settings.prefect_api_url} does not answer"
        ) from error
    show({"set_right": wrong}, as_json=as_json, text=f"{wrong} runs set right")


@app.command()
def probe(as_json: AsJson = False) -> None:
    """Try what the archive must refuse: strangers, deletion of a locked version, shortening its lock."""
    from infra.object_store.probing import require_safe

    operator("probe")
    results = services().archive.probe()
    if as_json:
        show(results, as_json=True, text="")
    else:
        rows = [(r.what, "refused" if r.refused else "ALLOWED", r.answer) for r in results]
        table("The archive", ("attempt", "result", "answer"), rows)
    require_safe(results)


@app.command()
def migrate() -> None:
    """Bring the database's schema to this release's."""
    from infra.schema import migrate as go

    if go(services().settings):
        say("the schema is up to date")
    else:
        say("the schema is a later release's, with which this one works; it stays as it is")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the results go.")] = Path("var/demo"),
) -> None:
    """Run one dossier through its whole life on the running stack, and say what happened."""
    from flows.demo import demo as run_demo

    run_demo(folder)


@app.command()
def bench(
    sizes: Annotated[list[int], typer.Option("--size", min=1, help="Dossiers; may be repeated.")] = [1000],  # noqa: B006
    singles: Annotated[int, typer.Option("--singles", min=0, help="Single lives by the warm path.")] = 100,
    out: Annotated[Path, typer.Option("--out", help="Where the figures go.")] = Path("var/bench.json"),
) -> None:
    """Measure batches on the running stack beside a plain pyHanko loop, and write the figures down."""
    from flows.prefect_api import prepare

    prepare()
    from flows.bench import bench as run_bench

    run_bench(sizes, singles=singles, out=out)


@app.command("bench-latency")
def bench_latency(
    acts: Annotated[int, typer.Option("--acts", min=1, help="At least so many acts.")] = 50,
) -> None:
    """Measure, on the running stack, how long what follows from an act takes."""
    from flows.latency import bench_latency as bench
    from flows.latency import tell_latency

    tell_latency(bench(acts))
