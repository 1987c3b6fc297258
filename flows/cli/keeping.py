"""Commands about what the archive keeps: evidence for the citizen, holds, what is read by night, destruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import app
from flows.cli.desk import operator
from flows.cli.printing import AsJson, show, table
from flows.cli.private import Why, words
from infra.errors import Broken
from infra.services import services
from tasks.dossier import holds
from tasks.dossier.looking import hold
from tasks.people.acting import acting_on
from tasks.people.desk import logged_in

if TYPE_CHECKING:
    from tasks.archival.destruction_tables import DestructionItemRow, DestructionListRow

hold_app = typer.Typer(help="Legal holds: what stays, whatever its date.", no_args_is_help=True)
app.add_typer(hold_app, name="hold")


@app.command()
def evidence(
    code: str,
    out: Annotated[Path | None, typer.Option("--out", help="Where the ZIP file is written.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write one file for the citizen that proves an archived result: documents, timeline, proofs, a verifier."""
    from hashlib import sha256

    from tasks.archival.evidence import give_evidence

    made = give_evidence(code, by=logged_in())
    file = out or Path(f"{code}-evidence.zip")
    file.write_bytes(made)
    said = {"file": str(file), "size": len(made), "sha256": sha256(made).hexdigest()}
    show(said, as_json=as_json, text=f"{file}  {len(made)} bytes; its README.txt says how to check it")


@hold_app.command("place")
def place(code: str, why: Why = "", as_json: AsJson = False) -> None:
    """Keep a dossier from being destroyed or erased until the hold is released, in the store too."""
    me = logged_in()
    reason = words(why, "The decision or the case that asks for the hold")
    with services().database.transaction() as session:
        dossier = hold(session, code)
        placed = holds.place_hold(session, dossier, reason, by=acting_on(session, me, "hold place", dossier))
    text = "is held" if placed else "was held before"
    show({"code": code, "placed": placed}, as_json=as_json, text=f"{code}  {text}")


@hold_app.command("release")
def release(code: str, why: Why = "", as_json: AsJson = False) -> None:
    """End the hold on a dossier; its retention goes on as before."""
    me = logged_in()
    reason = words(why, "The decision that ends the hold")
    with services().database.transaction() as session:
        dossier = hold(session, code)
        ended = holds.release_hold(
            session, dossier, reason, by=acting_on(session, me, "hold release", dossier)
        )
    text = "is no longer held" if ended else "was not held"
    show({"code": code, "released": ended}, as_json=as_json, text=f"{code}  {text}")


destruction_app = typer.Typer(
    help="Destroying packages whose time is over: a list, a decision, a certificate.", no_args_is_help=True
)
app.add_typer(destruction_app, name="destruction")


@destruction_app.command("list")
def draw_up_list(office: str, as_json: AsJson = False) -> None:
    """List the dossiers of an office whose retention is over, and print the digest by which the list is approved."""
    from tasks.archival import destruction

    found, items = destruction.draw_up(office, by=logged_in())
    _tell_list(found, items, as_json=as_json)


@destruction_app.command("approve")
def approve_list(
    digest: str,
    decision: Annotated[str, typer.Option("--decision", help="The number of the decision.")],
    as_json: AsJson = False,
) -> None:
    """Approve a list of destruction by a decision; another person than the one who drew it up."""
    from tasks.archival import destruction

    found = destruction.approve(digest, decision, by=logged_in())
    said = {"list": found.digest, "decision": found.decision, "approved_by": found.approved_by}
    show(said, as_json=as_json, text=f"{found.digest[:16]}  approved by decision {found.decision}")


@destruction_app.command("carry-out")
def carry_out_list(digest: str, as_json: AsJson = False) -> None:
    """Destroy what is on an approved list; what is held or still locked stays, and the certificate says so."""
    from tasks.archival import destruction

    found, items = destruction.carry_out(digest, by=logged_in())
    _tell_list(found, items, as_json=as_json)


def _tell_list(found: DestructionListRow, items: Sequence[DestructionItemRow], *, as_json: bool) -> None:
    """Print a list of destruction."""
    if as_json:
        lines = [i.model_dump(exclude={"list"}) for i in items]
        show({**found.model_dump(exclude={"id"}), "dossiers": lines}, as_json=True, text="")
        return
    columns = ("dossier", "kept until", "rule", "objects", "bytes", "destroyed", "left out because")
    rows = [(i.dossier, i.retain_until, i.rule, i.objects, i.size, i.destroyed_at, i.left_out) for i in items]
    table(f"List of destruction {found.digest[:16]}", columns, rows)
    if found.certificate_key:
        show({}, as_json=False, text=f"certificate: {found.certificate_key}")
    elif found.decision is None:
        show({}, as_json=False, text=f"hoso destruction approve {found.digest} --decision NUMBER")


@app.command()
def fixity(
    everything: Annotated[
        bool, typer.Option("--all", help="Read everything, not only tonight's share.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read the archive's share of a night again and compare it with what was written; exit 5 when something differs."""
    from tasks.archival.fixity import read_archive

    operator("fixity")
    night = read_archive(everything=everything)
    size = f"{night.bytes / 1e6:.1f} MB in {night.seconds:.1f} s ({night.speed:.0f} MB/s)"
    text = f"{night.objects} objects, {size}; {night.entries} entries; {len(night.findings)} findings; {night.report}"
    if as_json:
        show({**asdict(night), "megabytes_a_second": round(night.speed, 1)}, as_json=True, text="")
    else:
        if night.findings:
            rows = [(f.key, f.version, f.what, f.expected, f.found) for f in night.findings]
            table("Found", ("key", "version", "what", "expected", "found"), rows)
        show({}, as_json=False, text=text)
    if night.findings:
        raise Broken(f"{len(night.findings)} things in the archive are not as they were written")
