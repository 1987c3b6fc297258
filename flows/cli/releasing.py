"""Commands by which a release takes over from another on a working day: deploy and drain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from flows.cli import app
from flows.cli.desk import ENGINEER, operator
from flows.cli.lives import gate_files
from flows.cli.printing import AsJson, say, show
from infra.errors import Forbidden, Unavailable
from infra.release import FOLDER, code_digest, newest_revision, release_name
from infra.services import services
from tasks.lives.gate import RECORDED, pass_gate, read_lives
from tasks.lives.offices import keep_answers, pass_offices
from tasks.releases import current
from tasks.releases.current import Release

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

T = TypeVar("T")

#: Seconds between two looks whether somebody is still at work.
_LOOK = 1.0


@app.command()
def deploy(
    file: Annotated[
        Path | None, typer.Option("--file", help="The declaration of deployments; without it this release's.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only check the file and replay the lives; reach no server.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what would be done; change nothing.")
    ] = False,
    release: Annotated[
        Path | None,
        typer.Option("--release", help="The folder of the release; it must be this program's own."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let this release take over: check prefect.yaml, replay recorded lives, make the Prefect server agree, switch."""
    _must_be_own(release)
    by = operator("deploy") if not check else ENGINEER
    lives = pass_gate(gate_files())
    if not check:
        current.check_schema(newest_revision())
        with services().database.transaction() as session:
            pass_offices(session, read_lives(RECORDED))
    from flows.prefect_api import prepare

    prepare()
    from flows.deployments import read_deployments

    wanted = read_deployments(file or FOLDER / "prefect.yaml")
    if check:
        text = f"{len(wanted)} deployments, well formed; {lives} lives replayed, all as they were lived"
        show({"deployments": len(wanted), "lives": lives}, as_json=as_json, text=text)
        return
    mine = Release(name=release_name(), code=code_digest())

    async def go(client: PrefectClient) -> list[str]:
        """Plan, say so, and do it."""
        from flows.deploying import carry_out
        from flows.deploying import plan as planned

        changes = await planned(client, wanted, release=FOLDER, version=mine.name)
        ahead = [change.ahead for change in changes] + _switch(mine)
        if plan:
            return ahead
        if ahead and not as_json:
            say("\n".join(["to be done:", *(f"  {line}" for line in ahead), "done:"]))
        done = await carry_out(changes)
        switched = await asyncio.to_thread(current.make_current, mine, lives=lives, by=by)
        return done + ([f"release {mine.name} works from now on"] if switched else [])

    done = _with_prefect(go)
    if not plan:
        with services().database.transaction() as session:
            keep_answers(session, read_lives(RECORDED), mine.name)
    show(
        done,
        as_json=as_json,
        text="\n".join(f"  {line}" for line in done) or "nothing to do: this release works",
    )


@app.command()
def drain(
    patience: Annotated[
        float, typer.Option("--patience", min=0, help="Seconds to wait for what was begun.")
    ] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Let every worker finish what it has begun and take nothing more, until a release is deployed; wait for it."""
    from flows.prefect_api import prepare

    by = operator("drain")
    prepare()
    current.let_nobody_work(by=by)

    async def go(client: PrefectClient) -> int:
        """Pause the pools, and wait until nobody is at work."""
        from flows.draining import pause_pools, runs_at_work

        await pause_pools(client)
        until = time.monotonic() + patience
        while busy := await asyncio.to_thread(current.at_work) + await runs_at_work(client):
            if time.monotonic() > until:
                return busy
            await asyncio.sleep(_LOOK)
        return 0

    left = _with_prefect(go)
    if left:
        raise Unavailable(
            f"{left} dossiers, chunks or runs are still at work after {patience:.0f} s; nothing new is taken: drain "
            "again to go on waiting, or deploy a release to go on working"
        )
    show({"at_work": 0}, as_json=as_json, text="nobody is at work; “hoso deploy” of a release lets it go on")


def _must_be_own(release: Path | None) -> None:
    """Refuse to deploy another release than the one whose program this is: its flows and rules are what is checked."""
    if release is not None and release.resolve() != FOLDER:
        raise Forbidden(
            f"this program is the release in {FOLDER}, not the one in {release}.",
            rule="RELEASE-04",
            way_out=f"Run that release's own program: {release / '.venv/bin/hoso'} deploy.",
        )


def _switch(mine: Release) -> list[str]:
    """Return which release takes over from which, if it does."""
    before = current.current()
    if before == mine:
        return []
    if before is None or not before.name:
        return [f"let release {mine.name} work"]
    if before.name == mine.name:
        return [f"let release {mine.name} work with other code under the same name: start its workers anew"]
    return [f"let release {mine.name} take over from {before.name}"]


def _with_prefect(work: Callable[[PrefectClient], Awaitable[T]]) -> T:
    """Do something over one connection to the Prefect server; raises `Unavailable` where it does not answer."""
    import httpx
    from prefect.client.orchestration import get_client

    async def go() -> T:
        """Hold the connection for as long as it is needed."""
        async with get_client() as client:
            return await work(client)

    try:
        return asyncio.run(go())
    except httpx.TransportError as error:
        raise Unavailable(
            f"the Prefect server at {services().settings.prefect_api_url} does not answer"
        ) from error
