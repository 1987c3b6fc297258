"""The command that says what rests on a revoked certificate, and puts what is open before somebody else."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.certificates import Named, certificate_app, moment_of
from flows.cli.printing import AsJson, plain, say, show, table
from infra.errors import Forbidden
from infra.services import services
from tasks.certificates.records import find_certificate
from tasks.dossier.moves import Actor
from tasks.people.acting import acting
from tasks.people.desk import logged_in
from tasks.signing.impact import Impact, Waiting, impact_of, take_back, tell_impact


@certificate_app.command()
def impact(
    named: Named,
    revoked_at: Annotated[
        str,
        typer.Option("--revoked-at", help="As of when (Hà Nội time); default: the recorded revocation."),
    ] = "",
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the results there as CSV.")] = None,
    reroute: Annotated[
        bool,
        typer.Option("--reroute", help="Put what is open before another official, with a page made anew."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List what rests on a certificate revoked as of a moment: results after, proven before, claimed; what is open."""
    me = logged_in()
    with services().database.transaction() as session:
        row = find_certificate(session, named)
        by = acting(session, me, "certificate impact", office=row.office)
        moment = moment_of(revoked_at) if revoked_at else row.revoked_at
        if moment is None:
            raise Forbidden(
                f"no revocation of the certificate {row.serial} is on record.",
                rule="CER-08",
                way_out="Record it with “hoso certificate revoke”, or ask “what if” with --revoked-at.",
            )
        if reroute and row.revoked_at is None:
            raise Forbidden(
                f"the certificate {row.serial} is {row.state}; what waits for it may be signed with it.",
                rule="CER-08",
                way_out="Record its revocation first.",
            )
        drawn = impact_of(session, row, moment)
        digest = tell_impact(session, row, drawn, by=by)
    if csv_file is not None:
        _write_csv(csv_file, drawn)
    moved = [_reroute(waits, drawn, by) for waits in drawn.open] if reroute else []
    if as_json:
        value = {**asdict(drawn), "counts": drawn.counts(), "list": digest, "rerouted": moved}
        show(value, as_json=True, text="")
        return
    _print(drawn, moved)


def _reroute(waits: Waiting, drawn: Impact, by: Actor) -> dict[str, object]:
    """Put one original before another official; return what became of it."""
    from tasks.certification.steps import issue_copy

    said: dict[str, object] = {"dossier": waits.dossier, "original": waits.original}
    if not waits.may_be_rerouted:
        return {**said, "result": "not moved", "why": f"it is {waits.standing}"}
    try:
        if waits.because == "signed-after":
            with services().database.transaction() as session:
                take_back(session, waits, drawn.certificate, by=by)
        issued = issue_copy(waits.dossier, waits.original)
    except Forbidden as refusal:
        return {**said, "result": "nobody", "why": str(refusal)}
    return {**said, "result": "rerouted" if issued else "was rerouted before", "why": ""}


def _write_csv(file: Path, drawn: Impact) -> None:
    """Write results and open originals, one a line, without anybody's name."""
    columns = (
        "kind",
        "dossier",
        "original",
        "number",
        "office",
        "standing",
        "field",
        "signed_at",
        "stamped_at",
        "rests",
    )
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        lines = csv.DictWriter(stream, columns, extrasaction="ignore", restval="")
        lines.writeheader()
        lines.writerows(_lines(drawn))


def _lines(drawn: Impact) -> Iterator[dict[str, object]]:
    """Yield the lines of the CSV file."""
    for result in drawn.results:
        values = {k: plain(v) if v is not None else "" for k, v in asdict(result).items()}
        yield {"kind": "result", **values}
    for waits in drawn.open:
        yield {"kind": "open", **asdict(waits), "rests": waits.because}


def _print(drawn: Impact, moved: list[dict[str, object]]) -> None:
    """Print the list."""
    if drawn.results:
        columns = ("dossier", "original", "number", "standing", "field", "signed", "time-stamp", "rests")
        rows = [
            (r.dossier, r.original, r.number, r.standing, r.field, r.signed_at, r.stamped_at, r.rests)
            for r in drawn.results
        ]
        table(f"Rest on {drawn.serial} ({drawn.holder} of {drawn.office})", columns, rows)
    if drawn.open:
        open_rows = [(w.dossier, w.original, w.standing, w.because) for w in drawn.open]
        table("Open", ("dossier", "original", "standing", "because"), open_rows)
    if moved:
        moved_rows = [(m["dossier"], m["original"], m["result"], m["why"]) for m in moved]
        table("Rerouted", ("dossier", "original", "result", "why"), moved_rows)
    say(", ".join(f"{count} {what}" for what, count in drawn.counts().items()))
