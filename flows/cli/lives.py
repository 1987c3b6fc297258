"""Commands about recorded lives: the gate that a release passes before it is deployed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import app
from flows.cli.desk import administrator
from flows.cli.printing import AsJson, show
from infra.clock import HANOI
from infra.errors import Forbidden
from infra.services import services
from tasks.lives.gate import RECORDED, pass_gate, read_lives, replay, write_lives
from tasks.lives.rules import Lives, allowed_moves, relived, stages_of_rest

lives_app = typer.Typer(help="Recorded lives: a release is tried on them first.", no_args_is_help=True)
app.add_typer(lives_app, name="lives")

File = Annotated[
    Path | None, typer.Option("--file", help="A file of lives; without it the one of the release.")
]

#: Moments at which every life is replayed: at, and just after, the hour of CERT-17; before a weekend, Tết, a new year.
BEGINNINGS = (
    "2026-11-20T15:00:00",
    "2026-11-20T15:00:01",
    "2026-11-21T09:00:00",
    "2026-11-23T07:30:00",
    "2026-12-31T16:59:59",
    "2027-02-05T15:30:00",
)


@lives_app.command("check")
def check_lives(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Without any, those that “deploy” replays.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay recorded lives under the rules of this program; refuse if any would be treated otherwise."""
    chosen = files or gate_files()
    if as_json:
        found = replay(chosen)
        show({"lives": found.lives, "faults": found.faults}, as_json=True, text="")
        raise typer.Exit(1 if found.faults else 0)
    show(None, as_json=False, text=f"{pass_gate(chosen)} lives replayed, all as they were lived")


@lives_app.command("record")
def record_life(codes: list[str], file: File = None, as_json: AsJson = False) -> None:
    """Add what dossiers lived to a file of lives, without a word about whose; a shape that is there adds nothing."""
    from tasks.lives.recording import record_lives

    file = file or RECORDED
    lives = read_lives(file) if file.exists() else _none_yet()
    with services().database.transaction() as session:
        administrator(session, "lives record")
        lives, new = record_lives(session, codes, lives)
    write_lives(file, lives)
    show(new, as_json=as_json, text="\n".join(new) or "nothing that was not recorded")


@lives_app.command("accept")
def accept_lives(
    why: Annotated[
        str, typer.Option("--why", help="Why dossiers are to be treated otherwise; it stays in the file.")
    ],
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Record lives anew as the rules of this program treat them: how an intended change is accepted."""
    if not why.strip():
        raise Forbidden(
            "a change of the rules needs its reason.",
            rule="RELEASE-01",
            way_out="Say with --why which decision asks for it.",
        )
    file = file or RECORDED
    lives, gone = relived(read_lives(file), why.strip())
    write_lives(file, lives)
    text = "\n".join([f"{len(lives.lives)} lives recorded anew", *(f"left out: {one}" for one in gone)])
    show({"lives": len(lives.lives), "left_out": gone}, as_json=as_json, text=text)


def gate_files() -> list[Path]:
    """Return the files of lives that a release is tried on: its own, and the installation's."""
    own = services().settings.lives_file
    return [RECORDED, *([own] if own else [])]


def _none_yet() -> Lives:
    """Return an empty file of lives."""
    return Lives(
        why=("recorded for the first time",),
        beginnings=tuple(datetime.fromisoformat(one).replace(tzinfo=HANOI) for one in BEGINNINGS),
        moves=allowed_moves(),
        paused=stages_of_rest(),
        days={},
        lives=(),
    )
