"""Commands about batches: run one now, see what became of each dossier, try again what was set aside."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import app
from flows.cli.printing import AsJson, say, show, table
from infra.errors import Forbidden, Unavailable
from infra.services import services
from tasks.batches import records
from tasks.batches.rules import Kind, by_reason, told
from tasks.dossier.moves import Actor
from tasks.people.acting import acting, scope
from tasks.people.desk import logged_in
from tasks.people.rules import EVERY

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

batch = typer.Typer(help="Batches: many dossiers through one part of their lives.", no_args_is_help=True)
app.add_typer(batch, name="batch")

_DEPLOYMENTS = {
    Kind.CERTIFICATION: "certification-batch/certification-batch",
    Kind.SEALING: "sealing-batch/sealing-batch",
    Kind.DELIVERY: "delivery-batch/delivery-batch",
    Kind.ARCHIVAL: "archival/archival",
}
Here = Annotated[
    bool, typer.Option("--here", help="On this machine, without Prefect; for sealing, where the token is.")
]


@batch.command("run")
def run(
    kind: Kind,
    office: Annotated[str, typer.Option("--office", help="Code of the office (default: yours).")] = "",
    procedure: Annotated[str, typer.Option("--procedure", help="Only this procedure.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many dossiers; 0: all.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    here: Here = False,
    as_json: AsJson = False,
) -> None:
    """Carry what waits at an office through one part of its life now: nearest due first."""
    me = logged_in()
    office = office or me.office
    by = _may("batch run", me, office, procedure)
    records.must_be_readable(office)
    room = limit or 1_000_000
    found = records.waiting_for(kind, office, procedure=procedure or None, room=room)
    if dry_run or not found:
        what = f"{kind} would take {len(found)} dossiers of {office}"
        value = {"kind": kind, "office": office, "dossiers": [code for code, _ in found]}
        show(value, as_json=as_json, text=what + (f", first {found[0][0]}" if found else ""))
    elif here:
        number = _run_here(kind, office, procedure, limit, by)
        _print_batch(number, as_json=as_json)
    else:
        parameters = {"office": office, "procedure": procedure, "limit": limit}
        started = _start(_DEPLOYMENTS[kind], parameters)
        where = f"{services().settings.prefect_ui_url}/runs/flow-run/{started.id}"
        show({"run": str(started.id)}, as_json=as_json, text=f"{len(found)} dossiers wait; run {where}")


@batch.command("work")
def work_batch(number: int) -> None:
    """Carry chunks of a running batch in this process too, on this machine or another; needs no Prefect."""
    from flows.prefect_api import prepare

    records.batch_row(number)
    prepare()
    from flows.batches import work_batch as work_on

    say(f"batch {number}: carried {asyncio.run(work_on(number))} chunks")


@batch.command("list")
def list_batches(as_json: AsJson = False) -> None:
    """List the newest batches of your offices with how they stand."""
    me = logged_in()
    with services().database.transaction() as session:
        theirs = scope(session, me, "batch list")
    rows = [row for row in records.newest(50) if theirs.allows(row.office, EVERY)]
    found: list[dict[str, Any]] = [
        {
            "batch": row.id,
            "kind": row.kind,
            "office": row.office,
            "begun_at": row.begun_at,
            "ended_at": row.ended_at,
            "results": dict(records.counts_of(row.id or 0)),
            "cause": row.cause,
        }
        for row in rows
    ]
    if as_json:
        show(found, as_json=True, text="")
        return
    lines = [
        (f["batch"], f["kind"], f["office"], f["begun_at"], f["ended_at"], told(f["results"]), f["cause"])
        for f in found
    ]
    table("Batches", ("batch", "kind", "office", "begun", "ended", "results", "stopped by"), lines)


@batch.command("show")
def show_batch(
    number: int,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every dossier's result there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what became of the dossiers of a batch, by reason; --csv writes every one."""
    me = logged_in()
    row = records.batch_row(number)
    _may("batch show", me, row.office, EVERY)
    if csv is not None:
        from flows.batch_pictures import results_csv

        try:
            csv.write_bytes(results_csv(records.results_of(number)))
        except OSError as error:
            raise Forbidden(
                f"{csv} cannot be written: {error.strerror}.", rule="BATCH", way_out="Name another file."
            ) from error
    _print_batch(number, as_json=as_json)


@batch.command("retry")
def retry_batch(number: int, here: Here = False, as_json: AsJson = False) -> None:
    """Try again what a batch set aside or did not reach; of each cause one dossier first, to see whether it is gone."""
    me = logged_in()
    row = records.batch_row(number)
    by = _may("batch retry", me, row.office, row.procedure or EVERY)
    before = records.counts_of(number).get("done", 0)
    count = records.take_up_again(number, by=by)
    if here:
        from flows.prefect_api import prepare

        prepare()
        from flows.batches import carry_batch

        asyncio.run(carry_batch(number, here=True))
        moved = records.counts_of(number).get("done", 0) - before
        say(f"batch {number}: {moved} of {count} moved on") if not as_json else None
        _print_batch(number, as_json=as_json)
        return
    started = _start("batch-again/batch-again", {"batch": number})
    show(
        {"run": str(started.id), "dossiers": count},
        as_json=as_json,
        text=f"batch {number}: {count} are tried",
    )


def _may(act: str, me: Actor, office: str, procedure: str) -> Actor:
    """Return the person as one who may do this at an office; refuses anybody else (AUTH-06)."""
    with services().database.transaction() as session:
        return acting(session, me, act, office=office, procedure=procedure or EVERY)


def _run_here(kind: Kind, office: str, procedure: str, limit: int, by: Actor) -> int:
    """Carry a batch in this process and return its number."""
    from flows.prefect_api import prepare

    prepare()
    from flows.batches import run_batch

    number = asyncio.run(run_batch(kind, office, procedure=procedure or None, limit=limit, by=by, here=True))
    if number is None:
        raise Unavailable("somebody else took what waited a moment ago")
    return number


def _start(name: str, parameters: dict[str, Any]) -> FlowRun:
    """Start a run of a deployment and return it."""
    from flows.prefect_api import prepare

    prepare()
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    async def go() -> FlowRun:
        """Start it over one connection."""
        async with get_client() as client:
            known = await client.read_deployment_by_name(name)
            return await client.create_flow_run_from_deployment(known.id, parameters=parameters)

    try:
        return asyncio.run(go())
    except (httpx.HTTPError, ObjectNotFound) as error:
        raise Unavailable(
            "the Prefect server does not answer, or does not know the batches (“hoso deploy”); --here needs none"
        ) from error


def _print_batch(number: int, *, as_json: bool) -> None:
    """Print how a batch stands, and its results by reason."""
    row, results = records.batch_row(number), records.results_of(number)
    reasons = by_reason([(one.result or "open", one.cause) for one in results])
    counts = records.counts_of(number)
    if as_json:
        value = {
            "batch": number,
            "kind": row.kind,
            "office": row.office,
            "results": dict(counts),
            "stopped_by": row.cause,
            "reasons": [{"result": r, "cause": c, "dossiers": n} for r, c, n in reasons],
            "not_done": [
                {"dossier": o.dossier, "result": o.result, "cause": o.cause}
                for o in results
                if o.result != "done"
            ],
        }
        show(value, as_json=True, text="")
        return
    table(f"Batch {number}: {row.kind} at {row.office}", ("result", "reason", "dossiers"), reasons)
    say(f"{told(counts)}" + (f"; stopped by {row.cause}" if row.cause else ""))
